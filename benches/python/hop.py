"""Prints the microseconds of an awaited trivial operation and of a bare hop to a thread and back, as JSON.

Arguments: calls per run, runs. Both are measured in turn in each run, so that a change of load meets both.
"""

import asyncio
import json
import statistics
import sys
import time

import neonhub


def nothing() -> None:
    """What the bare hop runs."""


async def measure(calls: int, runs: int) -> dict[str, float]:
    loop = asyncio.get_running_loop()
    operation_us: list[float] = []
    hop_us: list[float] = []
    async with await neonhub.aopen("memory:") as hub:
        for _ in range(runs + 1):
            start = time.perf_counter()
            for _ in range(calls):
                await hub.scope.whoami()
            middle = time.perf_counter()
            for _ in range(calls):
                await loop.run_in_executor(None, nothing)
            end = time.perf_counter()
            operation_us.append((middle - start) * 1e6 / calls)
            hop_us.append((end - middle) * 1e6 / calls)
    # The first run warms both up.
    return {"operation_us": statistics.median(operation_us[1:]), "hop_us": statistics.median(hop_us[1:])}


print(json.dumps(asyncio.run(measure(int(sys.argv[1]), int(sys.argv[2])))))
