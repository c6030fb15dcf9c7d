#!/usr/bin/env python3
"""Draws the validation accuracy of several runs from their metrics.jsonl: the picture in the README.

    pip install matplotlib
    python3 docs/curves.py docs/curves.png "plain=runs/plain" "batch norm=runs/bn"
"""
import json
import sys

import matplotlib
matplotlib.use("Agg")
import matplotlib.pyplot as plt

STYLES = [("#0072b2", "-"), ("#d55e00", "--"), ("#009e73", ":"), ("#cc79a7", "-.")]  # Okabe & Ito: colour-blind safe

if len(sys.argv) < 3:
    sys.exit(__doc__)

figure, axes = plt.subplots(figsize=(7, 3.6), dpi=150)
labels = []
for (colour, dash), argument in zip(STYLES, sys.argv[2:]):
    name, run = argument.split("=", 1)
    rows = [json.loads(line) for line in open(f"{run}/metrics.jsonl")]
    rows = [row for row in rows if "epoch" in row]
    steps, accuracy = [r["step"] for r in rows], [100 * r["val_acc"] for r in rows]
    axes.plot(steps, accuracy, color=colour, linestyle=dash, linewidth=2)
    labels.append((accuracy[-1], name, colour, steps[-1]))
floor = -float("inf")
low, high = axes.get_ylim()
for accuracy, name, colour, step in sorted(labels):  # from the lowest up, none on top of another
    floor = max(accuracy, floor + 0.06 * (high - low))
    axes.annotate(f"{name}  {accuracy:.1f} %", (step, floor), xytext=(6, 0), color=colour,
                  textcoords="offset points", va="center")
axes.set_xlabel("step")
axes.set_ylabel("validation accuracy (%)")
axes.margins(x=0.01)
axes.spines[["top", "right"]].set_visible(False)
axes.grid(axis="y", alpha=0.3)
figure.subplots_adjust(left=0.1, right=0.7, bottom=0.15, top=0.95)
figure.savefig(sys.argv[1])
