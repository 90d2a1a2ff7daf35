"""Prints what pyarrow and DuckDB each find in a Parquet file of events, as JSON."""

import json
import sys

import duckdb
import pyarrow.compute as pc
import pyarrow.parquet as pq

path = sys.argv[1]


def by_pyarrow(table, keys):
    counted = table.group_by(keys, use_threads=False).aggregate([([], "count_all")])
    rows = [list(row) for row in zip(*(counted[name].to_pylist() for name in [*keys, "count_all"]))]
    return sorted(rows, key=str)


def by_duckdb(kind, keys):
    names = ", ".join(f'"{key}"' for key in keys)
    where = f"WHERE kind = '{kind}'" if kind else ""
    query = f"SELECT {names}, count(*) FROM read_parquet(?) {where} GROUP BY {names}"
    return sorted(([*row] for row in duckdb.execute(query, [path]).fetchall()), key=str)


QUESTIONS = {
    "kinds": (None, ["kind"]),
    "sessions": ("session-end", ["server"]),
    "statuses": ("refusal", ["status"]),
    "presented": ("refusal", ["presented", "status"]),
}

events = pq.read_table(path)
found = {"pyarrow": {}, "duckdb": {}}
for name, (kind, keys) in QUESTIONS.items():
    table = events.filter(pc.equal(events["kind"], kind)) if kind else events
    found["pyarrow"][name] = by_pyarrow(table, keys)
    found["duckdb"][name] = by_duckdb(kind, keys)

metadata = pq.ParquetFile(path).metadata
found["rows"] = metadata.num_rows
found["ids"] = duckdb.execute("SELECT count(DISTINCT id) FROM read_parquet(?)", [path]).fetchone()[0]
found["filters"] = [
    row[0]
    for row in duckdb.execute(
        "SELECT DISTINCT path_in_schema FROM parquet_metadata(?) WHERE bloom_filter_length > 0 ORDER BY 1", [path]
    ).fetchall()
]
# A certificate that no event has: the filters rule out every row group.
probe = "SELECT count(*), count(*) FILTER (bloom_filter_excludes) FROM parquet_bloom_probe(?, 'presented', ?)"
found["ruled_out"] = duckdb.execute(probe, [path, "0" * 40]).fetchone()
print(json.dumps(found))
