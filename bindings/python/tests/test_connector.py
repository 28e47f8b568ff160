"""Connectors written in Python, behind the send gate."""

from __future__ import annotations

import asyncio
import threading
from typing import Any, cast

import neonhub
import pytest
from neonhub import Delivery, OutgoingMessage
from neonhub.errors import ConsentRequiredError, UnavailableError
from neonhub.models import DraftsParts, Identifier, PersonFields

TEXT = "Bergkaffee: fresh beans for {{ first_name }}. Hauptplatz 1, 1010 Wien. Leave: {{ unsubscribe_url }}"
HTML = "<p>Bergkaffee: fresh beans. Hauptplatz 1, 1010 Wien. <a href=\"{{ unsubscribe_url }}\">Leave</a></p>"


def draft(hub: neonhub.Hub) -> str:
    """A released mail of a brand with a sender."""
    hub.brands.create(name="Bergkaffee")
    hub.brands.set_sender(
        brand="bergkaffee",
        channel="email",
        from_="hallo@bergkaffee.example",
        name="Bergkaffee",
        postal_address="Hauptplatz 1, 1010 Wien",
        unsubscribe_url="https://bergkaffee.example/leave",
    )
    parts = DraftsParts(subject="Hello {{ first_name }}", text=TEXT, html=HTML)
    made = hub.drafts.create(brand="bergkaffee", channel="email", parts=parts)
    return hub.drafts.approve(draft=made.id).id


def person(hub: neonhub.Hub, *, agrees: bool = True) -> str:
    resolved = hub.people.resolve(
        identifiers=[Identifier(kind="email", value="ada@shop.example")], fields=PersonFields(first_name="Ada")
    )
    assert resolved.person is not None
    if agrees:
        hub.consent.record(
            person=resolved.person,
            channel="email",
            status="granted",
            scope="marketing",
            basis="consent",
            method="form",
            source="https://bergkaffee.example/newsletter",
            text="Yes, send me news by e-mail.",
        )
    return resolved.person


@pytest.fixture
def noon() -> Any:
    with neonhub.open(seed=1, now="2026-11-24T15:00:00Z") as hub:
        yield hub


def test_a_cleared_mail_is_delivered_once(noon: neonhub.Hub) -> None:
    seen: list[OutgoingMessage] = []

    def deliver(message: OutgoingMessage) -> Delivery:
        seen.append(message)
        return Delivery("prov-1", "queued")

    noon.add_connector(deliver, name="mine", channels=["email"])
    send = noon.sends.create(draft=draft(noon), person=person(noon))
    assert noon.jobs.work().done == 1
    assert noon.jobs.work().done == 0
    told = noon.sends.explain(send=send.id)
    assert (told.state, told.provider_id) == ("accepted", "prov-1")
    assert len(seen) == 1
    assert (seen[0].channel, seen[0].to, seen[0].text) == ("email", "ada@shop.example", None)
    assert len(seen[0].effect) == 64 and seen[0].facts["send"] == send.id
    mail = seen[0].email
    assert mail is not None and b"Subject: Hello Ada\r\n" in mail


def test_nothing_reaches_a_connector_without_consent(noon: neonhub.Hub) -> None:
    def deliver(message: OutgoingMessage) -> str:
        raise AssertionError("the gate was passed")

    noon.add_connector(deliver, name="mine", channels=["email"])
    with pytest.raises(ConsentRequiredError):
        noon.sends.create(draft=draft(noon), person=person(noon, agrees=False))
    noon.jobs.work()


def test_an_async_connector_answers_a_blocking_hub(noon: neonhub.Hub) -> None:
    async def deliver(message: OutgoingMessage) -> str:
        await asyncio.sleep(0.01)
        return threading.current_thread().name

    noon.add_connector(deliver, name="mine", channels=["email"])
    send = noon.sends.create(draft=draft(noon), person=person(noon))
    noon.jobs.work()
    assert noon.sends.explain(send=send.id).provider_id == "neonhub-callbacks"


def test_an_exception_may_have_sent_and_is_not_tried_again(noon: neonhub.Hub) -> None:
    calls: list[str] = []

    def deliver(message: OutgoingMessage) -> str:
        calls.append(message.effect)
        raise ConnectionResetError("after the body")

    noon.add_connector(deliver, name="mine", channels=["email"])
    send = noon.sends.create(draft=draft(noon), person=person(noon))
    noon.jobs.work()
    noon.jobs.work()
    assert len(calls) == 1
    assert noon.sends.explain(send=send.id).state == "unknown"


def test_an_answer_nobody_can_read_may_have_sent(noon: neonhub.Hub) -> None:
    noon.add_connector(lambda message: cast(str, 7), name="mine", channels=["email"])
    send = noon.sends.create(draft=draft(noon), person=person(noon))
    noon.jobs.work()
    assert noon.sends.explain(send=send.id).state == "unknown"


def test_an_error_of_ours_says_that_nothing_was_sent(noon: neonhub.Hub) -> None:
    def deliver(message: OutgoingMessage) -> str:
        raise UnavailableError("the service is down", retry_after=60)

    noon.add_connector(deliver, name="mine", channels=["email"])
    send = noon.sends.create(draft=draft(noon), person=person(noon))
    assert noon.jobs.work().done == 0
    assert noon.sends.explain(send=send.id).state == "queued"
