"""Models and connectors written in Python: what they are given, and how they are called."""

from __future__ import annotations

import asyncio
import base64
import inspect
import os
import threading
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

from . import _native

__all__ = [
    "DeliverFunction",
    "Delivery",
    "ModelAnswer",
    "ModelFunction",
    "ModelRequest",
    "OutgoingMessage",
    "ProbeFunction",
]


@dataclass(frozen=True)
class ModelRequest:
    """What a model is asked."""

    raw: dict[str, Any]
    """The whole request: system, messages with their parts and sources, tools, output_schema, limits."""

    @cached_property
    def system(self) -> str:
        """The instructions, one per line."""
        return "\n".join(_texts(self.raw.get("system", [])))

    @cached_property
    def prompt(self) -> str:
        """The words of the conversation, one part per line, retrieved passages among them."""
        messages = self.raw.get("messages", [])
        return "\n".join(text for message in messages for text in _texts(message["parts"]))

    @property
    def purpose(self) -> str | None:
        """What the answer is for, one word: ``compose``, ``classify``."""
        return self.raw.get("purpose")

    @property
    def output_schema(self) -> dict[str, Any] | None:
        """JSON Schema of the answer, when it is to be JSON."""
        return self.raw.get("output_schema")

    @property
    def seed(self) -> int | None:
        """Makes the answer repeatable where the model allows it."""
        return self.raw.get("seed")

    @property
    def max_output_tokens(self) -> int | None:
        """Most tokens of the answer."""
        return self.raw.get("max_output_tokens")


def _texts(parts: Sequence[dict[str, Any]]) -> list[str]:
    return [part["text"] for part in parts if part.get("type") == "text"]


@dataclass(frozen=True)
class ModelAnswer:
    """The long form of a model's answer; the short one is a string."""

    text: str = ""
    """The words."""
    json: Any = None
    """The answer as a value, when a schema was asked for."""
    variants: Sequence[str] = ()
    """Several answers, when several were asked for."""
    input_tokens: int | None = None
    """Tokens read, when the model counts them."""
    output_tokens: int | None = None
    """Tokens written, when the model counts them."""
    model: str | None = None
    """The model that answered."""

    def _to_plain(self) -> dict[str, Any]:
        plain: dict[str, Any] = {"text": self.text, "variants": list(self.variants), "model": self.model}
        if self.json is not None:
            plain["json"] = self.json
        if self.input_tokens is not None or self.output_tokens is not None:
            exact = self.input_tokens is not None and self.output_tokens is not None
            counts = {"input_uncached": self.input_tokens or 0, "output_visible": self.output_tokens or 0}
            plain["usage"] = {**counts, "exact": exact}
        return plain


@dataclass(frozen=True)
class OutgoingMessage:
    """A message that the send gate has cleared, ready for a service."""

    raw: dict[str, Any]
    """The whole message as plain values."""

    @property
    def channel(self) -> str:
        """Where it goes out: ``email``, ``sms``, ``x``."""
        return str(self.raw["channel"])

    @property
    def effect(self) -> str:
        """The name of this one delivery: give it to the service as idempotency key or marker."""
        return str(self.raw["effect"])

    @property
    def to(self) -> str | None:
        """The recipient; ``None`` for a public post."""
        to: str | None = self.raw["payload"].get("to")
        return to

    @property
    def text(self) -> str | None:
        """The words of a text message or a post."""
        payload = self.raw["payload"]
        text: str | None = payload.get("body", payload.get("text"))
        return text

    @cached_property
    def email(self) -> bytes | None:
        """The complete RFC 5322 message of an e-mail."""
        encoded = self.raw["payload"].get("message_base64")
        return None if encoded is None else base64.b64decode(encoded)

    @property
    def facts(self) -> Any:
        """Facts for the record of the delivery; no contact values."""
        return self.raw["facts"]


@dataclass(frozen=True)
class Delivery:
    """What a service answered; the short form is its id as a string."""

    provider_id: str
    """The service's own id of the message."""
    provider_status: str | None = None
    """The service's own word for its state."""

    def _to_plain(self) -> dict[str, Any]:
        return {"provider_id": self.provider_id, "provider_status": self.provider_status}


ModelFunction: TypeAlias = Callable[[ModelRequest], "str | ModelAnswer | Awaitable[str | ModelAnswer]"]
"""A model: ``def`` or ``async def``."""
DeliverFunction: TypeAlias = Callable[[OutgoingMessage], "str | Delivery | Awaitable[str | Delivery]"]
"""Hands a message to a service and answers its id: ``def`` or ``async def``."""
ProbeFunction: TypeAlias = Callable[[str, str], "str | Delivery | bool | None | Awaitable[str | Delivery | bool | None]"]
"""Whether the delivery ``(effect, channel)`` landed: its id, ``False``, or ``None`` for "cannot tell"."""


def invoke(
    function: Callable[[Any], Any],
    argument: Any,
    loops: list[asyncio.AbstractEventLoop],
    reply: _native.Reply,
) -> Future[None] | None:
    """Calls a function for the core. A coroutine runs in the first loop that runs, else in a loop of our own."""
    try:
        result = function(argument)
        if not inspect.isawaitable(result):
            reply.done(result)
            return None
    except BaseException as raised:
        reply.failed(raised)
        return None
    running = next((loop for loop in loops if loop.is_running()), None)
    return asyncio.run_coroutine_threadsafe(_answer(result, reply), running or _own_loop())


async def _answer(result: Awaitable[Any], reply: _native.Reply) -> None:
    try:
        reply.done(await result)
    except BaseException as raised:
        reply.failed(raised)
        if not isinstance(raised, Exception):
            raise


_own: tuple[int, asyncio.AbstractEventLoop] | None = None
_own_lock = threading.Lock()


def _own_loop() -> asyncio.AbstractEventLoop:
    """A loop in a thread of ours, for callbacks that no loop of the application can run. One per process."""
    global _own
    with _own_lock:
        if _own is None or _own[0] != os.getpid():
            loop = asyncio.new_event_loop()
            threading.Thread(target=loop.run_forever, name="neonhub-callbacks", daemon=True).start()
            _own = (os.getpid(), loop)
        return _own[1]
