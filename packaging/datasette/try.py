"""Asks each canned query of metadata.yaml of a database, through Datasette itself.

    python packaging/datasette/try.py shop.db

The database must be called shop.db, and have lists, similar books and a reader."""

import json
import pathlib
import sqlite3
import subprocess
import sys
import urllib.parse

db = pathlib.Path(sys.argv[1])
metadata = pathlib.Path(__file__).with_name("metadata.yaml")


def rows(query: str, **parameters) -> list[dict]:
    words = urllib.parse.urlencode({**parameters, "_shape": "array"})
    command = [sys.executable, "-m", "datasette", str(db), "--metadata", str(metadata), "--get", f"/shop/{query}.json?{words}"]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


shop = sqlite3.connect(db)
(user,) = shop.execute("SELECT user_id FROM recommendations LIMIT 1").fetchone()
(isbn,) = shop.execute("SELECT isbn FROM recommendations_similar LIMIT 1").fetchone()
for query, parameters in [
    ("readers_list", {"user_id": user}),
    ("similar_books", {"isbn": isbn}),
    ("popular_books", {}),
    ("diary", {}),
]:
    found = rows(query, **parameters)
    assert found and all(row.get("book", "diary") for row in found), f"{query}: {found}"
    print(f"{query}: {len(found)} rows, the first {found[0]}")
