"""The package itself: stubs, docs and imports."""

from __future__ import annotations

import doctest
import inspect
import subprocess
import sys

import neonhub
import pytest
from neonhub import models


def test_the_stub_of_the_native_part_is_complete() -> None:
    pytest.importorskip("mypy", reason="mypy compares the stub with the module")
    command = [sys.executable, "-m", "mypy.stubtest", "neonhub._native", "--concise"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_example_of_the_package_runs() -> None:
    assert doctest.testmod(neonhub).failed == 0


def test_everything_public_is_there() -> None:
    for module in (neonhub, models, neonhub.errors):
        assert sorted(module.__all__) == sorted(set(module.__all__))
        assert all(hasattr(module, name) for name in module.__all__)


def test_operations_and_classes_are_documented() -> None:
    for twin in (neonhub.Hub, neonhub.AsyncHub):
        for name, member in inspect.getmembers(twin):
            if not name.startswith("_"):
                assert inspect.getdoc(member), f"{twin.__name__}.{name}"
