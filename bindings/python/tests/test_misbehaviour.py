"""Functions of the host that raise, hang, answer nonsense or are cancelled: a typed error, and nothing left behind."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any

import pytest
from neonhub import ModelRequest, testing
from neonhub.errors import CorruptedError, InternalError, NeonHubError, TimeoutError

GARBAGE: list[Any] = [None, 7, b"bytes", ["a"], {"words": "x"}, object(), float("nan"), "\ud800"]


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("garbage", GARBAGE, ids=repr)
def test_a_model_that_answers_nonsense(garbage: Any, is_async: bool) -> None:
    async def later(request: ModelRequest) -> Any:
        return garbage

    with testing.memory() as hub:
        hub.add_model(later if is_async else lambda request: garbage, provider="house")
        with pytest.raises(CorruptedError) as caught:
            hub.ai.generate_text(prompt="x")
        assert caught.value.code == "host_answer"
        assert not hub.agents.list_runs().items
        assert hub.scope.whoami().workspace


def exits(request: ModelRequest) -> str:
    sys.exit(3)


def interrupts(request: ModelRequest) -> str:
    raise KeyboardInterrupt


def recurses(request: ModelRequest) -> str:
    return recurses(request)


@pytest.mark.parametrize("model", [exits, interrupts, recurses])
def test_a_model_that_raises_what_nobody_catches(model: Callable[[ModelRequest], str]) -> None:
    with testing.memory() as hub:
        hub.add_model(model, provider="house")
        with pytest.raises(InternalError) as caught:
            hub.ai.generate_text(prompt="x")
        assert caught.value.code == "host_error"
        assert hub.scope.whoami().workspace


async def test_a_coroutine_is_cancelled_with_the_call_that_waits_for_it() -> None:
    started, ended = asyncio.Event(), asyncio.Event()

    async def slow(request: ModelRequest) -> str:
        started.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            ended.set()
            raise
        return "late"

    async with testing.amemory() as hub:
        hub.add_model(slow, provider="slow")
        task = asyncio.create_task(hub.ai.generate_text(prompt="x"))
        await asyncio.wait_for(started.wait(), 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(ended.wait(), 5)
        ended.clear()
        with pytest.raises(TimeoutError):
            await hub.with_options(timeout=0.05).ai.generate_text(prompt="x")
        await asyncio.wait_for(ended.wait(), 5)
        # Cancelled before it could start: the coroutine must not be left running either.
        for _ in range(50):
            early = asyncio.create_task(hub.ai.generate_text(prompt="x"))
            await asyncio.sleep(0)
            early.cancel()
            with pytest.raises(asyncio.CancelledError):
                await early
        await asyncio.sleep(0.1)
        here = asyncio.current_task()
        assert [task for task in asyncio.all_tasks() if task is not here] == []


async def test_a_coroutine_that_cancels_itself_is_an_error() -> None:
    async def quits(request: ModelRequest) -> str:
        raise asyncio.CancelledError

    async with testing.amemory() as hub:
        hub.add_model(quits, provider="house")
        with pytest.raises(NeonHubError):
            await asyncio.wait_for(hub.ai.generate_text(prompt="x"), 5)
        assert (await hub.scope.whoami()).workspace


async def test_a_hub_closes_while_a_callback_hangs() -> None:
    async def hang(request: ModelRequest) -> str:
        await asyncio.sleep(60)
        return "late"

    hub = await testing.amemory()
    hub.add_model(hang, provider="slow")
    task = asyncio.create_task(hub.ai.generate_text(prompt="x"))
    await asyncio.sleep(0.05)
    task.cancel()
    await asyncio.wait_for(hub.close(), 10)
    assert task.cancelled() or task.done()


def test_a_run_whose_model_fails_ends_and_is_not_held() -> None:
    faults = testing.FaultInjector().fail("model", "unavailable")
    with testing.memory(faults=faults) as hub:
        with pytest.raises(NeonHubError):
            hub.ai.generate_text(prompt="Write a subject line.")
        runs = hub.agents.list_runs().items
        assert [run for run in runs if run.lease is not None] == []
