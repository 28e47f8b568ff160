"""The SQLite of marketing automation: people, consent, brand knowledge, campaigns and one send gate in your app.

>>> import neonhub
>>> with neonhub.open("memory:") as hub:
...     hub.scope.whoami().principal
PrincipalUser(id='owner', kind='user')
"""

from typing import TYPE_CHECKING, Any

from . import errors
from ._events import AsyncStream, Stream
from ._hub import AsyncHub, Hub, aopen, open
from ._values import OMIT, Omit, to_plain
from .errors import NeonHubError

if TYPE_CHECKING:
    from . import models, testing, vectors
    from ._host import (
        DeliverFunction,
        Delivery,
        ModelAnswer,
        ModelFunction,
        ModelRequest,
        OutgoingMessage,
        ProbeFunction,
    )
    from ._progress import progress_bars
    from ._settings import EmbedderSettings, ProviderSettings, RouteSettings, RunSettings
    from ._tools import Landed, ToolCall, ToolEffect, ToolProbe, ToolSink

__all__ = [
    "OMIT",
    "AsyncHub",
    "AsyncStream",
    "DeliverFunction",
    "Delivery",
    "EmbedderSettings",
    "Hub",
    "Landed",
    "ModelAnswer",
    "ModelFunction",
    "ModelRequest",
    "NeonHubError",
    "Omit",
    "OutgoingMessage",
    "ProbeFunction",
    "ProviderSettings",
    "RouteSettings",
    "RunSettings",
    "Stream",
    "ToolCall",
    "ToolEffect",
    "ToolProbe",
    "ToolSink",
    "aopen",
    "errors",
    "models",
    "open",
    "progress_bars",
    "testing",
    "to_plain",
    "vectors",
]

_LATER = {
    "DeliverFunction": "_host",
    "Delivery": "_host",
    "EmbedderSettings": "_settings",
    "Landed": "_tools",
    "ModelAnswer": "_host",
    "ModelFunction": "_host",
    "ModelRequest": "_host",
    "OutgoingMessage": "_host",
    "ProbeFunction": "_host",
    "ProviderSettings": "_settings",
    "RouteSettings": "_settings",
    "RunSettings": "_settings",
    "ToolCall": "_tools",
    "ToolEffect": "_tools",
    "ToolProbe": "_tools",
    "ToolSink": "_tools",
    "progress_bars": "_progress",
}
"""Names of modules that are loaded when the first of them is used."""
_MODULES = ("models", "testing", "vectors")


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
