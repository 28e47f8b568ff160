"""What the parts share: the data of the folder, timing, and the line that a peer prints."""

import json
import time
from statistics import median

import numpy

K = 10


class Data:
    """Rows and queries as vectors; texts where the folder has them."""

    def __init__(self, folder):
        self.shape = json.loads((folder / "shape.json").read_text())
        self.rows = self._numbers(folder / "rows.f32")
        self.queries = self._numbers(folder / "queries.f32")
        texts = folder / "texts.jsonl"
        lines = texts.read_text(encoding="utf-8").splitlines() if texts.exists() else []
        self.items = [json.loads(line) for line in lines]
        self.asked = [number for number, item in enumerate(self.items) if item["asked"]]
        self.questions = [self.items[number]["query"] for number in self.asked]

    def _numbers(self, path):
        return numpy.fromfile(path, dtype="<f4").reshape(-1, self.shape["dims"])

    def nearest(self, queries, rows=None):
        """The true nearest rows of each query."""
        rows = self.rows if rows is None else rows
        return [set(numpy.argsort(-(rows @ query))[:K].tolist()) for query in queries]


def timed(run, queries):
    """Median microseconds and the answers."""
    times, answers = [], []
    for query in queries:
        start = time.perf_counter()
        answers.append(run(query))
        times.append((time.perf_counter() - start) * 1e6)
    return median(times), answers


def recall(truth, answers):
    found = sum(len(wanted & set(answer)) for wanted, answer in zip(truth, answers))
    return found / sum(len(wanted) for wanted in truth)


def quality(asked, answers):
    """Mean of one over the rank of the item that was asked for, and the share that is among the first ten."""
    ranks = [found.index(number) + 1 if number in found else 0 for number, found in zip(asked, answers)]
    found = [rank for rank in ranks if rank]
    return sum(1 / rank for rank in found) / len(ranks), len(found) / len(ranks)


def show(name, **figures):
    print(json.dumps({"name": name, **{key: float(value) for key, value in figures.items()}}), flush=True)
