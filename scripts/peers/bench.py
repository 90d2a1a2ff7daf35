"""smtptrail beside its peers: every contestant reads the same files in the same run.

Contestants alternate over the rounds, so that a machine that slows down slows all of them.
The best of the rounds is compared, because noise only ever adds; the median stands beside it.
A contestant's time counts only if its answer is that of the others.
"""

import argparse
import hashlib
import json
import os
import platform
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable

REPOSITORY = Path(__file__).resolve().parent.parent.parent
DUCKDB = [sys.executable, str(REPOSITORY / "scripts/peers/duckdb_sessions.py")]
STATUS = "5.7.64"
THREADS = 2
MIB = 1 << 20

# Nothing here takes a tenth of this; a contestant that hangs must not hang the run.
SECONDS_MAX = 1200


class Failure(Exception):
    """A contestant failed, or gave another answer than the rest."""


# --- running ---------------------------------------------------------------------------------


@dataclass
class Run:
    """One process, from start to end."""

    seconds: float
    peak_bytes: int
    output: str


def execute(command: list[str]) -> Run:
    """Runs a command. The peak is its own memory, or that of the largest process it waited for."""
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=errors)
        timer = threading.Timer(SECONDS_MAX, process.kill)
        timer.start()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        timer.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        errors.seek(0)
        if process.returncode != 0:
            raise Failure(f"{shlex.join(command)}: exit {process.returncode}\n{errors.read()}")
        return Run(seconds, usage.ru_maxrss * 1024, output.read())


@dataclass
class Contestant:
    """A command that is timed, what has to be done before each time, and what it answers."""

    name: str
    command: list[str]
    prepare: Callable[[], None] = lambda: None
    runs: list[Run] = field(default_factory=list)

    def run(self) -> None:
        self.prepare()
        self.runs.append(execute(self.command))

    @property
    def best(self) -> float:
        return min(run.seconds for run in self.runs)

    @property
    def median(self) -> float:
        return statistics.median(run.seconds for run in self.runs)

    @property
    def peak_bytes(self) -> int:
        return max(run.peak_bytes for run in self.runs)

    @property
    def output(self) -> str:
        return self.runs[-1].output


def alternate(contestants: list[Contestant], rounds: int) -> None:
    """Runs all of them in every round, each round beginning with another one."""
    for turn in range(rounds):
        say(f"round {turn + 1} of {rounds}")
        first = turn % len(contestants)
        for contestant in contestants[first:] + contestants[:first]:
            contestant.run()


def say(text: str) -> None:
    print(f"-- {text}", file=sys.stderr, flush=True)


# --- inputs ----------------------------------------------------------------------------------


@dataclass
class Fleet:
    """A generated set of logs, and the totals that the generator knows to be true."""

    folder: Path
    totals: dict
    files: int
    compressed_bytes: int
    raw_bytes: int


def fleet(options, servers: int, days: int, mib_per_server: int) -> Fleet:
    """Generates the logs, or takes those of an earlier run with the same parameters and generator."""
    parameters = f"{servers}-servers-{days}-days-{mib_per_server}-mib"
    home = options.cache / "sets" / f"{parameters}-{generator_version()}"
    if not home.exists():
        for stale in (options.cache / "sets").glob(f"{parameters}-*"):
            shutil.rmtree(stale)
        say(f"generate {parameters.replace('-', ' ')}")
        partial = home.with_name("partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        execute(
            [options.smtptrail, "generate", str(partial / "logs"), "--truth", str(partial / "truth"), "--codec", "zst"]
            + ["--seed", "7", "--servers", str(servers), "--days", str(days), "--mib-per-server", str(mib_per_server)]
        )
        (partial / "truth/sessions.ndjson").unlink()  # Twice the size of the logs; the totals are enough.
        partial.rename(home)
    folder = home / "logs"
    files = list(folder.rglob("*.zst"))
    raw = execute(["sh", "-c", f"{zstd_command(folder, len(files))} | wc -c"])  # Also warms the page cache.
    totals = json.loads((home / "truth/totals.json").read_text())
    return Fleet(folder, totals, len(files), sum(path.stat().st_size for path in files), int(raw.output))


def generator_version() -> str:
    """A digest of the generator's sources: a set that another generator wrote is another set."""
    digest = hashlib.sha1()
    for path in sorted((REPOSITORY / "crates/testlog").rglob("*.*")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:10]


def zstd_command(folder: Path, files: int, processes: int = THREADS) -> str:
    """Decompresses all files, each process with a share small enough to even out."""
    share = max(1, files // (8 * THREADS))
    return f"find {shlex.quote(str(folder))} -name '*.zst' -print0 | xargs -0 -P{processes} -n{share} zstd -dc"


# --- the contestants' answers ----------------------------------------------------------------


def rows(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def search(options, store: Path, *arguments: str) -> list[dict]:
    return rows(execute([options.smtptrail, "--store", str(store), "search", *arguments, "--json"]).output)


def sessions_of(options, store: Path, query: str, by: str) -> int:
    return sum(row["sessions"] for row in search(options, store, query, "--by", by))


def agree(what: str, **answers: int) -> None:
    """Fails unless all the answers are one."""
    if len(set(answers.values())) != 1:
        raise Failure(f"{what}: the answers differ: {answers}")
    say(f"{what}: {', '.join(answers)} agree on {next(iter(answers.values())):,}")


# --- the table -------------------------------------------------------------------------------


@dataclass
class Line:
    """One line of the report. A figure with limits passes if it is at most `must` (at least, if `more_is_better`)."""

    what: str
    figure: float
    unit: str
    must: float | None = None
    aim: float | None = None
    more_is_better: bool = False
    note: str = ""

    def verdict(self) -> str:
        if self.must is None:
            return ""
        if self.reaches(self.aim):
            return "PASS, aim reached"
        return "PASS" if self.reaches(self.must) else "FAIL"

    def reaches(self, limit: float | None) -> bool:
        if limit is None:
            return False
        return self.figure >= limit if self.more_is_better else self.figure <= limit

    def limit(self, limit: float | None) -> str:
        if limit is None:
            return ""
        return f"{'>=' if self.more_is_better else '<='} {number(limit)} {self.unit}"

    def cells(self) -> list[str]:
        figure = f"{number(self.figure)} {self.unit}"
        return [self.what, figure, self.limit(self.must), self.limit(self.aim), self.verdict(), self.note]


def number(value: float) -> str:
    """Three digits are what a shared machine can tell."""
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


HEADER = ["what", "figure", "must", "aim", "verdict", "note"]


def markdown(lines: list[Line], facts: list[str]) -> str:
    table = [HEADER, ["---"] * len(HEADER)] + [line.cells() for line in lines]
    widths = [max(len(row[column]) for row in table) for column in range(len(HEADER))]
    text = ["# Measured beside its peers", ""] + [f"* {fact}" for fact in facts] + [""]
    for row in table:
        text.append("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |")
    return "\n".join(text) + "\n"


def facts(options, reference: Fleet) -> list[str]:
    """What a figure means nothing without."""
    model = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "")
    dirty = " with changes" if first_line("git", "-C", REPOSITORY, "status", "--porcelain") else ""
    return [
        f"machine: {model.partition(': ')[2] or platform.machine()}, {os.cpu_count()} cores; {THREADS} are used",
        f"commit: {first_line('git', '-C', REPOSITORY, 'rev-parse', '--short=12', 'HEAD')}{dirty}",
        f"versions: {first_line(options.smtptrail, '--version')}, DuckDB {first_line(*DUCKDB, 'version')}, "
        f"{first_line('rg', '--version')}, {first_line('zstd', '--version').strip('* ')}",
        f"reference set: {reference.files:,} files, {reference.raw_bytes / MIB:,.0f} MiB raw, "
        f"{reference.compressed_bytes / MIB:,.0f} MiB as .zst, generated with seed 7",
        f"rounds: {options.rounds}; the best counts",
    ]


def first_line(*command) -> str:
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    return result.stdout.partition("\n")[0]


# --- the measurements ------------------------------------------------------------------------


@dataclass
class Stores:
    """Where the contestants put what they build."""

    smtptrail: Path
    duckdb: Path
    thumbprint: str = ""


def index_command(options, store: Path, folder: Path) -> list[str]:
    return [options.smtptrail, "--store", str(store), "--threads", str(THREADS), "-q", "index", str(folder)]


def measure_index(options, reference: Fleet, stores: Stores) -> list[Line]:
    """Reading, indexing and grepping, side by side."""
    folder = str(reference.folder)
    zstd = Contestant("zstd -dc", ["sh", "-c", f"{zstd_command(reference.folder, reference.files)} > /dev/null"])
    dry_run = Contestant(
        "index --dry-run",
        [options.smtptrail, "--threads", str(THREADS), "index", "--dry-run", "--json", folder],
    )
    index = Contestant(
        "index",
        index_command(options, stores.smtptrail, reference.folder),
        prepare=lambda: shutil.rmtree(stores.smtptrail, ignore_errors=True),
    )
    duckdb = Contestant("DuckDB, bare table", [*DUCKDB, "build", str(stores.duckdb), folder, str(THREADS)])
    duckdb.run()  # Untimed: the grep needs a thumbprint that occurs.
    duckdb.runs.clear()
    stores.thumbprint = refused(stores)["thumbprint"]
    # -a: a peer may send a NUL, and without it the rest of such a file is passed over.
    grep = Contestant("rg -z", ["rg", "-za", "-j", str(THREADS), "--no-filename", "-c", stores.thumbprint, folder])

    alternate([zstd, dry_run, index, duckdb, grep], options.rounds)
    check_answers(options, reference, stores, dry_run, duckdb, grep)
    mib = reference.raw_bytes / MIB
    return [
        *(
            Line(f"{one.name}", one.best, "s", note=f"median {number(one.median)} s, {mib / one.best:,.0f} MiB/s raw")
            for one in (zstd, dry_run, index, duckdb, grep)
        ),
        Line("index, as a multiple of zstd", index.best / zstd.best, "x", 3.5, 2),
        Line("index, times faster than DuckDB", duckdb.best / index.best, "x", 1.6, 3, more_is_better=True),
        Line("dry run, as a multiple of zstd", dry_run.best / zstd.best, "x", 2.1, 1.4),
        Line("index, peak memory", index.peak_bytes / MIB, "MiB", 1024, 400),
        Line("DuckDB, peak memory", duckdb.peak_bytes / MIB, "MiB"),
    ]


def refused(stores: Stores) -> dict:
    return json.loads(execute([*DUCKDB, "refused", str(stores.duckdb), STATUS]).output)


def check_answers(options, reference, stores, dry_run, duckdb, grep) -> None:
    ours = sessions_of(options, stores.smtptrail, "*", "server")
    table = json.loads(duckdb.output)["sessions"]
    truth = reference.totals["sessions"]
    agree("sessions", index=ours, dry_run=rows(dry_run.output)[-1]["sessions"], duckdb=table, truth=truth)

    pairs = {(row["presented"], row["status"]): row["sessions"] for row in reference.totals["refusals"]}
    agree(
        f"sessions that presented {stores.thumbprint[:8]} and met {STATUS}",
        index=refused_directly(options, stores),
        duckdb=refused(stores)["sessions"],
        truth=pairs[stores.thumbprint, STATUS],
    )

    decompress = zstd_command(reference.folder, reference.files, processes=1)  # Two would tear each other's lines.
    lines = execute(["sh", "-c", f"{decompress} | LC_ALL=C grep -ac {stores.thumbprint}"]).output
    agree("lines with the thumbprint", rg=sum(map(int, grep.output.split())), grep=int(lines))


def refused_directly(options, stores: Stores) -> int:
    """Sessions that presented the certificate themselves. Those whose front end presented it for them are found too
    (CONTRACT 3), but neither the table nor the generator's totals join two sessions."""
    query = f"presented:{stores.thumbprint} status:{STATUS}"
    found = search(options, stores.smtptrail, query, "--limit", "0")
    pair = (stores.thumbprint, STATUS)
    direct = [row for row in found if any((reply["presented"], reply["status"]) == pair for reply in row["replies"])]
    say(f"{len(found) - len(direct)} more sessions presented it through their front end")
    return len(direct)


def query_command(options, stores: Stores) -> list[str]:
    query = f"presented:{stores.thumbprint} status:{STATUS}"
    return [options.smtptrail, "--store", str(stores.smtptrail), "search", query, "--json", "--limit", "10"]


def cold_ms(command: list[str], runs: int) -> float:
    """Median time of a whole process, measured by hyperfine without a shell between."""
    with tempfile.NamedTemporaryFile("r", suffix=".json") as report:
        execute(["hyperfine", "-N", "--warmup", "3", "--runs", str(runs), "--export-json", report.name, shlex.join(command)])
        return json.load(report)["results"][0]["median"] * 1000


def measure_queries(options, stores: Stores) -> list[Line]:
    """The headline question, each time in a new process."""
    if len(rows(execute(query_command(options, stores)).output)) != 10:
        raise Failure("the query did not give ten sessions")
    arguments = [str(stores.duckdb), stores.thumbprint, STATUS]
    in_process = json.loads(execute([*DUCKDB, "repeat", *arguments, "200"]).output)["median_ms"]
    ours = cold_ms(query_command(options, stores), 50)
    return [
        Line("thumbprint and status, whole process", ours, "ms", 20, 10, note="median of 50"),
        Line("the same, DuckDB in Python", cold_ms([*DUCKDB, "find", *arguments], 20), "ms", note="median of 20"),
        Line("the same, DuckDB within one process", in_process, "ms", note="median of 200"),
    ]


def measure_export(options, stores: Stores) -> list[Line]:
    """Every event of the store as ECS into a file; DuckDB writes as many rows that it has in memory already."""
    file, again = stores.smtptrail.with_name("events.ndjson"), stores.smtptrail.with_name("again.ndjson")
    command = [options.smtptrail, "--store", str(stores.smtptrail), "--threads", str(THREADS), "export"]
    ours = Contestant(
        "export --to ecs", [*command, "--to", "ecs", "--output", str(file)], prepare=lambda: file.unlink(missing_ok=True)
    )
    theirs: list[dict] = []
    for turn in range(options.rounds):
        say(f"round {turn + 1} of {options.rounds}")
        ours.run()
        again.unlink(missing_ok=True)
        theirs.append(json.loads(execute([*DUCKDB, "export", str(file), str(again), str(THREADS)]).output))
    with file.open("rb") as lines:
        events = sum(chunk.count(b"\n") for chunk in iter(lambda: lines.read(1 << 24), b""))
    agree("events as JSON rows", export=events, duckdb=theirs[-1]["rows"])
    sessions = sessions_of(options, stores.smtptrail, "*", "server")
    size = file.stat().st_size
    note = f"{sessions:,} sessions, {events:,} events, {size / MIB:,.0f} MiB, median {number(ours.median)} s"
    best = min(run["seconds"] for run in theirs)
    file.unlink()
    again.unlink()
    return [
        Line("events as ECS into a file", ours.best, "s", 3, note=note),
        Line("DuckDB, as many JSON rows", best, "s", note=f"from memory, {theirs[-1]['bytes'] / MIB:,.0f} MiB, COPY alone"),
        Line("export, peak memory", ours.peak_bytes / MIB, "MiB", 1024, 400),
    ]


def measure_sizes(reference: Fleet, stores: Stores) -> list[Line]:
    store = sum(path.stat().st_size for path in stores.smtptrail.rglob("*") if path.is_file())
    table = stores.duckdb.stat().st_size
    return [
        Line("store size, of raw", 100 * store / reference.raw_bytes, "%", 2.5, 1.2, note=f"{store / MIB:,.1f} MiB"),
        Line("DuckDB file, of raw", 100 * table / reference.raw_bytes, "%", note=f"{table / MIB:,.1f} MiB, bare table"),
    ]


def measure_growth(options, reference: Fleet, stores: Stores) -> list[Line]:
    """Ten times the days: time, memory and the same query."""
    large = fleet(options, servers=10, days=300, mib_per_server=1000)
    grown = Stores(stores.smtptrail.with_name("store-of-ten"), stores.duckdb, stores.thumbprint)

    def contestant(name: str, one: Fleet, store: Path) -> Contestant:
        command = index_command(options, store, one.folder)
        return Contestant(name, command, prepare=lambda: shutil.rmtree(store, ignore_errors=True))

    one = contestant("1x", reference, stores.smtptrail)
    ten = contestant("10x", large, grown.smtptrail)
    alternate([one, ten], min(options.rounds, 2))
    # The larger set has certificates of its own.
    refusals = search(options, grown.smtptrail, f"status:{STATUS}", "--by", "presented")
    grown.thumbprint = next(row["presented"] for row in refusals if row["presented"])
    before, after = cold_ms(query_command(options, stores), 50), cold_ms(query_command(options, grown), 50)
    input_growth = large.raw_bytes / reference.raw_bytes
    lines = [
        Line("index, 10 x the days: time", ten.best / one.best * 10 / input_growth, "x", 10.5, note=f"{number(ten.best)} s for {large.raw_bytes / MIB:,.0f} MiB"),
        Line("index, 10 x the days: peak memory", ten.peak_bytes / MIB, "MiB", 1024, 400),
        Line("query, 10 x the days: time", after / before, "x", 2, note=f"{number(after)} ms, was {number(before)} ms"),
    ]
    shutil.rmtree(grown.smtptrail)
    return lines


def measure_second_run(options, store: Path) -> list[Line]:
    """A second run over 5,000 files that are all known."""
    many = fleet(options, servers=10, days=140, mib_per_server=25)
    if many.files < 5000:
        raise Failure(f"{many.files} files are not 5,000")
    shutil.rmtree(store, ignore_errors=True)
    command = index_command(options, store, many.folder)
    execute(command)
    second = Contestant("second index", command)
    for _ in range(max(5, options.rounds)):
        second.run()
    shutil.rmtree(store)
    note = f"{many.files:,} files, median {number(second.median)} s"
    return [Line("second index, nothing new", second.best, "s", 0.3, 0.1, note=note)]


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/bench-peers", description=__doc__)
    parser.add_argument("--smtptrail", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--cache", required=True, type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=5, help="times that each contestant runs (default 5)")
    parser.add_argument("--growth", action=argparse.BooleanOptionalAction, default=True, help="measure ten times the days")
    parser.add_argument("--quick", action="store_true", help="the same as --no-growth --rounds 3")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the report to FILE as well")
    options = parser.parse_args()
    if options.quick:
        options.growth, options.rounds = False, 3

    work = options.cache / "work"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    stores = Stores(work / "store", work / "sessions.duckdb")
    reference = fleet(options, servers=10, days=30, mib_per_server=100)

    lines = measure_index(options, reference, stores)
    lines += measure_queries(options, stores)
    lines += measure_export(options, stores)
    lines += measure_sizes(reference, stores)
    lines += measure_second_run(options, work / "store-of-many")
    if options.growth:
        lines += measure_growth(options, reference, stores)
    shutil.rmtree(work)

    report = markdown(lines, facts(options, reference))
    print(report)
    if options.markdown:
        options.markdown.write_text(report)
    return 1 if any(line.verdict() == "FAIL" for line in lines) else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failure as failure:
        sys.exit(f"bench-peers: {failure}")
