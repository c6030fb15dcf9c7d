#!/usr/bin/env python3
"""How the time of a training step grows with models at once, width, depth and batch, and the time of an epoch with rows;
a model of it, fitted on some of the measurements and tried on the others.

    python docs/scaling.py [--device cpu] [--bngpu target/release/bngpu] [--seconds 0.3] [--rounds 3] [--largest 2048]
                           [--models 256] [--rows 1000000]

Prints the tables of docs/scaling.md. Needs numpy.
"""

import argparse
import json
import os
import subprocess
import tempfile
import time

import numpy as np

WIDTHS = [16, 32, 64, 128, 256, 512, 1024, 2048, 4096]
MODELS = [1, 2, 4, 8, 16, 32, 64, 128, 256]
DEPTHS = [1, 2, 4, 8, 16, 32]
BATCHES = [8, 16, 32, 64, 128, 256, 512, 1024, 2048]
ROWS = [1_000, 10_000, 100_000, 1_000_000]


def bench(options, hidden, batch, models):
    """One line of `bngpu bench --json`."""
    command = [options.bngpu, "bench", "--device", options.device, "--hidden", hidden, "--batch-size", str(batch),
               "--models", str(models), "--brief", "--seconds", str(options.seconds), "--json", "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stderr.strip()}")
    return json.loads(done.stdout)["steps"][0]


def measure(options, settings):
    """The smallest of the medians of some rounds, by turns: others use the machine, and only take time."""
    steps = [None] * len(settings)
    for _ in range(options.rounds):
        for at, setting in enumerate(settings):
            step = bench(options, *setting)
            if steps[at] is None or step["ms"] < steps[at]["ms"]:
                steps[at] = step
    return steps


def terms(step):
    """What the model weighs: a step's operations one after the other, 10^9 operations on numbers, 10^9 bytes."""
    return np.array([step["operations"], step["gflop"], step["gbyte"]])


def fit(steps):
    """Weights >= 0 with the least relative errors, by projected coordinate descent: three numbers, a convex problem."""
    a = np.array([terms(step) / step["ms"] for step in steps])
    weights = np.zeros(a.shape[1])
    for _ in range(20_000):
        for j in range(len(weights)):
            rest = 1 - a @ weights + a[:, j] * weights[j]
            weights[j] = max(0.0, a[:, j] @ rest / (a[:, j] @ a[:, j]))
    return weights


def table(title, heads, rows):
    print(f"\n{title}\n")
    print("| " + " | ".join(heads) + " |")
    print("|---" * len(heads) + "|")
    for row in rows:
        print("| " + " | ".join(row) + " |")


def number(value):
    return f"{value:.3g}" if value < 100 else f"{value:,.0f}"


def epochs(options):
    """Seconds to load a table of so many rows, and of an epoch, by the run's own clock."""
    rows = []
    for count in ROWS:
        if count > options.rows:
            break
        with tempfile.TemporaryDirectory() as folder:
            rng = np.random.default_rng(0)
            x = rng.standard_normal((count, 28), dtype=np.float32)
            y = (x[:, 0] * x[:, 1] > 0).astype(np.int32)
            data, out = os.path.join(folder, "table.npz"), os.path.join(folder, "run")
            np.savez(data, x=x, y=y)
            command = [options.bngpu, "train", "--preset", "plain", "--data", data, "--bn", "--hidden", "100x3",
                       "--batch-size", "256", "--epochs", "3", "--device", options.device, "--quiet", "-o", out]
            start = time.time()
            done = subprocess.run(command, capture_output=True, text=True)
            whole = time.time() - start
            if done.returncode:
                raise SystemExit(f"{' '.join(command)}: {done.stderr.strip()}")
            lines = [json.loads(line) for line in open(os.path.join(out, "metrics.jsonl"))]
            ends = [line["wall_s"] for line in lines if "wall_s" in line]
            epoch = (ends[-1] - ends[0]) / (len(ends) - 1)
            rows.append([f"{count:,}", number(1e3 * epoch), number(1e9 * epoch / count), number(whole)])
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--bngpu", default="target/release/bngpu")
    parser.add_argument("--seconds", type=float, default=0.3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--largest", type=int, default=2048, help="units of the widest layer")
    parser.add_argument("--models", type=int, default=256, help="most models at once")
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the longest table")
    options = parser.parse_args()

    series = {
        "models at once, of 784-100-100-100-10, batches of 64": [("100x3", 64, k) for k in MODELS if k <= options.models],
        "units of both hidden layers, batches of 256": [
            (f"{w}x2", 256, 1) for w in WIDTHS if w <= options.largest],
        "hidden layers of 100 units, batches of 64": [(f"100x{d}", 64, 1) for d in DEPTHS],
        "rows of a batch, of 784-256-256-10": [("256x2", b, 1) for b in BATCHES],
    }
    steps = {name: measure(options, settings) for name, settings in series.items()}
    # Every second one fits, up to the last but one; the largest of each series is beyond what was fitted.
    fitting = [step for found in steps.values() for step in found[:-1:2]]
    weights = fit(fitting)
    errors = []
    for (name, settings), found in zip(series.items(), steps.values()):
        rows = []
        for at, (setting, step) in enumerate(zip(settings, found)):
            predicted = terms(step) @ weights
            ratio = predicted / step["ms"]
            fitted = step in fitting
            if not fitted:
                errors.append(ratio)
            value = setting[2] if "models" in name else setting[1] if "rows" in name else setting[0].split("x")["layers of" in name]
            rows.append([str(value), number(step["ms"]), number(1e3 * step["ms"] / setting[2] / setting[1]),
                         number(step["gflops"]), f"{number(predicted)}{'' if fitted else ' *'}"])
        table(f"By {name}:", [name.split(",")[0], "ms a step", "us a row of a model", "GFLOP/s", "model, ms"], rows)
    per_operation, per_gflop, per_gbyte = weights
    print(f"\nms = {1e3 * per_operation:.2f} us x operations"
          + (f" + operations on numbers / {1e3 / per_gflop:.0f} GFLOP/s" if per_gflop else "")
          + (f" + bytes / {1e3 / per_gbyte:.1f} GB/s" if per_gbyte else ""))
    errors = np.abs(np.log(errors))
    print(f"Of the {len(errors)} that were not fitted (*): off by a factor of {np.exp(np.median(errors)):.2f} in the median, "
          f"{np.exp(errors.max()):.2f} at most; the largest of each series lies beyond all that was fitted.")
    table("By rows of a table of 28 columns (100x3, batches of 256):",
          ["rows", "ms an epoch", "ns a row", "s from start to end of 3 epochs"], epochs(options))


if __name__ == "__main__":
    main()
