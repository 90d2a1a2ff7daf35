"""The same sessions in DuckDB, as its users would write it: one SQL statement over the compressed files.

    duckdb_sessions.py build DATABASE FOLDER THREADS     makes the table, prints what it holds
    duckdb_sessions.py refused DATABASE STATUS           the certificate with most such refusals, and its sessions
    duckdb_sessions.py find DATABASE THUMBPRINT STATUS   ten sessions, from a cold process
    duckdb_sessions.py repeat DATABASE THUMBPRINT STATUS TIMES    the same in one process: median in ms
    duckdb_sessions.py export FILE OUTPUT THREADS        writes a file of JSON rows again; prints rows, bytes and seconds
    duckdb_sessions.py version

The table is bare: no reply texts, no envelopes, no full text, and a second run reads everything again.
"""

import json
import statistics
import sys
import time
from pathlib import Path

import duckdb

# The columns of an Exchange log. Types are given, because guessing them costs DuckDB a second.
COLUMNS = {
    "time": "TIMESTAMP",
    "connector": "VARCHAR",
    "session": "VARCHAR",
    "sequence": "INTEGER",
    "local": "VARCHAR",
    "remote": "VARCHAR",
    "event": "VARCHAR",
    "data": "VARCHAR",
    "context": "VARCHAR",
}

# `server` and `direction` come from the path: EX001/.../SEND2024030106-1.LOG.zst.
# A certificate is one row with everything (2016 and later), where the thumbprint is the last word of
# 40 hex digits, because a serial number may be as long. Or it is six rows, where only the first says
# whose it is and the fifth has the thumbprint. A session can negotiate twice, so a refusal belongs
# to the certificate presented last before it. Rows that are not UTF-8 are lost (`ignore_errors`).
BUILD = r"""
CREATE TABLE sessions AS
WITH grouped AS (
    SELECT
        split_part(substr(filename, $prefix), '/', 1) AS server,
        upper(left(parse_filename(filename), 4)) AS direction,
        session,
        min(time) AS started,
        max(time) AS ended,
        count(*) AS records,
        list({'sequence': sequence, 'thumbprint': regexp_extract(data, '.* ([0-9A-F]{40})', 1)})
            FILTER (context LIKE 'Sending certificate %') AS one_row,
        list(sequence) FILTER (context = 'Sending certificate') AS headers,
        list({'sequence': sequence, 'thumbprint': data})
            FILTER (context = 'Certificate thumbprint') AS thumbprints,
        list({'sequence': sequence, 'status': regexp_extract(data, '^5[0-9][0-9][ -](5\.[0-9]+\.[0-9]+)', 1)})
            FILTER (event IN ('<', '>') AND data LIKE '5__%') AS refusals
    FROM read_csv($glob, columns = $columns, auto_detect = false, header = false, delim = ',', quote = '"',
                  escape = '"', comment = '#', filename = true, ignore_errors = true)
    GROUP BY ALL
), certificates AS (
    SELECT * EXCLUDE (one_row, headers, thumbprints), coalesce(
        one_row,
        list_filter(thumbprints, lambda row: list_contains(headers, row.sequence - 4))
    ) AS presented
    FROM grouped
)
SELECT
    server, direction, session, started, ended, records,
    list_max(presented).thumbprint AS presented,
    list_distinct(list_transform(refusals, lambda refusal: {
        'status': refusal.status,
        'presented': list_max(list_filter(presented, lambda row: row.sequence < refusal.sequence)).thumbprint
    })) AS refusals
FROM certificates
"""

TEN = """
SELECT server, direction, session, started, ended, records, presented, refusals
FROM sessions WHERE list_contains(refusals, {'status': $status, 'presented': $thumbprint}) LIMIT 10
"""


def build(database: str, folder: str, threads: str) -> None:
    """Makes the session table in a fresh database and writes it through to the disk."""
    Path(database).unlink(missing_ok=True)
    prefix = len(str(Path(folder))) + 2
    with duckdb.connect(database, config={"threads": int(threads), "preserve_insertion_order": False}) as connection:
        statement = BUILD.replace("$glob", f"'{folder}/**/*.LOG.zst'").replace("$prefix", str(prefix))
        connection.execute(statement.replace("$columns", repr(COLUMNS)))
        connection.execute("CHECKPOINT")
        sessions, records = connection.execute("SELECT count(*), sum(records) FROM sessions").fetchone()
    print(json.dumps({"sessions": sessions, "records": int(records)}))


def refused(database: str, status: str) -> None:
    """Prints the certificate with the most sessions that met the status."""
    query = """SELECT refusal.presented, count(*) FROM (SELECT unnest(refusals) AS refusal FROM sessions)
               WHERE refusal.status = $status AND refusal.presented IS NOT NULL
               GROUP BY ALL ORDER BY 2 DESC, 1 LIMIT 1"""
    with duckdb.connect(database, read_only=True) as connection:
        thumbprint, sessions = connection.execute(query, {"status": status}).fetchone()
    print(json.dumps({"thumbprint": thumbprint, "sessions": sessions}))


def find(database: str, thumbprint: str, status: str) -> None:
    """Prints ten sessions that presented the certificate and met the status."""
    with duckdb.connect(database, read_only=True) as connection:
        for row in ten(connection, thumbprint, status):
            print(json.dumps([str(value) for value in row]))


def repeat(database: str, thumbprint: str, status: str, times: str) -> None:
    """Prints the median of many runs of the same query in one process."""
    seconds = []
    with duckdb.connect(database, read_only=True, config={"threads": 2}) as connection:
        for _ in range(int(times)):
            start = time.perf_counter()
            ten(connection, thumbprint, status)
            seconds.append(time.perf_counter() - start)
    print(json.dumps({"median_ms": statistics.median(seconds) * 1000}))


def ten(connection, thumbprint: str, status: str) -> list[tuple]:
    return connection.execute(TEN, {"thumbprint": thumbprint, "status": status}).fetchall()


def export(file: str, output: str, threads: str) -> None:
    """Loads a file of JSON rows, untimed, and writes the table as JSON rows."""
    with duckdb.connect(config={"threads": int(threads)}) as connection:
        connection.execute(
            "CREATE TABLE events AS SELECT * FROM read_json($file, format = 'newline_delimited', sample_size = -1)",
            {"file": file},
        )
        start = time.perf_counter()
        rows = connection.execute(f"COPY events TO '{output}' (FORMAT json)").fetchone()[0]
        seconds = time.perf_counter() - start
    print(json.dumps({"rows": rows, "bytes": Path(output).stat().st_size, "seconds": seconds}))


def version() -> None:
    print(duckdb.__version__)


VERBS = {verb.__name__: verb for verb in (build, refused, find, repeat, export, version)}

if __name__ == "__main__":
    VERBS[sys.argv[1]](*sys.argv[2:])
