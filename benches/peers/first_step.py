#!/usr/bin/env python3
"""Seconds until a program of Python has read a table of numbers, and until its first training step.

  python benches/peers/first_step.py pyarrow big.parquet      # or: polars, big.csv

The first step needs what `bngpu train` has done by then: inputs as float32, standardised by the training rows of a random split,
the last column as the target. Types, missing values and a digest of the file, which bngpu has as well, are left out. Needs
numpy, and pyarrow or polars.
"""

import importlib
import sys
import time


def main():
    program, path = sys.argv[1:]
    start = time.monotonic()
    import numpy

    is_parquet = path.endswith("parquet")
    if program == "pyarrow":
        module = importlib.import_module("pyarrow.parquet" if is_parquet else "pyarrow.csv")
        read = module.read_table if is_parquet else module.read_csv
    else:
        module = importlib.import_module("polars")
        read = module.read_parquet if is_parquet else module.read_csv
    begun = time.monotonic()
    table = read(path)
    has_read = time.monotonic()

    names = table.column_names if program == "pyarrow" else table.columns
    columns = [table[name].to_numpy() for name in names]
    target = columns.pop()
    train = numpy.random.default_rng(0).random(len(target)) < 0.8
    inputs = numpy.empty((len(target), len(columns)), numpy.float32)
    for at, values in enumerate(columns):
        seen = values[train]
        inputs[:, at] = (values - seen.mean()) / seen.std()
    weights = numpy.ones((len(columns), 128), numpy.float32)
    (inputs[numpy.flatnonzero(train)[:60]] @ weights).sum()
    end = time.monotonic()
    print(f"import {begun - start:.2f} s, read {has_read - begun:.2f} s, from there to the first step {end - has_read:.2f} s")


main()
