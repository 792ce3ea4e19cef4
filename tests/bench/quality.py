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

INSIDE = "BENCH_IS_INSIDE"
if INSIDE in os.environ:
    import numpy as np
    import scipy.sparse as sp

PACKAGES = ["numpy", "scipy", "implicit", "irspack"]
# As implicit asks for: it has threads of its own.
QUIET = {"OPENBLAS_NUM_THREADS": "1"}
K = 20
FIGURES = {"recall": "Recall", "ndcg": "nDCG", "mrr": "MRR", "hit_rate": "hit rate", "liked": "liked", "rmse": "RMSE"}
SETS = ["split", "books", "goodbooks", "films", "amazon", "all"]
PARTS = [*SETS, "new", "stars", "best", "ablation"]
# What a part of nightshelf is worth is what its lists lose without it.
OFF = {
    "nothing": {}, "neighbours": {"neighbours": 0}, "factors": {"factors": 0}, "the learned ranker": {"kind": "none"},
    "the half-life": {"half_life": "never"}, "authors and publishers": {"author_weight": 0, "publisher_weight": 0},
}

# EASE inverts a matrix of items x items: 20,000 of them are 1.6 GB. Its penalty is searched for up to SMALL items.
LARGE, SMALL = 20_000, 3_000
# With more ratings than this a search for settings takes longer than all else. These are what a search outside
# of this report found on all of Book-Crossing.
SEARCHED = 300_000
ON_ALL = {"implicit": {"alpha": 4, "regularization": 30}, "irspack": {"alpha0": 0.03, "reg": 0.001}}

# Two files, the flags of ours, and the file of books where there is one.
Set = collections.namedtuple("Set", "train test flags books")
# What a peer gets: readers x items to learn from, the same of what is held out, how many each reader has of these
# (with those that nobody can know: they count as not found), who is judged, and the items' codes.
Task = collections.namedtuple("Task", "known held_out counts readers items")


def opened(path, encoding="utf-8"):
    return (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding=encoding, newline="")


def rows_of(path, delimiter=",", encoding="utf-8"):
    """The rows of a file; those with tabs have no header."""
    header = ".csv" in path.suffixes
    with opened(path, encoding) as file:
        yield from itertools.islice(csv.reader(file, delimiter=delimiter if header else "\t"), int(header), None)


def books_of(path):
    with opened(path) as file:
        yield from csv.DictReader(file)


def write(path, header, rows):
    with open(path, "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def bookcrossing(data):
    return list(rows_of(data / "bookcrossing/ratings.csv.gz", ";", "latin-1"))


def fifths(rows):
    """Which of five folds each row is in: at random, but the same each time."""
    place = random.Random(0)
    return [place.randrange(5) for _ in rows]


def halves(folder, name, header, rows, is_held_out):
    """Two files: what there is to learn from, and what is held out."""
    return [write(folder / f"{name}-{part}.csv", header, (row for row, out in zip(rows, is_held_out) if out == wanted))
            for part, wanted in (("train", False), ("test", True))]


def goodbooks(data, folder):
    rows = list(rows_of(data / "goodbooks-half/ratings.csv.gz"))
    files = halves(folder, "goodbooks", ["user_id", "isbn", "rating"], rows, [at == 0 for at in fifths(rows)])
    # The first author alone: the others are mostly translators and illustrators. The key is that of the ratings.
    books = ((book["book_id"], book["title"], book["authors"].split(",")[0].strip())
             for book in books_of(data / "goodbooks-half/books.csv.gz"))
    return Set(*files, ["--key", "text"], write(folder / "goodbooks-books.csv", ["isbn", "title", "author"], books))


def amazon(data, folder):
    def seconds(text):
        return int(datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.timezone.utc).timestamp())

    rows = [(*row[:3], seconds(row[3])) for row in rows_of(data / "amazon-books-to-2019/ratings.csv.gz")]
    # No moment may be on both sides.
    cut = sorted(row[3] for row in rows)[len(rows) * 4 // 5 - 1]
    header = ["user_id", "isbn", "rating", "rated_at"]
    return Set(*halves(folder, "amazon", header, rows, [row[3] > cut for row in rows]), [], None)


def films(data, number=1):
    return Set(*(data / f"ml-100k/u{number}.{part}" for part in ("base", "test")), ["--key", "text"], None)


@functools.cache
def the_set(name, data, folder):
    published = [data / f"bookcrossing-split/{part}.tsv.gz" for part in ("train", "validation")]
    books = data / "bookcrossing/books.csv.gz"
    if name == "all":
        rows = bookcrossing(data)
        return Set(*halves(folder, name, ["user", "isbn", "rating"], rows, [at == 0 for at in fifths(rows)]), [], books)
    return {"split": lambda: Set(*published, [], None), "books": lambda: Set(*published, [], books),
            "goodbooks": lambda: goodbooks(data, folder), "amazon": lambda: amazon(data, folder),
            "films": lambda: films(data)}[name]()


def flags_of(given, *more):
    books = ["--books", given.books] if given.books else []
    return ["--train", given.train, "--test", given.test, "--k", K, *given.flags, *books, *more]


def evaluate(program, *flags, **settings):
    """One evaluation of ours: its models, as rows of a table."""
    environment = {f"NIGHTSHELF_{key.upper()}": str(value) for key, value in settings.items()}
    print("$", *(f"{key}={value}" for key, value in environment.items()), "nightshelf evaluate", *flags, flush=True)
    command, since = [program, "evaluate", "--json", "--quiet", *map(str, flags)], time.perf_counter()
    done = subprocess.run(command, env={**os.environ, **environment}, check=True, stdout=-1, stderr=-1, text=True)
    found = json.loads(done.stdout)
    for row in found["models"]:
        row["half"] = {name: (high - low) / 2 for name, (low, high) in (row.get("intervals") or {}).items()}
        if row["name"] == "nightshelf":
            row["seconds"] = time.perf_counter() - since
    print("    {users:,} readers, {items:,} items, {train_ratings:,} ratings to learn from, {test_ratings:,} held out"
          .format(**found["split"]), flush=True)
    return found["models"]


def table(rows):
    """Seconds are those of the whole command for ours, and of fitting and making lists for a peer."""
    shown = [name for name in FIGURES if any(row.get(name) for row in rows)]

    def cell(row, name):
        text = "" if row.get(name) is None else f"{row[name]:.4f}"
        return f"{text} ± {row['half'][name]:.4f}" if text and name in ("recall", "ndcg") else text

    print("\n| |", " | ".join(FIGURES[name] for name in shown), "| seconds |\n|" + " --- |" * (len(shown) + 2))
    for row in rows:
        seconds = f"{row['seconds']:.1f}" if "seconds" in row else ""
        print("|", " | ".join([row["name"], *(cell(row, name) for name in shown), seconds]), "|")
    print(flush=True)


def task_of(given):
    """Both files in the codes of the first."""
    users, items = {}, {}
    known = {(users.setdefault(user, len(users)), items.setdefault(item, len(items)))
             for user, item, *_ in rows_of(given.train)}
    held_out = {(users[user], items.get(item, item)) for user, item, *_ in rows_of(given.test) if user in users}

    def matrix(pairs):
        rows, columns = zip(*sorted(pairs))
        return sp.csr_matrix((np.ones(len(rows), "float32"), (rows, columns)), (len(users), len(items)))

    counts = np.bincount([user for user, _ in held_out], minlength=len(users))
    found = matrix(pair for pair in held_out if isinstance(pair[1], int))
    return Task(matrix(known), found, counts, np.flatnonzero(counts), items)


def inner(task, judged=4000):
    """A tenth of what is known held out once more, to choose settings by, on some readers."""
    place, pairs = np.random.default_rng(0), task.known.tocoo()
    out = place.random(pairs.nnz) < 0.1
    known, held_out = (sp.csr_matrix((pairs.data[part], (pairs.row[part], pairs.col[part])), pairs.shape)
                       for part in (~out, out))
    counts = np.diff(held_out.indptr)
    readers = np.flatnonzero((counts > 0) & (np.diff(known.indptr) > 0))
    return Task(known, held_out, counts, place.permutation(readers)[:judged], task.items)


def figures(task, scores):
    """Each reader's figures, as src/quality/metrics.rs defines them, from the function of some readers' scores."""
    discount = 1 / np.log2(np.arange(K) + 2)
    found, size = [], max(1, 20_000_000 // task.known.shape[1])
    for at in range(0, len(task.readers), size):
        readers = task.readers[at:at + size]
        values, counts, seen = scores(readers), task.counts[readers], task.known[readers].tocoo()
        values[seen.row, seen.col] = -np.inf
        best = np.argpartition(-values, K, axis=1)[:, :K]
        order = np.argsort(-np.take_along_axis(values, best, 1), axis=1)
        best = np.take_along_axis(best, order, 1)
        hits = task.held_out[readers[:, None], best].toarray() > 0
        hits &= np.take_along_axis(values, best, 1) > -np.inf
        gains, ideal = hits @ discount, discount.cumsum()[np.minimum(K, counts) - 1]
        first = np.where(hits.any(1), 1 / (hits.argmax(1) + 1), 0)
        found.append(np.stack([hits.sum(1) / counts, gains / ideal, first, hits.any(1)]))
    return dict(zip(("recall", "ndcg", "mrr", "hit_rate"), np.concatenate(found, axis=1)))


def judge(name, task, fit, **settings):
    """The row of a peer: `fit` learns from what is known, and gives the function of scores."""
    since = time.perf_counter()
    found = figures(task, fit(task.known, **settings))
    half = {figure: 1.96 * values.std(ddof=1) / len(values) ** 0.5 for figure, values in found.items()}
    means = {figure: values.mean() for figure, values in found.items()}
    return {"name": name, **means, "half": half, "seconds": time.perf_counter() - since}


def choose(task, fit, *steps):
    """The settings with the best nDCG; each step tries changes of the best of those before."""
    best, tried = (-1.0, {}), []
    for step in steps:
        for settings in [{**best[1], **change} for change in step]:
            tried.append((judge("", task, fit, **settings)["ndcg"], settings))
        best = max(tried, key=lambda one: one[0])
    print(f"    {fit.__name__}:", ", ".join(f"{settings} {ndcg:.4f}" for ndcg, settings in tried), flush=True)
    return best[1]


def popularity(known):
    readers = np.asarray(known.sum(0), "float32")
    return lambda users: np.repeat(readers, len(users), axis=0)


def implicit(known, alpha, regularization):
    from implicit.als import AlternatingLeastSquares
    model = AlternatingLeastSquares(
        factors=128, iterations=16, alpha=alpha, regularization=regularization, random_state=42)
    model.fit(known, show_progress=False)
    return lambda users: model.user_factors[users] @ model.item_factors.T


def irspack(known, alpha0, reg):
    from irspack.recommenders.ials import IALSRecommender
    model = IALSRecommender(
        known, n_components=128, alpha0=alpha0, reg=reg, nu=1.0, train_epochs=16, n_threads=os.cpu_count())
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        model.learn()
    left, right = model.get_user_embedding(), model.get_item_embedding()
    return lambda users: left[users] @ right.T


def item_knn(known, neighbours=50, shrinkage=10):
    """The shrunk cosine of src/quality/knn.rs, for some items at a time: all pairs would fill the memory."""
    by_item, near = known.T.tocsr(), []
    readers = np.diff(by_item.indptr)
    for at in range(0, len(readers), 2000):
        both = (by_item[at:at + 2000] @ known).tocsr()
        for item, (begin, end) in enumerate(itertools.pairwise(both.indptr), at):
            others = both.indices[begin:end]
            likeness = both.data[begin:end] / (np.sqrt(readers[item] * readers[others]) + shrinkage)
            likeness[others == item] = 0
            kept = np.argsort(-likeness)[:neighbours]
            near.append((others[kept], likeness[kept]))
    offsets = np.cumsum([0, *(len(others) for others, _ in near)])
    others, likeness = (np.concatenate(part) for part in zip(*near))
    similar = sp.csr_matrix((likeness.astype("float32"), others, offsets), (len(readers), len(readers))).T.tocsr()

    def scores(users):
        values = (known[users] @ similar).toarray()
        # A book that is no neighbour of anything read is not in the list.
        values[values == 0] = -np.inf
        return values
    return scores


def ease(known, penalty, makers=None):
    """Steck, WWW 2019. `makers` are rows of made-up readers, who have read all books of one author or publisher."""
    from scipy.linalg import lapack
    rows = known if makers is None else sp.vstack([known, makers]).tocsr()
    gram = (rows.T @ rows).toarray()
    gram[np.diag_indices_from(gram)] += penalty
    # By Cholesky, in place: half the work and a third of the memory of a general inverse. Only one triangle is filled.
    inverse, failed = lapack.spotri(lapack.spotrf(gram.T, overwrite_a=True)[0], overwrite_c=True)
    assert not failed
    upper, scale = np.triu(inverse, 1), -1 / inverse.diagonal()
    weights = (upper + upper.T) * scale
    return lambda users: known[users] @ weights


def makers_of(books, items):
    """A row for each author (weight √6) and publisher (1) with 2 to 300 of the items, as nightshelf weighs them."""
    groups = collections.defaultdict(set)
    for book in books_of(books):
        for column, weight in (("author", 6 ** 0.5), ("publisher", 1)):
            name = " ".join((book.get(column) or "").lower().split())
            if name and book["isbn"] in items:
                groups[column, name, weight].add(items[book["isbn"]])
    rows = [(weight, sorted(own)) for (_, _, weight), own in groups.items() if 2 <= len(own) <= 300]
    cells = [(weight, row, item) for row, (weight, own) in enumerate(rows) for item in own]
    values, places, columns = zip(*cells)
    return sp.csr_matrix((values, (places, columns)), (len(rows), len(items)), dtype="float32")


def peers(given, only_makers):
    """The rows of the peers, with settings searched for where that is soon done."""
    task = task_of(given)
    inside, count, settings, rows = inner(task), task.known.shape[1], ON_ALL, []
    print(f"peers: {len(task.readers):,} readers judged, {count:,} items", flush=True)
    if not only_makers:
        if task.known.nnz <= SEARCHED:
            settings = {
                "implicit": choose(inside, implicit, [{"alpha": 4, "regularization": n} for n in (0.01, 10, 30, 100)],
                                   [{"alpha": n} for n in (1, 16)]),
                "irspack": choose(inside, irspack, [{"alpha0": 0.1, "reg": n} for n in (0.003, 0.01, 0.03, 0.1)],
                                  [{"alpha0": n} for n in (0.03, 0.3)])}
        # The first two are those of ours, but for ties: they show that both sides are measured alike.
        rows += [judge("popularity, counted here", task, popularity), judge("item-kNN (SciPy)", task, item_knn),
                 judge("ALS (implicit)", task, implicit, **settings["implicit"]),
                 judge("iALS (irspack)", task, irspack, **settings["irspack"])]
    if count > LARGE:
        print(f"    no EASE: its dense matrix of {count:,} items would be {count ** 2 * 4 / 1e9:,.0f} GB", flush=True)
        return rows
    penalty = {"penalty": 200}
    if count <= SMALL:
        penalty = choose(inside, ease, [{"penalty": n} for n in (100, 300, 1000)])
    if not only_makers:
        rows.append(judge("EASE", task, ease, **penalty))
    if given.books:
        rows.append(judge("EASE, with makers", task, ease, **penalty, makers=makers_of(given.books, task.items)))
    return rows


def beside(program, data, folder, name):
    """Ours and the peers on one set."""
    given = the_set(name, data, folder)
    rows = evaluate(program, *flags_of(given, *(["--compare", "objective=rating"] if name == "all" else [])))
    # The other peers make the same of "books" as of "split".
    table(rows + peers(given, only_makers=name == "books"))
    if name == "films":
        mean_rmse([rows, *(evaluate(program, *flags_of(films(data, number))) for number in range(2, 6))])


def mean_rmse(found):
    ours, bias = (sum(row["rmse"] for rows in found for row in rows if row["name"] == name) / len(found)
                  for name in ("nightshelf", "damped bias"))
    print(f"mean RMSE {ours:.4f}, damped bias {bias:.4f}: {(1 - ours / bias) * 100:.2f}% less\n", flush=True)


def new(program, data, folder):
    """Book-Crossing, imported: books of which nothing but author and publisher is known."""
    files = [data / "bookcrossing/ratings.csv.gz", data / "bookcrossing/books.csv.gz", "--db", folder / "shop.db"]
    print("$ nightshelf import", *files, flush=True)
    subprocess.run([program, "import", "--quiet", *files], check=True)
    table(evaluate(program, *files[2:], "--k", K, "--split", "new-books"))


def stars(program, data, folder):
    """The explicit ratings of Book-Crossing, in random folds."""
    rows = [row for row in bookcrossing(data) if float(row[2]) > 0]
    at = fifths(rows)
    files = (halves(folder, f"stars{n}", ["user", "isbn", "rating"], rows, [one == n for one in at]) for n in range(5))
    mean_rmse([evaluate(program, "--train", train, "--test", test) for train, test in files])


def best(program, data, folder):
    """What more factors are worth."""
    for name in ("split", "books"):
        flags = flags_of(the_set(name, data, folder), "--factors", 512)
        table(evaluate(program, *flags, unobserved_weight=0.05, regularization=0.01))


def ablation(program, data, folder):
    """nDCG (and Recall) of ours without each of its parts."""
    cells = {what: [] for what in OFF}
    for name, (what, settings) in itertools.product(SETS, OFF.items()):
        try:
            rows = evaluate(program, *flags_of(the_set(name, data, folder)), **settings)
            cells[what] += (f"{row['ndcg']:.4f} ({row['recall']:.4f})" for row in rows if row["name"] == "nightshelf")
        except subprocess.CalledProcessError as error:
            print(error.stderr.partition("\n")[0], flush=True)
            cells[what].append("")
    print("\n| off |", " | ".join(SETS), "|\n|" + " --- |" * (len(SETS) + 1))
    for what, row in cells.items():
        print("|", " | ".join([what, *row]), "|")
    print(flush=True)


def inside_the_environment(program, data, parts):
    with tempfile.TemporaryDirectory() as folder:
        for part in parts:
            print("##", part, flush=True)
            alone = {"new": new, "stars": stars, "best": best, "ablation": ablation}
            of_part = alone.get(part) or functools.partial(beside, name=part)
            of_part(program, data, pathlib.Path(folder))


def main():
    if len(sys.argv) < 3 or not set(sys.argv[3:]) <= set(PARTS):
        sys.exit(__doc__)
    program, data, parts = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2]), sys.argv[3:] or PARTS
    if INSIDE in os.environ or not set(parts) & set(SETS):
        return inside_the_environment(program, pathlib.Path(data), parts)
    with tempfile.TemporaryDirectory() as throwaway:
        home = pathlib.Path(os.environ.get("PEERS", throwaway))
        if not (home / "bin/python").exists():
            venv.create(home, with_pip=True)
        subprocess.run([home / "bin/pip", "install", "--quiet", *PACKAGES], check=True)
        frozen = subprocess.run([home / "bin/pip", "freeze"], check=True, capture_output=True, text=True)
        named = [line for line in frozen.stdout.split() if line.split("==")[0].lower() in PACKAGES]
        print("beside", ", ".join(named), "on", os.cpu_count(), "cores", flush=True)
        line = [home / "bin/python", __file__, program, data, *parts]
        done = subprocess.run(line, env={**os.environ, INSIDE: "1", **QUIET})
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
