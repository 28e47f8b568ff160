"""Type hints as JSON Schemas, and JSON values as what the hints name."""

from __future__ import annotations

import collections.abc
import dataclasses
import enum
import inspect
import re
import types
import typing
import uuid
from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any, Literal, cast

from .errors import Fault

__all__ = ["Misfit", "argument_docs", "built", "given_schema", "is_model", "schema_of"]

# Python 3.10 has neither.
_MARKS: tuple[Any, ...] = (getattr(typing, "Required", None), getattr(typing, "NotRequired", None))
_UNIONS = (typing.Union, types.UnionType)
_PLAIN: dict[Any, dict[str, Any]] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    type(None): {"type": "null"},
    dict: {"type": "object"},
    list: {"type": "array"},
    datetime: {"type": "string", "format": "date-time"},
    date: {"type": "string", "format": "date"},
    uuid.UUID: {"type": "string", "format": "uuid"},
    Any: {},
}
# Before 3.11 fromisoformat takes no Z.
_READ: dict[Any, Callable[[str], Any]] = {
    datetime: lambda text: datetime.fromisoformat(re.sub("[zZ]$", "+00:00", text)),
    date: date.fromisoformat,
    uuid.UUID: uuid.UUID,
}


class Misfit(Exception):
    """A value that is not what its hint names, with every fault by field."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("; ".join(f"{fault.field}: {fault.message}" for fault in faults))
        self.faults = tuple(faults)


def is_model(hint: Any) -> bool:
    """Whether the hint is a dataclass or a pydantic model."""
    return isinstance(hint, type) and (hasattr(hint, "model_json_schema") or dataclasses.is_dataclass(hint))


def given_schema(given: Any) -> dict[str, Any]:
    """A schema as it is, or that of a hint."""
    if isinstance(given, Mapping):
        return dict(cast("Mapping[str, Any]", given))
    return schema_of(given)


def schema_of(hint: Any) -> dict[str, Any]:
    """The JSON Schema of a type hint: plain types, instants, lists, maps, unions, Literal, Enum, TypedDict, dataclasses, and
    pydantic models by their own means. ``Annotated[X, "words"]`` gives a description, and so do docstrings of classes."""
    parts = Schemas()
    return parts.finish(parts.of(hint), inline=True)


class Schemas:
    """Schemas of type hints, with the classes they name kept once."""

    def __init__(self) -> None:
        self.defs: dict[str, Any] = {}
        self._names: dict[Any, str] = {}

    def finish(self, schema: dict[str, Any], *, inline: bool = False) -> dict[str, Any]:
        if inline and set(schema) == {"$ref"}:
            name = schema["$ref"].rsplit("/", 1)[-1]
            uses = str(self.defs).count(f"#/$defs/{name}'")
            schema = dict(self.defs[name]) if uses else self.defs.pop(name)
        return {**schema, "$defs": self.defs} if self.defs else schema

    def of(self, hint: Any) -> dict[str, Any]:
        if isinstance(hint, collections.abc.Hashable) and hint in _PLAIN:
            return dict(_PLAIN[hint])
        if hint is None:
            return {"type": "null"}
        origin = typing.get_origin(hint)
        if origin is not None and not is_model(hint):
            return self._generic(origin, typing.get_args(hint))
        if hasattr(hint, "model_json_schema"):
            return self._pydantic(hint)
        if dataclasses.is_dataclass(hint) and isinstance(hint, type):
            return self._class(hint, _fields(hint))
        if isinstance(hint, type) and issubclass(hint, enum.Enum):
            return {"enum": [member.value for member in hint]}
        if typing.is_typeddict(cast("Any", hint)):
            return self._class(hint, _keys(hint))
        if hint in (tuple, set, frozenset):
            return {"type": "array"}
        raise TypeError(f"no JSON Schema for {hint!r}: use plain types, dataclasses or pydantic, or give a schema")

    def _generic(self, origin: Any, args: tuple[Any, ...]) -> dict[str, Any]:
        if origin is typing.Annotated:
            words = [extra for extra in args[1:] if isinstance(extra, str)]
            schema = self.of(args[0])
            return {**schema, "description": words[0]} if words else schema
        if origin is Literal:
            return {"enum": list(args)}
        if origin in _UNIONS:
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
        raise TypeError(f"no JSON Schema for {origin!r}: give a schema")

    def _name(self, hint: Any) -> tuple[str, bool]:
        """The name of a class here, and whether it is there already. Classes of one name from two modules are two."""
        if hint in self._names:
            return self._names[hint], True
        plain = re.sub(r"\W+", "_", hint.__name__).strip("_")
        name, n = plain, 2
        while name in self._names.values():
            name, n = f"{plain}_{n}", n + 1
        self._names[hint] = name
        return name, False

    def _pydantic(self, hint: Any) -> dict[str, Any]:
        name, known = self._name(hint)
        if not known:
            # Its own definitions stand under its name, so that those of two models never meet.
            schema: dict[str, Any] = hint.model_json_schema(ref_template=f"#/$defs/{name}__{{model}}")
            inner: dict[str, Any] = schema.pop("$defs", {})
            self.defs.update({f"{name}__{key}": value for key, value in inner.items()})
            self.defs[name] = schema
        return {"$ref": f"#/$defs/{name}"}

    def _class(self, hint: Any, fields: list[tuple[str, Any, bool]]) -> dict[str, Any]:
        name, known = self._name(hint)
        if not known:
            schema: dict[str, Any] = {"type": "object", "additionalProperties": False}
            self.defs[name] = schema
            doc = inspect.cleandoc(hint.__dict__.get("__doc__") or "")
            # What a dataclass without words gets is its signature.
            if doc and not doc.startswith(f"{hint.__name__}("):
                schema["description"] = doc
            schema["properties"] = described({field: self.of(kind) for field, kind, _ in fields}, doc)
            required = [field for field, _, is_required in fields if is_required]
            if required:
                schema["required"] = required
        return {"$ref": f"#/$defs/{name}"}


def described(properties: dict[str, Any], doc: str) -> dict[str, Any]:
    """The properties, with the words that a docstring has about each."""
    docs = argument_docs(doc)
    return {
        name: {**schema, "description": docs[name]} if name in docs and "description" not in schema else schema
        for name, schema in properties.items()
    }


def argument_docs(doc: str) -> dict[str, str]:
    """The words about each argument or attribute from a section ``Args:`` or ``Attributes:``."""
    found: dict[str, str] = {}
    in_args, current = False, ""
    for line in doc.splitlines():
        stripped = line.strip()
        if not line.startswith(" "):
            in_args, current = stripped in ("Args:", "Arguments:", "Attributes:", "Parameters:"), ""
        elif in_args and (match := re.match(r"(\w+)(?: \([^)]*\))?: (.+)", stripped)):
            current = match[1]
            found[current] = match[2]
        elif in_args and current and stripped:
            found[current] += " " + stripped
    return found


def _keys(hint: Any) -> list[tuple[str, Any, bool]]:
    required: frozenset[str] = hint.__required_keys__
    return [(name, kind, name in required) for name, kind in typing.get_type_hints(hint, include_extras=True).items()]


def _fields(hint: Any) -> list[tuple[str, Any, bool]]:
    hints = typing.get_type_hints(hint, include_extras=True)
    missing = dataclasses.MISSING
    return [
        (field.name, hints[field.name], field.default is missing and field.default_factory is missing)
        for field in dataclasses.fields(hint)
        if field.init
    ]


def built(hint: Any, value: Any, field: str = "") -> Any:
    """The value as what the hint names.

    Raises:
        Misfit: with every fault by field below ``field``.
    """
    faults: list[Fault] = []
    made = _built(hint, value, field, faults)
    if faults:
        raise Misfit(faults)
    return made


def _built(hint: Any, value: Any, path: str, faults: list[Fault]) -> Any:
    origin = typing.get_origin(hint)
    args = typing.get_args(hint)
    if hint is Any or hint is None and value is None:
        return value
    if origin is typing.Annotated or origin in _MARKS:
        return _built(args[0], value, path, faults)
    if origin in _UNIONS:
        return _either(args, value, path, faults)
    if origin is Literal:
        same = any(value == arg and type(value) is type(arg) for arg in args)
        return value if same else _fault(faults, path, f"expected one of {', '.join(map(repr, args))}")
    if hasattr(hint, "model_validate"):
        return _pydantic(hint, value, path, faults)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        members = _members(_fields(hint), value, path, faults)
        return None if members is None else _made(hint, members, path, faults)
    if typing.is_typeddict(hint):
        return _members(_keys(hint), value, path, faults)
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return _made(hint, value, path, faults)
    kind = cast("Any", origin or hint)
    if kind in (dict, list, set, frozenset, tuple) or getattr(kind, "__module__", "") == "collections.abc":
        return _collection(kind, args, value, path, faults)
    return _plain(hint, value, path, faults)


def _fault(faults: list[Fault], path: str, message: str) -> None:
    faults.append(Fault(path or "value", message))


def _either(kinds: tuple[Any, ...], value: Any, path: str, faults: list[Fault]) -> Any:
    """The first alternative that fits; of one beside None, its own faults."""
    real = [kind for kind in kinds if kind is not type(None)]
    if value is None and len(real) < len(kinds):
        return None
    if len(real) == 1:
        return _built(real[0], value, path, faults)
    for kind in real:
        tried: list[Fault] = []
        made = _built(kind, value, path, tried)
        if not tried:
            return made
    return _fault(faults, path, "expected one of the alternatives")


def _members(
    fields: list[tuple[str, Any, bool]], value: Any, path: str, faults: list[Fault]
) -> dict[str, Any] | None:
    if not isinstance(value, Mapping):
        _fault(faults, path, "expected an object")
        return None
    given = cast("Mapping[str, Any]", value)
    before = len(faults)
    known = {name: kind for name, kind, _ in fields}
    for name, _, is_required in fields:
        if is_required and name not in given:
            _fault(faults, _join(path, name), "expected a value")
    for name in given.keys() - known.keys():
        _fault(faults, _join(path, name), "unknown field: leave it out")
    made = {name: _built(known[name], item, _join(path, name), faults) for name, item in given.items() if name in known}
    return made if len(faults) == before else None


def _made(hint: Any, value: Any, path: str, faults: list[Fault]) -> Any:
    """What the class makes of it; what it refuses by ValueError or TypeError is a fault."""
    try:
        return hint(**value) if isinstance(value, dict) else hint(value)
    except (TypeError, ValueError) as error:
        return _fault(faults, path, str(error))


def _pydantic(hint: Any, value: Any, path: str, faults: list[Fault]) -> Any:
    try:
        return hint.model_validate(value)
    except ValueError as error:
        found: list[dict[str, Any]] = cast("Any", error).errors() if hasattr(error, "errors") else []
        for one in found:
            here = path
            for part in one["loc"]:
                here = f"{here}[{part}]" if isinstance(part, int) else _join(here, part)
            _fault(faults, here, one["msg"])
        if not found:
            _fault(faults, path, str(error))
        return None


def _collection(kind: Any, args: tuple[Any, ...], value: Any, path: str, faults: list[Fault]) -> Any:
    if issubclass(kind, collections.abc.Mapping):
        if not isinstance(value, Mapping):
            return _plain(dict, value, path, faults)
        of = args[1] if args else Any
        given = cast("Mapping[str, Any]", value)
        return {name: _built(of, item, _join(path, name), faults) for name, item in given.items()}
    if not isinstance(value, list):
        return _plain(list, value, path, faults)
    items: list[Any] = cast("Any", value)
    if kind is tuple and args and args[-1] is not Ellipsis:
        if len(items) != len(args):
            return _fault(faults, path, f"expected {len(args)} items")
        kinds = list(args)
    else:
        kinds = [args[0] if args else Any] * len(items)
    made = [_built(of, item, f"{path}[{n}]", faults) for n, (of, item) in enumerate(zip(kinds, items, strict=True))]
    return cast("Any", kind)(made) if kind in (set, frozenset, tuple) else made


def _plain(hint: Any, value: Any, path: str, faults: list[Fault]) -> Any:
    # A class without a schema of ours comes with one of the caller's own, and gets what that lets through.
    if hint not in _PLAIN:
        return value
    if hint in _READ and isinstance(value, str):
        return _made(_READ[hint], value, path, faults)
    # 3.0 is an integer of JSON, and 3 a number.
    if hint is int and isinstance(value, float) and value.is_integer():
        return int(value)
    if hint is float and type(value) is int:
        return float(value)
    fits = isinstance(value, hint) and not (hint in (int, float) and isinstance(value, bool))
    return value if fits else _fault(faults, path, f"expected {hint.__name__}")


def _join(path: str, name: Any) -> str:
    return f"{path}.{name}" if path else str(name)
