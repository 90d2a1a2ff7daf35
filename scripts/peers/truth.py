"""Compares sessions on standard input with a folder of truth: every key of the truth, session by session.

    smtptrail search '*' --json | truth.py FOLDER

Keys that only the program has are additions. Prints what was compared; exit 1 if anything differs.
"""

import collections
import json
import re
import sys
from pathlib import Path

DIFFERENCES_SHOWN = 10


def differences(place: str, truth, found):
    """What the truth has and the session has not."""
    if isinstance(truth, dict) and isinstance(found, dict):
        for key, value in truth.items():
            yield from differences(f"{place}.{key}", value, found.get(key))
    elif isinstance(truth, list) and isinstance(found, list) and len(truth) == len(found):
        for at, value in enumerate(truth):
            yield from differences(f"{place}[{at}]", value, found[at])
    elif truth != found:
        yield f"{place}: truth {json.dumps(truth)}, found {json.dumps(found)}"


def as_written(session: dict) -> dict:
    """The truth names files as the servers wrote them: without codec, and outside of any archive."""
    for source in session["sources"]:
        source["file"] = re.sub(r"/[^/]+[.]zip/", "/", re.sub(r"[.](zst|gz)$", "", source["file"]))
    return session


def values(truth) -> int:
    """How many values were compared."""
    if isinstance(truth, dict):
        return sum(values(value) for value in truth.values())
    if isinstance(truth, list):
        return sum(values(value) for value in truth)
    return 1


def main() -> int:
    folder = Path(sys.argv[1])
    truth = {}
    with open(folder / "sessions.ndjson", encoding="utf-8") as lines:
        for line in lines:
            session = json.loads(line)
            truth[session["id"]] = session
    totals = json.loads((folder / "totals.json").read_text())
    expected = len(truth)
    counts = collections.Counter()
    shown = []
    for line in sys.stdin:
        found = as_written(json.loads(line))
        counts["sessions"] += 1
        counts["replies"] += len(found["replies"])
        session = truth.pop(found["id"], None)
        if session is None:
            counts["invented"] += 1
            shown.append(f"{found['id']}: invented, or there twice")
            continue
        counts["values"] += values(session)
        for difference in differences(found["id"], session, found):
            counts["differences"] += 1
            shown.append(difference)
        del shown[DIFFERENCES_SHOWN:]
    shown.extend(f"{id}: lost" for id in list(truth)[:DIFFERENCES_SHOWN])
    print(
        f"{counts['sessions']:,} sessions against {expected:,} of the truth, {counts['values']:,} values: "
        f"{len(truth):,} lost, {counts['invented']:,} invented, {counts['differences']:,} differences; "
        f"{counts['replies']:,} refusals, {totals['replies']:,} in the truth"
    )
    print("\n".join(shown), end="\n" if shown else "")
    wrong = truth or counts["invented"] or counts["differences"] or counts["replies"] != totals["replies"]
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
