"""Runtimes that compute MiniLM, with the same weights, tokens and number of threads as ours."""

import json
import os
import time

import numpy
from knowledge_common import show

BATCH = 32


def embed(folder):
    path = (folder / "model").read_text()
    lines = (folder / "texts.jsonl").read_text(encoding="utf-8").splitlines()
    texts = [json.loads(line)["text"] for line in lines]
    vectors = by_torch(path, texts)
    vectors.astype("<f4").tofile(folder / "torch.f32")
    by_onnx(path, texts, vectors)


def by_torch(path, texts):
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(os.cpu_count())
    start = time.perf_counter()
    model = SentenceTransformer(path, device="cpu")
    load = (time.perf_counter() - start) * 1e3
    model.encode(texts[:8])
    start = time.perf_counter()
    vectors = model.encode(texts, batch_size=BATCH)
    rate = len(texts) / (time.perf_counter() - start)
    questions = []
    for _ in range(20):
        start = time.perf_counter()
        model.encode(["how do I send a newsletter to everyone who agreed"])
        questions.append((time.perf_counter() - start) * 1e3)
    show(f"torch, {torch.get_num_threads()} threads", rate=rate, load=load, one=numpy.median(questions))
    return vectors


def by_onnx(path, texts, wanted):
    import onnxruntime
    from knowledge_onnx import graph
    from tokenizers import Tokenizer

    # The graph is made here, since no package carries one; making it is no part of the load.
    made = graph(path).SerializeToString()
    start = time.perf_counter()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = os.cpu_count()
    session = onnxruntime.InferenceSession(made, options, providers=["CPUExecutionProvider"])
    tokenizer = Tokenizer.from_file(f"{path}/tokenizer.json")
    load = (time.perf_counter() - start) * 1e3
    tokenizer.enable_truncation(256)
    tokenizer.enable_padding()

    def run(batch):
        read = tokenizer.encode_batch(batch)
        ids = numpy.array([one.ids for one in read], dtype="int64")
        mask = numpy.array([one.attention_mask for one in read], dtype="float32")
        return session.run(None, {"ids": ids, "mask": mask})[0]

    run(texts[:8])
    start = time.perf_counter()
    # Texts of like length stand in one batch, as sentence-transformers does it.
    order = sorted(range(len(texts)), key=lambda number: -len(texts[number]))
    vectors = numpy.empty_like(wanted)
    for first in range(0, len(order), BATCH):
        part = order[first : first + BATCH]
        vectors[part] = run([texts[number] for number in part])
    rate = len(texts) / (time.perf_counter() - start)
    nearest = (vectors * wanted).sum(axis=1).min()
    if nearest < 0.999:
        raise SystemExit(f"the graph for onnxruntime is wrong: least cosine {nearest}")
    show(f"onnxruntime, {os.cpu_count()} threads", rate=rate, load=load)
