"""The examples run, so that none rots."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"


def run(name: str, *arguments: str) -> str:
    command = [sys.executable, str(EXAMPLES / "python" / name), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_hello() -> None:
    assert "is new" in run("hello.py")


@pytest.mark.skipif(sys.version_info < (3, 11), reason="the example reads TOML with the standard library of 3.11")
def test_campaign_twice_sends_nothing_twice(tmp_path: Path) -> None:
    reports: list[dict[str, Any]] = []
    for _ in range(2):
        run("campaign.py", "--out", str(tmp_path), "--now", "2026-11-24T15:00:00Z")
        reports.append(json.loads((tmp_path / "report.json").read_text("utf-8")))
    first, second = reports
    assert first["is_offline"] is True
    assert first["sends"]["sent_now"] == first["sends"]["allowed"] > 0
    assert second["sends"]["sent_now"] == 0
    assert second["sends"]["sent"] == first["sends"]["sent"]
    mails = list((tmp_path / "outbox" / "email").glob("*.eml"))
    assert 0 < len(mails) <= first["sends"]["sent"]


def test_notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    notebook = json.loads((EXAMPLES / "python" / "campaign.ipynb").read_text("utf-8"))
    (tmp_path / "examples").mkdir()
    (tmp_path / "examples" / "data").symlink_to(EXAMPLES / "data")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), names)
            assert cell["outputs"] == [], "clear the outputs before committing"
    assert "allowed" in capsys.readouterr().out
