"""How the generated surface reaches the core: one blocking way and one for asyncio."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio

    from . import _native


def settle(future: asyncio.Future[Any], value: Any, error: BaseException | None) -> None:
    """Puts the answer into the future; called in the loop's thread."""
    if future.done():
        return
    if error is None:
        future.set_result(value)
    else:
        future.set_exception(error)


async def finished(start: Callable[[asyncio.AbstractEventLoop, asyncio.Future[Any]], _native.Call]) -> Any:
    """Waits for a call; a cancelled wait stops the work."""
    import asyncio

    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()
    call = start(loop, future)
    try:
        return await future
    except asyncio.CancelledError:
        call.cancel()
        raise


class BlockingCore:
    """Calls operations and waits for their answers."""

    __slots__ = ("key", "native", "timeout")

    def __init__(self, native: _native.Hub, key: str | None = None, timeout: float | None = None) -> None:
        self.native = native
        self.key = key
        self.timeout = timeout

    def call(self, name: str, payload: dict[str, Any]) -> Any:
        return self.native.call(name, payload, self.key, self.timeout)


class AsyncCore:
    """Calls operations for asyncio."""

    __slots__ = ("key", "native", "timeout")

    def __init__(self, native: _native.Hub, key: str | None = None, timeout: float | None = None) -> None:
        self.native = native
        self.key = key
        self.timeout = timeout

    async def call(self, name: str, payload: dict[str, Any]) -> Any:
        import asyncio

        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        call = self.native.start(name, payload, self.key, self.timeout, loop, future)
        try:
            return await future
        except asyncio.CancelledError:
            call.cancel()
            raise
