"""Tools written in Python: what they are given, and how their schemas come from type hints."""

from __future__ import annotations

import collections.abc
import dataclasses
import enum
import inspect
import re
import sys
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, cast

__all__ = ["ToolCall", "ToolEffect", "schema_of", "tool_settings"]

ToolEffect: TypeAlias = Literal["pure", "read", "idempotent", "write", "compensable"]
"""What a tool does to the world; ``write`` acts on it and is never called twice without asking."""

_NAME = re.compile(r"[^a-z0-9_.]")
# Python 3.10 has neither.
_MARKS: tuple[Any, ...] = (getattr(typing, "Required", None), getattr(typing, "NotRequired", None))
_PLAIN: dict[Any, dict[str, Any]] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    type(None): {"type": "null"},
    dict: {"type": "object"},
    list: {"type": "array"},
    Any: {},
}


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
    }
    if output_schema is not None:
        settings["output_schema"] = _given_schema(output_schema)
    if timeout is not None:
        settings["timeout_ms"] = int(timeout * 1000)

    def call(asked: Any) -> Any:
        values = arguments.read(asked)
        result = function(*values[0], **values[1])
        return _later(result) if inspect.isawaitable(result) else _sendable(result)

    return settings, call


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
        self._model = given if _is_model(given) else None
        if given is None:
            self.schema = self._made(function)
        else:
            self.schema = _given_schema(given)
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
            if _is_model(hint):
                self._whole, self._model = name, hint
                return _given_schema(hint)
        parts = _Schemas()
        properties: dict[str, Any] = {}
        required: list[str] = []
        docs = _argument_docs(inspect.getdoc(function) or "")
        defaults = inspect.signature(function).parameters
        for name, hint in self._kinds.items():
            schema = parts.of(hint)
            if name in docs and "description" not in schema:
                schema = {**schema, "description": docs[name]}
            default = defaults[name].default
            if default is inspect.Parameter.empty:
                required.append(name)
            elif default is None or isinstance(default, str | int | float | bool):
                schema = {**schema, "default": default}
            properties[name] = schema
        made: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
        if required:
            made["required"] = required
        return parts.finish(made)

    def read(self, asked: Any) -> tuple[list[Any], dict[str, Any]]:
        args: dict[str, Any] = asked["args"]
        named: dict[str, Any] = {}
        if self._whole is not None:
            hint = self._model or self._kinds[self._whole]
            named[self._whole] = _built(hint, args)
        elif self._model is not None:
            model: Any = _built(self._model, args)
            named = dict(cast("dict[str, Any]", model.__dict__))
        else:
            named = {name: _built(self._kinds.get(name, Any), value) for name, value in args.items()}
        if self._context is not None:
            named[self._context] = ToolCall(**asked["call"])
        return [named.pop(name) for name in self._positional if name in named], named


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


def _is_model(hint: Any) -> bool:
    return isinstance(hint, type) and (hasattr(hint, "model_json_schema") or dataclasses.is_dataclass(hint))


def _given_schema(given: Any) -> dict[str, Any]:
    if isinstance(given, Mapping):
        return dict(cast("Mapping[str, Any]", given))
    return schema_of(given)


def schema_of(hint: Any) -> dict[str, Any]:
    """The JSON Schema of a type hint: plain types, lists, maps, unions, Literal, Enum, TypedDict, dataclasses, and
    pydantic models by their own means. ``Annotated[X, "words"]`` gives a description."""
    parts = _Schemas()
    return parts.finish(parts.of(hint), inline=True)


class _Schemas:
    """Schemas of type hints, with the classes they name kept once."""

    def __init__(self) -> None:
        self.defs: dict[str, Any] = {}

    def finish(self, schema: dict[str, Any], *, inline: bool = False) -> dict[str, Any]:
        if inline and set(schema) == {"$ref"}:
            name = schema["$ref"].rsplit("/", 1)[-1]
            uses = str(self.defs).count(f"#/$defs/{name}'")
            schema = dict(self.defs[name]) if uses else self.defs.pop(name)
        return {**schema, "$defs": self.defs} if self.defs else schema

    def of(self, hint: Any) -> dict[str, Any]:
        if isinstance(hint, collections.abc.Hashable) and hint in _PLAIN:
            return dict(_PLAIN[hint])
        origin = typing.get_origin(hint)
        if origin is not None:
            return self._generic(origin, typing.get_args(hint))
        if hasattr(hint, "model_json_schema"):
            return self._pydantic(hint)
        if dataclasses.is_dataclass(hint) and isinstance(hint, type):
            return self._class(hint, _fields(hint))
        if isinstance(hint, type) and issubclass(hint, enum.Enum):
            return {"enum": [member.value for member in hint]}
        typed = cast("Any", hint)
        if typing.is_typeddict(typed):
            required: frozenset[str] = typed.__required_keys__
            hints = typing.get_type_hints(typed, include_extras=True)
            return self._class(hint, [(name, kind, name in required) for name, kind in hints.items()])
        if hint in (tuple, set, frozenset):
            return {"type": "array"}
        raise TypeError(f"no JSON Schema for {hint!r}: use plain types, dataclasses or pydantic, or give input_schema")

    def _generic(self, origin: Any, args: tuple[Any, ...]) -> dict[str, Any]:
        if origin is typing.Annotated:
            words = [extra for extra in args[1:] if isinstance(extra, str)]
            schema = self.of(args[0])
            return {**schema, "description": words[0]} if words else schema
        if origin is Literal:
            return {"enum": list(args)}
        if origin in (typing.Union, types.UnionType):
            return {"anyOf": [self.of(arg) for arg in args]}
        if origin in _MARKS:
            return self.of(args[0])
        if origin is tuple and args and args[-1] is not Ellipsis:
            items = [self.of(arg) for arg in args]
            return {"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)}
        if issubclass(origin, collections.abc.Mapping):
            return {"type": "object", "additionalProperties": self.of(args[1])}
        if issubclass(origin, collections.abc.Set):
            return {"type": "array", "items": self.of(args[0]), "uniqueItems": True}
        if issubclass(origin, collections.abc.Iterable):
            return {"type": "array", "items": self.of(args[0])}
        raise TypeError(f"no JSON Schema for {origin!r}: give input_schema")

    def _pydantic(self, hint: Any) -> dict[str, Any]:
        schema: dict[str, Any] = hint.model_json_schema(ref_template="#/$defs/{model}")
        self.defs.update(schema.pop("$defs", {}))
        self.defs[hint.__name__] = schema
        return {"$ref": f"#/$defs/{hint.__name__}"}

    def _class(self, hint: Any, fields: list[tuple[str, Any, bool]]) -> dict[str, Any]:
        name = hint.__name__
        if name not in self.defs:
            schema: dict[str, Any] = {"type": "object", "additionalProperties": False}
            self.defs[name] = schema
            schema["properties"] = {field: self.of(kind) for field, kind, _ in fields}
            required = [field for field, _, is_required in fields if is_required]
            if required:
                schema["required"] = required
        return {"$ref": f"#/$defs/{name}"}


def _fields(hint: Any) -> list[tuple[str, Any, bool]]:
    hints = typing.get_type_hints(hint, include_extras=True)
    missing = dataclasses.MISSING
    return [
        (field.name, hints[field.name], field.default is missing and field.default_factory is missing)
        for field in dataclasses.fields(hint)
        if field.init
    ]


def _built(hint: Any, value: Any) -> Any:
    """The value as the type that the function asks for."""
    if value is None or hint is Any:
        return value
    origin = typing.get_origin(hint)
    args = typing.get_args(hint)
    if origin is typing.Annotated:
        return _built(args[0], value)
    if origin in (typing.Union, types.UnionType):
        kinds = [arg for arg in args if arg is not type(None)]
        return _built(kinds[0], value) if len(kinds) == 1 else value
    if hasattr(hint, "model_validate"):
        return hint.model_validate(value)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type) and isinstance(value, dict):
        kinds_of = {name: kind for name, kind, _ in _fields(hint)}
        members = cast("dict[str, Any]", value)
        return hint(**{name: _built(kinds_of.get(name, Any), item) for name, item in members.items()})
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return hint(value)
    if origin in (list, set, frozenset, tuple) and isinstance(value, list):
        items: list[Any] = cast("Any", value)
        kind = args[0] if args and (origin is not tuple or args[-1] is Ellipsis) else Any
        return cast("Any", origin)(_built(kind, item) for item in items)
    if hint is float and isinstance(value, int):
        return float(value)
    return value


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


def _argument_docs(doc: str) -> dict[str, str]:
    """The words about each argument from an ``Args:`` section."""
    found: dict[str, str] = {}
    in_args, current = False, ""
    for line in doc.splitlines():
        stripped = line.strip()
        if not line.startswith(" "):
            in_args, current = stripped in ("Args:", "Arguments:", "Parameters:"), ""
        elif in_args and (match := re.match(r"(\w+)(?: \([^)]*\))?: (.+)", stripped)):
            current = match[1]
            found[current] = match[2]
        elif in_args and current and stripped:
            found[current] += " " + stripped
    return found
