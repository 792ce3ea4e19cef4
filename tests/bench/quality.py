#!/usr/bin/env python3
"""The quality report of docs/figures.md, measured anew.

    tests/bench/quality.py target/release/nightshelf DATA [PART...]

DATA is a folder with bookcrossing/, bookcrossing-split/ and ml-100k/ (README.md says what they are).
Parts: split, best, all, films, stars, new. Every figure is that of one `nightshelf evaluate`, whose command
is printed before it.
"""

import csv
import gzip
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile

FIGURES = ["rmse", "recall", "ndcg", "mrr", "hit_rate", "coverage"]


def evaluate(program, *flags, **settings):
    """Runs one evaluation; the models' figures by name."""
    environment = {f"NIGHTSHELF_{key.upper()}": str(value) for key, value in settings.items()}
    words = [f"{key}={value}" for key, value in environment.items()]
    print("$", *words, "nightshelf evaluate", *flags, flush=True)
    command = [program, "evaluate", "--json", "--quiet", *map(str, flags)]
    done = subprocess.run(command, env={**os.environ, **environment}, check=True, capture_output=True)
    models = {model["name"]: model for model in json.loads(done.stdout)["models"]}
    for name, model in models.items():
        shown = [f"{figure} {model[figure]:.4f}" for figure in FIGURES if model[figure] is not None]
        print(f"    {name:20}", "  ".join(shown), flush=True)
    return models


def shop(program, data, folder):
    """Book-Crossing, imported."""
    db = folder / "shop.db"
    files = [data / "bookcrossing/ratings.csv.gz", data / "bookcrossing/books.csv.gz"]
    subprocess.run([program, "import", "--quiet", *files, "--db", db], check=True)
    return db


def folds(data, folder, count=5):
    """The explicit ratings of Book-Crossing in random folds: pairs of files."""
    with gzip.open(data / "bookcrossing/ratings.csv.gz", "rt", encoding="latin-1") as file:
        rows = [row for row in list(csv.reader(file, delimiter=";"))[1:] if float(row[2]) > 0]
    place = random.Random(0)
    fold = [place.randrange(count) for _ in rows]
    for number in range(count):
        names = [folder / f"{part}{number}.csv" for part in ("train", "test")]
        for name, held_out in zip(names, (False, True)):
            with open(name, "w", newline="") as file:
                writer = csv.writer(file)
                writer.writerow(["user", "isbn", "rating"])
                writer.writerows(row for row, at in zip(rows, fold) if (at == number) == held_out)
        yield names


def mean_rmse(found, name):
    return sum(models[name]["rmse"] for models in found) / len(found)


def main():
    program, data = sys.argv[1], pathlib.Path(sys.argv[2])
    parts = sys.argv[3:] or ["split", "best", "all", "films", "stars", "new"]
    split = data / "bookcrossing-split"
    published = ["--train", split / "train.tsv.gz", "--test", split / "validation.tsv.gz", "--k", 20]
    books = ["--books", data / "bookcrossing/books.csv.gz"]
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        if "split" in parts:
            evaluate(program, *published)
            evaluate(program, *published, *books)
        if "best" in parts:
            best = {"unobserved_weight": 0.05, "regularization": 0.01}
            evaluate(program, *published, "--factors", 512, **best)
            evaluate(program, *published, *books, "--factors", 512, **best)
        if "all" in parts or "new" in parts:
            db = shop(program, data, folder)
            if "all" in parts:
                evaluate(program, "--db", db, "--k", 20, "--compare", "objective=rating")
            if "new" in parts:
                evaluate(program, "--db", db, "--k", 20, "--split", "new-books")
        if "films" in parts:
            film = lambda n: [data / f"ml-100k/u{n}.{part}" for part in ("base", "test")]
            found = []
            for n in range(1, 6):
                train, test = film(n)
                found.append(evaluate(program, "--key", "text", "--k", 20, "--train", train, "--test", test))
            print(f"mean RMSE {mean_rmse(found, 'nightshelf'):.4f}, "
                  f"damped bias {mean_rmse(found, 'damped bias'):.4f}")
        if "stars" in parts:
            found = [evaluate(program, "--train", train, "--test", test) for train, test in folds(data, folder)]
            ours, bias = mean_rmse(found, "nightshelf"), mean_rmse(found, "damped bias")
            print(f"mean RMSE {ours:.4f}, damped bias {bias:.4f}: {(1 - ours / bias) * 100:.2f}% less")


if __name__ == "__main__":
    main()
