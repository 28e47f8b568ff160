"""Answers of models as values of a type."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ._schema import Misfit, built, given_schema
from .errors import CorruptedError, UnsupportedError

if TYPE_CHECKING:
    from ._generated.models import SourceText, Turn

__all__ = ["asked"]

_WRAPPED = "value"


def asked(
    into: Any,
    prompt: str,
    system: str | None,
    turns: Sequence[Turn],
    sources: Sequence[SourceText],
    facts: Any,
    seed: int | None,
    max_output_tokens: int | None,
    route: str | None,
    model: str | None,
) -> tuple[dict[str, Any], Callable[[Any], Any]]:
    """The input of ``ai.generate_text``, and what makes the value of its answer."""
    schema = given_schema(into)
    # Models answer objects: anything else is the one member of one.
    is_wrapped = schema.get("type") != "object" and "$ref" not in schema
    given = {
        "prompt": prompt,
        "system": system,
        "turns": turns,
        "sources": sources,
        "schema": _wrap(schema) if is_wrapped else schema,
        "facts": {_WRAPPED: facts} if is_wrapped and facts is not None else facts,
        "seed": seed,
        "max_output_tokens": max_output_tokens,
        "route": route,
        "model": model,
    }

    def read(answer: Any) -> Any:
        lacking = [line["message"] for line in answer.get("warnings", ()) if line["code"] == "needs_input"]
        if lacking:
            raise UnsupportedError(
                f"the offline model makes no value up: {'; '.join(lacking)}: give facts, or add a model",
                code="needs_input",
                operation="ai.generate_text",
            )
        value = answer["json"][_WRAPPED] if is_wrapped else answer["json"]
        if isinstance(into, Mapping):
            return value
        try:
            return built(into, value)
        except Misfit as misfit:
            raise CorruptedError(
                f"the answer does not fit the type: {misfit}",
                code="invalid_output",
                operation="ai.generate_text",
                faults=misfit.faults,
            ) from misfit

    return {name: value for name, value in given.items() if value is not None}, read


def _wrap(schema: dict[str, Any]) -> dict[str, Any]:
    inner = {key: value for key, value in schema.items() if key != "$defs"}
    root = {"type": "object", "properties": {_WRAPPED: inner}, "required": [_WRAPPED], "additionalProperties": False}
    return {**root, "$defs": schema["$defs"]} if "$defs" in schema else root
