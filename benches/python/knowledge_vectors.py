"""Libraries that search vectors in memory, on one thread."""

import time

import faiss
import hnswlib
import numpy
from knowledge_common import K, Data, recall, show, timed
from usearch.index import Index

# The cheapest setting that finds nearly all, as the goal says.
RECALL = 0.985
WIDTHS = (16, 32, 64, 128, 256, 512)


def asked_of(graph, queries):
    return timed(lambda query: graph.knn_query(query, k=K, num_threads=1)[0][0].tolist(), queries)


def graph_for(dims, most):
    graph = hnswlib.Index(space="ip", dim=dims)
    graph.init_index(max_elements=most, M=16, ef_construction=200, random_seed=1)
    graph.set_num_threads(1)
    return graph


def cheapest(graph, queries, truth):
    for width in WIDTHS:
        graph.set_ef(width)
        p50, answers = asked_of(graph, queries)
        if recall(truth, answers) >= RECALL:
            break
    return p50, recall(truth, answers)


def vectors(folder):
    data = Data(folder)
    truth = data.nearest(data.queries)
    start = time.perf_counter()
    graph = graph_for(data.shape["dims"], len(data.rows))
    graph.add_items(data.rows, num_threads=1)
    rate = len(data.rows) / (time.perf_counter() - start)
    p50, found = cheapest(graph, data.queries, truth)
    show("hnswlib", p50=p50, recall=found, rate=rate)
    scalar(data, truth)
    half(data, truth)


def scalar(data, truth):
    faiss.omp_set_num_threads(1)
    start = time.perf_counter()
    flat = faiss.IndexScalarQuantizer(data.shape["dims"], faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT)
    flat.train(data.rows)
    flat.add(data.rows)
    rate = len(data.rows) / (time.perf_counter() - start)
    p50, answers = timed(lambda query: flat.search(query.reshape(1, -1), K)[1][0].tolist(), data.queries)
    figures = {"p50": p50, "recall": recall(truth, answers), "rate": rate}
    for step in (10, 100):
        kept = numpy.arange(0, len(data.rows), step, dtype="int64")
        within = faiss.SearchParameters(sel=faiss.IDSelectorBatch(kept))
        ask = lambda query: flat.search(query.reshape(1, -1), K, params=within)[1][0].tolist()
        figures[f"p50_{step}"], answers = timed(ask, data.queries)
        wanted = [{number * step for number in near} for near in data.nearest(data.queries, data.rows[::step])]
        figures[f"recall_{step}"] = recall(wanted, answers)
    show("FAISS SQ8", **figures)


def half(data, truth):
    index = Index(ndim=data.shape["dims"], metric="ip", dtype="f16")
    start = time.perf_counter()
    index.add(numpy.arange(len(data.rows)), data.rows, threads=1)
    rate = len(data.rows) / (time.perf_counter() - start)
    for width in WIDTHS:
        index.expansion_search = width
        p50, answers = timed(lambda query: index.search(query, K, threads=1).keys.tolist(), data.queries)
        if recall(truth, answers) >= RECALL:
            break
    show("usearch f16", p50=p50, recall=recall(truth, answers), rate=rate)


def growth(folder):
    """One graph, measured whenever it has as many rows as a step says."""
    data = Data(folder)
    graph = graph_for(data.shape["dims"], len(data.rows))
    figures, done = {}, 0
    for step in data.shape["steps"]:
        start = time.perf_counter()
        graph.add_items(data.rows[done:step], numpy.arange(done, step), num_threads=1)
        figures[f"add_{step}"] = (time.perf_counter() - start) * 1e6 / (step - done)
        done = step
        truth = data.nearest(data.queries, data.rows[:step])
        figures[f"p50_{step}"], figures[f"recall_{step}"] = cheapest(graph, data.queries, truth)
    show("hnswlib", **figures)
