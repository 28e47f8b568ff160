"""Values that cross into the core: what was not given, instants, paths and input classes."""

from __future__ import annotations

import os
from datetime import datetime, timedelta, timezone
from enum import Enum
from typing import Any, Final, final

from . import _native

EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MILLISECOND: Final = timedelta(milliseconds=1)


@final
class Omit:
    """The type of :data:`OMIT`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "OMIT"

    def __bool__(self) -> bool:
        return False


OMIT: Final = Omit()
"""An argument that was not given. ``None`` is sent as null, which may mean something else."""


def instant(milliseconds: int) -> datetime:
    """The instant of UTC milliseconds since 1970."""
    return EPOCH + timedelta(milliseconds=milliseconds)


def plain(value: Any) -> Any:
    """The plain value that is sent for an instant, a path, an enum or an input class."""
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError("expected an instant with a time zone, such as datetime.now(timezone.utc)")
        return (value - EPOCH) // _MILLISECOND
    to_plain = getattr(value, "_to_plain", None)
    if to_plain is not None:
        return to_plain()
    if hasattr(value, "__fspath__"):
        return os.fsdecode(value)
    if isinstance(value, Enum):
        return value.value
    raise TypeError(f"expected a plain value, a date or an input class, not {type(value).__name__}")


def to_plain(value: Any) -> Any:
    """The plain value of a result: dictionaries, lists, text, numbers; ready for ``json.dumps``.

    Instants become UTC milliseconds, as the core keeps them.
    """
    return _native.echo(value)
