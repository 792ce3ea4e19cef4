#!/usr/bin/env python3
"""Fits nightshelf's factors on Apache Spark, for whom one machine is too small.

    nightshelf export training --db shop.db --out training
    spark-submit jobs/spark/train.py --training training --work hdfs:///nightshelf
    nightshelf run --db shop.db --factors training

The arithmetic of a half-step is the program's own: each partition of rows goes to `nightshelf half-step` as an Arrow stream,
and comes back as factors. Spark moves rows about, and does a partition again whose machine is lost. Factors are kept after
each half-step in --work; started again, the training goes on from there.

Needs pyspark 4 with pandas, pyarrow and numpy, and nightshelf (a package, or `pip install` of its wheel) on every machine.
"""

import argparse
import contextlib
import glob
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

import numpy
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark import SparkFiles, StorageLevel
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

FORMAT = 1
SOLVED = "code int, factors array<float>, loss double"
OTHER = {"readers": "books", "books": "readers"}
# Rows in a file of factors: some tens of megabytes.
ROWS = 1 << 17


def arguments():
    parser = argparse.ArgumentParser(description="Fits nightshelf's factors on Apache Spark.")
    parser.add_argument("--training", required=True, metavar="FOLDER", help="what `nightshelf export training` wrote; factors go there, too")
    parser.add_argument("--pairs", metavar="URL", help="where every machine finds the pairs, if not in the same folder: a copy of it")
    parser.add_argument("--work", metavar="URL", help="where factors are kept after each half-step, for every machine to see [default: FOLDER/work]")
    parser.add_argument("--nightshelf", default="nightshelf", metavar="PROGRAM", help="the program, on every machine")
    parser.add_argument("--partitions", type=int, default=0, metavar="N", help="partitions of each side [default: four for every core]")
    parser.add_argument("--mode", choices=["exact", "mllib"], default="exact", help="our half-steps, or MLlib's own ALS for comparison")
    parser.add_argument("--epochs", type=int, default=0, metavar="N", help="epochs, if not as many as the settings say")
    parser.add_argument("--mllib-regularization", type=float, default=0.05, metavar="λ", help="of MLlib")
    parser.add_argument("--mllib-alpha", type=float, default=10.0, metavar="α", help="of MLlib: a pair's confidence is 1 + α weight")
    return parser.parse_args()


def say(*words):
    print(*words, flush=True)


def half_step(program, *words, rows=None, threads=0):
    """Calls the program's half-step; `rows` go to its stdin as an Arrow stream. Returns its stdout."""
    environment = dict(os.environ)
    if threads:
        environment.update(RAYON_NUM_THREADS=str(threads), NIGHTSHELF_THREADS=str(threads))
    command = [program, "half-step", *words]
    with tempfile.TemporaryFile() as told:
        try:
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=told, env=environment)
        except OSError as error:
            raise SystemExit(f"{program} cannot be started on this machine: {error}; name it with --nightshelf") from None
        try:
            if rows is not None:
                schema, batches = rows
                with pa.ipc.new_stream(process.stdin, schema) as writer:
                    for batch in batches:
                        writer.write_batch(batch)
            process.stdin.close()
        except BrokenPipeError:
            pass  # Its exit code says why.
        answer = process.stdout.read()
        if process.wait() != 0:
            told.seek(0)
            raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}: {told.read().decode(errors='replace').strip()}")
    return answer


def solver(program, words, features):
    """What a task does with its partition."""

    def solve(batches):
        first = next(batches, None)
        if first is None:
            return
        path = SparkFiles.get(features)
        # Features of other half-steps are of no use any more; one that another task still reads stays open for it.
        for old in glob.glob(os.path.join(SparkFiles.getRootDirectory(), "features-*")):
            if os.path.basename(old) < features:
                with contextlib.suppress(FileNotFoundError):
                    os.remove(old)

        def all_batches():
            yield first
            yield from batches

        answer = half_step(program, "solve", *words, "--features", path, rows=(first.schema, all_batches()), threads=1)
        schema = pa.schema([("code", pa.int32()), ("factors", pa.list_(pa.float32())), ("loss", pa.float64())])
        for batch in pa.ipc.open_stream(answer):
            yield from pa.Table.from_batches([batch]).cast(schema).to_batches()

    return solve


class Training:
    """One part: `judged` or `all`."""

    def __init__(self, cluster, name, about):
        self.cluster, self.name, self.about = cluster, name, about
        self.epochs = cluster.args.epochs or about["epochs"]
        self.folder = os.path.join(cluster.args.training, name)
        self.words = ["--manifest", json.dumps(cluster.manifest), "--part", name]
        self.losses, self.rows = {}, {}

    def partitioned(self, side):
        """The rows of a side, each with all its pairs; shuffled once."""
        if side not in self.rows:
            spark, column, other = self.cluster.spark, side[:-1], OTHER[side][:-1]
            pairs = spark.read.parquet(f"{self.cluster.pairs}/{self.name}/pairs.parquet")
            pairs = pairs.repartition(self.cluster.partitions, column)
            pairs = pairs.groupBy(column).agg(F.sort_array(F.collect_list(F.struct(other, "weight"))).alias("pairs"))
            rows = pairs.select(
                F.col(column).alias("code"), F.col(f"pairs.{other}").alias("columns"), F.col("pairs.weight").alias("weights")
            )
            self.rows[side] = rows.persist(StorageLevel.MEMORY_AND_DISK)
        return self.rows[side]

    def checkpoint(self, side, epoch):
        return f"{self.cluster.work}/{self.name}/epoch-{epoch:04}/{side}"

    def solved(self, side, epoch):
        return self.cluster.spark.read.parquet(self.checkpoint(side, epoch))

    def features(self, side, epoch):
        """The factors of a side after an epoch in a file, ready for the other side; of readers after epoch 0, those that a
        training begins with."""
        path = self.cluster.new_file()
        words = ["prepare", *self.words, "--side", side, "--out", path]
        if side == "readers" and epoch == 0 and not self.about["goes_on"]:
            half_step(self.cluster.args.nightshelf, *words, "--beginning")
        elif side == "books" and epoch == 0:
            self.cluster.prepare(self.cluster.parts["judged"].last("books"), words)
        else:
            self.cluster.prepare(self.solved(side, epoch), words)
        return path

    def last(self, side):
        return self.solved(side, self.epochs)

    def step(self, side, epoch, features):
        """Solves a side against the features of the other, unless that was done before the training was stopped. Returns the
        sum of the rows' losses."""
        spark, place = self.cluster.spark, self.checkpoint(side, epoch)
        if not self.cluster.is_there(f"{place}/_SUCCESS"):
            path = features()
            spark.sparkContext.addFile(path)
            solve = solver(self.cluster.args.nightshelf, [*self.words, "--side", side], os.path.basename(path))
            self.partitioned(side).mapInArrow(solve, SOLVED).write.mode("overwrite").parquet(place)
            os.remove(path)
        return spark.read.parquet(place).agg(F.sum("loss")).first()[0] or 0.0

    def fit(self):
        if self.about["goes_on"]:
            self.step("readers", 0, lambda: self.features("books", 0))
        for epoch in range(1, self.epochs + 1):
            began = time.monotonic()
            was_there = self.cluster.is_there(f"{self.checkpoint('readers', epoch)}/_SUCCESS")
            loss = self.step("books", epoch, lambda: self.features("readers", epoch - 1))
            loss += self.step("readers", epoch, lambda: self.features("books", epoch))
            self.losses[epoch] = loss / max(self.about["ratings"], 1)
            spent = "was done before" if was_there else f"{time.monotonic() - began:.1f} s"
            say(f"{self.name:8} epoch {epoch} of {self.epochs}: loss {self.losses[epoch]:.5f} a rating, {spent}")
        for rows in self.rows.values():
            rows.unpersist()
        # The readers were solved against books in another basis than the books themselves stand in.
        path = self.features("books", self.epochs)
        books = turned(path)
        os.remove(path)
        self.write("books", pa.table({"code": pa.array(range(len(books)), pa.int32()), "factors": lists(books)}))
        self.write("readers", self.last("readers").select("code", "factors").toArrow())

    def fit_mllib(self):
        from pyspark.ml.recommendation import ALS

        model, args = self.about["model"], self.cluster.args
        pairs = self.cluster.spark.read.parquet(f"{self.cluster.pairs}/{self.name}/pairs.parquet")
        began = time.monotonic()
        blocks = self.cluster.partitions
        als = ALS(
            rank=model["factors"], maxIter=self.epochs, regParam=args.mllib_regularization, alpha=args.mllib_alpha,
            implicitPrefs=True, userCol="reader", itemCol="book", ratingCol="weight", seed=model["seed"],
            numUserBlocks=blocks, numItemBlocks=blocks,
        )
        fitted = als.fit(pairs)
        sides = {"readers": fitted.userFactors, "books": fitted.itemFactors}
        tables = {side: rows.selectExpr("id AS code", "features AS factors").toArrow() for side, rows in sides.items()}
        spent = time.monotonic() - began
        say(f"{self.name:8} MLlib, {self.epochs} iterations: {spent:.1f} s, {spent / self.epochs:.2f} s each")
        for side, table in tables.items():
            self.write(side, table)

    def write(self, side, table):
        """Factors of all rows, in files of some; zeros for rows without pairs, which nobody has solved."""
        rows, width = self.about[side], self.about["model"]["factors"]
        factors = numpy.zeros((rows, width), numpy.float32)
        codes = table["code"].to_numpy()
        factors[codes] = table["factors"].combine_chunks().flatten().to_numpy().reshape(len(codes), width)
        folder = os.path.join(self.folder, "factors")
        os.makedirs(folder, exist_ok=True)
        for old in glob.glob(os.path.join(folder, f"{side}-*.parquet")):
            os.remove(old)
        for number, first in enumerate(range(0, rows, ROWS)):
            some = factors[first : first + ROWS]
            own = pa.table({"code": pa.array(numpy.arange(first, first + len(some), dtype=numpy.int32)), "factors": lists(some)})
            name = f"{self.name}/factors/{side}-{number:05}.parquet"
            pq.write_table(own, os.path.join(self.cluster.args.training, name))
            self.cluster.files.append({"part": self.name, "side": side, "file": name, "rows": len(some)})


def turned(path):
    """The features of a file that `half-step prepare` wrote: safetensors, read without its library."""
    with open(path, "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        begin = file.tell()
    about = header["features"]
    return numpy.memmap(path, "<f4", "r", begin + about["data_offsets"][0], tuple(about["shape"]))


def lists(rows):
    offsets = numpy.arange(0, rows.size + 1, rows.shape[1], dtype=numpy.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(numpy.asarray(rows).reshape(-1), pa.float32()))


class Cluster:
    def __init__(self, args, spark):
        self.args, self.spark, self.files = args, spark, []
        with open(os.path.join(args.training, "manifest.json"), encoding="utf-8") as file:
            self.manifest = json.load(file)
        if self.manifest["format"] != FORMAT:
            sys.exit(f"{args.training}: the manifest's format is {self.manifest['format']}, and this script reads {FORMAT}")
        self.pairs = args.pairs or os.path.abspath(args.training)
        self.work = args.work or os.path.abspath(os.path.join(args.training, "work"))
        self.partitions = args.partitions or 4 * spark.sparkContext.defaultParallelism
        self.own = tempfile.mkdtemp(prefix="nightshelf-")
        self.count = 0
        parts = {name: self.manifest[name] for name in ("judged", "all") if self.manifest.get(name)}
        self.parts = {name: Training(self, name, about) for name, about in parts.items()}
        self.claim()

    def filesystem(self, place):
        hadoop = self.spark._jvm.org.apache.hadoop.fs.Path(place)
        return hadoop.getFileSystem(self.spark._jsc.hadoopConfiguration()), hadoop

    def is_there(self, place):
        files, path = self.filesystem(place)
        return files.exists(path)

    def claim(self):
        """Factors of other ratings or settings must not be gone on from."""
        place, own = f"{self.work}/training", json.dumps([self.args.mode, self.manifest], sort_keys=True)
        if self.is_there(place):
            theirs = "".join(row.value for row in self.spark.read.text(place).collect())
            if theirs != own:
                sys.exit(f"{self.work} has factors of another training: remove it, or name another place with --work")
        else:
            self.spark.createDataFrame([(own,)], "value string").coalesce(1).write.text(place)

    def new_file(self):
        self.count += 1
        return os.path.join(self.own, f"features-{self.count:06}")

    def prepare(self, rows, words):
        table = rows.select("code", "factors").toArrow()
        half_step(self.args.nightshelf, *words, rows=(table.schema, table.to_batches()))

    def fit(self):
        place = os.path.join(self.args.training, "factors.json")
        if os.path.exists(place):
            os.remove(place)
        for part in self.parts.values():
            if self.args.mode == "exact":
                part.fit()
            else:
                part.fit_mllib()
        about = {
            "format": FORMAT,
            "digest": self.manifest["digest"],
            "engine": f"Spark {self.spark.version}, {self.args.mode}",
            "losses": {name: list(part.losses.values()) for name, part in self.parts.items()},
            "files": self.files,
        }
        with open(place + ".unfinished", "w", encoding="utf-8") as file:
            json.dump(about, file, indent=1)
        os.replace(place + ".unfinished", place)
        say(f"factors  {len(self.files)} files; nightshelf run --db … --factors {self.args.training}")


def main():
    args = arguments()
    # On one machine, tasks run in this Python, and not in the system's.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    # Factors are collected whole, to be handed to every machine again; and what is said is a line an epoch.
    settings = {"spark.driver.maxResultSize": "0", "spark.ui.showConsoleProgress": "false"}
    spark = SparkSession.builder.appName("nightshelf").config(map=settings).getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    cluster = Cluster(args, spark)
    try:
        cluster.fit()
    finally:
        shutil.rmtree(cluster.own, ignore_errors=True)
        spark.stop()


if __name__ == "__main__":
    main()
