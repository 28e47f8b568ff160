"""The contract files: what every language must show alike."""

from __future__ import annotations

import json
import math
from operator import attrgetter
from typing import Any, NoReturn, cast

import neonhub
import pytest
from _inputs import INPUTS
from conftest import CONTRACT
from neonhub import _native, errors
from neonhub._generated.asynchronous import AsyncOperations
from neonhub._generated.blocking import Operations
from neonhub._runtime import AsyncCore, BlockingCore


def expanded(value: Any) -> Any:
    """``{"$repeat": [text, n]}`` is the text n times."""
    if isinstance(value, dict):
        members = cast("dict[str, Any]", value)
        if "$repeat" in members:
            text, times = members["$repeat"]
            return text * times
        return {name: expanded(member) for name, member in members.items()}
    if isinstance(value, list):
        items: list[Any] = cast("Any", value)
        return [expanded(item) for item in items]
    return value


def cases(name: str) -> list[Any]:
    found: list[Any] = json.loads((CONTRACT / name).read_text("utf-8"))["cases"]
    assert found
    return [pytest.param(expanded(case), id=case["name"]) for case in found]


def pairs(value: list[list[str]] | None) -> list[tuple[str, str]]:
    return [(first, second) for first, second in value or []]


@pytest.mark.parametrize("case", cases("errors.json"))
def test_error(case: dict[str, Any]) -> None:
    made, expect = case["error"], case["expect"]
    with pytest.raises(neonhub.NeonHubError) as caught:
        _native.fail(
            made["kind"],
            made["message"],
            code=made.get("code"),
            context=pairs(made.get("context")),
            faults=pairs(made.get("faults")),
            retry_after_ms=made.get("retry_after_ms"),
            retryable=made.get("retryable", False),
        )
    error = caught.value
    assert type(error).kind == expect["kind"]
    assert (error.code, error.retryable) == (expect["code"], expect["retryable"])
    assert error.retry_after == (None if expect["retry_after_ms"] is None else expect["retry_after_ms"] / 1000)
    assert list(error.context.items()) == pairs(expect.get("context"))
    assert list(error.faults) == pairs(expect.get("faults"))
    assert str(error) == expect["line"]


def test_every_kind_has_a_class_and_a_case() -> None:
    kinds = _native.error_kinds()
    assert sorted(errors.CLASSES) == sorted(kinds)
    file = json.loads((CONTRACT / "errors.json").read_text("utf-8"))
    assert {case["error"]["kind"] for case in file["cases"]} == set(kinds)
    for kind, cls in errors.CLASSES.items():
        assert cls.__name__ == "".join(word.capitalize() for word in kind.split("_")) + "Error"
        assert cls.__name__ in errors.__all__


def listed(value: Any) -> list[Any]:
    items: list[Any] = value
    return items


def same(a: Any, b: Any) -> bool:
    """Equal, and of the same types all the way down: 1 is not 1.0 and not True."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        other = cast("dict[str, Any]", b)
        mine = cast("dict[str, Any]", a)
        return mine.keys() == other.keys() and all(same(mine[key], other[key]) for key in mine)
    if isinstance(a, list):
        items, others = listed(a), listed(b)
        return len(items) == len(others) and all(map(same, items, others))
    return bool(a == b)


@pytest.mark.parametrize("case", cases("values.json"))
def test_value(case: dict[str, Any]) -> None:
    assert same(_native.echo(case["value"]), case["value"])
    assert same(_native.echo({"in": [case["value"]]}), {"in": [case["value"]]})


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (math.nan, "finite"),
        (math.inf, "finite"),
        (2**64, "64 bits"),
        (-(2**63) - 1, "64 bits"),
        ("\ud800", "surrogates"),
        ({"\udfff": 1}, "surrogates"),
        ({1: 2}, "keys of a map"),
        (b"bytes", "not bytes"),
        ({1, 2}, "not set"),
        (object(), "not object"),
    ],
)
def test_what_is_no_value_is_refused(value: Any, words: str) -> None:
    with pytest.raises(errors.InvalidInputError, match=words) as caught:
        _native.echo({"a": [0, {"b": value}]})
    assert caught.value.faults[0].field.startswith("a[1].b") or "keys" in words or "surrogates" in words


def test_a_value_that_holds_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(errors.InvalidInputError, match="64 levels"):
        _native.echo(loop)


def test_what_was_not_given_is_not_sent_and_null_is() -> None:
    assert _native.echo({"a": neonhub.OMIT, "b": None}) == {"b": None}


def holds(found: Any, expected: Any) -> bool:
    if isinstance(expected, dict) and isinstance(found, dict):
        members = cast("dict[str, Any]", expected)
        return all(name in found and holds(found[name], value) for name, value in members.items())
    return same(found, expected)


def test_calls() -> None:
    with neonhub.open(seed=1, now="2026-11-21T09:00:00Z") as hub:
        native = hub._core.native  # pyright: ignore[reportPrivateUsage]
        for param in cases("calls.json"):
            case: dict[str, Any] = param.values[0]
            if "error" not in case:
                assert holds(native.call(case["operation"], case["input"]), case["answer"]), case["name"]
                continue
            with pytest.raises(errors.CLASSES[case["error"]["kind"]]) as caught:
                native.call(case["operation"], case["input"])
            assert caught.value.code == case["error"].get("code", caught.value.code), case["name"]
            if "fields" in case["error"]:
                assert [fault.field for fault in caught.value.faults] == case["error"]["fields"], case["name"]


class Sent(Exception):
    """Ends a call once its input is known."""

    def __init__(self, name: str, payload: Any) -> None:
        super().__init__(name)
        self.name = name
        self.payload = payload


class Recorder(BlockingCore):
    def __init__(self) -> None:
        pass

    def call(self, name: str, payload: dict[str, Any]) -> NoReturn:
        raise Sent(name, _native.echo(payload))


class AsyncRecorder(AsyncCore):
    def __init__(self) -> None:
        pass

    async def call(self, name: str, payload: dict[str, Any]) -> NoReturn:
        raise Sent(name, _native.echo(payload))


def without_nulls(value: Any, depth: int = 0) -> Any:
    """Below the arguments themselves a member that may be left out is left out when it is null."""
    if isinstance(value, dict):
        members = cast("dict[str, Any]", value)
        return {key: without_nulls(item, depth + 1) for key, item in members.items() if item is not None or depth == 0}
    if isinstance(value, list):
        return [without_nulls(item, depth + 1) for item in listed(value)]
    return value


def examples() -> list[Any]:
    file = json.loads((CONTRACT / "examples.json").read_text("utf-8"))
    return [
        pytest.param(name, example, id=f"{name}-{part}-{n}")
        for part in ("operations", "made")
        for name in file[part]
        for n, example in enumerate(file[part][name])
    ]


@pytest.mark.parametrize(("name", "example"), examples())
async def test_example(name: str, example: dict[str, Any]) -> None:
    path = ".".join(part + "_" if part == "import" else part for part in name.split("."))
    arguments = INPUTS[name](example)
    with pytest.raises(Sent) as sent:
        attrgetter(path)(Operations(Recorder()))(**arguments)
    assert sent.value.name == name
    assert with_defaults(without_nulls(example), without_nulls(sent.value.payload))
    with pytest.raises(Sent) as sent_async:
        await attrgetter(path)(AsyncOperations(AsyncRecorder()))(**arguments)
    assert same(sent_async.value.payload, sent.value.payload)


def with_defaults(example: Any, sent: Any) -> bool:
    """Equal, but that a class sends the default of a member where the example leaves it out."""
    if isinstance(example, dict) and isinstance(sent, dict):
        mine, theirs = cast("dict[str, Any]", example), cast("dict[str, Any]", sent)
        return all(key in theirs and with_defaults(mine[key], theirs[key]) for key in mine)
    if isinstance(example, list) and isinstance(sent, list):
        items, others = listed(example), listed(sent)
        return len(items) == len(others) and all(map(with_defaults, items, others))
    return same(example, sent) or (isinstance(example, int) and example == sent)


def test_every_operation_is_on_the_surface(hub: neonhub.Hub) -> None:
    names = hub._core.native.operations()  # pyright: ignore[reportPrivateUsage]
    assert sorted(INPUTS) == names
    for name in names:
        path = ".".join(part + "_" if part == "import" else part for part in name.split("."))
        assert callable(attrgetter(path)(hub)), name
