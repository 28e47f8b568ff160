"""Streams of events and progress."""

from __future__ import annotations

import asyncio
import threading
import time

import neonhub
from neonhub import models


def resolve(hub: neonhub.Hub, n: int) -> None:
    hub.people.resolve(identifiers=[models.Identifier(kind="email", value=f"p{n}@example.example")])


async def aresolve(hub: neonhub.AsyncHub, n: int) -> None:
    await hub.people.resolve(identifiers=[models.Identifier(kind="email", value=f"p{n}@example.example")])


def test_events_are_read_from_the_start_and_end_with_the_hub(hub: neonhub.Hub) -> None:
    for n in range(5):
        resolve(hub, n)
    stream = hub.events(types="person.created")
    first = [next(stream) for _ in range(5)]
    assert all(isinstance(item, models.ItemEvent) and item.event.type == "person.created" for item in first)
    assert len({item.event.subject_id for item in first}) == 5
    assert [item.cursor for item in first] == sorted(item.cursor for item in first)
    hub.close()
    assert list(stream) == []


def test_a_cursor_goes_on_where_it_ended(hub: neonhub.Hub) -> None:
    for n in range(4):
        resolve(hub, n)
    seen = [item for item, _ in zip(hub.events(types="person.created"), range(2))]
    rest = hub.events(cursor=seen[-1].cursor, types="person.created")
    ids = {item.event.id for item in seen} | {next(rest).event.id, next(rest).event.id}
    assert len(ids) == 4


def test_a_blocking_reader_waits_for_what_comes(hub: neonhub.Hub) -> None:
    def write() -> None:
        time.sleep(0.05)
        resolve(hub, 1)

    writer = threading.Thread(target=write)
    with hub.events(types="person.*") as stream:
        writer.start()
        assert next(stream).event.type == "person.created"
    writer.join()


async def test_events_arrive_while_others_write(ahub: neonhub.AsyncHub) -> None:
    async def read(count: int) -> list[models.ItemEvent]:
        items: list[models.ItemEvent] = []
        async for item in ahub.events(types="person.created"):
            items.append(item)
            if len(items) == count:
                break
        return items

    reader = asyncio.create_task(read(20))
    await asyncio.gather(*(aresolve(ahub, n) for n in range(20)))
    items = await asyncio.wait_for(reader, 10)
    assert len({item.event.subject_id for item in items}) == 20


async def test_a_waiting_reader_can_be_cancelled_and_the_stream_read_on(ahub: neonhub.AsyncHub) -> None:
    stream = ahub.events(types="person.created")
    waiting = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0.02)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await aresolve(ahub, 1)
    assert (await asyncio.wait_for(anext(stream), 10)).event.type == "person.created"


async def test_a_closed_stream_ends(ahub: neonhub.AsyncHub) -> None:
    async with ahub.progress() as stream:
        pass
    assert [item async for item in stream] == []
