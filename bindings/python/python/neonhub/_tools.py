"""Tools written in Python: what they are given, and what they answer."""

from __future__ import annotations

import collections.abc
import dataclasses
import inspect
import re
import sys
import typing
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, cast

from ._schema import Misfit, Schemas, built, described, given_schema, is_model
from .errors import InvalidInputError

__all__ = ["Landed", "ToolCall", "ToolEffect", "ToolProbe", "ToolSink", "probe_call", "tool_settings"]

ToolEffect: TypeAlias = Literal["pure", "read", "idempotent", "write", "compensable"]
"""What a tool does to the world; ``write`` acts on it and is never called twice without asking."""

ToolSink: TypeAlias = Literal["send", "publish", "spend", "export", "memory_write"]
"""What a call lets out, or keeps for good."""

_NAME = re.compile(r"[^a-z0-9_.]")


@dataclass(frozen=True)
class ToolCall:
    """Who calls a tool. A parameter of this type gets it, and is no argument of the tool."""

    tool: str
    """Name of the tool."""
    workspace: str
    """Id of the workspace."""
    principal: str
    """Who calls: ``user:owner``, ``agent:support``."""
    correlation: str
    """Joins everything that one outer call caused."""
    effect: str | None = None
    """In a run of an agent: the name of this call, the same each time it is made. Give it to a service as idempotency key or
    marker."""


@dataclass(frozen=True)
class Landed:
    """What a probe answers for a call that happened."""

    output: Any = None
    """What the tool would have answered."""


ToolProbe: TypeAlias = "Callable[[dict[str, Any], ToolCall], Landed | bool | None | Awaitable[Landed | bool | None]]"
"""Says what became of a call whose answer was lost: ``Landed``, ``False`` when it did not happen, ``None`` when nobody can
tell. It gets the arguments and the call, whose ``effect`` is the name that the call had."""


def tool_settings(
    function: Callable[..., Any],
    *,
    name: str | None,
    doc: str | None,
    effect: ToolEffect,
    needs: tuple[str, ...],
    input_schema: Any,
    output_schema: Any,
    timeout: float | None,
    concurrency: int | None,
    rate: tuple[int, float] | None,
    approval: bool,
    sinks: tuple[ToolSink, ...],
) -> tuple[dict[str, Any], Callable[[Any], Any]]:
    """The settings of a tool and the function that the core calls."""
    arguments = _Arguments(function, input_schema)
    given = name if name is not None else _NAME.sub("_", getattr(function, "__name__", "").lower())
    settings: dict[str, Any] = {
        "name": given,
        "doc": doc if doc is not None else inspect.getdoc(function) or "",
        "effect": effect,
        "needs": list(needs),
        "input_schema": arguments.schema,
        "concurrency": concurrency,
        "approval": approval,
        "sinks": list(sinks),
    }
    if output_schema is not None:
        settings["output_schema"] = given_schema(output_schema)
    if rate is not None:
        settings["rate"] = {"max": rate[0], "per_ms": int(rate[1] * 1000)}
    if timeout is not None:
        settings["timeout_ms"] = int(timeout * 1000)

    def call(asked: Any) -> Any:
        values = arguments.read(asked)
        result = function(*values[0], **values[1])
        return _later(result) if inspect.isawaitable(result) else _sendable(result)

    return settings, call


def probe_call(probe: ToolProbe | None) -> Callable[[Any], Any] | None:
    """The probe of a tool as the core asks it."""
    if probe is None:
        return None

    def call(asked: Any) -> Any:
        told = probe(asked["args"], ToolCall(**asked["call"]))
        return _told_later(told) if inspect.isawaitable(told) else _told(told)

    return call


def _told(told: Landed | bool | None) -> Any:
    return {"landed": _sendable(told.output)} if isinstance(told, Landed) else told


async def _told_later(told: Awaitable[Landed | bool | None]) -> Any:
    return _told(await told)


async def _later(result: collections.abc.Awaitable[Any]) -> Any:
    return _sendable(await result)


class _Arguments:
    """How the arguments of a call reach the function."""

    def __init__(self, function: Callable[..., Any], given: Any) -> None:
        self._context: str | None = None
        self._kinds: dict[str, Any] = {}
        self._positional: list[str] = []
        self._whole: str | None = None
        hints = _hints(function, is_needed=given is None)
        for parameter in inspect.signature(function).parameters.values():
            self._take(parameter, hints.get(parameter.name, Any))
        self._model = given if is_model(given) else None
        if given is None:
            self.schema = self._made(function)
        else:
            self.schema = given_schema(given)
            # One parameter beside a schema of its own takes all arguments as one value.
            if len(self._kinds) == 1 and self._whole is None and not self._named_in_schema():
                self._whole = next(iter(self._kinds))

    def _take(self, parameter: inspect.Parameter, hint: Any) -> None:
        if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            raise TypeError("expected a tool without *args: arguments have names")
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            return
        if hint is ToolCall:
            self._context = parameter.name
            return
        self._kinds[parameter.name] = hint
        if parameter.kind is inspect.Parameter.POSITIONAL_ONLY:
            self._positional.append(parameter.name)

    def _named_in_schema(self) -> bool:
        return next(iter(self._kinds)) in self.schema.get("properties", {})

    def _made(self, function: Callable[..., Any]) -> dict[str, Any]:
        """The schema from the signature. One pydantic model or dataclass alone stands for all arguments."""
        if len(self._kinds) == 1:
            name, hint = next(iter(self._kinds.items()))
            if is_model(hint):
                self._whole, self._model = name, hint
                return given_schema(hint)
        parts = Schemas()
        properties: dict[str, Any] = {}
        required: list[str] = []
        defaults = inspect.signature(function).parameters
        for name, hint in self._kinds.items():
            schema = parts.of(hint)
            default = defaults[name].default
            if default is inspect.Parameter.empty:
                required.append(name)
            elif default is None or isinstance(default, str | int | float | bool):
                schema = {**schema, "default": default}
            properties[name] = schema
        properties = described(properties, inspect.getdoc(function) or "")
        made: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
        if required:
            made["required"] = required
        return parts.finish(made)

    def read(self, asked: Any) -> tuple[list[Any], dict[str, Any]]:
        try:
            named = self._named(asked["args"])
        except Misfit as misfit:
            raise InvalidInputError("the arguments do not fit the type hints", faults=misfit.faults) from misfit
        if self._context is not None:
            named[self._context] = ToolCall(**asked["call"])
        return [named.pop(name) for name in self._positional if name in named], named

    def _named(self, args: dict[str, Any]) -> dict[str, Any]:
        if self._whole is not None:
            return {self._whole: built(self._model or self._kinds[self._whole], args)}
        if self._model is not None:
            model: Any = built(self._model, args)
            return dict(cast("dict[str, Any]", model.__dict__))
        return {name: built(self._kinds.get(name, Any), value, name) for name, value in args.items()}


def _hints(function: Callable[..., Any], *, is_needed: bool) -> dict[str, Any]:
    target = function if inspect.isfunction(function) or inspect.ismethod(function) else type(function).__call__
    # Classes made beside the function, in a test or a factory, are known to the frame that adds the tool.
    frame = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]
    while frame.f_back is not None and frame.f_globals.get("__package__") == __package__:
        frame = frame.f_back
    try:
        return typing.get_type_hints(target, localns=dict(frame.f_locals), include_extras=True)
    except NameError as unknown:
        if not is_needed:
            return {}
        raise TypeError(f"the type hints name {unknown.name!r}, which is not known here: give input_schema") from None


def _sendable(value: Any) -> Any:
    """The answer of a tool as plain values."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if dataclasses.is_dataclass(value) and not isinstance(value, type) and not hasattr(value, "_to_plain"):
        return {field.name: _sendable(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {name: _sendable(item) for name, item in cast("Mapping[str, Any]", value).items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_sendable(item) for item in cast("collections.abc.Iterable[Any]", value)]
    return value
