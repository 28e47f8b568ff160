"""What the way from Python into NeonHub costs, beside what asyncio itself would cost for the same.

Ours and the peer take turns, so that a busy machine slows both alike. Prints one row per line as JSON:
`{name, ours, unit, peer, peer_value, goal}`, medians of the rounds.

    python bindings/python/bench/hop.py [--rounds 15] [--calls 400] [--only hop]

`NEONHUB_BENCH_WHEEL` names a wheel whose size is measured too.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import neonhub
from neonhub import testing

WHEEL_GOAL_MB = 22
Once = Callable[[], Awaitable[object]]


def row(name: str, ours: list[float], unit: str, peer: str | None, theirs: list[float], goal: str) -> None:
    value = statistics.median(theirs) if theirs else None
    found = {"name": name, "ours": statistics.median(ours), "unit": unit, "peer": peer, "peer_value": value}
    print(json.dumps({**found, "goal": goal}), flush=True)


async def timed(once: Once, calls: int) -> float:
    before = time.perf_counter()
    for _ in range(calls):
        await once()
    return (time.perf_counter() - before) / calls * 1e6


async def against(name: str, ours: Once, peer: str, theirs: Once, rounds: int, calls: int, goal: str) -> None:
    mine: list[float] = []
    other: list[float] = []
    for number in range(rounds + 1):
        pair = (await timed(ours, calls), await timed(theirs, calls))
        # The first round warms both up.
        if number:
            mine.append(pair[0])
            other.append(pair[1])
    row(name, mine, "us", peer, other, goal)


def nothing() -> None:
    """What the executor is asked to do."""


async def hops(rounds: int, calls: int) -> None:
    loop = asyncio.get_running_loop()
    blocking = testing.memory()

    async def sync_call() -> object:
        return blocking.scope.whoami()

    def hop() -> Awaitable[object]:
        return loop.run_in_executor(None, nothing)

    async with testing.amemory() as hub:
        bare = "bare run_in_executor"
        await against("Python: trivial operation, asyncio", hub.scope.whoami, bare, hop, rounds, calls, "<= 3x")
        await against("Python: trivial operation, blocking", sync_call, bare, hop, rounds, calls, "<= 3x")
    blocking.close()


async def results(rounds: int, calls: int) -> None:
    loop = asyncio.get_running_loop()
    async with testing.amemory() as hub:
        for size in (1, 100):
            body = "tea " * (256 * size)
            text = json.dumps({"answer": body, "usage": {"a": 1}})
            template = neonhub.models.OfflineTemplate(template="{{ body }}", vars={"body": body})
            answer = await hub.ai.generate_text(prompt="x", offline_template=template, seed=1)
            assert len(answer.text) >= len(body) - 1, len(answer.text)

            async def ours(template: neonhub.models.OfflineTemplate = template) -> object:
                return await hub.ai.generate_text(prompt="x", offline_template=template, seed=1)

            async def theirs(text: str = text) -> object:
                return await loop.run_in_executor(None, lambda: json.loads(json.dumps(json.loads(text))))

            name = f"Python: a result of {size} KiB"
            await against(name, ours, "run_in_executor with JSON", theirs, rounds, max(10, calls // 4), "<= 5x")


async def callbacks(rounds: int, calls: int) -> None:
    loop = asyncio.get_running_loop()

    async def one() -> int:
        """One."""
        return 1

    def there_and_back() -> int:
        return asyncio.run_coroutine_threadsafe(one(), loop).result()

    async with testing.amemory() as hub:
        hub.add_tool(one, effect="read")
        name = "Python: a callback of the host"
        ours: Once = lambda: hub.tools.call(name="one")  # noqa: E731
        theirs: Once = lambda: loop.run_in_executor(None, there_and_back)  # noqa: E731
        await against(name, ours, "run_in_executor and back", theirs, rounds, max(10, calls // 2), "<= 3x")


async def events(rounds: int, calls: int) -> None:
    count = calls * 20
    loop = asyncio.get_running_loop()
    ours: list[float] = []
    theirs: list[float] = []
    async with testing.amemory() as hub:
        native: Any = hub._core.native  # pyright: ignore[reportPrivateUsage]
        for first in range(0, count, 1_000):
            native.call("testing.emit_events", {"first": first, "count": min(1_000, count - first)})
        for _ in range(max(3, rounds // 3)):
            before = time.perf_counter()
            left = count
            async for _item in hub.events(types="test.*"):
                left -= 1
                if not left:
                    break
            ours.append((time.perf_counter() - before) / count * 1e6)
            queue: asyncio.Queue[int] = asyncio.Queue()

            def feed(queue: asyncio.Queue[int] = queue) -> None:
                for number in range(count):
                    loop.call_soon_threadsafe(queue.put_nowait, number)

            before = time.perf_counter()
            with ThreadPoolExecutor(1) as pool:
                fed = loop.run_in_executor(pool, feed)
                for _number in range(count):
                    await queue.get()
                await fed
            theirs.append((time.perf_counter() - before) / count * 1e6)
    row("Python: a streamed event", ours, "us", "queue fed from a thread", theirs, "<= 3x")


def cold_import(rounds: int) -> None:
    def started(code: str) -> float:
        before = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        return (time.perf_counter() - before) * 1e3

    started("import neonhub")
    pairs = [(started("import neonhub"), started("pass")) for _ in range(max(5, rounds))]
    row("Python: cold import", [loaded - bare for loaded, bare in pairs], "ms", None, [], "<= 60 ms")


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures the way from Python into NeonHub.")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--calls", type=int, default=400)
    parser.add_argument("--only", choices=["hop"])
    given = parser.parse_args()
    asyncio.run(hops(given.rounds, given.calls))
    if given.only:
        return
    asyncio.run(results(given.rounds, given.calls))
    asyncio.run(callbacks(given.rounds, given.calls))
    asyncio.run(events(given.rounds, given.calls))
    cold_import(given.rounds)
    wheel = os.environ.get("NEONHUB_BENCH_WHEEL")
    if wheel:
        row("Python: size of the wheel", [os.path.getsize(wheel) / 1e6], "MB", None, [], f"<= {WHEEL_GOAL_MB} MB")


if __name__ == "__main__":
    main()
