#!/usr/bin/env python3
"""What successive halving saves, measured: 20 studies of a mixed space on the embedded digits.

    python docs/halving.py [--bngpu target/release/bngpu] [--studies 20] [--trials 64] [--epochs 27] [--device cpu]

Each study is searched three times with the same seed: with halving; without, by as many whole trials as cost the same
number of epochs; and without, all of its trials. What is compared is the best validation loss of each search.
"""

import argparse
import json
import statistics
import subprocess
import tempfile
from pathlib import Path

SPACE = [
    "--hidden", "16,32,64,128,256,32x2,64x2,128x2,256x2,256-64,64x3,128x3,256-128-64,32x4,128x4,16x5,64x5",
    "--bn", "both", "--activation", "relu,tanh,sigmoid,gelu", "--batch-size", "32,64,128,256",
    "--lr", "1e-4..1e-1:log", "--strategy", "random", "--finalists", "0", "--quiet", "--json",
]  # fmt: skip

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--bngpu", default="target/release/bngpu")
parser.add_argument("--studies", type=int, default=20)
parser.add_argument("--trials", type=int, default=64)
parser.add_argument("--epochs", type=int, default=27)
parser.add_argument("--device", default="cpu")
args = parser.parse_args()


def search(seed, trials, *flags):
    """The best validation loss, and the epochs that all trials were trained."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "sweep"
        command = [args.bngpu, "sweep", *SPACE, "--device", args.device, "--split-seed", "0", "--seed", str(seed)]
        command += ["--trials", str(trials), "--epochs", str(args.epochs), "-o", str(run), *flags]
        result = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
        epochs = sum(json.loads(line)["epochs"] for line in open(run / "trials.jsonl"))
    return result["best"]["val_loss"], epochs


saved, against_same, against_all = [], [], []
print("seed  halving  same budget  all trials  epochs of halving, of all")
for seed in range(args.studies):
    halving, epochs = search(seed, args.trials, "--halving")
    same, _ = search(seed, max(1, round(epochs / args.epochs)))
    whole, full = search(seed, args.trials)
    saved.append(1 - epochs / full)
    against_same.append(halving / same)
    against_all.append(halving / whole)
    print(f"{seed:4}  {halving:.4f}  {same:11.4f}  {whole:10.4f}  {epochs:6} {full:6}", flush=True)


def spread(ratios):
    low, middle, high = statistics.quantiles(ratios, n=4)
    return f"median {middle:.3f} (quartiles {low:.3f} and {high:.3f})"


print(f"epochs that halving saved: {100 * statistics.mean(saved):.0f} %")
print(f"best loss of halving / of as many epochs without: {spread(against_same)};", end=" ")
print(f"better in {sum(r < 1 for r in against_same)} of {args.studies}")
print(f"best loss of halving / of all trials in full: {spread(against_all)};", end=" ")
print(f"the same best in {sum(abs(r - 1) < 1e-9 for r in against_all)} of {args.studies}")
