"""Models and connectors written in Python."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any, cast

import neonhub
import pytest
from neonhub import ModelAnswer, ModelRequest
from neonhub.errors import CorruptedError, InternalError, InvalidInputError, RateLimitedError, TimeoutError


def ask(hub: neonhub.Hub) -> str:
    return hub.ai.generate_text(prompt="Write a subject line.").text


async def aask(hub: neonhub.AsyncHub) -> str:
    return (await hub.ai.generate_text(prompt="Write a subject line.")).text


def test_a_plain_function_answers(hub: neonhub.Hub) -> None:
    seen: list[ModelRequest] = []

    def model(request: ModelRequest) -> str:
        seen.append(request)
        return "Fresh for spring"

    hub.add_model(model, provider="house")
    assert ask(hub) == "Fresh for spring"
    assert "Write a subject line." in seen[0].prompt


def test_an_async_function_answers_a_blocking_hub(hub: neonhub.Hub) -> None:
    async def model(request: ModelRequest) -> ModelAnswer:
        await asyncio.sleep(0.01)
        return ModelAnswer(text=threading.current_thread().name, input_tokens=3, output_tokens=4)

    hub.add_model(model, provider="house")
    assert ask(hub) == "neonhub-callbacks"


async def test_an_async_function_runs_in_the_loop_of_the_caller(ahub: neonhub.AsyncHub) -> None:
    here = asyncio.get_running_loop()

    async def model(request: ModelRequest) -> str:
        assert asyncio.get_running_loop() is here
        await asyncio.sleep(0.01)
        return "from the loop"

    ahub.add_model(model, provider="house")
    assert await aask(ahub) == "from the loop"


async def test_a_blocking_hub_in_a_running_loop_does_not_lock_up(hub: neonhub.Hub) -> None:
    async def model(request: ModelRequest) -> str:
        await asyncio.sleep(0.01)
        return "no lock"

    hub.add_model(model, provider="house")
    assert ask(hub) == "no lock"


async def test_callbacks_run_side_by_side(ahub: neonhub.AsyncHub) -> None:
    async def model(request: ModelRequest) -> str:
        await asyncio.sleep(0.2)
        return "slow"

    ahub.add_model(model, provider="house")
    before = time.monotonic()
    assert await asyncio.gather(*(aask(ahub) for _ in range(20))) == ["slow"] * 20
    assert time.monotonic() - before < 2.0


def test_an_exception_is_the_cause_and_its_text_stays_out_of_the_message(hub: neonhub.Hub) -> None:
    def model(request: ModelRequest) -> str:
        raise ValueError("ada@example.example is unknown")

    hub.add_model(model, provider="house")
    with pytest.raises(InternalError, match="raised ValueError") as caught:
        ask(hub)
    assert caught.value.code == "host_error"
    assert isinstance(caught.value.__cause__, ValueError)
    assert "ada@" not in str(caught.value)


@pytest.mark.parametrize("is_async", [False, True])
def test_an_error_of_ours_keeps_kind_code_and_advice(hub: neonhub.Hub, is_async: bool) -> None:
    error = RateLimitedError("the daily quota is used up", code="daily_quota", retry_after=2.5, context={"limit": "9"})

    def model(request: ModelRequest) -> str:
        raise error

    async def amodel(request: ModelRequest) -> str:
        raise error

    hub.add_model(amodel if is_async else model, provider="house")
    with pytest.raises(RateLimitedError) as caught:
        ask(hub)
    assert (caught.value.code, caught.value.retry_after) == ("daily_quota", 2.5)
    assert caught.value.retryable and caught.value.context["limit"] == "9"
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("garbage", [None, 7, ["x"], {"words": "x"}, object(), b"x", "\ud800", float("nan")])
def test_garbage_is_corrupted(hub: neonhub.Hub, garbage: Any) -> None:
    def model(request: ModelRequest) -> str:
        return cast(str, garbage)

    hub.add_model(model, provider="house")
    with pytest.raises(CorruptedError) as caught:
        ask(hub)
    assert caught.value.code == "host_answer"


def test_a_model_that_hangs_ends_with_the_timeout(hub: neonhub.Hub) -> None:
    done = threading.Event()

    def model(request: ModelRequest) -> str:
        done.wait(5)
        return "late"

    hub.add_model(model, provider="house")
    before = time.monotonic()
    with pytest.raises(TimeoutError):
        ask(hub.with_options(timeout=0.1))
    assert time.monotonic() - before < 2
    done.set()


async def test_a_coroutine_that_hangs_is_cancelled_with_the_call(ahub: neonhub.AsyncHub) -> None:
    ended = asyncio.Event()

    async def model(request: ModelRequest) -> str:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()
        return "late"

    ahub.add_model(model, provider="house")
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(aask(ahub), 0.1)
    await asyncio.wait_for(ended.wait(), 5)


def test_settings_are_checked(hub: neonhub.Hub) -> None:
    def model(request: ModelRequest) -> str:
        return "x"

    with pytest.raises(InvalidInputError, match="offline"):
        hub.add_model(model, provider="offline")
    with pytest.raises(InvalidInputError, match="channel"):
        hub.add_connector(lambda message: "x", name="mine", channels=["E-Mail"])
    with pytest.raises(InvalidInputError, match="a-z"):
        hub.add_connector(lambda message: "x", name="My Mailer", channels=["email"])
