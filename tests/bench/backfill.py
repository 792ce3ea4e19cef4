#!/usr/bin/env python3
"""How long a backfill takes after a delivery, and whether its lists are those of a full re-solve.

    tests/bench/backfill.py PROGRAM DATABASE [CHANGED] [NEW]

Works on a copy of DATABASE (table ratings(user_id, isbn, rating)), on which it runs a night first.
Then CHANGED readers (1000) each rate one more book, NEW readers (200) rate five, and every tenth of
those books is new to the shop. The list of every reader who was touched is then made again, together
with everybody else's, against the same books' factors: `backfill --users` with all of them.
"""
import json
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import time


def call(program, *words):
    since = time.perf_counter()
    done = subprocess.run([program, *words, "--json", "--quiet"], check=True, capture_output=True, text=True)
    return json.loads(done.stdout), time.perf_counter() - since


def main():
    program, database = sys.argv[1:3]
    changed, new = (int(word) for word in (sys.argv[3:] + ["1000", "200"][len(sys.argv) - 3:])[:2])
    dice = random.Random(1)
    with tempfile.TemporaryDirectory(dir=os.path.dirname(os.path.abspath(database))) as folder:
        path = os.path.join(folder, "copy.db")
        sqlite3.connect(database).execute("VACUUM INTO ?", (path,))
        db = sqlite3.connect(path)
        db.execute("PRAGMA journal_mode = wal")
        night, took = call(program, "run", "--db", path, "--force")
        print(f"night: {took:.2f} s")
        readers = [row[0] for row in db.execute("SELECT DISTINCT user_id FROM ratings ORDER BY 1")]
        books = [row[0] for row in db.execute("SELECT isbn FROM ratings")]  # popular ones more often

        def book():
            if dice.random() < 0.1:
                return f"new book {dice.randrange(100)}"
            return dice.choice(books)

        touched = dice.sample(readers, changed) + [f"new reader {n}" for n in range(new)]
        rows = [(user, book(), dice.randrange(11)) for user in touched[:changed]]
        rows += [(user, book(), dice.randrange(11)) for user in touched[changed:] for _ in range(5)]
        db.executemany("INSERT OR REPLACE INTO ratings (user_id, isbn, rating) VALUES (?, ?, ?)", rows)
        db.commit()
        untouched = "SELECT count(*), total(score) FROM recommendations WHERE source <> 'fold-in' AND run_id = ?"
        times = []
        for _ in range(3):
            report, took = call(program, "backfill", "--db", path, "--since-run", str(night["run_id"]))
            times.append(took - report["timings"]["read_s"])
            print(f"backfill: {took:.2f} s, beyond reading {times[-1]:.2f} s: {report['metrics']}")
            print(f"          {report['timings']}")
        lists = {row[:2]: row[2:] for row in db.execute(
            "SELECT user_id, rank, isbn, score FROM recommendations WHERE run_id <> ?", (night["run_id"],))}
        print(f"{len(lists)} rows replaced, left alone: {db.execute(untouched, (night['run_id'],)).fetchone()}")
        everybody = os.path.join(folder, "everybody.txt")
        with open(everybody, "w") as file:
            file.writelines(f"{user}\n" for user in readers + touched[changed:])
        call(program, "backfill", "--db", path, "--users", everybody)
        again = {row[:2]: row[2:] for row in db.execute(
            "SELECT user_id, rank, isbn, score FROM recommendations") if row[:2] in lists}
        moved = sum(lists[key][0] != again[key][0] for key in lists)
        error = max(abs(lists[key][1] - again[key][1]) for key in lists)
        print(f"against a full re-solve: {moved} of {len(lists)} books differ, scores by {error:.1e} at most")
        print(f"median beyond reading: {sorted(times)[1]:.2f} s")


if __name__ == "__main__":
    main()
