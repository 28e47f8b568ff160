"""Stores of texts and vectors on disk. Their vectors are given, as ours are; each runs in a process of its own."""

import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import psutil
from knowledge_common import K, Data, quality, recall, show, timed

# Rows of one call: what their guides advise. Ours takes one document a call.
BATCH = 1_000


def megabytes(folder):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


class Chroma:
    name = "Chroma"

    def __init__(self, folder, data):
        import chromadb

        self.data, self.folder = data, folder
        settings = chromadb.config.Settings(anonymized_telemetry=False)
        self.client = chromadb.PersistentClient(path=str(folder), settings=settings)
        space = {"hnsw:space": "cosine"}
        self.rows = self.client.get_or_create_collection("bench", embedding_function=None, metadata=space)

    def add(self, first, last):
        items = self.data.items[first:last]
        self.rows.add(
            ids=[str(number) for number in range(first, last)],
            documents=[item["text"] for item in items],
            embeddings=self.data.rows[first:last],
            metadatas=[{"tenth": number % 10, "hundredth": number % 100} for number in range(first, last)],
        )

    def settle(self):
        pass

    def save(self):
        pass

    def vector(self, query, column=None):
        where = {column: 0} if column else None
        found = self.rows.query(query_embeddings=query.reshape(1, -1), n_results=K, where=where)
        return [int(name) for name in found["ids"][0]]

    hybrid = None

    def remove(self, number):
        self.rows.delete(ids=[str(number)])


class Lance:
    name = "LanceDB"

    def __init__(self, folder, data):
        import lancedb
        from lancedb.rerankers import RRFReranker

        self.data, self.reranker = data, RRFReranker()
        database = lancedb.connect(str(folder))
        self.table = database.open_table("bench") if (folder / "bench.lance").exists() else None
        self.database = database

    def add(self, first, last):
        rows = [
            {
                "number": number,
                "text": f"{item['name']}\n{item['text']}",
                "tenth": number % 10,
                "hundredth": number % 100,
                "vector": self.data.rows[number],
            }
            for number, item in enumerate(self.data.items[first:last], first)
        ]
        if self.table is None:
            self.table = self.database.create_table("bench", rows)
        else:
            self.table.add(rows)

    def settle(self):
        """What it needs before words are found in new rows, and before its vectors are more than a scan."""
        self.table.create_fts_index("text", replace=True)
        self.table.create_index(metric="cosine", index_type="IVF_HNSW_SQ", num_partitions=1, replace=True)

    def save(self):
        pass

    def vector(self, query, column=None):
        found = self.table.search(query).distance_type("cosine").select(["number", "_distance"]).limit(K)
        if column:
            found = found.where(f"{column} = 0", prefilter=True)
        return [row["number"] for row in found.to_list()]

    def hybrid(self, text, query):
        found = self.table.search(query_type="hybrid").vector(query).text(text).rerank(self.reranker)
        return [row["number"] for row in found.limit(K).to_list()]

    def remove(self, number):
        self.table.delete(f"number = {number}")


class Txtai:
    name = "txtai"

    def __init__(self, folder, data):
        from txtai import Embeddings

        self.data, self.folder = data, folder
        self.given = {}
        # It takes a plain function alone.
        given = {"method": "external", "transform": lambda texts: self.vectors(texts)}
        self.index = Embeddings({**given, "hybrid": True, "content": True})
        self.is_filled = folder.exists()
        if self.is_filled:
            self.index.load(str(folder), config=given)

    def vectors(self, texts):
        import numpy

        return numpy.array([self.given[text] for text in texts], dtype="float32")

    def add(self, first, last):
        rows = []
        for number, item in enumerate(self.data.items[first:last], first):
            text = f"{item['name']}\n{item['text']}"
            self.given[text] = self.data.rows[number]
            rows.append((number, {"text": text, "tenth": number % 10, "hundredth": number % 100}, None))
        (self.index.upsert if self.is_filled else self.index.index)(rows)
        self.is_filled = True

    def settle(self):
        self.save()

    def save(self):
        """It keeps all in memory: only this makes a change durable."""
        self.index.save(str(self.folder))

    def vector(self, query, column=None):
        self.given["question"] = query
        if not column:
            return self._ids(self.index.search("question", K, weights=1.0))
        # It filters what it has found: it has to look at as many as the filter drops, and some.
        looked = 2 * K * (10 if column == "tenth" else 100)
        return self._ids(
            self.index.search(f"select id from txtai where similar('question', {looked}, 1.0) and {column} = 0", K)
        )

    def hybrid(self, text, query):
        self.given[text] = query
        return self._ids(self.index.search(text, K, weights=0.5))

    def _ids(self, rows):
        return [int(row["id"]) for row in rows]

    def remove(self, number):
        self.index.delete([number])


STORES = {store.name: store for store in (Chroma, Lance, Txtai)}


def resident():
    return psutil.Process().memory_info().rss / 2**20


def fill(store, first, last):
    """Adds the documents; gives seconds and processor seconds until they are found."""
    cpu, wall = time.process_time(), time.perf_counter()
    for at in range(first, last, BATCH):
        store.add(at, min(at + BATCH, last))
    store.settle()
    store.vector(store.data.queries[0])
    return time.perf_counter() - wall, time.process_time() - cpu


def filtered(store, truth_of):
    figures = {}
    for column, step in (("tenth", 10), ("hundredth", 100)):
        figures[f"filter_{step}"], answers = timed(lambda query: store.vector(query, column), store.data.queries[:100])
        figures[f"filter_recall_{step}"] = recall(truth_of(step), answers)
    return figures


def changes(store, count):
    """Documents added and deleted one by one; each is durable and seen by the query after it."""
    adds, deletes, data = [], [], store.data
    for number in range(count, len(data.items)):
        start = time.perf_counter()
        store.add(number, number + 1)
        store.save()
        found = store.vector(data.rows[number])
        adds.append((time.perf_counter() - start) * 1e3)
        if number not in found:
            raise SystemExit(f"{store.name} does not find what was added")
        start = time.perf_counter()
        store.remove(number)
        store.save()
        found = store.vector(data.rows[number])
        deletes.append((time.perf_counter() - start) * 1e3)
        if number in found:
            raise SystemExit(f"{store.name} finds what was deleted")
    return median(adds), median(deletes)


def run(part, folder):
    name, _, is_open = part.partition("-")
    if is_open:
        print(opened(STORES[name], folder))
    else:
        measure(STORES[name], folder)


def opened(kind, folder):
    """Milliseconds from opening to the first answer, in a fresh process that has its libraries and data loaded."""
    data = Data(folder)
    scratch = kind(folder / f"{kind.name}-empty", data)
    del scratch
    start = time.perf_counter()
    store = kind(folder / kind.name, data)
    if not store.vector(data.queries[0]):
        raise SystemExit("nothing was found after reopening")
    return (time.perf_counter() - start) * 1e3


def measure(kind, folder):
    data, place = Data(folder), folder / kind.name
    count = data.shape["count"]
    rows = data.rows[:count]
    truth = data.nearest(data.queries[:100], rows)
    store, before = kind(place, data), resident()
    first = count // 10
    wall, cpu = fill(store, 0, first)
    small_cpu = cpu / first
    small, _ = timed(store.vector, data.queries[:100])
    more_wall, more_cpu = fill(store, first, count)
    p50, answers = timed(store.vector, data.queries[:100])
    figures = {"rate": count / (wall + more_wall), "cpu_rate": count / (cpu + more_cpu)}
    figures |= {"p50": p50, "recall": recall(truth, answers), "query_growth": p50 / small}
    figures["ingest_growth"] = more_cpu / (count - first) / small_cpu
    figures |= filtered(store, lambda step: wanted(data, rows, step))
    if store.hybrid:
        pairs = zip(data.questions, data.queries)
        figures["hybrid"], answers = timed(lambda pair: store.hybrid(*pair), list(pairs))
        figures["mrr"], figures["hit"] = quality(data.asked, answers)
    figures |= {"ram": resident() - before, "disk": megabytes(place) / 1.048576}
    figures["add"], figures["delete"] = changes(store, count)
    marker = data.shape["marker"].encode()
    files = (path for path in place.rglob("*") if path.is_file())
    figures["left"] = sum(marker in path.read_bytes() for path in files)
    again = [sys.executable, str(Path(__file__).with_name("knowledge.py")), f"{kind.name}-open", str(folder)]
    figures["open"] = float(subprocess.run(again, check=True, capture_output=True, text=True).stdout.split()[-1])
    show(kind.name, **figures)


def wanted(data, rows, step):
    return [{number * step for number in near} for near in data.nearest(data.queries[:100], rows[::step])]
