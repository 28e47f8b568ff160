"""Helpers for the tests of your application: no network, no waiting, the same result each time.

>>> from neonhub.testing import ScriptedModel, memory
>>> with memory(model=ScriptedModel(["Fresh for spring"])) as hub:
...     hub.ai.generate_text(prompt="Write a subject line.").text
'Fresh for spring'
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, Literal, TypeAlias

from . import _hub, _native, errors  # pyright: ignore[reportPrivateUsage]
from ._values import instant

__all__ = ["TEST_NOW", "Cassette", "FaultInjector", "FaultSite", "ScriptedModel", "VirtualClock", "amemory", "forbid_network", "memory"]

TEST_NOW = "2026-01-05T09:00:00Z"
"""The instant that a hub for tests starts at: a Monday morning."""

FaultSite: TypeAlias = Literal["model", "tool", "connector"]
"""What a fault can be put on."""

AnyHub: TypeAlias = "_hub.Hub | _hub.AsyncHub"


def memory(
    *,
    model: ScriptedModel | None = None,
    faults: FaultInjector | None = None,
    now: datetime | str = TEST_NOW,
    seed: int = 1,
    workspace: str = "default",
) -> _hub.Hub:
    """A hub in memory with fixed chance and a clock that stands still: every test starts from the same state.

    Args:
        model: A script to answer from, in the place of the offline model.
        faults: Faults for its calls.
        now: Where its clock stands; move it with :class:`VirtualClock`.
        seed: Fixes all chance.
        workspace: Short name of the workspace to work in.
    """
    hub = _hub.open("memory:", seed=seed, now=now, workspace=workspace)
    _prepare(hub, model, faults)
    return hub


class amemory:
    """As :func:`memory`, for asyncio: ``async with amemory() as hub`` or ``hub = await amemory()``."""

    def __init__(
        self,
        *,
        model: ScriptedModel | None = None,
        faults: FaultInjector | None = None,
        now: datetime | str = TEST_NOW,
        seed: int = 1,
        workspace: str = "default",
    ) -> None:
        self._opening = _hub.aopen("memory:", seed=seed, now=now, workspace=workspace)
        self._parts = (model, faults)
        self._hub: _hub.AsyncHub | None = None

    async def _open(self) -> _hub.AsyncHub:
        hub = await self._opening
        _prepare(hub, *self._parts)
        return hub

    def __await__(self) -> Any:
        return self._open().__await__()

    async def __aenter__(self) -> _hub.AsyncHub:
        self._hub = await self._open()
        return self._hub

    async def __aexit__(self, *_: object) -> None:
        if self._hub is not None:
            await self._hub.close()


def _prepare(hub: AnyHub, model: ScriptedModel | None, faults: FaultInjector | None) -> None:
    if model is not None:
        model.add_to(hub)
    if faults is not None:
        faults.add_to(hub)


def _native_of(hub: AnyHub) -> _native.Hub:
    return hub._core.native  # pyright: ignore[reportPrivateUsage]


class ScriptedModel:
    """A model that plays a script.

    A line is the text of an answer, or a map with one of ``text``, ``chunks``, ``json``, ``tool_calls``, ``refuse`` and
    ``error``, and as wanted ``when`` (answers only a request that holds this text) and ``after_ms``. The first line that
    fits a request answers it and is used up; a request that no line fits fails with code ``unscripted``.
    """

    def __init__(self, script: Sequence[str | dict[str, Any]] = ()) -> None:
        self._native = _native.ScriptedModel(list(script))

    def add(self, line: str | dict[str, Any]) -> ScriptedModel:
        """Adds a line at the end."""
        self._native.add(line)
        return self

    def add_to(self, hub: AnyHub) -> ScriptedModel:
        """Lets it answer for a hub from now on."""
        _native_of(hub).add_scripted(self._native)
        return self

    @property
    def requests(self) -> list[dict[str, Any]]:
        """Every request so far, as :attr:`neonhub.ModelRequest.raw` has it."""
        found: list[dict[str, Any]] = self._native.requests()
        return found

    @property
    def left(self) -> list[str]:
        """The lines that nobody has asked for."""
        return self._native.left()

    def finish(self) -> None:
        """Ends the test: fails when lines of the script were never asked for."""
        if self.left:
            raise AssertionError("the script was not played to its end: " + "; ".join(self.left))


class Cassette:
    """Answers of models on tape: recorded once, played without a network from then on.

    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/answers.json"
    >>> with memory(model=ScriptedModel(["Fresh for spring"])) as hub, Cassette(path).add_to(hub):
    ...     text = hub.ai.generate_text(prompt="Write a subject line.").text
    >>> with memory() as hub, Cassette(path, "replay").add_to(hub):
    ...     hub.ai.generate_text(prompt="Write a subject line.").text == text
    True

    What looks like a secret or a way to reach a person is redacted before it is written. Answers in words are recorded:
    embeddings, pictures and moderation are not. An answer that is played costs nothing.

    Args:
        path: The file; it is made with the first recording.
        mode: ``auto`` plays what is there and records what is missing, ``record`` records everything anew, and with
            ``replay`` a request that is not there fails with code ``cassette_miss``.
    """

    def __init__(
        self, path: str | os.PathLike[str], mode: Literal["auto", "record", "replay"] = "auto"
    ) -> None:
        self._native = _native.Cassette(path, mode)
        self._hubs: list[AnyHub] = []

    def add_to(self, hub: AnyHub) -> Cassette:
        """Puts it before the models of a hub; the one it had before is gone. Leaving a ``with`` block takes it out."""
        _native_of(hub).insert_cassette(self._native)
        self._hubs.append(hub)
        return self

    def erase_person(self, person: str) -> int:
        """Erases the answers of runs about a person; says how many there were."""
        return self._native.erase_person(person)

    def __enter__(self) -> Cassette:
        return self

    def __exit__(self, *_: object) -> None:
        while self._hubs:
            _native_of(self._hubs.pop()).insert_cassette(None)


class FaultInjector:
    """Puts faults on calls of models, tools and connectors.

    >>> faults = FaultInjector().fail("model", "rate_limited", nth=2, retry_after=1.5)
    """

    def __init__(self) -> None:
        self._native = _native.Faults()

    def fail(
        self,
        on: FaultSite,
        kind: str | type[errors.NeonHubError],
        *,
        name: str | None = None,
        nth: int | None = None,
        times: int | None = None,
        code: str | None = None,
        message: str | None = None,
        retry_after: float | None = None,
        after: bool = False,
    ) -> FaultInjector:
        """Lets calls fail.

        Args:
            on: What is called.
            kind: The kind of error, or its class.
            name: Only this provider, tool or connector.
            nth: The first call that fails, counted from 1 since now. Without it: every call.
            times: How many fail. Default: one with ``nth``, else all.
            code: A finer word than the kind.
            message: What the error says.
            retry_after: Seconds it asks to wait.
            after: Fails after the call was made: what it did stays done.
        """
        word = kind if isinstance(kind, str) else kind.kind
        error = {"kind": word, "code": code, "message": message}
        wait = None if retry_after is None else int(retry_after * 1000)
        return self._rule(on, name, nth, times, error={**error, "retry_after_ms": wait}, after=after)

    def delay(
        self, on: FaultSite, seconds: float, *, name: str | None = None, nth: int | None = None, times: int | None = None
    ) -> FaultInjector:
        """Lets calls take longer, in seconds of the machine's clock."""
        return self._rule(on, name, nth, times, delay_ms=int(seconds * 1000))

    def hang(
        self, on: FaultSite, *, name: str | None = None, nth: int | None = None, times: int | None = None
    ) -> FaultInjector:
        """Lets calls never answer: they end by their deadline or by being cancelled."""
        return self._rule(on, name, nth, times, hang=True)

    def status(
        self,
        on: FaultSite,
        code: int,
        *,
        name: str | None = None,
        nth: int | None = None,
        times: int | None = None,
        after: bool = False,
    ) -> FaultInjector:
        """Lets calls fail as an answer over HTTP of this status would, such as 429 or 503."""
        return self._rule(on, name, nth, times, status=code, after=after)

    def cut(
        self, at: int, *, name: str | None = None, nth: int | None = None, times: int | None = None
    ) -> FaultInjector:
        """Breaks answers of models off after so many bytes of their text; a shorter one is whole."""
        return self._rule("model", name, nth, times, cut=at)

    def kill(
        self, on: FaultSite, *, name: str | None = None, nth: int | None = None, after: bool = False
    ) -> FaultInjector:
        """Ends this process at a call, as ``kill -9`` does: for tests that go on in another one."""
        return self._rule(on, name, nth, None, kill=True, after=after)

    def _rule(self, on: FaultSite, name: str | None, nth: int | None, times: int | None, **what: Any) -> FaultInjector:
        self._native.add({"on": on, "name": name, "nth": nth, "times": times, **what})
        return self

    def clear(self) -> FaultInjector:
        """Takes every fault away."""
        self._native.clear()
        return self

    def add_to(self, hub: AnyHub) -> FaultInjector:
        """Puts the faults on a hub; the injector it had before is gone."""
        _native_of(hub).inject_faults(self._native)
        return self

    @property
    def seen(self) -> list[dict[str, Any]]:
        """The calls so far: ``on``, ``name`` and whether a fault befell them."""
        found: list[dict[str, Any]] = self._native.seen()
        return found


class VirtualClock:
    """The clock of a hub that was opened with ``now``: it stands still until it is moved."""

    def __init__(self, hub: AnyHub) -> None:
        clock = _native_of(hub).clock()
        if clock is None:
            raise errors.ConfigError("this hub has the clock of the machine: open it with now=, or with memory()")
        self._native = clock

    @property
    def now(self) -> datetime:
        """The instant it shows."""
        return instant(self._native.now_ms())

    def set(self, at: datetime | str) -> None:
        """Moves it to an instant, also back."""
        self._native.set(at.isoformat() if isinstance(at, datetime) else at)

    def advance(self, by: timedelta | float) -> None:
        """Moves it forward, by a span or by seconds."""
        self._native.advance(by.total_seconds() if isinstance(by, timedelta) else by)


_hooked = False


@contextmanager
def forbid_network() -> Generator[None, None, None]:
    """Lets every attempt to open a socket fail, in NeonHub and in Python alike, while the block runs.

    NeonHub raises ``ConfigError`` with code ``network_forbidden``; Python's own sockets raise ``RuntimeError``. Sockets
    between processes of one machine by path (``AF_UNIX``) stay allowed: asyncio needs them.
    """
    global _hooked
    if not _hooked:
        _hooked = True
        sys.addaudithook(_audited)
    guard = _native.NetworkForbidden()
    try:
        yield
    finally:
        guard.end()


def _audited(event: str, args: tuple[Any, ...]) -> None:
    if event not in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"):
        return
    if not _native.network_forbidden():
        return
    family = getattr(args[0], "family", None) if args else None
    if family is not None and family == getattr(socket, "AF_UNIX", None):
        return
    raise RuntimeError("the network is forbidden in this test (neonhub.testing.forbid_network)")
