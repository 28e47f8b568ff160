"""A hub whose records are on a PostgreSQL server. Without a server these tests are skipped; `cargo xtask test` has one."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

import neonhub
import pytest
from neonhub.errors import ConfigError
from test_connector import draft, person

SERVER = os.environ.get("NEONHUB_TEST_DATABASE_URL")
KEY = "5a" * 32

pytestmark = pytest.mark.skipif(SERVER is None, reason="needs a PostgreSQL server in NEONHUB_TEST_DATABASE_URL")


def url(folder: Path) -> str:
    return f"{SERVER}?schema=py_{uuid.uuid4().hex[:12]}&pool=3&folder={folder}"


def test_a_hub_on_a_server_does_what_one_on_a_file_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEONHUB_KEY", KEY)
    place = url(tmp_path)
    with neonhub.open(place, seed=1, now="2026-11-24T15:00:00Z") as hub:
        ada = person(hub)
        send = hub.sends.create(draft=draft(hub), person=ada)
        assert hub.jobs.work().done == 1
        assert hub.sends.explain(send=send.id).state == "accepted"
    (mail,) = tmp_path.glob("*.outbox/email/*.eml")
    assert b"ada@shop.example" in mail.read_bytes()
    with neonhub.open(place, now="2026-11-24T15:00:00Z") as hub:
        assert [p.id for p in hub.people.list().items] == [ada]
        assert hub.store.stats().engine == "postgres"


def test_two_hubs_share_one_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEONHUB_KEY", KEY)
    place = url(tmp_path)
    with neonhub.open(place) as one, neonhub.open(place) as two:
        ada = person(one)
        assert [p.id for p in two.people.list().items] == [ada]


def test_a_server_wants_its_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NEONHUB_KEY", raising=False)
    with pytest.raises(ConfigError, match="NEONHUB_KEY"):
        neonhub.open(url(tmp_path))
