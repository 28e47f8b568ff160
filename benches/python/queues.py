"""Durable queues of Python, measured: `queues.py enqueue|work COUNT FOLDER`.

Prints one line per queue, its name and jobs per second. Every put is synced before it returns.
"""

import os
import sys
import time

import persistqueue
from huey import SqliteHuey

# Jobs enqueued before the clock starts, so that files and statements are there.
WARM = 100


def rate(count, run):
    start = time.perf_counter()
    run(count)
    return count / (time.perf_counter() - start)


def persist(folder):
    # SQLite's own default is a full sync of each commit, and auto_commit is one commit per put.
    return persistqueue.SQLiteAckQueue(os.path.join(folder, "persist"), auto_commit=True)


def huey(folder):
    instance = SqliteHuey("bench", filename=os.path.join(folder, "huey.db"), fsync=True, results=False)

    @instance.task()
    def noop(n):
        return None

    return instance, noop


def main():
    part, count, folder = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    queue = persist(folder)
    instance, noop = huey(folder)

    def put(count):
        for n in range(count):
            queue.put({"n": n})

    def enqueue(count):
        for n in range(count):
            noop(n)

    def ack(count):
        for _ in range(count):
            queue.ack(queue.get())

    def execute(count):
        for _ in range(count):
            instance.execute(instance.dequeue())

    put(WARM)
    enqueue(WARM)
    puts, enqueues = rate(count, put), rate(count, enqueue)
    if part == "enqueue":
        print(f"persist-queue\t{puts}\nhuey-SQLite\t{enqueues}")
    else:
        print(f"persist-queue\t{rate(count, ack)}\nhuey-SQLite\t{rate(count, execute)}")


main()
