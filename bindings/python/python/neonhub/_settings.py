"""Models and embedders over the network or from a folder, as :func:`neonhub.open` takes them."""

from __future__ import annotations

import os
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, TypedDict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["EmbedderSettings", "ProviderSettings", "RouteSettings", "RunSettings", "as_options"]


class _Provider(TypedDict):
    provider: str
    model: str


class ProviderSettings(_Provider, total=False):
    """A model at a provider: ``openai``, ``anthropic``, ``ollama``, or a word of your own with its ``base_url``.

    ``concurrency`` calls of it run at a time (16), ``queue`` more wait (1 024) for at most ``queue_ms`` (600 000). Other
    settings of the core, such as ``num_ctx`` or ``total_ms``, are taken too.
    """

    api_key: str
    base_url: str
    api: Literal["chat", "responses", "messages", "ollama"]
    organization: str
    project: str
    region: str
    num_ctx: int
    keep_alive: str
    first_byte_ms: int
    idle_ms: int
    total_ms: int
    concurrency: int
    queue: int
    queue_ms: int


class RouteModel(TypedDict, total=False):
    """A model of a provider that ``models`` sets up; without ``model``, the one it is set up with."""

    provider: str
    model: str


class RouteLimit(TypedDict):
    """The most that one call may cost in its worst case: millionths of a currency such as ``USD``."""

    currency: str
    micros: int


class _Route(TypedDict):
    name: str
    models: Sequence[RouteModel]


class RouteSettings(_Route, total=False):
    """An order of models by name. ``by_value``: the model that is worth most for its price first, of those that are worth
    ``at_least`` (0 to 1) where there are any. ``cheaper``: the route in its place once a soft limit of a quota is reached.
    ``allow_restart``: another model starts again when one breaks off in the middle."""

    by_value: bool
    at_least: float
    limit: RouteLimit
    allow_unknown_price: bool
    cheaper: str
    allow_restart: bool


class EmbedderSettings(TypedDict, total=False):
    """A sentence encoder from a ``folder``, or an ``endpoint`` (with its ``dims`` where the core does not know them)."""

    name: str
    folder: str | os.PathLike[str]
    endpoint: ProviderSettings
    dims: int
    shorten: bool
    max_batch: int
    query_prefix: str
    passage_prefix: str


class RunSettings(TypedDict, total=False):
    """The room for runs of agents: ``at_once`` of a workspace work at a time (8), ``queue`` more wait (1 024) for at most
    ``queue_ms`` (600 000)."""

    at_once: int
    queue: int
    queue_ms: int


def as_options(
    url: str | os.PathLike[str],
    workspace: str,
    outbox: str | os.PathLike[str] | None,
    models: Sequence[ProviderSettings],
    routes: Sequence[RouteSettings],
    embedders: Sequence[EmbedderSettings],
    embedder: str | None,
    summary_tokens: int | None,
    runs: RunSettings | None,
    permissions: Mapping[str, str] | None,
    web: Sequence[str],
    seed: int | None,
    now: datetime | str | None,
) -> dict[str, Any]:
    """The settings of a hub as the core takes them: what is left out has its default."""
    settings: dict[str, Any] = {"url": os.fspath(url), "workspace": workspace}
    if outbox is not None:
        settings["outbox"] = os.fspath(outbox)
    if models:
        settings["models"] = [dict(model) for model in models]
    if routes:
        settings["routes"] = [dict(route) for route in routes]
    if embedders:
        settings["embedders"] = [
            {**one, "folder": os.fspath(one["folder"])} if "folder" in one else dict(one) for one in embedders
        ]
    if embedder is not None:
        settings["embedder"] = embedder
    if summary_tokens is not None:
        settings["summary_tokens"] = summary_tokens
    if runs is not None:
        settings["runs"] = dict(runs)
    if permissions:
        settings["permissions"] = dict(permissions)
    if web:
        settings["web"] = list(web)
    if seed is not None:
        settings["seed"] = seed
    if now is not None:
        settings["now"] = now.isoformat() if isinstance(now, datetime) else now
    return settings
