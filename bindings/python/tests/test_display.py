"""Results in notebooks, progress on a terminal, vectors as arrays."""

# pyright: reportPrivateUsage=false
from __future__ import annotations

import asyncio
import io
from pathlib import Path

import neonhub
import pytest
from neonhub import models, progress_bars, testing, vectors


def contacts(folder: Path, count: int) -> Path:
    path = folder / "contacts.csv"
    path.write_text("email\n" + "".join(f"p{n}@shared.example\n" for n in range(count)), "utf-8")
    return path


def test_results_show_themselves_as_tables(hub: neonhub.Hub) -> None:
    identifier = models.Identifier(kind="email", value="ann@tea.example")
    hub.people.resolve(identifiers=[identifier], fields=models.PersonFields(first_name="<script>"))
    page = hub.people.list()
    html = page._repr_html_()
    assert "<table" in html and "&lt;script&gt;" in html and "<script" not in html
    assert "<th>id</th>" in hub.scope.whoami()._repr_html_() or "principal" in hub.scope.whoami()._repr_html_()
    lines = hub.tools.list(prefix="people.")
    assert isinstance(lines, list) and "people.resolve" in lines._repr_html_()  # type: ignore[attr-defined]
    assert hub.store.check()._repr_html_() == "<p>nothing</p>"  # type: ignore[attr-defined]


def test_a_verdict_shows_its_direction_and_reasons() -> None:
    reason = models.Reason(code="no_grant", decision="deny", message="There is no consent.", rule="G05.consent")
    html = reason._repr_html_()
    assert "#cf222e" in html and "There is no consent." in html


def test_classes_compare_by_their_members() -> None:
    one, other = models.Identifier(kind="email", value="a"), models.Identifier(kind="email", value="a")
    assert one == other and hash(one) == hash(other) and repr(one) == repr(other)
    assert one != models.Identifier(kind="email", value="b") and one != "a"
    with pytest.raises(AttributeError):
        one.value = "b"  # type: ignore[misc] # pyright: ignore


def test_progress_as_lines(hub: neonhub.Hub, tmp_path: Path) -> None:
    out = io.StringIO()
    with progress_bars(hub, file=out):
        hub.people.import_.start(path=str(contacts(tmp_path, 2_000)))
        hub.jobs.work()
    assert "import: 500 contacts" in out.getvalue()


async def test_progress_as_bars(ahub: neonhub.AsyncHub, tmp_path: Path) -> None:
    pytest.importorskip("tqdm")
    out = io.StringIO()
    async with progress_bars(ahub, file=out, bars=True):
        await ahub.people.import_.start(path=str(contacts(tmp_path, 2_000)))
        await ahub.jobs.work()
        await asyncio.sleep(0.05)
    assert "import" in out.getvalue()
    with pytest.raises(TypeError, match="async with"):
        progress_bars(ahub).__enter__()


def test_hits_begin_with_what_people_read() -> None:
    with neonhub.open(seed=1) as hub:
        hub.spaces.create(name="teas")
        hub.datasets.create(space="teas", name="teas")
        files = [
            models.UploadDocument(dataset="teas", name="sencha.md", text="# Sencha\n\nGreen tea from the hills."),
            models.UploadDocument(dataset="teas", name="boxes.md", text="Gift boxes are packed by hand."),
        ]
        report = hub.documents.upload_many(documents=files)
        assert (report.ready, [document.external_key for document in report.documents]) == (2, ["sencha.md", "boxes.md"])
        table = hub.knowledge.search(query="green tea")._repr_html_()
    head = table[table.index("<tr><th>score</th>") :]
    assert head.startswith("<tr><th>score</th><th>text</th><th>citation</th><th>name</th><th>trust</th></tr>")
    assert "Green tea from the hills." in head


def test_vectors_are_arrays() -> None:
    np = pytest.importorskip("numpy")
    with testing.memory() as hub:
        texts = [f"Sencha tea number {n}" for n in range(1_500)]
        rows = vectors.embed(hub, texts)
        assert rows.shape == (1_500, 512) and rows.dtype == np.float32
        assert np.allclose(np.linalg.norm(rows[:10], axis=1), 1, atol=1e-5)
        hub.spaces.create(name="brand-voice")
        hub.datasets.create(space="brand-voice", name="brand-voice")
        hub.knowledge.ingest_text(dataset="brand-voice", text="Our sencha tea is picked by hand.", title="Tea")
        query = vectors.embed(hub, ["sencha tea"], kind="query")[0]
        found = vectors.search(hub, query.astype("float64") * 3)
        assert found.hits and "sencha" in found.hits[0].text
        with pytest.raises(ValueError, match="one vector"):
            vectors.pack(rows[:2])
        with pytest.raises(neonhub.NeonHubError, match="2 values"):
            vectors.search(hub, [1.0, 2.0])
