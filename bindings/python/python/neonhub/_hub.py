"""The hub: opening, closing, workspaces, streams, and the parts written in Python."""

from __future__ import annotations

import atexit
import os
from collections.abc import Generator, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar, overload

from . import _native
from ._events import AsyncStream, Stream
from ._generated import _codec
from ._generated.asynchronous import AsyncOperations
from ._generated.blocking import Operations
from ._parts import HostParts, running_loop
from ._runtime import AsyncCore, BlockingCore, finished
from ._settings import as_options

if TYPE_CHECKING:
    import asyncio

    from ._generated.models import ItemEvent, ItemProgress, SourceText, Turn
    from ._settings import EmbedderSettings, ProviderSettings, RouteSettings, RunSettings

__all__ = ["AsyncHub", "Hub", "aopen", "open"]

atexit.register(_native.hand_over)

_T = TypeVar("_T")


def open(
    url: str | os.PathLike[str] = "memory:",
    *,
    workspace: str = "default",
    outbox: str | os.PathLike[str] | None = None,
    models: Sequence[ProviderSettings] = (),
    routes: Sequence[RouteSettings] = (),
    embedders: Sequence[EmbedderSettings] = (),
    embedder: str | None = None,
    summary_tokens: int | None = None,
    runs: RunSettings | None = None,
    permissions: Mapping[str, str] | None = None,
    web: Sequence[str] = (),
    seed: int | None = None,
    now: datetime | str | None = None,
) -> Hub:
    """Opens a hub, and makes its file when there is none.

    Args:
        url: A path such as ``brand.neon``, ``sqlite:PATH``, ``postgres://USER:PASSWORD@HOST/DATABASE`` (the root key
            stands in the variable ``NEONHUB_KEY``), or ``memory:`` for a hub that leaves nothing behind.
        workspace: Short name of the workspace to work in.
        outbox: Folder that takes every message until a connector is added. Default: beside the store.
        models: Models over the network, in the order of preference; the offline model comes last. Nothing is sent
            anywhere without them.
        routes: Orders of these models by name, for calls that name a route; ``default`` takes the place of the order of
            ``models``.
        embedders: What spaces can be made with beside ``offline-hash-512``: models from a folder, or endpoints.
        embedder: The embedder of messages and memories, by its name.
        summary_tokens: Tokens of the context that conversations are to fit into: a job summarises one that fills three
            quarters of it, with the model of the hub. 0: no job does. Default: 8 000.
        runs: How many runs of agents work and wait at a time in a workspace.
        permissions: Rights of your own: words such as ``app:orders.refund``, each with a sentence on what it lets a
            principal do. Roles and keys may carry them, and tools may need them.
        web: Hosts whose pages ``knowledge.ingest_url`` may fetch: names, ``*.name``, or ``*``.
        seed: Fixes all chance, for tests and repeatable runs. Below 2**53.
        now: Stops the clock at this instant (with time zone), for tests and repeatable runs.

    A new file is a sandbox: text of the offline model may pass the send gate there, and mails go to an outbox folder.
    """
    settings = as_options(
        url, workspace, outbox, models, routes, embedders, embedder, summary_tokens, runs, permissions, web, seed, now
    )
    return Hub(BlockingCore(_native.open(settings)))


def aopen(
    url: str | os.PathLike[str] = "memory:",
    *,
    workspace: str = "default",
    outbox: str | os.PathLike[str] | None = None,
    models: Sequence[ProviderSettings] = (),
    routes: Sequence[RouteSettings] = (),
    embedders: Sequence[EmbedderSettings] = (),
    embedder: str | None = None,
    summary_tokens: int | None = None,
    runs: RunSettings | None = None,
    permissions: Mapping[str, str] | None = None,
    web: Sequence[str] = (),
    seed: int | None = None,
    now: datetime | str | None = None,
) -> Opening:
    """Opens a hub for asyncio: ``async with aopen(...) as hub`` or ``hub = await aopen(...)``.

    The arguments are those of :func:`open`.
    """
    settings = as_options(
        url, workspace, outbox, models, routes, embedders, embedder, summary_tokens, runs, permissions, web, seed, now
    )
    return Opening(settings)


class Opening:
    """A hub about to be opened: await it, or use it with ``async with``."""

    def __init__(self, options: dict[str, Any]) -> None:
        self._options = options
        self._hub: AsyncHub | None = None

    async def _open(self) -> AsyncHub:
        options = self._options
        native: _native.Hub = await finished(lambda loop, future: _native.start_open(options, loop, future))
        return AsyncHub(AsyncCore(native))

    def __await__(self) -> Generator[Any, None, AsyncHub]:
        return self._open().__await__()

    async def __aenter__(self) -> AsyncHub:
        self._hub = await self._open()
        return self._hub

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._hub is not None:
            await self._hub.close()


class Hub(HostParts, Operations):
    """One open hub. Each call returns when it is done; other threads run meanwhile.

    Use it as a context manager, or call :meth:`close`. Inside a running event loop use :func:`aopen` instead, or the
    loop stands still during each call.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<neonhub.Hub {'closed' if self.closed else 'open'}>"

    def __enter__(self) -> Hub:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stops taking calls, waits for those under way, and closes the store. Closing twice is one close."""
        self._core.native.close()

    @property
    def closed(self) -> bool:
        """True once the hub was closed."""
        return self._core.native.closed

    def in_workspace(self, slug: str) -> Hub:
        """The same hub in another workspace."""
        return Hub(BlockingCore(self._core.native.workspace(slug), self._core.key, self._core.timeout))

    def with_options(self, *, idempotency_key: str | None = None, timeout: float | None = None) -> Hub:
        """The same hub with settings for the calls made through it.

        Args:
            idempotency_key: A repeated call with the same key and input gives the first answer for 24 hours.
            timeout: Seconds after which a call ends with ``TimeoutError`` and nothing written; it can only shorten
                the operation's own deadline.
        """
        return Hub(BlockingCore(self._core.native, idempotency_key, timeout))

    def put_blob(self, content: bytes) -> str:
        """Keeps a file of up to 100 MiB in the store and gives its name, for the ``blob`` of ``documents.upload``.

        An argument of a call holds up to 1 MiB. Storing the same file again costs nothing.
        """
        return self._core.native.put_blob(content)

    def events(self, *, cursor: int = 0, types: str | None = None) -> Stream[ItemEvent]:
        """What happened after ``cursor`` (0: from the start), then what happens, in order, each event once.

        Args:
            cursor: ``cursor`` of the last item that was worked off.
            types: Only this type, such as ``person.created``; ``person.*`` for all below.
        """
        return Stream(self._core.native.events(cursor, types, "events"), _codec.item_event)

    def progress(self) -> Stream[ItemProgress]:
        """Progress of running work from now on. A slow reader misses some; nothing is stored."""
        return Stream(self._core.native.events(0, None, "progress"), _codec.item_progress)

    @overload
    def generate(
        self,
        into: type[_T],
        prompt: str = ...,
        *,
        system: str | None = None,
        turns: Sequence[Turn] = (),
        sources: Sequence[SourceText] = (),
        facts: Any = None,
        seed: int | None = None,
        max_output_tokens: int | None = None,
        route: str | None = None,
        model: str | None = None,
    ) -> _T: ...
    @overload
    def generate(
        self,
        into: Any,
        prompt: str = ...,
        *,
        system: str | None = None,
        turns: Sequence[Turn] = (),
        sources: Sequence[SourceText] = (),
        facts: Any = None,
        seed: int | None = None,
        max_output_tokens: int | None = None,
        route: str | None = None,
        model: str | None = None,
    ) -> Any: ...
    def generate(
        self,
        into: Any,
        prompt: str = "",
        *,
        system: str | None = None,
        turns: Sequence[Turn] = (),
        sources: Sequence[SourceText] = (),
        facts: Any = None,
        seed: int | None = None,
        max_output_tokens: int | None = None,
        route: str | None = None,
        model: str | None = None,
    ) -> Any:
        """Asks the model of the hub for a value of a type, as ``ai.generate_text`` does with a schema.

        Args:
            into: A dataclass, a pydantic model, a ``TypedDict``, an enum, a list or union of them, or a JSON Schema, which
                gives plain values.
            prompt: What is asked.
            system: Instructions.
            turns: Earlier turns, oldest first.
            sources: Texts to answer from.
            facts: What the offline model fills the type from: an object, or the value itself where the type is no class.
            seed: Makes the answer repeatable where the model allows it; below 2**53.
            max_output_tokens: Most tokens of the answer.
            route: The route that chooses the model, by its name.
            model: The model itself, in the place of a route: ``provider/model``.

        An answer that does not fit is given back to the model once. One that does not fit then, or that the class itself
        refuses, is a ``CorruptedError`` (code ``invalid_output``) with every fault by field. The offline model makes nothing
        up: what the facts do not say is an ``UnsupportedError`` (code ``needs_input``).
        """
        from ._generate import asked

        given, read = asked(
            into, prompt, system, turns, sources, facts, seed, max_output_tokens, route, model
        )
        return read(self._core.call("ai.generate_text", given))

    def _native(self) -> _native.Hub:
        return self._core.native

    def _loop(self) -> None:
        return None


class AsyncHub(HostParts, AsyncOperations):
    """One open hub for asyncio. A cancelled call is stopped in the core too.

    Use it with ``async with``, or await :meth:`close`.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<neonhub.AsyncHub {'closed' if self.closed else 'open'}>"

    async def __aenter__(self) -> AsyncHub:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Stops taking calls, waits for those under way, and closes the store. Closing twice is one close."""
        native = self._core.native
        await finished(native.start_close)

    @property
    def closed(self) -> bool:
        """True once the hub was closed."""
        return self._core.native.closed

    async def in_workspace(self, slug: str) -> AsyncHub:
        """The same hub in another workspace."""
        native = self._core.native
        other: _native.Hub = await finished(lambda loop, future: native.start_workspace(slug, loop, future))
        return AsyncHub(AsyncCore(other, self._core.key, self._core.timeout))

    def with_options(self, *, idempotency_key: str | None = None, timeout: float | None = None) -> AsyncHub:
        """The same hub with settings for the calls made through it; see :meth:`Hub.with_options`."""
        return AsyncHub(AsyncCore(self._core.native, idempotency_key, timeout))

    async def put_blob(self, content: bytes) -> str:
        """Keeps a file of up to 100 MiB in the store and gives its name; see :meth:`Hub.put_blob`."""
        native = self._core.native
        name: str = await finished(lambda loop, future: native.start_put_blob(content, loop, future))
        return name

    def events(self, *, cursor: int = 0, types: str | None = None) -> AsyncStream[ItemEvent]:
        """What happened after ``cursor`` (0: from the start), then what happens, in order, each event once.

        Args:
            cursor: ``cursor`` of the last item that was worked off.
            types: Only this type, such as ``person.created``; ``person.*`` for all below.
        """
        return AsyncStream(self._core.native.events(cursor, types, "events"), _codec.item_event)

    def progress(self) -> AsyncStream[ItemProgress]:
        """Progress of running work from now on. A slow reader misses some; nothing is stored."""
        return AsyncStream(self._core.native.events(0, None, "progress"), _codec.item_progress)

    @overload
    async def generate(
        self,
        into: type[_T],
        prompt: str = ...,
        *,
        system: str | None = None,
        turns: Sequence[Turn] = (),
        sources: Sequence[SourceText] = (),
        facts: Any = None,
        seed: int | None = None,
        max_output_tokens: int | None = None,
        route: str | None = None,
        model: str | None = None,
    ) -> _T: ...
    @overload
    async def generate(
        self,
        into: Any,
        prompt: str = ...,
        *,
        system: str | None = None,
        turns: Sequence[Turn] = (),
        sources: Sequence[SourceText] = (),
        facts: Any = None,
        seed: int | None = None,
        max_output_tokens: int | None = None,
        route: str | None = None,
        model: str | None = None,
    ) -> Any: ...
    async def generate(
        self,
        into: Any,
        prompt: str = "",
        *,
        system: str | None = None,
        turns: Sequence[Turn] = (),
        sources: Sequence[SourceText] = (),
        facts: Any = None,
        seed: int | None = None,
        max_output_tokens: int | None = None,
        route: str | None = None,
        model: str | None = None,
    ) -> Any:
        """Asks the model of the hub for a value of a type; see :meth:`Hub.generate`."""
        from ._generate import asked

        given, read = asked(
            into, prompt, system, turns, sources, facts, seed, max_output_tokens, route, model
        )
        return read(await self._core.call("ai.generate_text", given))

    def _native(self) -> _native.Hub:
        return self._core.native

    def _loop(self) -> asyncio.AbstractEventLoop | None:
        return running_loop()
