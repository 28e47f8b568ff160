"""Many events, many calls, many hubs: nothing is lost and memory stays flat."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import neonhub
import pytest
from neonhub import testing

EVENTS = 100_000
CALLS = 100_000
HUBS = 1_000
SLACK_MB = 24
"""What an allocator may keep beyond what is used."""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")


def resident_mb() -> float:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def emit(hub: neonhub.Hub | neonhub.AsyncHub, count: int) -> None:
    native: Any = hub._core.native  # pyright: ignore[reportPrivateUsage]
    for first in range(0, count, 1_000):
        native.call("testing.emit_events", {"first": first, "count": min(1_000, count - first)})


def test_every_event_arrives_once_and_in_order() -> None:
    with testing.memory() as hub:
        emit(hub, 2_000)
        writer = threading.Thread(target=lambda: emit(hub, EVENTS))
        numbers: list[int] = []
        before = resident_mb()
        with hub.events(types="test.*") as stream:
            for _ in range(2_000):
                next(stream)
            writer.start()
            for item in stream:
                numbers.append(item.event.data["n"])
                if len(numbers) == EVENTS:
                    break
        writer.join()
        # The store in memory holds the events themselves; the stream must not hold them a second time.
        held = resident_mb() - before
    assert numbers == list(range(EVENTS))
    assert held < 600, f"{held:.0f} MB"


def test_a_slow_reader_holds_a_bounded_number_of_events(tmp_path: Path) -> None:
    with neonhub.open(tmp_path / "events.neon", seed=1, now="2026-11-21T09:00:00Z") as hub:
        emit(hub, 20_000)
        before = resident_mb()
        streams = [hub.events(types="test.*") for _ in range(8)]
        for stream in streams:
            assert next(stream).event.data == {"n": 0}
        held = resident_mb() - before
        for stream in streams:
            stream.close()
    assert held < 8 * 8 + SLACK_MB, f"{held:.0f} MB for 8 streams that wait"


async def test_a_stream_that_is_left_early_is_freed() -> None:
    async with testing.amemory() as hub:
        emit(hub, 5_000)

        async def some() -> None:
            async for item in hub.events(types="test.*"):
                if item.event.data["n"] == 10:
                    return

        await asyncio.gather(*(some() for _ in range(10)))
        before = resident_mb()
        for _ in range(10):
            await asyncio.gather(*(some() for _ in range(10)))
        assert resident_mb() - before < SLACK_MB


def grows(work: Callable[[], object], rounds: int) -> float:
    """Megabytes by which memory grows over the later nine tenths of the rounds."""
    for _ in range(rounds // 10):
        work()
    before = resident_mb()
    for _ in range(rounds - rounds // 10):
        work()
    return resident_mb() - before


def test_calls_leave_nothing_behind() -> None:
    with testing.memory() as hub:
        hub.add_tool(lambda: 1, name="one", doc="One.", effect="read")
        assert grows(hub.scope.whoami, CALLS) < SLACK_MB
        assert grows(lambda: hub.tools.call(name="one"), CALLS // 50) < SLACK_MB


def test_hubs_leave_nothing_behind() -> None:
    def cycle() -> None:
        with testing.memory() as hub:
            hub.add_model(lambda request: "x", provider="house")
            hub.scope.whoami()

    assert grows(cycle, HUBS) < SLACK_MB


def test_hubs_on_a_file_leave_nothing_behind(tmp_path: Path) -> None:
    def cycle() -> None:
        with neonhub.open(tmp_path / "many.neon") as hub:
            hub.scope.whoami()

    descriptors = len(os.listdir("/proc/self/fd"))
    assert grows(cycle, 200) < SLACK_MB
    assert len(os.listdir("/proc/self/fd")) <= descriptors + 4
