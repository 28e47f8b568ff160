"""Models and embedders over the network or from a folder, as :func:`neonhub.open` takes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypedDict

if TYPE_CHECKING:
    import os

__all__ = ["EmbedderSettings", "ProviderSettings"]


class _Provider(TypedDict):
    provider: str
    model: str


class ProviderSettings(_Provider, total=False):
    """A model at a provider: ``openai``, ``anthropic``, ``ollama``, or a word of your own with its ``base_url``.

    Other settings of the core, such as ``num_ctx`` or ``total_ms``, are taken too.
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
