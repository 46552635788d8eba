"""The limit of storing: `plain_sqlite.py FILE STORE` puts every line of a batch file into one table.

The bytes of the columns are those that `submit` stores, the work is not: a line is only cut into custom_id, url
and body, nothing is checked, hashed, counted or indexed but for the row's number, and 16 zero bytes stand for the
fingerprint. WAL, synchronous=FULL, `executemany` of 10,000 rows a transaction. Prints seconds and CPU seconds.
"""

import itertools
import json
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec

_GROUP = 10_000
_FINGERPRINT = bytes(16)
_TABLE = (
    "CREATE TABLE requests (id INTEGER PRIMARY KEY, job_id INTEGER, route_id INTEGER, line INTEGER,"
    " custom_id TEXT, fingerprint BLOB, size INTEGER, est_input INTEGER, est_output INTEGER, state TEXT,"
    " body BLOB)"
)
_INSERT = "INSERT INTO requests VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


class _Line(msgspec.Struct):
    custom_id: str
    url: str
    body: msgspec.Raw


def _rows(file: str) -> Iterator[tuple[object, ...]]:
    read = msgspec.json.Decoder(_Line).decode
    with Path(file).open("rb") as lines:
        for number, line in enumerate(lines, 1):
            one = read(line)
            body = bytes(one.body)
            yield (number, 1, 1, number, one.custom_id, _FINGERPRINT, len(body), 80, 64, "pending", body)


def main(file: str, store: str) -> None:
    began, cpu_began = time.perf_counter(), time.process_time()
    with closing(sqlite3.connect(store)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(_TABLE)
        rows = _rows(file)
        while group := list(itertools.islice(rows, _GROUP)):
            with connection:
                connection.executemany(_INSERT, group)
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu_began
    sys.stdout.write(json.dumps({"seconds": seconds, "cpu": cpu}))


if __name__ == "__main__":
    main(*sys.argv[1:])
