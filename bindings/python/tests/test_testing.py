"""The test helpers of the package."""

from __future__ import annotations

import asyncio
import doctest
import socket
import subprocess
import sys
import urllib.request
from datetime import datetime, timedelta, timezone
from pathlib import Path

import neonhub
import pytest
from neonhub import testing
from neonhub.errors import ConfigError, CorruptedError, InternalError, InvalidInputError, NotFoundError, RateLimitedError, TimeoutError
from neonhub.testing import Cassette, FaultInjector, ScriptedModel, VirtualClock, amemory, forbid_network, memory


def test_the_examples_run() -> None:
    assert doctest.testmod(testing).failed == 0


def test_every_hub_starts_alike() -> None:
    def story() -> str:
        with memory() as hub:
            return hub.people.create(fields={"first_name": "Ann"}).id  # type: ignore[arg-type] # pyright: ignore

    assert story() == story()


def test_a_script_is_played_to_its_end() -> None:
    script = ScriptedModel(["first", {"when": "weather", "text": "sunny"}, {"error": {"kind": "rate_limited"}}])
    with memory(model=script) as hub:
        assert hub.ai.generate_text(prompt="the weather?").text == "first"
        assert hub.ai.generate_text(prompt="the weather?").text == "sunny"
        with pytest.raises(AssertionError, match="RateLimited"):
            script.finish()
        with pytest.raises(RateLimitedError):
            hub.ai.generate_text(prompt="x")
        script.finish()
        with pytest.raises(InternalError) as caught:
            hub.ai.generate_text(prompt="once more")
        assert caught.value.code == "unscripted"
        assert len(script.requests) == 4
    with pytest.raises(InvalidInputError) as refused:
        ScriptedModel(["a", {"words": "b"}])
    assert refused.value.faults[0].field == "script[1]"


def test_a_cassette_plays_what_was_recorded(tmp_path: Path) -> None:
    tape = tmp_path / "answers.json"
    with memory(model=ScriptedModel(["live", "later"])) as hub:
        with Cassette(tape).add_to(hub):
            assert [hub.ai.generate_text(prompt="x").text for _ in range(2)] == ["live", "live"]
        assert hub.ai.generate_text(prompt="x").text == "later"
    with memory() as hub:
        player = Cassette(tape, mode="replay").add_to(hub)
        assert hub.ai.generate_text(prompt="x").text == "live"
        with pytest.raises(NotFoundError) as missed:
            hub.ai.generate_text(prompt="y")
        assert missed.value.code == "cassette_miss"
        assert player.erase_person("per_nobody") == 0
    with pytest.raises(ConfigError):
        Cassette(tmp_path / "none.json", "replay")
    with pytest.raises(InvalidInputError):
        Cassette(tape, "loop")  # type: ignore[arg-type] # pyright: ignore
    tape.write_text("{}")
    with pytest.raises(CorruptedError):
        Cassette(tape)


async def test_faults_befall_calls() -> None:
    faults = FaultInjector().fail("model", RateLimitedError, nth=1, retry_after=1.5).hang("model", nth=2)
    async with amemory(model=ScriptedModel(["a", "b"]), faults=faults) as hub:
        with pytest.raises(RateLimitedError) as caught:
            await hub.ai.generate_text(prompt="x")
        assert caught.value.retry_after == 1.5
        with pytest.raises(TimeoutError):
            await hub.with_options(timeout=0.05).ai.generate_text(prompt="x")
        assert (await hub.ai.generate_text(prompt="x")).text == "a"
        assert [seen["faulty"] for seen in faults.seen] == [True, True, False]
        faults.clear().fail("tool", "unavailable", name="scope.whoami")
        with pytest.raises(neonhub.NeonHubError) as unavailable:
            await hub.tools.call(name="scope.whoami")
        assert unavailable.value.kind == "unavailable"


def test_statuses_and_answers_that_break_off() -> None:
    faults = FaultInjector().status("model", 429, nth=1).cut(3, nth=2)
    with memory(model=ScriptedModel(["Spring is here"]), faults=faults) as hub:
        with pytest.raises(RateLimitedError):
            hub.ai.generate_text(prompt="x")
        with pytest.raises(neonhub.NeonHubError) as broken:
            hub.ai.generate_text(prompt="x")
        assert broken.value.kind == "unavailable"
    with pytest.raises(InvalidInputError, match="status"):
        FaultInjector().status("tool", 200)


def test_a_process_is_killed_at_a_call() -> None:
    program = (
        "from neonhub.testing import FaultInjector, memory\n"
        "with memory(faults=FaultInjector().kill('tool', name='scope.whoami')) as hub:\n"
        "    hub.tools.call(name='audit.query')\n"
        "    print('before', flush=True)\n"
        "    hub.tools.call(name='scope.whoami')\n"
        "    print('after', flush=True)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode < 0) == ("before\n", True), done.stderr


def test_the_clock_moves_by_hand() -> None:
    with memory() as hub:
        clock = VirtualClock(hub)
        assert clock.now == datetime(2026, 1, 5, 9, tzinfo=timezone.utc)
        clock.advance(timedelta(hours=1))
        clock.advance(60)
        assert hub.people.create().created_at == datetime(2026, 1, 5, 10, 1, tzinfo=timezone.utc)
        clock.set("2026-02-01T00:00:00Z")
        assert clock.now.month == 2
    with neonhub.open() as real, pytest.raises(ConfigError):
        VirtualClock(real)


def test_sockets_stay_shut() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        with forbid_network():
            with pytest.raises(RuntimeError, match="forbidden"):
                socket.create_connection(server.getsockname(), timeout=1)
            with pytest.raises(RuntimeError, match="forbidden"):
                urllib.request.urlopen("http://tea.example/")
            asyncio.run(asyncio.sleep(0))
        socket.create_connection(server.getsockname(), timeout=1).close()
