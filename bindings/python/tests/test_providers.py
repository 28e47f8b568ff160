"""Models and embedders over the network: a provider on loopback stands in for the real ones."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import neonhub
import pytest
from neonhub.errors import ConfigError, InvalidInputError

DIMS = 16


class Provider(BaseHTTPRequestHandler):
    """Speaks enough of OpenAI's Chat Completions and Embeddings to be asked."""

    asked: list[tuple[str, str | None, dict[str, Any]]] = []

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.asked.append((self.path, self.headers["authorization"], body))
        if self.path == "/v1/embeddings":
            rows = [{"index": n, "embedding": vector(text)} for n, text in enumerate(body["input"])]
            self.answer("application/json", json.dumps({"data": rows, "usage": {"prompt_tokens": 1}}))
        else:
            delta = {"choices": [{"index": 0, "delta": {"content": "Spring is here"}}]}
            end: dict[str, Any] = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
            parts: list[dict[str, Any]] = [delta, end]
            events = "".join(f"data: {json.dumps(part)}\n\n" for part in parts)
            self.answer("text/event-stream", events + "data: [DONE]\n\n")

    def answer(self, kind: str, text: str) -> None:
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *args: object) -> None:
        """Keeps quiet."""


def vector(text: str) -> list[float]:
    numbers = [0.001] * DIMS
    for word in text.lower().split():
        numbers[sum(word.encode()) % DIMS] += 1.0
    return numbers


@pytest.fixture
def provider() -> Iterator[str]:
    Provider.asked = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_model_over_the_network_answers(provider: str) -> None:
    near: neonhub.ProviderSettings = {
        "provider": "near",
        "base_url": provider,
        "model": "some-model",
        "api_key": "a-key",
    }
    with neonhub.open(models=[near]) as hub:
        answer = hub.ai.generate_text(prompt="Write a subject line.")
    assert (answer.text, answer.provider, answer.is_offline) == ("Spring is here", "near", False)
    [(path, key, body)] = Provider.asked
    assert (path, key, body["model"]) == ("/v1/chat/completions", "Bearer a-key", "some-model")


def test_a_call_names_the_route_of_its_models(provider: str) -> None:
    near: neonhub.ProviderSettings = {"provider": "near", "base_url": provider, "model": "some-model"}
    small: neonhub.RouteSettings = {"name": "small", "models": [{"provider": "near", "model": "small-model"}]}
    with neonhub.open(models=[near], routes=[small]) as hub:
        hub.ai.generate_text(prompt="Write a subject line.", route="small")
        hub.ai.generate_text(prompt="Write a subject line.")
    assert [body["model"] for _, _, body in Provider.asked] == ["small-model", "some-model"]
    with pytest.raises(InvalidInputError, match="provider"):
        neonhub.open(routes=[small])


def test_documents_are_embedded_by_an_endpoint(provider: str) -> None:
    endpoint: neonhub.ProviderSettings = {"provider": "near", "base_url": provider, "model": "some-model"}
    embedder: neonhub.EmbedderSettings = {"name": "near", "endpoint": endpoint, "dims": DIMS}
    with neonhub.open(embedders=[embedder], embedder="near") as hub:
        hub.spaces.create(name="far", embedder="near")
        hub.datasets.create(space="far", name="docs")
        hub.knowledge.ingest_text(dataset="docs", title="Tea", text="Green tea from the hills.")
        hub.knowledge.ingest_text(dataset="docs", title="Boxes", text="Gift boxes are packed by hand.")
        found = hub.knowledge.search(query="packed by hand", mode="vector")
    assert "Gift boxes" in found.hits[0].text
    assert {path for path, _, _ in Provider.asked} == {"/v1/embeddings"}


def test_wrong_settings_are_named(tmp_path: Any) -> None:
    with pytest.raises(ConfigError, match="OPENAI_API_KEY"):
        neonhub.open(models=[{"provider": "openai", "model": "some-model"}])
    with pytest.raises(InvalidInputError, match="colour"):
        neonhub.open(models=[{"provider": "near", "model": "m", "colour": "red"}])  # type: ignore[typeddict-unknown-key]
    with pytest.raises(ConfigError, match="config.json"):
        neonhub.open(embedders=[{"folder": tmp_path}])
    with pytest.raises(ConfigError, match="nobody"):
        neonhub.open(embedder="nobody")


def test_a_folder_is_taken_in_with_progress(tmp_path: Any) -> None:
    (tmp_path / "tea.md").write_text("# Tea\n\nGreen tea from the hills.")
    (tmp_path / "boxes.txt").write_text("Gift boxes are packed by hand.")
    (tmp_path / "logo.bin").write_bytes(b"\0\1")
    shown = io.StringIO()
    with neonhub.open() as hub, neonhub.progress_bars(hub, file=shown, bars=False):
        hub.spaces.create(name="brand")
        hub.datasets.create(space="brand", name="docs")
        report = hub.knowledge.ingest_folder(dataset="docs", folder=str(tmp_path))
        assert (report.files, report.ready, report.failed) == (3, 2, 1)
        assert report.faults[0].path == "logo.bin"
        assert "Gift boxes" in hub.knowledge.search(query="packed by hand").hits[0].text
    assert "ingest: 3/3" in shown.getvalue()
