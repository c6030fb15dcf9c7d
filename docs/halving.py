#!/usr/bin/env python3
"""What successive halving saves, measured: 20 studies of a mixed space.

    python docs/halving.py [--bngpu target/release/bngpu] [--studies 20] [--trials 64] [--epochs 27] [--device cpu]
                           [--data CSV --target COLUMN] [--schedule cosine] [--all]

Each study is searched with the same seed: with halving, and without, by as many whole trials as cost the same number of
epochs; with --all also all of its trials without halving. What is compared is the winner's loss on the validation rows
and, after a final comparison of both searches with the same seeds, on the test rows. The data are the embedded digits
unless --data names a table.
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
    "--lr", "1e-4..1e-1:log", "--strategy", "random", "--quiet", "--json",
]  # fmt: skip

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--bngpu", default="target/release/bngpu")
parser.add_argument("--studies", type=int, default=20)
parser.add_argument("--first", type=int, default=0, help="seed of the first study")
parser.add_argument("--trials", type=int, default=64)
parser.add_argument("--epochs", type=int, default=27)
parser.add_argument("--device", default="cpu")
parser.add_argument("--data", help="a table, instead of the embedded digits")
parser.add_argument("--target", help="the column of the table to predict")
parser.add_argument("--schedule", default="constant")
parser.add_argument("--finalists", type=int, default=3)
parser.add_argument("--final-seeds", type=int, default=2)
parser.add_argument("--all", action="store_true", help="also train all trials in full")
args = parser.parse_args()


def search(seed, trials, *flags):
    """The winner's validation and test loss, and the epochs that all trials of the search were trained."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "sweep"
        command = [args.bngpu, "sweep", *SPACE, "--device", args.device, "--split-seed", "0", "--seed", str(seed)]
        command += ["--data", args.data] if args.data else []
        command += ["--target", args.target] if args.target else []
        command += ["--schedule", args.schedule, "--finalists", str(args.finalists)]
        command += ["--final-seeds", str(args.final_seeds), "--trials", str(trials), "--epochs", str(args.epochs)]
        done = subprocess.run([*command, "-o", str(run), *flags], check=True, stdout=subprocess.PIPE)
        result = json.loads(done.stdout)
        lines = [json.loads(line) for line in open(run / "trials.jsonl")]
    winner = [line for line in lines if line["stage"] == "final" and line["trial"] == result["best"]["trial"]]
    tests = [line["test_loss"] for line in winner if line["test_loss"] is not None]
    epochs = sum(line["epochs"] for line in lines if line["stage"] == "search")
    return result["best"]["val_loss"], statistics.mean(tests), epochs


def spread(ratios):
    low, middle, high = statistics.quantiles(ratios, n=4)
    better = f"better in {sum(r < 1 for r in ratios)} of {len(ratios)}"
    return f"median {middle:.3f} (quartiles {low:.3f} and {high:.3f}), {better}"


val_same, test_same, val_all, test_all, spent = [], [], [], [], []
print("seed  epochs  val loss: halving, same budget  test loss: halving, same budget")
for seed in range(args.first, args.first + args.studies):
    val, test, epochs = search(seed, args.trials, "--halving")
    val_of_same, test_of_same, _ = search(seed, max(1, round(epochs / args.epochs)))
    spent.append(epochs)
    val_same.append(val / val_of_same)
    test_same.append(test / test_of_same)
    print(f"{seed:4}  {epochs:6}  {val:.4f} {val_of_same:.4f}  {test:.4f} {test_of_same:.4f}", flush=True)
    if args.all:
        val_of_all, test_of_all, _ = search(seed, args.trials)
        val_all.append(val / val_of_all)
        test_all.append(test / test_of_all)

print(f"epochs that halving saved: {100 * (1 - statistics.mean(spent) / (args.trials * args.epochs)):.0f} %")
print(f"halving / whole trials of as many epochs, val loss: {spread(val_same)}")
print(f"halving / whole trials of as many epochs, test loss: {spread(test_same)}")
if args.all:
    print(f"halving / all trials in full, val loss: {spread(val_all)}")
    print(f"halving / all trials in full, test loss: {spread(test_all)}")
