#!/usr/bin/env python3
"""Compares the proposals of `--strategy tpe` with the samplers of Optuna, at equal numbers of trials.

  pip install optuna==5.0.0 scikit-learn scipy torch
  cargo build --release --example propose
  python benches/samplers/compare.py fit                      # surrogates.json, and how well they fit
  python benches/samplers/compare.py run results.jsonl        # every sampler, table and seed; continues a file
  python benches/samplers/compare.py table results.jsonl      # the tables of docs/samplers.md

Training 64 settings for each sampler, table and seed would take days, so each table has a surrogate: a Gaussian process
(Matern 5/2, a length for each input) of the log validation loss, fitted to some 400 random trials with short trainings.
--surrogate forest takes randomised trees instead. trials.csv has these trials. They come from

  bngpu sweep --strategy random --trials 400 --max-time 130s --finalists 0 --test-split 0 --seed 7 --epochs N ...

over the space that `bngpu auto` has from 1,500 rows on (SPACES below), with 12, 4, 5, 3, 3 and 4 epochs for concrete, churn, ames, lending, hotel
and letter, --schedule cosine and without halving.

bngpu is the real study and scheduler (propose.rs). Optuna gets numbers of sets as whole numbers, so that it knows their
order as bngpu does, and the other sets as categories.
"""

import argparse
import csv
import json
import math
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
HIDDEN, ACTIVATION = ["128x2", "256x2", "256x3", "384x3"], ["relu", "silu"]


def space(rates, dropout, l2, bn, embed, batch):
    whole = {
        "hidden": HIDDEN,
        "activation": ACTIVATION,
        "bn": bn,
        "dropout": dropout,
        "lr": rates,
        "l2": l2,
        "batch-size": [batch // 2, batch, 2 * batch],
        "embed": embed,
    }
    return {key: values for key, values in whole.items() if len(values) > 1}


def value(batch):
    return space((1e-3, 6e-3), [0.0, 0.1, 0.2, 0.3], (1e-4, 1e-2), [True], ["ple:8", "ple:16", "ple:32"], batch)


def two_classes(batch):
    embed = ["ple:4", "ple:8", "ple:16"]
    return space((1e-3, 1e-2), [0.1, 0.2, 0.3, 0.4], (2e-3, 2e-1), [False, True], embed, batch)


# Lists are sets, pairs are ranges, uniform in the logarithm.
SPACES = {
    "concrete": value(32),
    "churn": two_classes(64),
    "ames": value(64),
    "lending": two_classes(128),
    "hotel": value(128),
    "letter": space((1e-3, 6e-3), [0.0, 0.1, 0.2, 0.3], (1e-4, 1e-2), [True], ["none", "ple:4", "ple:16"], 128),
}
# Trials that run at once.
SETTINGS = {"one": 1, "eight": 8}
TRIALS = 64


def is_number(values):
    return all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values)


def encode(dimensions, params):
    """The inputs of a surrogate: a number in [0, 1] for ranges and for sets of numbers, one for each other value."""
    row = []
    for key, values in dimensions.items():
        if isinstance(values, tuple):
            low, high = map(math.log, values)
            row.append((math.log(params[key]) - low) / (high - low))
        elif is_number(values):
            row.append(values.index(params[key]) / (len(values) - 1))
        else:
            row += [float(params[key] == v) for v in values]
    return row


def read_trials():
    trials = {}
    with open(HERE / "trials.csv", newline="") as file:
        for row in csv.DictReader(file):
            dimensions = SPACES[row["table"]]
            params = {}
            for key, values in dimensions.items():
                if isinstance(values, tuple):
                    params[key] = float(row[key])
                else:
                    params[key] = next(v for v in values if str(v) == row[key])
            loss = float(row["val_loss"])
            trials.setdefault(row["table"], []).append((encode(dimensions, params), math.log(loss)))
    return trials


class Surrogate:
    def __init__(self, stored):
        self.x, self.alpha = np.array(stored["gp"]["x"]), np.array(stored["gp"]["alpha"])
        self.inverse = np.array(stored["gp"]["inverse"])
        self.scale, self.mean = stored["gp"]["amplitude"], stored["gp"]["mean"]
        self.x = self.x * self.inverse

    def __call__(self, rows):
        """Log loss of rows of inputs."""
        rows = np.atleast_2d(rows) * self.inverse
        square = (rows**2).sum(1)[:, None] + (self.x**2).sum(1) - 2 * rows @ self.x.T
        r = np.sqrt(5 * np.maximum(square, 0))
        return self.mean + self.scale * ((1 + r + r * r / 3) * np.exp(-r)) @ self.alpha


class Forest:
    """Randomised trees on the same trials, constant on pieces where the Gaussian process is smooth."""

    def __init__(self, rows):
        x, y = np.array([row for row, _ in rows]), np.array([loss for _, loss in rows])
        self.model = self.new().fit(x, y)
        predicted = np.empty_like(y)
        for fold in range(10):
            out = np.random.RandomState(0).permutation(len(y)) % 10 == fold
            predicted[out] = self.new().fit(x[~out], y[~out]).predict(x[out])
        self.r2 = 1 - ((y - predicted) ** 2).mean() / y.var()

    def new(self):
        from sklearn.ensemble import ExtraTreesRegressor

        return ExtraTreesRegressor(100, min_samples_leaf=2, random_state=0)

    def __call__(self, rows):
        return self.model.predict(np.atleast_2d(rows))


def surrogates():
    """Each table's surrogate, its lowest value and the median of the trials."""
    stored = json.loads((HERE / "surrogates.json").read_text())
    if ARGS.surrogate == "gp":
        return {table: (Surrogate(one), one["min"], one["median"]) for table, one in stored.items()}
    trials, made = read_trials(), {}
    for table, one in stored.items():
        forest = Forest(trials[table])
        made[table] = (forest, lowest(SPACES[table], forest), one["median"])
        print(f"{table}: R² {forest.r2:.3f}", file=sys.stderr)
    return made


def lowest(dimensions, surrogate):
    """The lowest value on a grid of the ranges and all values of the sets, refined around the best points."""
    rows = [[]]
    for values in dimensions.values():
        if isinstance(values, tuple):
            choices = [[x] for x in np.linspace(0, 1, 21)]
        elif is_number(values):
            choices = [[i / (len(values) - 1)] for i in range(len(values))]
        else:
            choices = np.eye(len(values)).tolist()
        rows = [row + choice for row in rows for choice in choices]
    rows = np.array(rows)
    values = np.concatenate([surrogate(part) for part in np.array_split(rows, len(rows) // 20_000 + 1)])
    places, at = [], 0
    for kind in dimensions.values():
        if isinstance(kind, tuple):
            places.append(at)
        at += 1 if isinstance(kind, tuple) or is_number(kind) else len(kind)
    best = values.min()
    for row in rows[np.argsort(values)[:50]]:
        for width in (0.05, 0.005):
            grid = np.linspace(-width, width, 21)
            near = np.repeat(row[None], 441, 0)
            near[:, places[0]] = np.clip(near[:, places[0]] + np.repeat(grid, 21), 0, 1)
            near[:, places[1]] = np.clip(near[:, places[1]] + np.tile(grid, 21), 0, 1)
            found = surrogate(near)
            row = near[found.argmin()]
            best = min(best, found.min())
    return float(best)


def fit():
    from scipy.stats import spearmanr
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel
    from sklearn.model_selection import KFold, cross_val_predict

    stored = {}
    print("| table | trials | R² | rank correlation |\n|---|---|---|---|")
    for table, rows in read_trials().items():
        x, y = np.array([row for row, _ in rows]), np.array([loss for _, loss in rows])
        kernel = ConstantKernel(0.1) * Matern(np.ones(x.shape[1]), (0.1, 30), nu=2.5) + WhiteKernel(0.01)
        model = GaussianProcessRegressor(kernel, normalize_y=True, random_state=0).fit(x, y)
        fixed = GaussianProcessRegressor(model.kernel_, normalize_y=True, optimizer=None)
        predicted = cross_val_predict(fixed, x, y, cv=KFold(10, shuffle=True, random_state=0))
        r2 = 1 - ((y - predicted) ** 2).mean() / y.var()
        print(f"| {table} | {len(y)} | {r2:.3f} | {spearmanr(y, predicted)[0]:.3f} |", flush=True)
        product = model.kernel_.k1
        gp = {
            "x": x.tolist(),
            "alpha": (model.alpha_ * y.std()).tolist(),
            "inverse": (1 / product.k2.length_scale).tolist(),
            "amplitude": product.k1.constant_value,
            "mean": y.mean(),
        }
        one = {"gp": gp, "median": float(np.median(y))}
        surrogate = Surrogate(one)
        assert abs(surrogate(x[:1])[0] - model.predict(x[:1])[0]) < 1e-6
        one["min"] = lowest(SPACES[table], surrogate)
        stored[table] = one
    (HERE / "surrogates.json").write_text(json.dumps(stored))


class Bngpu:
    """propose.rs, by lines of text."""

    def __init__(self, dimensions, seed, at_once, strategy):
        text = lambda v: v if isinstance(v, str) else json.dumps(v)
        lines = [f"strategy = '{strategy}'", f"seed = {seed}", f"trials = {TRIALS}"]
        lines += [f"population = {at_once}", "[space]"]
        for key, values in dimensions.items():
            if isinstance(values, tuple):
                lines.append(f"{key} = '{values[0]!r}..{values[1]!r}:log'")
            elif key == "bn":
                lines.append("bn = 'both'")
            else:
                lines.append(f"{key} = '{','.join(map(text, values))}'")
        self.folder = tempfile.TemporaryDirectory()
        path = Path(self.folder.name) / "sweep.toml"
        path.write_text("\n".join(lines) + "\n")
        command = [str(ARGS.propose), str(path)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self):
        self.process.stdin.write("ask\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        return answer["trial"], answer["params"]

    def tell(self, trial, value):
        self.process.stdin.write(f"tell {trial} {value!r}\n")

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.folder.cleanup()


class Optuna:
    def __init__(self, dimensions, sampler):
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        self.dimensions, self.distributions = dimensions, {}
        for key, values in dimensions.items():
            if isinstance(values, tuple):
                self.distributions[key] = FloatDistribution(*values, log=True)
            elif is_number(values):
                self.distributions[key] = IntDistribution(0, len(values) - 1)
            else:
                self.distributions[key] = CategoricalDistribution(values)
        self.study = optuna.create_study(sampler=sampler)
        self.trials = {}

    def ask(self):
        trial = self.study.ask(self.distributions)
        self.trials[trial.number] = trial
        params = dict(trial.params)
        for key, values in self.dimensions.items():
            if isinstance(values, list) and is_number(values):
                params[key] = values[params[key]]
        return trial.number, params

    def tell(self, trial, value):
        self.study.tell(self.trials.pop(trial), value)

    def close(self):
        pass


def sampler(name, dimensions, seed, at_once):
    if name.startswith("bngpu"):
        return Bngpu(dimensions, seed, at_once, name.split()[1])
    import optuna

    made = {
        "Optuna TPESampler": lambda: optuna.samplers.TPESampler(seed=seed),
        "Optuna TPESampler, group": lambda: optuna.samplers.TPESampler(seed=seed, multivariate=True, group=True),
        "Optuna GPSampler": lambda: optuna.samplers.GPSampler(seed=seed),
    }
    return Optuna(dimensions, made[name]())


SAMPLERS = ["bngpu tpe", "bngpu random", "Optuna TPESampler", "Optuna TPESampler, group", "Optuna GPSampler"]


def study(name, dimensions, objective, seed, at_once):
    """The log losses of the trials, in the order in which they ended: the oldest of those that run ends first."""
    source = sampler(name, dimensions, seed, at_once)
    running, losses = [], []
    asked = 0
    while asked < TRIALS or running:
        while asked < TRIALS and len(running) < at_once:
            trial, params = source.ask()
            running.append((trial, float(objective([encode(dimensions, params)])[0])))
            asked += 1
        trial, loss = running.pop(0)
        losses.append(loss)
        source.tell(trial, loss)
    source.close()
    return losses


def run():
    warnings.filterwarnings("ignore")
    stored = surrogates()
    done = set()
    if ARGS.results.exists():
        done = {tuple(json.loads(line)[k] for k in ("sampler", "table", "seed", "setting")) for line in open(ARGS.results)}
    for setting in ARGS.settings.split(","):
        for name in SAMPLERS:
            if ARGS.only and ARGS.only not in name:
                continue
            for table, (surrogate, _, _) in stored.items():
                for seed in range(ARGS.first_seed, ARGS.first_seed + ARGS.seeds):
                    key = (name, table, seed, setting)
                    if key in done or seed % ARGS.of != ARGS.part:
                        continue
                    losses = study(name, SPACES[table], surrogate, seed, SETTINGS[setting])
                    row = dict(zip(("sampler", "table", "seed", "setting"), key))
                    row["losses"] = [round(loss, 7) for loss in losses]
                    with open(ARGS.results, "a") as file:
                        file.write(json.dumps(row) + "\n")


def table():
    stored = surrogates()
    rows = [json.loads(line) for line in open(ARGS.results)]
    low = {t: min([lowest] + [min(r["losses"]) for r in rows if r["table"] == t]) for t, (_, lowest, _) in stored.items()}
    # 0 is the lowest value of the surrogate, 1 the median of the random trials.
    regret = {}
    for r in rows:
        best = np.minimum.accumulate(r["losses"])
        regret[r["sampler"], r["setting"], r["table"], r["seed"]] = (best - low[r["table"]]) / (
            stored[r["table"]][2] - low[r["table"]]
        )
    for setting in SETTINGS:
        # Samplers that have run on every table.
        names = [n for n in SAMPLERS if len({k[2] for k in regret if k[:2] == (n, setting)}) == len(stored)]
        if not names:
            continue
        print(f"\n## {setting}\n\n| sampler | " + " | ".join(stored) + " | mean | after 16 | after 32 | rank |")
        print("|---" * (len(stored) + 5) + "|")
        seeds = sorted({k[3] for k in regret})
        ranks = {n: [] for n in names}
        for t in stored:
            for seed in seeds:
                if all((n, setting, t, seed) in regret for n in names):
                    last = [regret[n, setting, t, seed][-1] for n in names]
                    for n, x in zip(names, last):
                        ranks[n].append(1 + sum(y < x for y in last) + (sum(y == x for y in last) - 1) / 2)
        for n in names:
            of = lambda t: np.array([regret[n, setting, t, s] for s in seeds if (n, setting, t, s) in regret])
            cells, by_trial = [], []
            for t in stored:
                curves = of(t)
                cells.append(f"{100 * curves[:, -1].mean():.1f} ± {100 * curves[:, -1].std(ddof=1):.1f}")
                by_trial.append(curves)
            everything = np.stack([curves.mean(0) for curves in by_trial]).mean(0)
            variances = [curves[:, -1].var(ddof=1) / len(curves) for curves in by_trial]
            error = math.sqrt(sum(variances)) / len(by_trial)
            after = [100 * everything[trials - 1] for trials in (16, 32)]
            print(
                f"| {n} | {' | '.join(cells)} | {100 * everything[-1]:.1f} ± {100 * error:.1f} | "
                f"{after[0]:.1f} | {after[1]:.1f} | {np.mean(ranks[n]):.2f} |"
            )
        print()
        for n in names[1:]:
            pairs = [(t, s) for t in stored for s in seeds if (n, setting, t, s) in regret]
            gaps = np.array([regret[names[0], setting, t, s][-1] - regret[n, setting, t, s][-1] for t, s in pairs])
            error = 100 * gaps.std(ddof=1) / math.sqrt(len(gaps))
            print(
                f"{names[0]} minus {n}: {100 * gaps.mean():+.1f} ± {error:.1f} (standard error), "
                f"lower in {(gaps < 0).sum()} of {len(gaps)}"
            )


def main():
    global ARGS
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["fit", "run", "table"])
    parser.add_argument("results", type=Path, nargs="?", default=Path("results.jsonl"))
    parser.add_argument("--propose", type=Path, default=ROOT / "target/release/examples/propose")
    parser.add_argument("--surrogate", choices=["gp", "forest"], default="gp")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--settings", default="one,eight")
    parser.add_argument("--only", help="samplers whose name contains this")
    parser.add_argument("--part", type=int, default=0, help="run the seeds that are PART modulo OF")
    parser.add_argument("--of", type=int, default=1)
    ARGS = parser.parse_args()
    {"fit": fit, "run": run, "table": table}[ARGS.action]()


if __name__ == "__main__":
    sys.exit(main())
