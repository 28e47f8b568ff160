"""Models and embedders over the network or from a folder, as :func:`neonhub.open` takes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypedDict

if TYPE_CHECKING:
    import os

__all__ = ["EmbedderSettings", "ProviderSettings", "RunSettings"]


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
