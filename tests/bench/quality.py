#!/usr/bin/env python3
"""The quality report of docs/figures.md, measured anew: ours and peers side by side, on the same files.

    tests/bench/quality.py target/release/nightshelf DATA [PART...]

DATA is a folder with bookcrossing/, bookcrossing-split/, goodbooks-half/, ml-100k/ and amazon-books-to-2019/.
Parts, all of them where none is named: the sets split, books, goodbooks, films, amazon and all, each with a table
of ours and the peers; new, stars and best, of ours alone; and ablation, ours on each set with one part off.
Before each figure of ours its command is printed. The peers are installed into a throwaway environment, or
into the folder PEERS names, to be used again.
"""

import collections
import contextlib
import csv
import datetime
import functools
import gzip
import io
import itertools
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time
import venv

PACKAGES = ["numpy", "scipy", "implicit", "irspack"]
INSIDE = "BENCH_IS_INSIDE"
# As implicit asks for: it has threads of its own.
QUIET = {"OPENBLAS_NUM_THREADS": "1"}
K = 20
FIGURES = {"recall": "Recall@20", "ndcg": "nDCG@20", "mrr": "MRR", "hit_rate": "hit rate", "liked": "liked", "rmse": "RMSE"}
# What a part of nightshelf is worth is what its lists lose without it.
OFF = {
    "nothing": {}, "neighbours": {"neighbours": 0}, "factors": {"factors": 0}, "the learned ranker": {"kind": "none"},
    "the half-life": {"half_life": "never"}, "authors and publishers": {"author_weight": 0, "publisher_weight": 0},
}
SETS = ["split", "books", "goodbooks", "films", "amazon", "all"]
PARTS = [*SETS, "new", "stars", "best", "ablation"]

# EASE inverts a matrix of items x items: in 32 bits, 20,000 of them are 1.6 GB.
EASE_ITEMS, EASE_SEARCHED = 20_000, 3_000
# Beyond this many ratings the search for a peer's settings takes longer than all else; then these are taken,
# which the search finds on the set split.
SEARCHED = 300_000
IMPLICIT, IALS = {"alpha": 4, "regularization": 30}, {"alpha0": 0.1, "reg": 0.01}

# A set: its two files, the flags of ours, and the file of books where there is one.
Set = collections.namedtuple("Set", "train test flags books")
# What a peer gets: readers x items to learn from, the same for what is held out, how many of each reader's are held
# out (unknown ones are among them: they count as not found), who is judged, and the items' codes.
Task = collections.namedtuple("Task", "known held_out counts readers items")


# The sets.

def rows_of(path):
    """The rows of a file, without a header if it has one."""
    tabs = ".csv" not in path.suffixes
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="latin-1", newline="") as file:
        rows = csv.reader(file, delimiter="\t" if tabs else ";" if "bookcrossing" in path.parts else ",")
        yield from rows if tabs else itertools.islice(rows, 1, None)


def books_of(path):
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def write(path, header, rows):
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
    return path


def fold(rows, count=5):
    """A random fold for each row, the same each time."""
    place = random.Random(0)
    return [place.randrange(count) for _ in rows]


def halves(folder, name, header, rows, is_held_out):
    """Two files: what is learned from and what is held out."""
    parts = [[row for row, out in zip(rows, is_held_out) if out == wanted] for wanted in (False, True)]
    return [write(folder / f"{name}-{part}.csv", header, half) for part, half in zip(("train", "test"), parts)]


def goodbooks(data, folder):
    rows = list(rows_of(data / "goodbooks-half/ratings.csv.gz"))
    files = halves(folder, "goodbooks", ["user_id", "isbn", "rating"], rows, [at == 0 for at in fold(rows)])
    # The others are translators and illustrators more often than not. The key is that of the ratings.
    books = ((book["book_id"], book["title"], book["authors"].split(",")[0].strip())
             for book in books_of(data / "goodbooks-half/books.csv.gz"))
    books = write(folder / "goodbooks-books.csv", ["isbn", "title", "author"], books)
    return Set(*files, ["--key", "text"], books)


def amazon(data, folder):
    def seconds(text):
        return int(datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.timezone.utc).timestamp())

    rows = [(*row[:3], seconds(row[3])) for row in rows_of(data / "amazon-books-to-2019/ratings.csv.gz")]
    # Strictly later than the cut: no moment is on both sides.
    cut = sorted(row[3] for row in rows)[len(rows) * 4 // 5 - 1]
    header = ["user_id", "isbn", "rating", "rated_at"]
    return Set(*halves(folder, "amazon", header, rows, [row[3] > cut for row in rows]), [], None)


def everything(data, folder):
    rows = list(rows_of(data / "bookcrossing/ratings.csv.gz"))
    files = halves(folder, "all", ["user", "isbn", "rating"], rows, [at == 0 for at in fold(rows)])
    return Set(*files, [], data / "bookcrossing/books.csv.gz")


def films(data, number):
    return Set(*(data / f"ml-100k/u{number}.{part}" for part in ("base", "test")), ["--key", "text"], None)


@functools.cache
def the_set(name, data, folder):
    published = [data / f"bookcrossing-split/{part}.tsv.gz" for part in ("train", "validation")]
    make = {
        "split": lambda: Set(*published, [], None),
        "books": lambda: Set(*published, [], data / "bookcrossing/books.csv.gz"),
        "goodbooks": lambda: goodbooks(data, folder), "films": lambda: films(data, 1),
        "amazon": lambda: amazon(data, folder), "all": lambda: everything(data, folder),
    }
    return make[name]()


# Ours.

def run(program, flags, settings):
    """One evaluation; what it printed, and its seconds."""
    environment = {f"NIGHTSHELF_{key.upper()}": str(value) for key, value in settings.items()}
    words = [f"{key}={value}" for key, value in environment.items()]
    print("$", *words, "nightshelf evaluate", *flags, flush=True)
    since = time.perf_counter()
    command = [program, "evaluate", "--json", "--quiet", *map(str, flags)]
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True)
    return done, time.perf_counter() - since


def evaluate(program, *flags, **settings):
    """The models of one evaluation as rows of a table."""
    done, seconds = run(program, flags, settings)
    if done.returncode:
        sys.exit(done.stderr)
    found = json.loads(done.stdout)
    rows = [{**model, "half": {name: (high - low) / 2 for name, (low, high) in (model.get("intervals") or {}).items()}}
            for model in found["models"]]
    for row in rows:
        if row["name"] == "nightshelf":
            row["seconds"] = seconds
    split = found["split"]
    print(f"{split['users']:,} readers, {split['items']:,} items, {split['train_ratings']:,} ratings to learn from, "
          f"{split['test_ratings']:,} held out", flush=True)
    return rows


def flags_of(given, *more):
    books = ["--books", given.books] if given.books else []
    return ["--train", given.train, "--test", given.test, "--k", K, *given.flags, *books, *more]


def table(rows):
    """Seconds are those of the whole command for ours, and of fitting and making lists for a peer."""
    shown = [name for name in FIGURES if any(row.get(name) for row in rows)]

    def cell(row, name):
        half = row.get("half", {}).get(name) if name in ("recall", "ndcg") else None
        text = "" if row.get(name) is None else f"{row[name]:.4f}"
        return f"{text} ± {half:.4f}" if half is not None else text

    print("\n| |", " | ".join(FIGURES[name] for name in shown), "| seconds |\n|" + " --- |" * (len(shown) + 2))
    for row in rows:
        seconds = f"{row['seconds']:.1f}" if "seconds" in row else ""
        print("|", " | ".join([row["name"], *(cell(row, name) for name in shown), seconds]), "|")
    print(flush=True)


# The figures of the peers.

def task_of(given):
    """Both files in the codes of the first."""
    import numpy as np
    import scipy.sparse as sp
    users, items = {}, {}
    known = [(users.setdefault(row[0], len(users)), items.setdefault(row[1], len(items))) for row in rows_of(given.train)]
    held_out = {(users[row[0]], items.get(row[1], row[1])) for row in rows_of(given.test) if row[0] in users}

    def matrix(pairs):
        rows, columns = np.array(sorted(set(pairs))).T
        return sp.csr_matrix((np.ones(len(rows), "float32"), (rows, columns)), (len(users), len(items)))

    counts = np.bincount([user for user, _ in held_out], minlength=len(users))
    found = matrix(pair for pair in held_out if isinstance(pair[1], int))
    return Task(matrix(known), found, counts, np.flatnonzero(counts), items)


def inner(task):
    """A tenth of what is known held out once more, to choose settings by."""
    import numpy as np
    import scipy.sparse as sp
    pairs = task.known.tocoo()
    out = np.random.default_rng(0).random(pairs.nnz) < 0.1
    known, held_out = (sp.csr_matrix((pairs.data[part], (pairs.row[part], pairs.col[part])), pairs.shape)
                       for part in (~out, out))
    counts = np.diff(held_out.indptr)
    readers = np.flatnonzero((counts > 0) & (np.diff(known.indptr) > 0))
    return Task(known, held_out, counts, readers, task.items)


def figures(task, scores):
    """Each reader's figures, as src/quality/metrics.rs defines them. `scores` gives some readers' scores of all items."""
    import numpy as np
    discount = 1 / np.log2(np.arange(K) + 2)
    found, size = [], max(1, 20_000_000 // task.known.shape[1])
    for at in range(0, len(task.readers), size):
        readers = task.readers[at:at + size]
        values = np.array(scores(readers), dtype="float32")
        seen = task.known[readers].tocoo()
        values[seen.row, seen.col] = -np.inf
        best = np.argpartition(-values, K, axis=1)[:, :K]
        order = np.argsort(-np.take_along_axis(values, best, 1), axis=1, kind="stable")
        best = np.take_along_axis(best, order, 1)
        hits = np.asarray(task.held_out[readers[:, None], best].todense()) > 0
        hits &= np.take_along_axis(values, best, 1) > -np.inf
        counts, any_hit = task.counts[readers], hits.any(1)
        found.append(np.stack([hits.sum(1) / counts, hits @ discount / discount.cumsum()[np.minimum(K, counts) - 1],
                               np.where(any_hit, 1 / (hits.argmax(1) + 1), 0), any_hit]))
    return dict(zip(("recall", "ndcg", "mrr", "hit_rate"), np.concatenate(found, axis=1)))


def judge(name, task, fit):
    """A row of a table: `fit` learns from what is known and gives the function of scores."""
    since = time.perf_counter()
    found = figures(task, fit(task.known))
    half = {figure: 1.96 * values.std(ddof=1) / len(values) ** 0.5 for figure, values in found.items()}
    means = {figure: values.mean() for figure, values in found.items()}
    return {"name": name, **means, "half": half, "seconds": time.perf_counter() - since}


def choose(task, name, fit, *steps):
    """Settings by the nDCG of the inner hold-out: the first of `steps` is a list to try, and each next one changes
    what was best so far."""
    best, done = (-1.0, {}), {}
    for step in steps:
        for change in step:
            settings = {**best[1], **change}
            done[str(settings)] = judge(name, task, functools.partial(fit, **settings))["ndcg"]
            best = max(best, (done[str(settings)], settings), key=lambda pair: pair[0])
    print(f"    {name}: {best[1]}, of", ", ".join(f"{settings} {value:.4f}" for settings, value in done.items()), flush=True)
    return best[1]


# The peers.

def popularity(known):
    import numpy as np
    readers = np.asarray(known.sum(0), dtype="float32").ravel()
    return lambda users: np.tile(readers, (len(users), 1))


def implicit_als(known, alpha, regularization):
    from implicit.als import AlternatingLeastSquares
    model = AlternatingLeastSquares(
        factors=128, iterations=16, regularization=regularization, alpha=alpha, random_state=42)
    model.fit(known, show_progress=False)
    return lambda users: model.user_factors[users] @ model.item_factors.T


def irspack_ials(known, alpha0, reg):
    from irspack.recommenders.ials import IALSRecommender
    model = IALSRecommender(
        known, n_components=128, alpha0=alpha0, reg=reg, nu=1.0, train_epochs=16, n_threads=os.cpu_count())
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        model.learn()
    left, right = model.get_user_embedding(), model.get_item_embedding()
    return lambda users: left[users] @ right.T


def item_knn(known, neighbours=50, shrinkage=10):
    """The shrunk cosine, as src/quality/knn.rs has it; some items at a time, since most pairs are of no use."""
    import numpy as np
    import scipy.sparse as sp
    by_item, near = known.T.tocsr(), []
    readers = np.diff(by_item.indptr)
    for at in range(0, len(readers), 2000):
        both = (by_item[at:at + 2000] @ known).tocsr()
        for row in range(both.shape[0]):
            span = slice(both.indptr[row], both.indptr[row + 1])
            others = both.indices[span]
            likeness = both.data[span] / (np.sqrt(readers[at + row] * readers[others]) + shrinkage)
            likeness[others == at + row] = 0
            if len(others) > neighbours:
                kept = np.argpartition(-likeness, neighbours)[:neighbours]
                others, likeness = others[kept], likeness[kept]
            near.append((others, likeness))
    offsets = np.cumsum([0, *(len(others) for others, _ in near)])
    others, likeness = (np.concatenate(part) for part in zip(*near))
    similar = sp.csr_matrix((likeness.astype("float32"), others, offsets), (len(readers), len(readers))).T.tocsr()

    def scores(users):
        values = (known[users] @ similar).toarray()
        # What is no neighbour of anything read is not in the list.
        values[values == 0] = -np.inf
        return values
    return scores


def ease(known, penalty, makers=None):
    """Steck 2019. `makers` are rows of made-up readers, who have read all books of one author or publisher."""
    import numpy as np
    import scipy.sparse as sp
    from scipy.linalg import lapack
    rows = known if makers is None else sp.vstack([known, makers]).tocsr()
    gram = (rows.T @ rows).toarray()
    gram[np.diag_indices_from(gram)] += penalty
    # In place and half the work: it is symmetric. LAPACK leaves the upper triangle, in columns.
    inverse, failed = lapack.spotri(lapack.spotrf(gram.T, overwrite_a=True)[0], overwrite_c=True)
    assert not failed
    scale = -1 / inverse.diagonal().copy()
    upper = np.triu(inverse, 1)
    weights = (upper + upper.T) * scale
    return lambda users: known[users] @ weights


def makers_of(books, items):
    """A row for each author (weight √6) and each publisher (1) of 2 to 300 of the items, as nightshelf weighs them."""
    import scipy.sparse as sp
    groups = collections.defaultdict(set)
    for book in books_of(books):
        for column, weight in (("author", 6 ** 0.5), ("publisher", 1)):
            name = " ".join((book.get(column) or "").lower().split())
            if name and book["isbn"] in items:
                groups[column, name, weight].add(items[book["isbn"]])
    rows = [(weight, codes) for (_, _, weight), codes in groups.items() if 2 <= len(codes) <= 300]
    cells = [(weight, row, code) for row, (weight, codes) in enumerate(rows) for code in sorted(codes)]
    values, lines, columns = zip(*cells)
    return sp.csr_matrix((values, (lines, columns)), (len(rows), len(items)), dtype="float32")


def peers(given, only_makers=False):
    """The rows of the peers, with settings searched for where that is soon done."""
    task = task_of(given)
    inside, count = inner(task), task.known.shape[1]
    print(f"peers: {len(task.readers):,} readers judged, {count:,} items", flush=True)
    rows = []
    if not only_makers:
        als, ials = IMPLICIT, IALS
        if task.known.nnz <= SEARCHED:
            als = choose(inside, "implicit ALS", implicit_als,
                         [{"alpha": 4, "regularization": penalty} for penalty in (0.01, 10, 30, 100)],
                         [{"alpha": alpha} for alpha in (1, 16)])
            ials = choose(inside, "irspack iALS", irspack_ials,
                          [{"alpha0": 0.1, "reg": reg} for reg in (0.003, 0.01, 0.03, 0.1)],
                          [{"alpha0": alpha} for alpha in (0.03, 0.3)])
        # The first row should be that of ours, and the second nearly: they say that both are measured alike.
        rows += [judge("popularity, counted here", task, popularity), judge("item-kNN (SciPy)", task, item_knn),
                 judge("implicit ALS", task, functools.partial(implicit_als, **als)),
                 judge("irspack iALS", task, functools.partial(irspack_ials, **ials))]
    if count > EASE_ITEMS:
        print(f"no EASE: it takes a dense matrix of {count:,} x {count:,}, {count ** 2 * 4 / 1e9:,.0f} GB", flush=True)
        return rows
    penalty = {"penalty": 200}
    if count <= EASE_SEARCHED:
        penalty = choose(inside, "EASE", ease, [{"penalty": penalty} for penalty in (100, 300, 1000)])
    if not only_makers:
        rows.append(judge("EASE", task, functools.partial(ease, **penalty)))
    if given.books:
        makers = makers_of(given.books, task.items)
        rows.append(judge("EASE, with makers", task, functools.partial(ease, **penalty, makers=makers)))
    return rows


# The parts.

def beside(program, data, folder, name):
    """Ours and the peers on one set."""
    given = the_set(name, data, folder)
    more = ["--compare", "objective=rating"] if name == "all" else []
    rows = evaluate(program, *flags_of(given, *more))
    # The same files as split, of which the other peers make the same.
    table(rows + peers(given, only_makers=name == "books"))
    if name == "films":
        mean_rmse([rows, *(evaluate(program, *flags_of(films(data, number))) for number in range(2, 6))])


def mean_rmse(found):
    ours, bias = (sum(row["rmse"] for rows in found for row in rows if row["name"] == name) / len(found)
                  for name in ("nightshelf", "damped bias"))
    print(f"mean RMSE {ours:.4f}, damped bias {bias:.4f}: {(1 - ours / bias) * 100:.2f}% less\n", flush=True)


def new(program, data, folder):
    """Books without ratings: Book-Crossing, imported."""
    db = folder / "shop.db"
    files = [data / "bookcrossing/ratings.csv.gz", data / "bookcrossing/books.csv.gz"]
    print("$ nightshelf import", *files, "--db", db, flush=True)
    subprocess.run([program, "import", "--quiet", *files, "--db", db], check=True)
    table(evaluate(program, "--db", db, "--k", K, "--split", "new-books"))


def stars(program, data, folder):
    """The explicit ratings of Book-Crossing in random folds."""
    rows = [row for row in rows_of(data / "bookcrossing/ratings.csv.gz") if float(row[2]) > 0]
    at, found = fold(rows), []
    for number in range(5):
        files = halves(folder, f"stars{number}", ["user", "isbn", "rating"], rows, [one == number for one in at])
        found.append(evaluate(program, "--train", files[0], "--test", files[1]))
    mean_rmse(found)


def best(program, data, folder):
    """What four times the factors are worth."""
    for name in ("split", "books"):
        flags = flags_of(the_set(name, data, folder), "--factors", 512)
        table(evaluate(program, *flags, unobserved_weight=0.05, regularization=0.01))


def ablation(program, data, folder):
    lines = {what: [] for what in OFF}
    for name in SETS:
        for what, settings in OFF.items():
            done, _ = run(program, flags_of(the_set(name, data, folder)), settings)
            if done.returncode:
                print(next(iter(done.stderr.splitlines()), "failed without a word"), flush=True)
                lines[what].append("")
                continue
            ours = next(model for model in json.loads(done.stdout)["models"] if model["name"] == "nightshelf")
            lines[what].append(f"{ours['ndcg']:.4f} ({ours['recall']:.4f})")
    print("\n| off |", " | ".join(SETS), "|\n|" + " --- |" * (len(SETS) + 1))
    for what, cells in lines.items():
        print("|", " | ".join([what, *cells]), "|")
    print(flush=True)


def inside(program, data, parts):
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for part in parts:
            print("##", part, flush=True)
            alone = {"new": new, "stars": stars, "best": best, "ablation": ablation}
            alone[part](program, data, folder) if part in alone else beside(program, data, folder, part)


def main():
    if len(sys.argv) < 3 or not set(sys.argv[3:]) <= set(PARTS):
        sys.exit(__doc__)
    program, data, parts = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3:] or PARTS
    if INSIDE in os.environ or not set(parts) & set(SETS):
        return inside(program, data, parts)
    with tempfile.TemporaryDirectory() as throwaway:
        home = pathlib.Path(os.environ.get("PEERS", throwaway))
        if not (home / "bin/python").exists():
            venv.create(home, with_pip=True)
        subprocess.run([home / "bin/pip", "install", "--quiet", *PACKAGES], check=True)
        frozen = subprocess.run([home / "bin/pip", "freeze"], check=True, capture_output=True, text=True)
        named = [line for line in frozen.stdout.split() if line.split("==")[0].lower() in PACKAGES]
        print("beside", ", ".join(named), "on", os.cpu_count(), "cores", flush=True)
        line = [home / "bin/python", __file__, os.path.abspath(program), os.path.abspath(data), *parts]
        done = subprocess.run(line, env={**os.environ, INSIDE: "1", **QUIET})
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
