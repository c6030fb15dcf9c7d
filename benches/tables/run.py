#!/usr/bin/env python3
"""Trains bngpu and its peers by turns on tables with fixed test rows, and appends a line for each run to a file.

  python benches/tables/run.py --tables DIR plain train            # two command lines of bngpu, three seeds
  python benches/tables/run.py --tables DIR plain --config wide="train --bn --hidden 512x2"
  python benches/tables/run.py --tables DIR --python PY plain catb # with a peer (see peers.py for the packages)
  python benches/tables/run.py --tables DIR --quick plain auto     # ten minutes at most; results in quick.jsonl

DIR/NAME/ of each table holds train.csv.gz, test.csv.gz and meta.json: {"target": COLUMN, "task": "classify" or
"regress"}; peers also need "num" and "cat", the names of the columns of numbers and of text.

A run sees train.csv and, for the predictions, the rows of test.csv without their target. bngpu gets --test-split 0,
since the test rows are in a file of their own. The error is the RMSE, or the log loss with probabilities of at least
1e-15. Seconds are those of training and predicting together. CPU seconds are user and system time of the processes:
bngpu's from start to end, a peer's without the import of its packages. Unless set otherwise, OpenMP threads of the peers
sleep while they wait, and OpenBLAS has one thread: otherwise, the peers take many times as long on a busy machine.

score.py makes tables of the lines, plot.py a picture. Needs only Python 3.9, on Linux or macOS.
"""

import argparse
import csv
import datetime
import gzip
import hashlib
import json
import math
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from results import PEERS

# The command lines of bngpu by name. What data, target, seed and folder need is added.
CONFIGS = {
    "plain": "train --preset plain --bn --lr 1e-3",
    "train": "train",
    "auto": "auto --max-time 2m",
}
QUICK_SECONDS, QUICK_TABLES = 600, 4
# Environment in which waiting threads of the peers use no CPU time, unless it is set already.
WAITING = {"OMP_WAIT_POLICY": "passive", "OPENBLAS_NUM_THREADS": "1"}
HERE = Path(__file__).resolve().parent


class Table:
    """A table, unpacked into `folder`: train.csv, and test.csv without the target, whose cells are `truth`."""

    def __init__(self, source, folder):
        self.name, self.folder = source.name, folder / source.name
        self.folder.mkdir()
        text = (source / "meta.json").read_text()
        (self.folder / "meta.json").write_text(text)
        meta = json.loads(text)
        self.target, self.task = meta["target"], meta["task"]
        parts = [gzip.decompress((source / f"{part}.csv.gz").read_bytes()) for part in ("train", "test")]
        self.digest = hashlib.sha256(b"".join(parts)).hexdigest()[:12]
        (self.folder / "train.csv").write_bytes(parts[0])
        head, *rows = csv.reader(parts[1].decode().splitlines(keepends=True))
        at = head.index(self.target)
        self.truth = [row[at] for row in rows]
        with open(self.folder / "test.csv", "w", newline="") as file:
            csv.writer(file).writerows(row[:at] + row[at + 1 :] for row in [head, *rows])


def metrics(table, predictions):
    """The metrics of a file `row,PREDICTION[,p_CLASS...]`; the first is the error."""
    with open(predictions, newline="") as file:
        head, *rows = csv.reader(file)
    if len(rows) != len(table.truth):
        raise ValueError(f"{len(rows)} predictions of {len(table.truth)} rows")
    if table.task == "regress":
        errors = [float(row[1]) - float(y) for row, y in zip(rows, table.truth)]
        if not all(map(math.isfinite, errors)):
            raise ValueError("a prediction is not a number")
        return {
            "rmse": math.sqrt(math.fsum(e * e for e in errors) / len(errors)),
            "mae": math.fsum(map(abs, errors)) / len(errors),
        }
    columns = {name[2:]: at for at, name in enumerate(head) if name.startswith("p_")}
    loss, right = [], 0
    for row, y in zip(rows, table.truth):
        p = {name: float(row[at]) for name, at in columns.items()}
        if not abs(sum(p.values()) - 1) < 1e-3:
            raise ValueError(f"probabilities of row {row[0]} have the sum {sum(p.values())}")
        loss.append(-math.log(min(max(p[label(y, columns)], 1e-15), 1)))
        right += max(p, key=p.get) == label(y, columns)
    return {"logloss": math.fsum(loss) / len(loss), "acc": right / len(loss)}


def label(text, names):
    """The name in `names` of the class that a cell names: the same text, or the same number (1 and 1.0)."""
    if text in names:
        return text
    try:
        return next(name for name in names if float(name) == float(text))
    except (ValueError, StopIteration):
        raise ValueError(f"no probability of the class {text!r}; there are {sorted(names)[:30]}") from None


def end(child):
    """Ends a process and those that it started."""
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def timed(command, env, limit):
    """Runs a command; its CPU seconds with its children's, wall seconds, and output. Ends it after `limit` seconds."""
    with tempfile.TemporaryFile() as output:
        start = time.monotonic()
        child = subprocess.Popen(command, stdout=output, stderr=output, env=env, start_new_session=True)
        late = threading.Event()
        timer = threading.Timer(limit or 0, lambda: (late.set(), end(child)))
        if limit:
            timer.start()
        try:
            _, status, usage = os.wait4(child.pid, 0)
        except KeyboardInterrupt:
            end(child)
            raise
        finally:
            timer.cancel()
        wall = time.monotonic() - start
        child.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read().decode(errors="replace")
    if late.is_set():
        raise TimeoutError(f"stopped after {limit:.0f} s")
    if child.returncode:
        raise RuntimeError(f"{shlex.join(map(str, command))}: exit code {child.returncode}\n{text[-1500:].strip()}")
    return usage.ru_utime + usage.ru_stime, wall, text


def one(table, name, flags, seed, args, limit):
    """One run: a dictionary of its metrics and times."""
    threads = str(args.threads)
    env = WAITING | os.environ | {"RAYON_NUM_THREADS": threads, "OMP_NUM_THREADS": threads}
    load = [os.getloadavg()[0]]
    deadline = time.monotonic() + limit if limit else None
    with tempfile.TemporaryDirectory() as folder:
        out, run = Path(folder) / "predictions.csv", Path(folder) / "run"
        if name in PEERS:
            command = [args.python, HERE / "peers.py", name, table.folder, str(seed), out]
            found = json.loads(timed(command, env, limit)[2].splitlines()[-1])
        else:
            command = [args.bngpu, *shlex.split(flags), "--data", table.folder / "train.csv", "--target", table.target]
            command += ["--task", table.task, "--test-split", "0", "--seed", str(seed), "--device", args.device]
            cpu, wall, _ = timed([*command, "--quiet", "-o", run], env, limit)
            left = max(1, deadline - time.monotonic()) if limit else None
            command = [args.bngpu, "predict", run, "--data", table.folder / "test.csv", "--quiet", "-o", out]
            after = timed(command, env, left)
            found = {"cpu_seconds": cpu + after[0], "wall_seconds": wall + after[1], "predict_cpu_seconds": after[0]}
        scores = metrics(table, out)
    load.append(os.getloadavg()[0])
    metric = next(iter(scores))
    return {"metric": metric, "error": scores[metric], **scores, **found, "load": load}


def version(bngpu, commit):
    """What identifies the program: its version, a digest, and the commit, this checkout's if it was built here."""
    said = subprocess.run([bngpu, "--version"], check=True, capture_output=True, text=True).stdout.strip()
    found = {"version": said, "program": hashlib.sha256(Path(bngpu).read_bytes()).hexdigest()[:12]}
    if not commit and HERE.parents[1] / "target" in Path(bngpu).resolve().parents:
        git = ["git", "-C", str(HERE), "describe", "--always", "--dirty", "--exclude=*"]
        commit = subprocess.run(git, capture_output=True, text=True).stdout.strip()
    return found | ({"commit": commit} if commit else {})


def seconds(text):
    """The seconds of a time such as 90, 30s, 10m or 1h30m."""
    parts = re.findall(r"([\d.]+)(h|m|s|)", text)
    return sum(float(number) * {"h": 3600, "m": 60}.get(unit, 1) for number, unit in parts)


def shortened(configs, tables):
    """The command lines with shorter --max-time, so that all runs on the tables fit in QUICK_SECONDS."""
    limited = [name for name, flags in configs.items() if "--max-time" in flags]
    if not limited:
        return configs
    free = QUICK_SECONDS - 10 * tables * len(limited) - 20 * tables * (len(configs) - len(limited))
    most = max(5, int(free / (tables * len(limited))))
    short = {}
    for name, flags in configs.items():
        given = re.search(r"--max-time[= ](\S+)", flags)
        if given and seconds(given[1]) > most:
            print(f"--quick: {name} with --max-time {most}s instead of {given[1]}")
            flags = flags.replace(given[0], f"--max-time {most}s")
        short[name] = flags
    return short


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = f"{', '.join(CONFIGS)}, or a peer: {', '.join(PEERS)}"
    parser.add_argument("configs", nargs="*", metavar="CONFIG", help=names)
    parser.add_argument("--config", action="append", default=[], metavar="NAME=FLAGS", help="one more command line")
    parser.add_argument("--bngpu", default=str(HERE.parents[1] / "target/release/bngpu"), help="the program")
    parser.add_argument("--commit", help="the program's commit [default: this checkout's, if it was built here]")
    parser.add_argument("--tables", type=Path, required=True, metavar="DIR", help="folder of the tables")
    parser.add_argument("--only", metavar="NAMES", help="tables to use, separated by commas [default: all in DIR]")
    parser.add_argument("--seeds", type=int, default=3, help="seeds 0 to N-1 [default: 3]")
    parser.add_argument("--quick", action="store_true", help="ten minutes: one seed, the smallest tables")
    parser.add_argument("--out", type=Path, default=Path("target/quality"), help="folder of the results")
    parser.add_argument("--again", action="store_true", help="repeat runs that the file of results already has")
    parser.add_argument("--device", default="cpu", help="bngpu's device [default: cpu]")
    parser.add_argument("--threads", type=int, default=len(cores()), help="threads of each program")
    parser.add_argument("--python", default=sys.executable, help="Python that has the packages of the peers")
    args = parser.parse_args()
    known = CONFIGS | {name: "" for name in PEERS}
    configs = {}
    for name in args.configs:
        if name not in known:
            parser.error(f"no configuration {name!r}: {', '.join(known)}, or --config {name}=FLAGS")
        configs[name] = known[name]
    for text in args.config:
        name, equals, flags = text.partition("=")
        if not (equals and name and flags.strip()) or name in known:
            parser.error(f"--config {text!r}: NAME=\"FLAGS\" is needed, with a name that is not taken")
        configs[name] = flags
    if not configs:
        parser.error("which configurations?")
    tables = [path.parent for path in args.tables.glob("*/meta.json")]
    tables.sort(key=lambda path: (path / "train.csv.gz").stat().st_size)
    if args.only:
        unknown = set(args.only.split(",")) - {path.name for path in tables}
        if unknown:
            parser.error(f"no table {', '.join(sorted(unknown))} in {args.tables}")
        tables = [path for path in tables if path.name in args.only.split(",")]
    if not tables:
        parser.error(f"no table in {args.tables}: NAME/meta.json, train.csv.gz and test.csv.gz are needed")
    return args, configs, tables


def cores():
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count())


def main():
    args, configs, tables = arguments()
    deadline = None
    if args.quick:
        deadline = time.monotonic() + QUICK_SECONDS
        print(f"--quick: one seed instead of {args.seeds}")
        if tables[QUICK_TABLES:]:
            print(f"--quick: without {', '.join(path.name for path in tables[QUICK_TABLES:])}")
        args.seeds, tables = 1, tables[:QUICK_TABLES]
        configs = shortened(configs, len(tables))
    own = version(args.bngpu, args.commit) if set(configs) - set(PEERS) else {}
    args.out.mkdir(parents=True, exist_ok=True)
    lines = args.out / ("quick.jsonl" if args.quick else "results.jsonl")
    have = set()
    if lines.exists() and not args.again:
        have = {identity(json.loads(line)) for line in lines.read_text().splitlines()}
    failures, left_out = 0, []
    with tempfile.TemporaryDirectory() as folder, open(lines, "a") as file:
        for source in tables:
            table = Table(source, Path(folder))
            for seed in range(args.seeds):
                for name, flags in configs.items():
                    what = f"{table.name} {name} seed {seed}"
                    line = {"table": table.name, "data": table.digest, "method": name, "flags": flags, "seed": seed}
                    line |= {} if name in PEERS else own
                    line |= {"threads": args.threads, "device": "cpu" if name in PEERS else args.device}
                    line |= {"date": datetime.datetime.now().isoformat(timespec="seconds"), "quick": args.quick}
                    if identity(line) in have:
                        print(f"{what}: already in {lines}")
                        continue
                    left = deadline and deadline - time.monotonic()
                    if deadline and left < 2:
                        left_out.append(what)
                        continue
                    try:
                        line |= one(table, name, flags, seed, args, left)
                    except TimeoutError as error:
                        left_out.append(f"{what} ({error})")
                        continue
                    except (RuntimeError, ValueError, OSError) as error:
                        print(f"{what}: {error}", file=sys.stderr)
                        failures += 1
                        continue
                    file.write(json.dumps(line) + "\n")
                    file.flush()
                    times = f"{line['cpu_seconds']:.2f} CPU s, {line['wall_seconds']:.2f} s"
                    print(f"{what}: {line['metric']} {line['error']:.5g}, {times}", flush=True)
    if left_out:
        print("--quick: no time for " + ", ".join(left_out))
    if failures:
        sys.exit(f"{failures} runs failed")


def identity(line):
    """Lines with the same identity are of the same run."""
    return tuple(line.get(key) for key in ("table", "data", "method", "flags", "seed", "program", "threads", "device"))


if __name__ == "__main__":
    main()
