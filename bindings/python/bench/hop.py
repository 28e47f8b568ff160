"""What a call costs from asyncio, beside the cheapest hop that asyncio itself has.

Both are awaited one by one; the rounds take turns, so that a busy machine slows both alike. Prints JSON: medians in
microseconds, and the ratio that is the number to keep.

    python bindings/python/bench/hop.py [--rounds 15] [--calls 400]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import time
from collections.abc import Awaitable, Callable

import neonhub


async def measure(rounds: int, calls: int) -> dict[str, float]:
    loop = asyncio.get_running_loop()
    async with neonhub.aopen("memory:") as hub:
        blocking = neonhub.open("memory:")

        async def one_round(once: Callable[[], Awaitable[object]]) -> float:
            before = time.perf_counter()
            for _ in range(calls):
                await once()
            return (time.perf_counter() - before) / calls * 1e6

        def blocking_round() -> float:
            before = time.perf_counter()
            for _ in range(calls):
                blocking.scope.whoami()
            return (time.perf_counter() - before) / calls * 1e6

        def hop() -> Awaitable[object]:
            return loop.run_in_executor(None, nothing)

        await one_round(hop)
        await one_round(hub.scope.whoami)
        hops: list[float] = []
        called: list[float] = []
        blocked: list[float] = []
        for _ in range(rounds):
            hops.append(await one_round(hop))
            called.append(await one_round(hub.scope.whoami))
            blocked.append(blocking_round())
        blocking.close()
    return {
        "hop_us": round(statistics.median(hops), 1),
        "call_us": round(statistics.median(called), 1),
        "blocking_call_us": round(statistics.median(blocked), 1),
        "ratio": round(statistics.median(c / h for c, h in zip(called, hops)), 2),
    }


def nothing() -> None:
    """What the executor is asked to do."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures the hop from asyncio into NeonHub.")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--calls", type=int, default=400)
    arguments = parser.parse_args()
    print(json.dumps(asyncio.run(measure(arguments.rounds, arguments.calls))))


if __name__ == "__main__":
    main()
