"""Vectors of texts as numpy arrays (needs the package ``numpy``).

>>> import neonhub
>>> from neonhub import vectors
>>> with neonhub.open() as hub:
...     vectors.embed(hub, ["Our teas are picked by hand.", "We ship within two days."]).shape
(2, 512)
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from . import _hub  # pyright: ignore[reportPrivateUsage]

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .models import SearchResult, VectorKind, Vectors

__all__ = ["aembed", "asearch", "embed", "pack", "search", "unpack"]

_BATCH = 1_024
"""Texts of one call."""


def unpack(vectors: Vectors) -> NDArray[np.float32]:
    """The rows of ``hub.knowledge.embed(...)`` as an array of float32 over the bytes as they came: no copy, read only."""
    import numpy as np

    numbers = np.frombuffer(base64.b64decode(vectors.packed), dtype="<f4")
    return numbers.reshape(vectors.count, vectors.dims)


def pack(vector: Any) -> str:
    """One vector of any real type as ``hub.knowledge.search(vector=...)`` takes it."""
    import numpy as np

    numbers = np.ascontiguousarray(vector, dtype="<f4")
    if numbers.ndim != 1:
        raise ValueError(f"expected one vector, not an array of shape {numbers.shape}")
    return base64.b64encode(numbers.tobytes()).decode("ascii")


def embed(
    hub: _hub.Hub, texts: Sequence[str], *, kind: VectorKind = "passage", embedder: str | None = None
) -> NDArray[np.float32]:
    """Embeds texts: one row of length 1 for each, in order, float32.

    Args:
        hub: The hub.
        texts: Any number of texts.
        kind: ``passage`` for texts that are searched for, ``query`` for a question.
        embedder: Default: ``offline-hash-512``.
    """
    parts = [hub.knowledge.embed(texts=batch, kind=kind, embedder=embedder) for batch in _batches(texts)]
    return _joined(parts)


async def aembed(
    hub: _hub.AsyncHub, texts: Sequence[str], *, kind: VectorKind = "passage", embedder: str | None = None
) -> NDArray[np.float32]:
    """As :func:`embed`, for asyncio."""
    parts = [await hub.knowledge.embed(texts=batch, kind=kind, embedder=embedder) for batch in _batches(texts)]
    return _joined(parts)


def search(hub: _hub.Hub, vector: Any, *, k: int = 5, spaces: Sequence[str] = ()) -> SearchResult:
    """Searches knowledge by a vector of the spaces' embedder; it is brought to length 1."""
    return hub.knowledge.search(query="", vector=pack(vector), mode="vector", k=k, spaces=list(spaces))


async def asearch(hub: _hub.AsyncHub, vector: Any, *, k: int = 5, spaces: Sequence[str] = ()) -> SearchResult:
    """As :func:`search`, for asyncio."""
    return await hub.knowledge.search(query="", vector=pack(vector), mode="vector", k=k, spaces=list(spaces))


def _batches(texts: Sequence[str]) -> list[list[str]]:
    if not texts:
        raise ValueError("expected at least one text")
    return [list(texts[at : at + _BATCH]) for at in range(0, len(texts), _BATCH)]


def _joined(parts: list[Vectors]) -> NDArray[np.float32]:
    import numpy as np

    return unpack(parts[0]) if len(parts) == 1 else np.concatenate([unpack(part) for part in parts])
