"""Opening, closing, cancelling, threads, forks and interpreters that end."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import neonhub
import pytest
from neonhub.errors import ConfigError, InvalidInputError, NeonHubError, RateLimitedError, TimeoutError, UnavailableError


def test_a_closed_hub_takes_no_calls() -> None:
    hub = neonhub.open()
    assert not hub.closed
    hub.close()
    hub.close()
    assert hub.closed
    with pytest.raises(UnavailableError):
        hub.scope.whoami()


LARGE = b"Every bag of our coffee is roasted on the day it leaves the house.\n" * 20_000


def test_a_file_too_large_for_a_call_goes_in_as_a_blob() -> None:
    with neonhub.open() as hub:
        hub.spaces.create(name="brand-voice")
        hub.datasets.create(space="brand-voice", name="brand-voice")
        content = base64.b64encode(LARGE).decode()
        with pytest.raises(InvalidInputError, match="as blobs"):
            hub.documents.upload(dataset="brand-voice", name="large.txt", content_base64=content)
        blob = hub.put_blob(LARGE)
        assert blob == hashlib.sha256(LARGE).hexdigest()
        assert hub.documents.upload(dataset="brand-voice", name="large.txt", blob=blob).state == "ready"
        with pytest.raises(InvalidInputError):
            hub.put_blob(b"")


async def test_a_blob_for_asyncio() -> None:
    async with neonhub.aopen() as hub:
        assert await hub.put_blob(LARGE) == hashlib.sha256(LARGE).hexdigest()


async def test_a_hub_is_opened_by_await_or_with() -> None:
    hub = await neonhub.aopen()
    assert (await hub.scope.whoami()).principal.kind == "user"
    await hub.close()
    async with neonhub.aopen() as other:
        assert not other.closed
    assert other.closed


def test_what_cannot_be_opened_says_why(tmp_path: Path) -> None:
    with pytest.raises(NeonHubError):
        neonhub.open(tmp_path / "missing" / "brand.neon")
    (tmp_path / "no.neon").write_bytes(b"this is no store, but long enough to be taken for one" * 50)
    with pytest.raises(NeonHubError):
        neonhub.open(tmp_path / "no.neon")
    with pytest.raises(InvalidInputError):
        neonhub.open(now="yesterday")
    with pytest.raises(InvalidInputError):
        neonhub.open(seed=-1)


async def test_a_cancelled_call_stops_and_the_hub_works_on(ahub: neonhub.AsyncHub) -> None:
    async def slow(request: neonhub.ModelRequest) -> str:
        await asyncio.sleep(60)
        return "late"

    ahub.add_model(slow, provider="slow")
    task = asyncio.create_task(ahub.ai.generate_text(prompt="x"))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await ahub.scope.whoami()).workspace
    before = time.monotonic()
    await ahub.close()
    # A call still under way would hold the close up to 30 s.
    assert time.monotonic() - before < 5


def test_a_timeout_ends_a_call(hub: neonhub.Hub) -> None:
    def slow(request: neonhub.ModelRequest) -> str:
        time.sleep(0.5)
        return "late"

    hub.add_model(slow, provider="slow")
    with pytest.raises(TimeoutError) as caught:
        hub.with_options(timeout=0.05).ai.generate_text(prompt="x")
    assert isinstance(caught.value, NeonHubError) and caught.value.retryable
    with pytest.raises(InvalidInputError):
        hub.with_options(timeout=-1).scope.whoami()


def test_many_threads_share_a_hub(hub: neonhub.Hub) -> None:
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(50):
                hub.scope.whoami()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


async def test_many_tasks_share_a_hub(ahub: neonhub.AsyncHub) -> None:
    callers = await asyncio.gather(*(ahub.scope.whoami() for _ in range(500)))
    assert len({caller.workspace for caller in callers}) == 1


def test_errors_can_be_pickled() -> None:
    error = RateLimitedError("later", code="quota", operation="x.y", retry_after=1.5, context={"a": "b"})
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is RateLimitedError
    assert (str(back), back.retry_after, back.retryable) == (str(error), 1.5, True)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_opens_its_own_hub(tmp_path: Path) -> None:
    program = """
import os, sys, asyncio, neonhub
hub = neonhub.open("memory:")
hub.scope.whoami()
child = os.fork()
if child == 0:
    code = 1
    try:
        hub.scope.whoami()
    except neonhub.errors.ConfigError as error:
        assert error.code == "forked", error
        with neonhub.open("memory:") as own:
            own.scope.whoami()
        async def main():
            async with neonhub.aopen() as own:
                return await own.scope.whoami()
        asyncio.run(main())
        hub.close()
        code = 0
    finally:
        os._exit(code)
_, status = os.waitpid(child, 0)
assert os.waitstatus_to_exitcode(status) == 0
hub.scope.whoami()
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
    assert ConfigError.kind == "config"


def test_an_interpreter_may_end_with_work_under_way() -> None:
    program = """
import asyncio, threading, time, neonhub
hub = neonhub.open()
hub.add_model(lambda request: time.sleep(30) or "late", provider="slow")
stream = hub.events()
threading.Thread(target=lambda: hub.ai.generate_text(prompt="x"), daemon=True).start()
threading.Thread(target=lambda: next(stream), daemon=True).start()
time.sleep(0.2)
"""
    done = subprocess.run([sys.executable, "-c", program], timeout=20, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_an_interpreter_may_end_right_after_the_last_answer() -> None:
    program = """
import asyncio, neonhub
async def main():
    hub = await neonhub.aopen()
    await asyncio.gather(*(hub.scope.whoami() for _ in range(20)))
    await hub.close()
asyncio.run(main())
"""
    # The thread that gave the last answer may still be on its way out of the interpreter.
    for _ in range(15):
        done = subprocess.run([sys.executable, "-c", program], timeout=20, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
def test_ctrl_c_ends_a_blocking_call() -> None:
    program = """
import signal, sys, neonhub
# A runner in the background starts its children with Ctrl-C ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
hub = neonhub.open()
stream = hub.events()
print("ready", flush=True)
try:
    next(stream)
except KeyboardInterrupt:
    sys.exit(7)
"""
    child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None and child.stdout.readline() == "ready\n"
    time.sleep(0.1)
    child.send_signal(signal.SIGINT)
    assert child.wait(10) == 7
    child.stdout.close()
