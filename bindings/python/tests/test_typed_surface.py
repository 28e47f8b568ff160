"""The typed surface as an application uses it; mypy and pyright check this file strictly."""

from __future__ import annotations

import os
import sys
from datetime import datetime, timezone
from pathlib import Path

import neonhub
import pytest
from neonhub import models
from neonhub.errors import InvalidInputError, NotFoundError, PermissionDeniedError

if sys.version_info >= (3, 11):
    from typing import assert_type
else:
    from typing_extensions import assert_type


def test_results_are_classes(hub: neonhub.Hub) -> None:
    caller = hub.scope.whoami()
    assert_type(caller, models.Caller)
    assert caller.principal == models.PrincipalUser(id="owner")
    assert "read:people" in caller.permissions
    assert caller.workspace.startswith("wsp_")


def test_results_cannot_be_changed(hub: neonhub.Hub) -> None:
    with pytest.raises(AttributeError):
        hub.scope.whoami().workspace = "other"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


def test_a_union_is_matched_by_its_classes(hub: neonhub.Hub) -> None:
    principal = hub.scope.whoami().principal
    assert_type(
        principal,
        models.PrincipalUser | models.PrincipalApiKey | models.PrincipalAgent | models.PrincipalSystem,
    )
    if principal.kind == "user":
        assert_type(principal, models.PrincipalUser)
        assert principal.id == "owner"


def test_a_person_is_made_found_and_listed(hub: neonhub.Hub) -> None:
    resolved = hub.people.resolve(
        identifiers=[models.Identifier(kind="email", value="Ada@Example.example")],
        source="import:test",
    )
    again = hub.people.resolve(
        identifiers=[models.Identifier(kind="email", value="ada@example.example")],
        source="import:test",
    )
    assert resolved.person is not None and resolved.person == again.person
    assert (resolved.created, again.created) == (True, False)
    view = hub.people.get(person=resolved.person)
    assert_type(view, models.PersonView)
    page = hub.people.list(limit=10)
    assert_type(page.items, list[models.PersonView])
    assert [person.id for person in page.items] == [view.id]


def test_times_are_dates_with_a_zone(hub: neonhub.Hub) -> None:
    hub.workspaces.update(timezone="Europe/Vienna")
    entry = hub.audit.query(action="workspaces.update").items[-1]
    assert_type(entry.at, datetime)
    assert entry.at == datetime(2026, 11, 21, 9, tzinfo=timezone.utc)


def test_wrong_values_name_their_fields(hub: neonhub.Hub) -> None:
    with pytest.raises(InvalidInputError) as caught:
        hub.workspaces.update(name=" ", timezone="Mars/Olympus")
    assert [fault.field for fault in caught.value.faults] == ["name", "timezone"]
    assert caught.value.operation == "workspaces.update"
    assert not caught.value.retryable


def test_a_number_beyond_its_type_is_refused(hub: neonhub.Hub) -> None:
    with pytest.raises(InvalidInputError):
        hub.audit.query(limit=2**32)
    with pytest.raises(InvalidInputError, match="64 bits"):
        hub.audit.query(limit=2**64)


def test_a_date_without_a_zone_is_refused(hub: neonhub.Hub) -> None:
    with pytest.raises(InvalidInputError, match="time zone") as caught:
        hub.people.timeline(person="per_01kaf3w0000000000000000000", since=datetime(2026, 1, 1))
    assert caught.value.faults[0].field == "since"


async def test_async_twins_answer_the_same(hub: neonhub.Hub, ahub: neonhub.AsyncHub) -> None:
    mine, theirs = hub.scope.whoami(), await ahub.scope.whoami()
    assert_type(theirs, models.Caller)
    assert mine.permissions == theirs.permissions
    with pytest.raises(NotFoundError):
        await ahub.people.get(person="per_01kaf3w0000000000000000000")


def test_a_store_keeps_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "brand.neon"
    with neonhub.open(path) as hub:
        hub.workspaces.update(name="Bergkaffee")
    with neonhub.open(os.fspath(path)) as hub:
        assert hub.workspaces.get().name == "Bergkaffee"


def test_an_unknown_workspace_is_not_found(hub: neonhub.Hub) -> None:
    assert hub.in_workspace("default").workspaces.get().slug == "default"
    with pytest.raises(NotFoundError):
        hub.in_workspace("elsewhere")
    with pytest.raises(NotFoundError):
        neonhub.open(workspace="elsewhere")


def test_the_same_key_gives_the_first_answer(hub: neonhub.Hub) -> None:
    once = hub.with_options(idempotency_key="k1")
    first = once.brands.create(name="Bergkaffee")
    assert once.brands.create(name="Bergkaffee") == first


def test_classes_of_errors_are_below_one(hub: neonhub.Hub) -> None:
    assert issubclass(PermissionDeniedError, neonhub.NeonHubError)
    assert issubclass(neonhub.errors.TimeoutError, TimeoutError)
