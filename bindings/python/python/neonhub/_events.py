"""Streams of events and progress."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Any, Generic, TypeVar

from . import _native
from ._runtime import finished

T = TypeVar("T")

_BATCH = 256
"""Most items of one hop into the core."""


class Stream(Generic[T]):
    """A blocking stream: iterate over it; it ends when the hub is closed or :meth:`close` is called."""

    def __init__(self, native: _native.Events, decode: Callable[[Any], T]) -> None:
        self._native = native
        self._decode = decode
        self._ready: deque[Any] = deque()

    def __iter__(self) -> Stream[T]:
        return self

    def __next__(self) -> T:
        if not self._ready:
            batch = self._native.next_batch(_BATCH)
            if batch is None:
                raise StopIteration
            self._ready.extend(batch)
        return self._decode(self._ready.popleft())

    def close(self) -> None:
        """Ends the stream; what is there already can still be read."""
        self._native.stop()

    def __enter__(self) -> Stream[T]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncStream(Generic[T]):
    """A stream for ``async for``; it ends when the hub is closed or :meth:`close` is called."""

    def __init__(self, native: _native.Events, decode: Callable[[Any], T]) -> None:
        self._native = native
        self._decode = decode
        self._ready: deque[Any] = deque()

    def __aiter__(self) -> AsyncStream[T]:
        return self

    async def __anext__(self) -> T:
        if not self._ready:
            native = self._native
            batch = await finished(lambda loop, future: native.start_batch(_BATCH, loop, future))
            if batch is None:
                raise StopAsyncIteration
            self._ready.extend(batch)
        return self._decode(self._ready.popleft())

    def close(self) -> None:
        """Ends the stream; what is there already can still be read."""
        self._native.stop()

    async def __aenter__(self) -> AsyncStream[T]:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
