"""The SQLite of marketing automation: people, consent, brand knowledge, campaigns and one send gate in your app.

>>> import neonhub
>>> with neonhub.open("memory:") as hub:
...     hub.scope.whoami().principal
PrincipalUser(id='owner', kind='user')
"""

from . import errors, models
from ._events import AsyncStream, Stream
from ._host import (
    DeliverFunction,
    Delivery,
    ModelAnswer,
    ModelFunction,
    ModelRequest,
    OutgoingMessage,
    ProbeFunction,
)
from ._hub import AsyncHub, Hub, aopen, open
from ._tools import ToolCall, ToolEffect
from ._values import OMIT, Omit, to_plain
from .errors import NeonHubError

__all__ = [
    "OMIT",
    "AsyncHub",
    "AsyncStream",
    "DeliverFunction",
    "Delivery",
    "Hub",
    "ModelAnswer",
    "ModelFunction",
    "ModelRequest",
    "NeonHubError",
    "Omit",
    "OutgoingMessage",
    "ProbeFunction",
    "Stream",
    "ToolCall",
    "ToolEffect",
    "aopen",
    "errors",
    "models",
    "open",
    "to_plain",
]
