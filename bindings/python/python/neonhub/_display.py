"""How results show themselves in notebooks: tables, nothing but text in them, no scripts."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import datetime
from typing import Any, Final, cast

_ROWS: Final = 50
"""Most rows of one table."""
_COLUMNS: Final = 12
"""Most columns of one table."""
_CELL: Final = 200
"""Most characters of one cell."""
_DEPTH: Final = 3
"""Levels that are shown inside each other."""
_COLOURS: Final = {"allow": "#1a7f37", "defer": "#9a6700", "deny": "#cf222e"}
"""Of the words of a verdict."""
_CHOSEN: Final = {"Hit": ("score", "text", "citation", "name", "trust")}
"""Columns of lists that are read by people, in their order. Others: every member that is filled, by its name."""
_TABLE: Final = '<table style="text-align:left;border-collapse:collapse">'


class Shown:
    """What every result class can do: it compares and shows itself by its members."""

    __slots__ = ()

    def __repr__(self) -> str:
        members = ", ".join(f"{field.name}={getattr(self, field.name)!r}" for field in fields(cast("Any", self)))
        return f"{type(self).__name__}({members})"

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return _values(self) == _values(other)

    def __hash__(self) -> int:
        return hash((type(self).__name__, repr(_values(self))))

    def _repr_html_(self) -> str:
        return record_html(self)


def _values(value: object) -> tuple[Any, ...]:
    return tuple(getattr(value, field.name) for field in fields(cast("Any", value)))


def record_html(value: Any) -> str:
    """One result as a table of its members. A page shows its items."""
    items = getattr(value, "items", None)
    if isinstance(items, list):
        rows: list[Any] = cast("Any", items)
        more = "" if getattr(value, "next", None) is None else "<p>… there is a next page</p>"
        return rows_html(rows) + more
    return _title(type(value).__name__) + _members(value, 0)


def rows_html(rows: Sequence[Any]) -> str:
    """A list of results as a table, one row each."""
    shown = list(rows[:_ROWS])
    if not shown:
        return "<p>nothing</p>"
    if not all(is_dataclass(row) for row in shown):
        body = "".join(f"<tr><td>{_cell(row, 0)}</td></tr>" for row in shown)
    else:
        names = _columns(shown)
        head = "".join(f"<th>{_text(name)}</th>" for name in names)
        body = f"<tr>{head}</tr>"
        for row in shown:
            cells = "".join(f"<td>{_named_cell(name, getattr(row, name, None), 1)}</td>" for name in names)
            body += f"<tr>{cells}</tr>"
    more = f"<p>… and {len(rows) - _ROWS} more</p>" if len(rows) > _ROWS else ""
    return f"{_TABLE}{body}</table>{more}"


def _columns(rows: Iterable[Any]) -> list[str]:
    """The members that any row holds something in."""
    rows = list(rows)
    chosen = {_CHOSEN.get(type(row).__name__) for row in rows}
    if len(chosen) == 1 and (only := chosen.pop()):
        return list(only)
    names: dict[str, bool] = {}
    for row in rows:
        for field in fields(row):
            filled = getattr(row, field.name) not in (None, [], {}, "")
            names[field.name] = names.get(field.name, False) or filled
    return [name for name, filled in names.items() if filled][:_COLUMNS]


def _members(value: Any, depth: int) -> str:
    rows = ""
    for field in fields(value):
        member = getattr(value, field.name)
        if member is not None:
            rows += f"<tr><th>{_text(field.name)}</th><td>{_named_cell(field.name, member, depth + 1)}</td></tr>"
    return f"{_TABLE}{rows}</table>" if rows else "<p>nothing</p>"


def _named_cell(name: str, value: Any, depth: int) -> str:
    colour = _COLOURS.get(value) if name == "decision" and isinstance(value, str) else None
    if colour is not None:
        return f'<b style="color:{colour}">{_text(value)}</b>'
    return _cell(value, depth)


def _cell(value: Any, depth: int) -> str:
    if is_dataclass(value) and not isinstance(value, type):
        return _members(value, depth) if depth < _DEPTH else _text(repr(value))
    if isinstance(value, list) and value and depth < _DEPTH:
        items: list[Any] = cast("Any", value)
        if all(is_dataclass(item) for item in items):
            return rows_html(items)
        return ", ".join(_cell(item, depth + 1) for item in items[:_ROWS]) + (" …" if len(items) > _ROWS else "")
    if isinstance(value, Mapping) and value and depth < _DEPTH:
        members = cast("Mapping[str, Any]", value)
        rows = "".join(f"<tr><th>{_text(key)}</th><td>{_cell(item, depth + 1)}</td></tr>" for key, item in members.items())
        return f"{_TABLE}{rows}</table>"
    if isinstance(value, datetime):
        return _text(value.isoformat(sep=" "))
    return "" if value is None else _text(value)


def _title(name: str) -> str:
    return f"<b>{_text(name)}</b>"


def _text(value: Any) -> str:
    text = str(value)
    return html.escape(text if len(text) <= _CELL else text[:_CELL] + "…")
