#!/usr/bin/env python3
"""nightshelf beside pandas + implicit + sqlite3, irspack and PyTorch, on the same file and in the same run.

    tests/bench/peers.py target/release/nightshelf shop.db [PART...]

Parts: night, epochs, adam (all three where none is named; adam needs a table of some 100,000 ratings).
The peers are installed into a throwaway environment, or into the folder PEERS names, to be used again.
The database is copied first. ROUNDS says how often (3). Machines are noisy: quote the ratios.
"""

import contextlib
import io
import json
import math
import os
import pathlib
import resource
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import venv

PACKAGES = {"night": ["pandas", "implicit", "threadpoolctl"], "epochs": ["implicit", "irspack"], "adam": ["torch"]}
INSIDE = "BENCH_IS_INSIDE"
# The same ranking loss for everybody: plain weights, no made-up readers, no stars.
PLAIN = {
    "RATING": "", "AUTHOR_WEIGHT": "0", "PUBLISHER_WEIGHT": "0", "ACTIVITY_EXPONENT": "0",
    "POPULARITY_EXPONENT": "0", "ENABLED": "false",
}
# As implicit asks for: it has threads of its own.
QUIET = {"OPENBLAS_NUM_THREADS": "1"}
ALPHA = 0.03
ROUNDS = int(os.environ.get("ROUNDS", 3))


def ours(program, command, db, *flags, **settings):
    """One run of nightshelf: what it says of itself, and its seconds."""
    environment = {f"NIGHTSHELF_{key}": str(value) for key, value in settings.items()}
    line = [program, command, "--db", str(db), "--json", "--quiet", *map(str, flags)]
    since = time.perf_counter()
    done = subprocess.run(line, env={**os.environ, **environment}, check=True, capture_output=True)
    return json.loads(done.stdout), time.perf_counter() - since


def say(what, *figures):
    print(f"{what:44}", *figures, flush=True)


def read(db):
    """Readers, books and their sparse matrix."""
    import pandas as pd
    import scipy.sparse as sp
    with sqlite3.connect(db) as connection:
        frame = pd.read_sql("SELECT user_id, isbn, rating FROM ratings", connection)
    users, user_ids = pd.factorize(frame["user_id"])
    items, item_ids = pd.factorize(frame["isbn"].str.upper().str.replace(r"[^0-9A-Z]", "", regex=True))
    ones = frame["rating"].to_numpy("float32") * 0 + 1
    return sp.csr_matrix((ones, (users, items)), (len(user_ids), len(item_ids))), user_ids, item_ids


def peer_night(db, factors):
    """What people write today. Prints its seconds by stage and its memory as JSON."""
    from implicit.als import AlternatingLeastSquares
    import numpy as np
    stages, since = {}, time.perf_counter()

    def stage(name):
        nonlocal since
        now = time.perf_counter()
        stages[name], since = now - since, now

    import pandas as pd
    import scipy.sparse as sp
    with sqlite3.connect(db) as connection:
        frame = pd.read_sql("SELECT user_id, isbn, rating FROM ratings", connection)
    stage("read")
    frame["isbn"] = frame["isbn"].str.upper().str.replace(r"[^0-9A-Z]", "", regex=True)
    users, user_ids = pd.factorize(frame["user_id"])
    items, item_ids = pd.factorize(frame["isbn"])
    shape = (len(user_ids), len(item_ids))
    matrix = sp.csr_matrix((np.ones(len(frame), "float32"), (users, items)), shape)
    stage("encode")
    model = AlternatingLeastSquares(factors=factors, iterations=16, random_state=42)
    model.fit(matrix, show_progress=False)
    stage("train")
    best, scores = model.recommend(np.arange(shape[0]), matrix, N=10, filter_already_liked_items=True)
    stage("recommend")
    with sqlite3.connect(db) as connection:
        connection.execute("DROP TABLE IF EXISTS peer")
        connection.execute("CREATE TABLE peer (user_id, rank, isbn, score, PRIMARY KEY (user_id, rank))")
        rows = ((user, rank + 1, item_ids[best[code, rank]], float(scores[code, rank]))
                for code, user in enumerate(user_ids.tolist()) for rank in range(10))
        connection.executemany("INSERT INTO peer VALUES (?, ?, ?, ?)", rows)
        connection.commit()
    stage("publish")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({**stages, "memory": memory}))


def night(program, db, folder, factors=64):
    """Whole nights in turn, and the medians of each stage."""
    copy = folder / "night.db"
    shutil.copy(db, copy)
    peer, mine, alone = [], [], []
    for _ in range(ROUNDS):
        line = [sys.executable, __file__, "peer-night", str(copy), str(factors)]
        peer.append(json.loads(subprocess.run(line, check=True, capture_output=True).stdout))
        for runs, gate in ((mine, "true"), (alone, "false")):
            report, _ = ours(program, "run", copy, "--force", "--factors", factors, ENABLED=gate)
            runs.append({**report["timings"], "memory": report["peak_memory_bytes"]})

    def median(runs, *names):
        return statistics.median(sum(run[name] for name in names) for run in runs)

    stages = [("read, normalise, encode", ["read", "encode"], ["read_s", "normalise_s", "encode_s"]),
              ("the gate", [], ["evaluate_s"]), ("train", ["train"], ["train_s"]),
              ("top 10 for everybody", ["recommend"], ["recommend_s"]),
              ("publish", ["publish"], ["publish_s"]),
              ("the whole night", ["read", "encode", "train", "recommend", "publish"], ["total_s"]),
              ("memory, MB", ["memory"], ["memory"])]
    say(f"a night, {factors} factors", f"{'peer':>9}{'ours':>9}{'ratio':>8}{'no gate':>9}{'ratio':>8}")
    for name, theirs, own in stages:
        unit = 1e6 if name.startswith("memory") else 1
        peers, with_gate, without = median(peer, *theirs) / unit, median(mine, *own) / unit, median(alone, *own) / unit
        say(name, f"{peers:9.2f}" + "".join(f"{figure:9.2f}" + (f"{peers / figure:7.1f}x" if theirs else " " * 8)
                                             for figure in (with_gate, without)))


def loss(matrix, users, items, penalty):
    """The ranking loss a pair, straight from its definition (crates/model/src/lib.rs)."""
    import numpy as np
    x, y = users.astype("float64"), items.astype("float64")
    coo = matrix.tocoo()
    observed = sum(((1 - (x[coo.row[at:at + 100000]] * y[coo.col[at:at + 100000]]).sum(1)) ** 2).sum()
                   for at in range(0, coo.nnz, 100000))
    everywhere = ALPHA * ((x.T @ x) * (y.T @ y)).sum()
    counts = np.diff(matrix.indptr), np.diff(matrix.tocsc().indptr)
    squares = penalty * sum(((n + ALPHA * others) * (rows ** 2).sum(1)).sum()
                  for n, others, rows in ((counts[0], len(y), x), (counts[1], len(x), y)))
    return (observed + everywhere + squares) / coo.nnz


def epochs(program, db, _folder):
    """Seconds an epoch, and the loss after 16."""
    from implicit.als import AlternatingLeastSquares
    from irspack.recommenders.ials import IALSRecommender
    matrix, _, _ = read(db)
    threads = os.cpu_count()
    # As nightshelf would choose it (crates/model/src/hyperparameters.rs).
    penalty = 4.5 / (ALPHA * math.prod(matrix.shape) ** 0.5)
    for factors in (64, 128):
        say(f"an epoch, {factors} factors, {matrix.shape[0]} x {matrix.shape[1]}, {matrix.nnz} pairs")
        times = {}
        for round in range(ROUNDS):
            own = [ours(program, "run", db, "--force", "--dry-run", "--factors", factors, "--epochs", count,
                        **PLAIN, REGULARIZATION=penalty, UNOBSERVED_WEIGHT=ALPHA, TOP=1)[0] for count in (4, 16, 40)]
            seconds = (own[2]["timings"]["train_s"] - own[0]["timings"]["train_s"]) / 36
            times.setdefault("nightshelf", ([], own[1]["metrics"]["loss"]))[0].append(seconds)
            model = AlternatingLeastSquares(factors=factors, iterations=16, random_state=42, num_threads=threads)
            since = time.perf_counter()
            model.fit(matrix, show_progress=False)
            times.setdefault("implicit, 3 CG steps", ([], None))[0].append((time.perf_counter() - since) / 16)
            # The exact one is far slower, and once is enough to see it.
            for solver in ("CG", "CHOLESKY") if round == 0 else ("CG",):
                peer = IALSRecommender(
                    matrix, n_components=factors, alpha0=ALPHA, reg=penalty, nu=1.0, solver_type=solver,
                    n_threads=threads, train_epochs=16)
                since = time.perf_counter()
                with contextlib.redirect_stdout(io.StringIO()):
                    peer.learn()
                seconds = (time.perf_counter() - since) / 16
                reached = loss(matrix, peer.get_user_embedding(), peer.get_item_embedding(), penalty)
                times.setdefault(f"irspack, {solver}", ([], reached))[0].append(seconds)
        fastest = min(statistics.median(runs) for name, (runs, _) in times.items() if name != "nightshelf")
        for name, (runs, reached) in times.items():
            seconds = statistics.median(runs)
            say(f"    {name}", f"{seconds:8.3f} s{seconds / fastest:7.2f}", f"loss {reached:.5f}" if reached else "")


def peer_adam(db, counted=3):
    """The tutorials' recipe: 8 factors, Adam, batches of 128."""
    import torch
    from torch import nn
    with sqlite3.connect(db) as connection:
        rows = connection.execute("SELECT user_id, isbn, rating FROM ratings").fetchall()
    columns = [{id: code for code, id in enumerate(sorted({row[at] for row in rows}))} for at in (0, 1)]
    users, items = (torch.tensor([columns[at][row[at]] for row in rows]) for at in (0, 1))
    ratings = torch.tensor([float(row[2]) for row in rows])

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.users, self.items = (nn.Embedding(len(column), 8) for column in columns)
            self.user_bias, self.item_bias = (nn.Embedding(len(column), 1) for column in columns)

        def forward(self, user, item):
            product = (self.users(user) * self.items(item)).sum(1)
            return product + self.user_bias(user).squeeze(1) + self.item_bias(item).squeeze(1)

    torch.manual_seed(42)
    model = Model()
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    since = time.perf_counter()
    for _ in range(counted):
        order = torch.randperm(len(ratings))
        for batch in order.split(128):
            error = nn.functional.mse_loss(model(users[batch], items[batch]), ratings[batch])
            optimiser.zero_grad()
            error.backward()
            optimiser.step()
    return (time.perf_counter() - since) / counted


def adam(program, db, _folder):
    flags = ["--force", "--dry-run", "--factors", 8, "--solver", "adam", "--objective", "rating", "--epochs", 1]
    settings = {"BATCH_SIZE": 128, "LEARNING_RATE": 0.001, "ENABLED": "false"}
    own = []
    for _ in range(3):
        short, long = (ours(program, "run", db, *flags, **settings, RATING_EPOCHS=count)[0] for count in (2, 12))
        own.append((long["timings"]["train_s"] - short["timings"]["train_s"]) / 10)
    theirs, seconds = peer_adam(db), statistics.median(own)
    say("adam, 8 factors, batches of 128: an epoch", f"PyTorch {theirs:.3f} s, nightshelf {seconds:.3f} s,",
        f"{theirs / seconds:.1f}x")


def main():
    if sys.argv[1:2] == ["peer-night"]:
        return peer_night(sys.argv[2], int(sys.argv[3]))
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    program, db, *parts = sys.argv[1:]
    parts = parts or list(PACKAGES)
    if INSIDE not in os.environ:
        with tempfile.TemporaryDirectory() as throwaway:
            home = pathlib.Path(os.environ.get("PEERS", throwaway))
            if not (home / "bin/python").exists():
                venv.create(home, with_pip=True)
            packages = sorted({package for part in parts for package in PACKAGES[part]})
            subprocess.run([home / "bin/pip", "install", "--quiet", *packages], check=True)
            frozen = subprocess.run([home / "bin/pip", "freeze"], check=True, capture_output=True, text=True)
            named = [line for line in frozen.stdout.split() if line.split("==")[0].lower() in packages]
            print("beside", ", ".join(named), "on", os.cpu_count(), "cores", flush=True)
            line = [home / "bin/python", __file__, os.path.abspath(program), os.path.abspath(db), *parts]
            done = subprocess.run(line, env={**os.environ, INSIDE: "1", **QUIET})
        sys.exit(done.returncode)
    with tempfile.TemporaryDirectory() as folder:
        for part in parts:
            {"night": night, "epochs": epochs, "adam": adam}[part](program, db, pathlib.Path(folder))


if __name__ == "__main__":
    main()
