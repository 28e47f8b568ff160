"""Progress of running work: bars in terminals and notebooks, or lines where neither is there."""

from __future__ import annotations

import asyncio
import sys
import threading
from types import TracebackType
from typing import Any, Final, Protocol, TextIO, TypeAlias

from . import _hub  # pyright: ignore[reportPrivateUsage]

__all__ = ["ProgressBars", "progress_bars"]

AnyHub: TypeAlias = "_hub.Hub | _hub.AsyncHub"

_STEP: Final = 10
"""Percent between two lines."""


def progress_bars(hub: AnyHub, *, file: TextIO | None = None, bars: bool | None = None) -> ProgressBars:
    """Shows the progress of everything the hub does while a block runs: ``with`` or ``async with``.

    Args:
        hub: The hub.
        file: Where to write. Default: standard error.
        bars: ``True`` for bars (needs the package ``tqdm``, which draws them in notebooks too), ``False`` for lines.
            Default: bars when tqdm is there and ``file`` is a terminal or this is a notebook.
    """
    return ProgressBars(hub, file or sys.stderr, bars)


class Meter(Protocol):
    """Shows one piece of work."""

    def show(self, done: int, total: int, note: str) -> None: ...
    def close(self) -> None: ...


class ProgressBars:
    """The block that :func:`progress_bars` makes."""

    def __init__(self, hub: AnyHub, file: TextIO, bars: bool | None) -> None:
        self._hub = hub
        self._file = file
        self._tqdm = _tqdm(file, bars)
        self._meters: dict[str, Meter] = {}
        self._stream: Any = None
        self._thread: threading.Thread | None = None
        self._task: asyncio.Task[None] | None = None

    def __enter__(self) -> ProgressBars:
        if not isinstance(self._hub, _hub.Hub):
            raise TypeError("expected `async with` for a hub of asyncio")
        self._stream = stream = self._hub.progress()

        def read() -> None:
            for item in stream:
                self._show(item)

        self._thread = threading.Thread(target=read, name="neonhub-progress", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()
        if self._thread is not None:
            self._thread.join()
        self._end()

    async def __aenter__(self) -> ProgressBars:
        if not isinstance(self._hub, _hub.AsyncHub):
            raise TypeError("expected `with` for a blocking hub")
        self._stream = stream = self._hub.progress()

        async def read() -> None:
            async for item in stream:
                self._show(item)

        self._task = asyncio.create_task(read())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()
        if self._task is not None:
            await self._task
        self._end()

    def _show(self, item: Any) -> None:
        meter = self._meters.get(item.task)
        if meter is None:
            meter = _Bar(self._tqdm, item.task, self._file) if self._tqdm else _Lines(item.task, self._file)
            self._meters[item.task] = meter
        meter.show(item.done, item.total, item.note)

    def _end(self) -> None:
        for meter in self._meters.values():
            meter.close()
        self._meters.clear()


def _tqdm(file: TextIO, bars: bool | None) -> Any:
    in_notebook = "ipykernel" in sys.modules
    if bars is False or (bars is None and not in_notebook and not file.isatty()):
        return None
    try:
        from tqdm.auto import tqdm
    except ImportError:
        if bars:
            raise
        return None
    return tqdm


class _Bar:
    def __init__(self, tqdm: Any, task: str, file: TextIO) -> None:
        # In a notebook the bar is a widget, and a file would only get its shadow.
        target = {} if "ipykernel" in sys.modules else {"file": file}
        self._bar = tqdm(desc=task, unit="", leave=True, **target)

    def show(self, done: int, total: int, note: str) -> None:
        self._bar.total = total or None
        self._bar.n = done
        self._bar.set_postfix_str(note, refresh=False)
        self._bar.refresh()

    def close(self) -> None:
        self._bar.close()


class _Lines:
    """A line at the start, at every tenth of the way, and at the end."""

    def __init__(self, task: str, file: TextIO) -> None:
        self._task = task
        self._file = file
        self._last = -1

    def show(self, done: int, total: int, note: str) -> None:
        step = done * 100 // total // _STEP if total else 0
        if step == self._last:
            return
        self._last = step
        amount = f"{done}/{total} ({done * 100 // total} %)" if total else str(done)
        print(f"{self._task}: {amount}{' ' + note if note else ''}", file=self._file, flush=True)

    def close(self) -> None:
        pass
