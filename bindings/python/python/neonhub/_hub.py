"""The hub: opening, closing, workspaces, streams, and the parts written in Python."""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable, Generator, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any

from . import _native
from ._events import AsyncStream, Stream
from ._generated import _codec
from ._generated.asynchronous import AsyncOperations
from ._generated.blocking import Operations
from ._runtime import AsyncCore, BlockingCore, finished
from ._settings import as_options

if TYPE_CHECKING:
    import asyncio

    from ._generated.models import ItemEvent, ItemProgress
    from ._host import DeliverFunction, ModelFunction, ProbeFunction
    from ._settings import EmbedderSettings, ProviderSettings, RouteSettings, RunSettings
    from ._tools import ToolEffect

__all__ = ["AsyncHub", "Hub", "aopen", "open"]

atexit.register(_native.hand_over)


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


class Hub(Operations):
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

    def add_model(
        self,
        complete: ModelFunction,
        *,
        provider: str,
        model: str | None = None,
        json_schema: bool = False,
        context_tokens: int | None = None,
        max_output_tokens: int | None = None,
    ) -> None:
        """Adds a model written in Python; it answers from now on.

        Args:
            complete: ``def`` or ``async def``; gets a :class:`ModelRequest`, answers text or a :class:`ModelAnswer`.
                An async one runs in an event loop of its own thread.
            provider: A word for it, kept with everything it writes.
            model: The model's own name.
            json_schema: True when it answers in JSON of a given schema.
            context_tokens: Tokens of input and output together.
            max_output_tokens: Most tokens of one answer.
        """
        settings = _model(provider, model, json_schema, context_tokens, max_output_tokens)
        self._core.native.add_model(settings, _asked(complete), None)

    def add_tool(
        self,
        function: Callable[..., Any],
        *,
        name: str | None = None,
        doc: str | None = None,
        effect: ToolEffect = "write",
        needs: Sequence[str] = (),
        input_schema: Any = None,
        output_schema: Any = None,
        timeout: float | None = None,
        concurrency: int | None = None,
        replace: bool = False,
    ) -> None:
        """Adds a tool written in Python; agents and ``tools.call`` see it from now on.

        Args:
            function: ``def`` or ``async def``. Its parameters are the arguments, by name; one of type
                :class:`ToolCall` gets who calls instead. Types make the schema: plain ones, ``list``, ``dict``,
                unions, ``Literal``, enums, ``TypedDict``, dataclasses and pydantic models.
            name: ``a-z``, digits, underscore and dot. Default: that of the function.
            doc: What it does and when to use it. Default: its docstring; ``Args:`` describes the arguments.
            effect: What it does to the world. ``pure`` and ``read`` may be called again; ``write`` never is.
            needs: Permissions that a caller needs, such as ``read:people``.
            input_schema: JSON Schema of the arguments, a dataclass or a pydantic model, in the place of the hints.
            output_schema: The same of the answer; an answer that does not fit is an error.
            timeout: Seconds a call may take. Default: 30.
            concurrency: Most calls at the same time.
            replace: Takes the place of a tool of this name, as a notebook cell that runs again does.

        An exception becomes an error of the tool with its type and words; a ``NeonHubError`` keeps its kind.
        """
        from ._tools import tool_settings

        settings, call = tool_settings(
            function,
            name=name,
            doc=doc,
            effect=effect,
            needs=tuple(needs),
            input_schema=input_schema,
            output_schema=output_schema,
            timeout=timeout,
            concurrency=concurrency,
        )
        self._core.native.add_tool(settings, call, replace, None)

    def remove_tool(self, name: str) -> bool:
        """Takes a tool away. False when there was none of this name."""
        return self._core.native.remove_tool(name)

    def add_connector(
        self,
        deliver: DeliverFunction,
        *,
        name: str,
        channels: Sequence[str],
        probe: ProbeFunction | None = None,
    ) -> None:
        """Adds a connector written in Python; it takes over the channels it names.

        It only ever gets messages that the send gate has cleared. An exception that is no ``NeonHubError`` counts as
        "may have been sent": the message is not sent again until ``probe`` or a person says what became of it.

        Args:
            deliver: ``def`` or ``async def``; hands the :class:`OutgoingMessage` to a service, answers its id.
            name: Short name, ``snake_case``.
            channels: Channels such as ``email`` or ``sms``.
            probe: Says whether a delivery landed.
        """
        settings = {"name": name, "channels": list(channels)}
        self._core.native.add_connector(settings, _message(deliver), _probe(probe), None)


class AsyncHub(AsyncOperations):
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

    def add_model(
        self,
        complete: ModelFunction,
        *,
        provider: str,
        model: str | None = None,
        json_schema: bool = False,
        context_tokens: int | None = None,
        max_output_tokens: int | None = None,
    ) -> None:
        """Adds a model written in Python; see :meth:`Hub.add_model`. An async one runs in this event loop."""
        settings = _model(provider, model, json_schema, context_tokens, max_output_tokens)
        self._core.native.add_model(settings, _asked(complete), _running_loop())

    def add_tool(
        self,
        function: Callable[..., Any],
        *,
        name: str | None = None,
        doc: str | None = None,
        effect: ToolEffect = "write",
        needs: Sequence[str] = (),
        input_schema: Any = None,
        output_schema: Any = None,
        timeout: float | None = None,
        concurrency: int | None = None,
        replace: bool = False,
    ) -> None:
        """Adds a tool written in Python; agents and ``tools.call`` see it from now on. An async one runs in this event loop.

        Args:
            function: ``def`` or ``async def``. Its parameters are the arguments, by name; one of type
                :class:`ToolCall` gets who calls instead. Types make the schema: plain ones, ``list``, ``dict``,
                unions, ``Literal``, enums, ``TypedDict``, dataclasses and pydantic models.
            name: ``a-z``, digits, underscore and dot. Default: that of the function.
            doc: What it does and when to use it. Default: its docstring; ``Args:`` describes the arguments.
            effect: What it does to the world. ``pure`` and ``read`` may be called again; ``write`` never is.
            needs: Permissions that a caller needs, such as ``read:people``.
            input_schema: JSON Schema of the arguments, a dataclass or a pydantic model, in the place of the hints.
            output_schema: The same of the answer; an answer that does not fit is an error.
            timeout: Seconds a call may take. Default: 30.
            concurrency: Most calls at the same time.
            replace: Takes the place of a tool of this name, as a notebook cell that runs again does.

        An exception becomes an error of the tool with its type and words; a ``NeonHubError`` keeps its kind.
        """
        from ._tools import tool_settings

        settings, call = tool_settings(
            function,
            name=name,
            doc=doc,
            effect=effect,
            needs=tuple(needs),
            input_schema=input_schema,
            output_schema=output_schema,
            timeout=timeout,
            concurrency=concurrency,
        )
        self._core.native.add_tool(settings, call, replace, _running_loop())

    def remove_tool(self, name: str) -> bool:
        """Takes a tool away. False when there was none of this name."""
        return self._core.native.remove_tool(name)

    def add_connector(
        self,
        deliver: DeliverFunction,
        *,
        name: str,
        channels: Sequence[str],
        probe: ProbeFunction | None = None,
    ) -> None:
        """Adds a connector written in Python; see :meth:`Hub.add_connector`. An async one runs in this event loop."""
        settings = {"name": name, "channels": list(channels)}
        self._core.native.add_connector(settings, _message(deliver), _probe(probe), _running_loop())


def _running_loop() -> asyncio.AbstractEventLoop | None:
    import asyncio

    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _model(
    provider: str,
    model: str | None,
    json_schema: bool,
    context_tokens: int | None,
    max_output_tokens: int | None,
) -> dict[str, Any]:
    return {
        "provider": provider,
        "model": model,
        "json_schema": json_schema,
        "context_tokens": context_tokens,
        "max_output_tokens": max_output_tokens,
    }


def _asked(complete: ModelFunction) -> Callable[[Any], Any]:
    from ._host import ModelRequest

    return lambda raw: complete(ModelRequest(raw))


def _message(deliver: DeliverFunction) -> Callable[[Any], Any]:
    from ._host import OutgoingMessage

    return lambda raw: deliver(OutgoingMessage(raw))


def _probe(probe: ProbeFunction | None) -> Callable[[Any], Any] | None:
    if probe is None:
        return None
    return lambda raw: probe(raw["effect"], raw["channel"])
