#!/usr/bin/env python3
"""Tries train.py on a Spark of this machine: the same lists as at home, a training that is killed and goes on, a machine that
is lost. Needs pyspark, pandas, pyarrow, numpy and a Java; .ci/run calls it.

    python jobs/spark/try.py target/release/nightshelf
"""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))


def call(*words, **more):
    done = subprocess.run(words, capture_output=True, text=True, **more)
    if done.returncode != 0:
        sys.exit(f"{' '.join(words)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done


def train(folder, program, *words):
    return [sys.executable, os.path.join(HERE, "train.py"), "--training", folder, "--nightshelf", program, "--partitions", "2", *words]


def lists(db):
    with sqlite3.connect(db) as connection:
        return set(connection.execute("SELECT user_id, isbn FROM recommendations"))


def wait_for(there, process):
    """Waits for a state, not for a time."""
    while not there():
        if process.poll() is not None:
            sys.exit(f"the training ended with {process.returncode} before it was to be killed")
        time.sleep(0.05)


def main():
    program = os.path.abspath(sys.argv[1])
    own = tempfile.mkdtemp(prefix="nightshelf-")
    environment = dict(os.environ, NIGHTSHELF_EPOCHS="8", NIGHTSHELF_FACTORS="32", SPARK_LOCAL_IP="127.0.0.1", PYSPARK_SUBMIT_ARGS="--master local[2] pyspark-shell")
    try:
        db, folder = os.path.join(own, "demo.db"), os.path.join(own, "training")
        call(program, "demo", "--db", db, env=environment)
        home, ours = json.loads(call(program, "run", "--db", db, "--force", "--json", env=environment).stdout), lists(db)
        call(program, "export", "training", "--db", db, "--out", folder, env=environment)

        # Killed with all that it started, in the midst of the third epoch: the first two are not done again.
        whole = os.path.join(folder, "work/judged/epoch-0002/readers/_SUCCESS")
        process = subprocess.Popen(train(folder, program), env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        wait_for(lambda: os.path.exists(whole), process)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        before = os.stat(whole).st_mtime_ns
        assert not os.path.exists(os.path.join(folder, "factors.json"))

        # Gone on with, while the program fails in some task: Spark gives it to another.
        failing = os.path.join(own, "nightshelf")
        with open(failing, "w", encoding="utf-8") as file:
            file.write(f'#!/bin/sh\n[ "$2" = solve ] && mkdir {own}/failed 2>/dev/null && kill -9 $$\nexec {program} "$@"\n')
        os.chmod(failing, 0o755)
        retrying = dict(environment, PYSPARK_SUBMIT_ARGS="--master local[2,4] pyspark-shell")
        told = call(*train(folder, failing), env=retrying).stdout
        assert os.path.isdir(os.path.join(own, "failed")), "no task has failed"
        assert os.stat(whole).st_mtime_ns == before, "an epoch was done twice"
        assert told.count("was done before") == 2, told
        print(told.strip())

        night = json.loads(call(program, "run", "--db", db, "--factors", folder, "--json", env=environment).stdout)
        call(program, "check", "--db", db, env=environment)
        theirs = lists(db)
        figures = [night["metrics"]["gate"]["model"] for night in (home, night)]
        same = len(ours & theirs) / len(ours)
        print(f"nDCG@20 {figures[0]:.4f} at home, {figures[1]:.4f} by Spark; {same:.0%} of the entries are the same")
        assert abs(figures[1] / figures[0] - 1) < 0.01 and same > 0.9

        # Factors of another training are not gone on from, and MLlib's are of the same form.
        call(program, "export", "training", "--db", db, "--out", folder, "--seed", "7", env=environment)
        refused = subprocess.run(train(folder, program), env=environment, capture_output=True, text=True)
        assert refused.returncode != 0 and "another training" in refused.stderr, refused.stderr
        told = call(*train(folder, program, "--mode", "mllib", "--work", os.path.join(own, "other")), env=environment).stdout
        print(told.strip())
        call(program, "run", "--db", db, "--factors", folder, "--force", "--seed", "7", env=environment)
        call(program, "check", "--db", db, "--seed", "7", env=environment)
    finally:
        shutil.rmtree(own, ignore_errors=True)


if __name__ == "__main__":
    main()
