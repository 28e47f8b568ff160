"""What is loaded when it is first used: the package must import in no time."""

from __future__ import annotations

import importlib
from typing import Any, TypeVar

T = TypeVar("T")


class Lazy:
    """A module that is imported when the first of its names is asked for."""

    def __init__(self, module: str) -> None:
        self.__dict__["_module"] = module

    def __getattr__(self, name: str) -> Any:
        found = getattr(importlib.import_module(self.__dict__["_module"]), name)
        # Found without this detour from now on.
        self.__dict__[name] = found
        return found


class Rows(list[T]):
    """A list that shows itself as a table in a notebook, and is a plain list everywhere else."""

    def _repr_html_(self) -> str:
        from ._display import rows_html

        return rows_html(self)
