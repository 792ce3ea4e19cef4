#!/usr/bin/env python3
"""How long an application waits for a nightly run and for a rollback, measured from beside them.

    tests/bench/beside.py PROGRAM DATABASE [wal|delete] [flags for `run` ...]

Works on a copy of DATABASE, which must have a published set and a unique key on the ratings. While `PROGRAM run` goes on, one process inserts ratings as fast as it
can and one reads the published set as fast as it can, both with SQLite's own busy handler. Prints the
longest waits of both, and before that of the same two without a run beside them: what they do to each
other, and the disk to both, is not the run's doing. Then the shape of the published table is changed, so that
a rollback has to write the set before anew (`--top 13` makes a million rows of it on Book-Crossing), and the same is
measured beside that.
"""
import multiprocessing
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time


def write(path, stop, answer):
    connection = sqlite3.connect(path, timeout=30, isolation_level=None)
    longest, count = 0.0, 0
    while not stop.is_set():
        since = time.perf_counter()
        connection.execute("INSERT INTO ratings (user_id, isbn, rating) VALUES (?, '9780306406157', 5)"
                           " ON CONFLICT DO UPDATE SET rating = excluded.rating", (count % 1000,))
        longest, count = max(longest, time.perf_counter() - since), count + 1
    answer.put(("writer", longest, count))


def read(path, stop, answer):
    connection = sqlite3.connect(path, timeout=30, isolation_level=None)
    longest, count, sizes = 0.0, 0, set()
    while not stop.is_set():
        since = time.perf_counter()
        runs = connection.execute("SELECT count(*), min(run_id), max(run_id) FROM recommendations"
                                  " WHERE user_id BETWEEN 0 AND 20000").fetchone()
        longest, count = max(longest, time.perf_counter() - since), count + 1
        assert runs[1] == runs[2] and runs[0] > 0, f"a mixed or empty set: {runs}"
        sizes.add(runs[2])
    answer.put(("reader", longest, count))


def together(path, workers, seconds=None, command=None):
    stop, answer = multiprocessing.Event(), multiprocessing.Queue()
    started = [multiprocessing.Process(target=worker, args=(path, stop, answer)) for worker in workers]
    for process in started:
        process.start()
    if command:
        subprocess.run(command, check=True)
    else:
        time.sleep(seconds)
    stop.set()
    for _ in started:
        who, longest, count = answer.get(timeout=60)
        print(f"  {who}: {count} times, longest wait {longest * 1000:.0f} ms")
    for process in started:
        process.join()
        assert process.exitcode == 0


def main():
    program, database, journal = sys.argv[1], sys.argv[2], (sys.argv[3:] or ["wal"])[0]
    with tempfile.TemporaryDirectory(dir=os.path.dirname(os.path.abspath(database))) as folder:
        path = os.path.join(folder, "copy.db")
        source = sqlite3.connect(database)
        source.execute("VACUUM INTO ?", (path,))
        sqlite3.connect(path).execute(f"PRAGMA journal_mode = {journal}")
        print(f"journal_mode = {journal}; without a run:")
        together(path, [write, read], seconds=5)
        print("beside the nightly run:")
        night = [program, "run", "--force", "--quiet", "--db", path, *sys.argv[4:]]
        together(path, [write, read], command=night)
        subprocess.run(night, check=True)
        connection = sqlite3.connect(path, timeout=30)
        connection.execute("CREATE INDEX firsts ON recommendations (isbn) WHERE rank = 1")
        rows = connection.execute("SELECT count(*) FROM recommendations").fetchone()[0]
        connection.close()
        print(f"beside a rollback that writes {rows} rows in another shape:")
        together(path, [write, read], command=[program, "rollback", "--quiet", "--db", path])


if __name__ == "__main__":
    main()
