"""A living shop: ratings are replayed by time, with a night before each step.

usage: living_shop.py PROGRAM RATINGS --from DATE [--every DAYS] [--steps N] [--skip N] [--backfill N] [--books FILE] [-- FLAGS...]

RATINGS is a CSV file (plain or gzip) with user, book, rating and time. Before each step the job is run on all that was
rated until then (with --backfill N: a night every N steps, a backfill before the others; with --skip N only every Nth step is tried); what readers whom it knows
pick up in the step is looked for in their list of ten, in recommendations_popular, and in the ten books that
were read most of late (half-life 30 days). Prints a line for each step and the shares at the end, as JSON last.
"""
import argparse, csv, datetime, gzip, json, os, sqlite3, subprocess, sys, tempfile, time

HALF_LIFE = 30 * 86400


def ratings(path):
    opened = gzip.open(path, "rt") if path.endswith(".gz") else open(path)
    with opened as lines:
        rows = csv.reader(lines)
        next(rows)
        for user, book, rating, moment in (row[:4] for row in rows):
            moment = datetime.datetime.fromisoformat(moment).replace(tzinfo=datetime.timezone.utc).timestamp()
            yield moment, user, book, float(rating)


def popular_of_late(past, now):
    """The books that were read most of late, best first."""
    counts = {}
    for moment, _, book, _ in reversed(past):
        if now - moment > 20 * HALF_LIFE:
            break
        counts[book] = counts.get(book, 0) + 2 ** ((moment - now) / HALF_LIFE)
    return sorted(counts, key=lambda book: (-counts[book], book))[:200]


def main():
    flags = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else []
    words = sys.argv[1 : sys.argv.index("--")] if "--" in sys.argv else sys.argv[1:]
    arguments = argparse.ArgumentParser()
    arguments.add_argument("program")
    arguments.add_argument("ratings")
    arguments.add_argument("--from", dest="start", required=True)
    arguments.add_argument("--every", type=float, default=14)
    arguments.add_argument("--steps", type=int, default=10**9)
    arguments.add_argument("--skip", type=int, default=1, help="only every SKIP-th step")
    arguments.add_argument("--backfill", type=int, default=1)
    arguments.add_argument("--books")
    given = arguments.parse_args(words)
    rows = sorted(ratings(given.ratings))
    step = given.every * 86400
    now = datetime.datetime.fromisoformat(given.start).replace(tzinfo=datetime.timezone.utc).timestamp()
    folder = tempfile.mkdtemp()
    path = os.path.join(folder, "shop.db")
    shop = sqlite3.connect(path, isolation_level=None)
    shop.executescript(
        "PRAGMA journal_mode = WAL; CREATE TABLE ratings (user_id TEXT, isbn TEXT, rating REAL, rated_at TEXT);"
        "CREATE INDEX by_user ON ratings (user_id);"
    )
    if given.books:
        subprocess.run([given.program, "import", "--quiet", "--db", path, given.books], check=True)
    at = number = 0
    past, has = [], {}
    picks = lists = popular = late = refused = 0
    statuses, seconds = {}, 0.0
    while at < len(rows) and number < given.steps:
        new = []
        while at < len(rows) and rows[at][0] < now:
            new.append(rows[at])
            at += 1
        shop.execute("BEGIN")
        for moment, user, book, rating in new:
            stamp = datetime.datetime.fromtimestamp(moment, datetime.timezone.utc).strftime("%Y-%m-%d %H:%M:%S")
            shop.execute("INSERT INTO ratings VALUES (?, ?, ?, ?)", (user, book, rating, stamp))
            has.setdefault(user, set()).add(book)
        shop.execute("COMMIT")
        past += new
        end = at
        while end < len(rows) and rows[end][0] < now + step:
            end += 1
        if number % given.skip == 0:
            job = "run" if number // given.skip % given.backfill == 0 else "backfill"
            since = time.time()
            done = subprocess.run(
                [given.program, job, "--json", "--quiet", "--db", path, *flags], capture_output=True, text=True
            )
            took = time.time() - since
            seconds += took
            refused += done.returncode == 3
            status = json.loads(done.stdout)["status"] if done.returncode == 0 else f"exit {done.returncode}"
            statuses[status] = statuses.get(status, 0) + 1
            of_all = [row[0] for row in shop.execute("SELECT isbn FROM recommendations_popular ORDER BY rank LIMIT 200")]
            here = [0, 0, 0, 0]
            own_lists, late_lists, of_late = {}, {}, popular_of_late(past, now)
            for _, user, book, _ in rows[at:end]:
                if user not in has or book in has[user]:
                    continue
                if user not in own_lists:
                    found = shop.execute("SELECT isbn FROM recommendations WHERE user_id = ? AND rank <= 10", (user,))
                    own_lists[user] = {row[0] for row in found}
                    late_lists[user] = set([other for other in of_late if other not in has[user]][:10])
                shown = [other for other in of_all if other not in has[user]][:10]
                here[0] += 1
                here[1] += book in own_lists[user]
                here[2] += book in shown
                here[3] += book in late_lists[user]
            picks, lists, popular, late = picks + here[0], lists + here[1], popular + here[2], late + here[3]
            date = datetime.datetime.fromtimestamp(now, datetime.timezone.utc).date()
            print(f"{date} {job:8} {status:10} {took:5.1f} s, {here[0]} picks: own {here[1]}, popular {here[2]}, late {here[3]}", flush=True)
        number += 1
        now += step
    share = lambda hits: round(hits / max(picks, 1), 5)
    print(json.dumps({
        "picks": picks, "own": share(lists), "popular": share(popular), "late": share(late),
        "own_to_late": round(lists / max(late, 1), 3), "statuses": statuses, "refused": refused, "seconds": round(seconds, 1),
    }))


main()
