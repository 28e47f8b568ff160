"""Hubs to test with: in memory, with fixed chance and a stopped clock."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import neonhub
import pytest

CONTRACT = Path(__file__).resolve().parents[3] / "tests" / "contract"


@pytest.fixture
def hub() -> Iterator[neonhub.Hub]:
    with neonhub.open(seed=1, now="2026-11-21T09:00:00Z") as hub:
        yield hub


@pytest.fixture
async def ahub() -> AsyncIterator[neonhub.AsyncHub]:
    async with neonhub.aopen(seed=1, now="2026-11-21T09:00:00Z") as hub:
        yield hub
