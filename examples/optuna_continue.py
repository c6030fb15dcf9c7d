#!/usr/bin/env python3
"""Continues a sweep of bngpu with Optuna: its TPE proposes the settings, bngpu trains them.

    python optuna_continue.py runs/SWEEP/study.journal --trials 10 -- --data digits --epochs 5

After `--`, give the flags of `bngpu train` that were fixed in the sweep, without its seeds. The journal of the sweep is not changed:
the study continues in a copy, STUDY.optuna.journal, which `optuna-dashboard` also opens. Needs `pip install optuna`.
"""

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path
from statistics import fmean as mean

import optuna
from optuna.distributions import CategoricalDistribution, IntDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

# Settings that apply to one choice only: bngpu refuses them with any other.
CONDITIONS = {
    "beta1": ("optimizer", ["adam"]),
    "beta2": ("optimizer", ["adam"]),
    "eps": ("optimizer", ["adam", "rmsprop"]),
    "momentum": ("optimizer", ["sgd"]),
    "nesterov": ("optimizer", ["sgd"]),
    "rms-alpha": ("optimizer", ["rmsprop"]),
    "bn-eps": ("bn", [True]),
    "bn-momentum": ("bn", [True]),
    "bn-affine": ("bn", [True]),
}


def suggest(trial, key, distribution):
    """Gets a value of a hyperparameter from Optuna, with its domain in the sweep."""
    if isinstance(distribution, CategoricalDistribution):
        return trial.suggest_categorical(key, distribution.choices)
    ask = trial.suggest_int if isinstance(distribution, IntDistribution) else trial.suggest_float
    return ask(key, distribution.low, distribution.high, log=distribution.log)


def settings(trial, space):
    """The values of a trial: choices first, then their own settings."""
    values = {}
    for key in sorted(space, key=lambda key: key in CONDITIONS):
        choice, needed = CONDITIONS.get(key, (None, None))
        if choice not in space or values.get(choice) in needed:
            values[key] = suggest(trial, key, space[key])
    return values


def flags(values):
    """The values as flags of `bngpu train`."""
    for key, value in values.items():
        if isinstance(value, bool):
            yield f"--{key}" if value else f"--no-{key}"
        else:
            # A sweep separates layers by `-`, a training by `,`.
            yield f"--{key}"
            yield str(value).replace("-", ",") if key == "hidden" else str(value)


def train(bngpu, values, fixed, seed, folder):
    """Trains one model; returns its result and its epochs, or None if it diverged."""
    command = [bngpu, "train", *flags(values), *fixed, "--seed", str(seed), "--output", str(folder), "--json", "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode == 4:  # NaN or infinity
        return None
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    epochs = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return json.loads(done.stdout), epochs


def of(result, metric):
    """The value of the sweep's objective; regression has R² in place of accuracy."""
    return result[metric] if metric in result else result["val_r2"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("journal", type=Path)
    parser.add_argument("--trials", type=int, default=10)
    parser.add_argument("--bngpu", default="bngpu", help="the program")
    # Arguments after -- are for bngpu.
    at = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    args, fixed = parser.parse_args(sys.argv[1:at]), sys.argv[at + 1 :]

    journal = args.journal.with_suffix(".optuna.journal")
    if not journal.exists():
        shutil.copyfile(args.journal, journal)
    storage = JournalStorage(JournalFileBackend(str(journal)))
    [summary] = optuna.get_all_study_summaries(storage)
    study = optuna.load_study(study_name=summary.study_name, storage=storage, sampler=optuna.samplers.TPESampler(seed=0))
    [metric] = study.metric_names
    counts = {state.name: len(study.get_trials(states=[state])) for state in TrialState}
    print(f"{study.study_name}: {counts['COMPLETE']} trials complete, {counts['PRUNED']} pruned, {counts['FAIL']} failed")
    best = study.best_trial
    print(f"best {best.number}: {metric} {best.value:.6g} with {best.params}")

    # Each trial is trained with the seeds of the sweep, on the same split of the rows.
    seeds = study.trials[0].user_attrs["seeds"]
    if "--split-seed" not in fixed:
        fixed += ["--split-seed", str(seeds[0])]
    space = {key: domain for trial in study.trials for key, domain in trial.distributions.items()}
    for _ in range(args.trials):
        trial = study.ask()
        values = settings(trial, space)
        folder = journal.parent / f"optuna-{trial.number}"
        results = [train(args.bngpu, values, fixed, seed, folder / f"seed-{seed}") for seed in seeds]
        if None in results:
            study.tell(trial, state=TrialState.FAIL)
            print(f"{trial.number}: diverged with {values}")
            continue
        for epochs in zip(*(epochs for _, epochs in results)):
            trial.report(mean(of(epoch, metric) for epoch in epochs), epochs[0]["epoch"])
        value = mean(of(result, metric) for result, _ in results)
        study.tell(trial, value)
        print(f"{trial.number}: {metric} {value:.6g} with {values}", flush=True)
    best = study.best_trial
    print(f"best {best.number}: {metric} {best.value:.6g} with {best.params}")


if __name__ == "__main__":
    main()
