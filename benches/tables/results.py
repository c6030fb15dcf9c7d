"""The lines of run.py and the results of peers.json, joined: what score.py and plot.py show."""

import json
import statistics
import sys
from dataclasses import dataclass, field
from pathlib import Path

# The peers by name. Those that RANKED names are ranked; `lgbm`, LightGBM without early stopping, is only shown.
PEERS = {
    "catb": "CatBoost",
    "lgbm_es": "LightGBM",
    "xgb_es": "XGBoost",
    "realmlp": "RealMLP",
    "tabm_small": "TabM",
    "sk_mlp": "scikit-learn MLP",
    "lgbm": "LightGBM, defaults",
}
RANKED = [name for name in PEERS if name != "lgbm"]
RESULTS = Path("target/quality/results.jsonl")
HERE = Path(__file__).resolve().parent


@dataclass
class Runs:
    """The runs of a method on a table, one for each seed."""

    errors: list = field(default_factory=list)
    accuracies: list = field(default_factory=list)
    cpu: list = field(default_factory=list)
    wall: list = field(default_factory=list)

    @property
    def error(self):
        return statistics.mean(self.errors)

    @property
    def spread(self):
        """The standard deviation over seeds, None for one seed."""
        return statistics.stdev(self.errors) if len(self.errors) > 1 else None

    @property
    def seconds(self):
        """Mean seconds, and whether they are CPU seconds."""
        return statistics.mean(self.cpu or self.wall), bool(self.cpu)


@dataclass
class Table:
    name: str
    metric: str = None
    facts: dict = field(default_factory=dict)
    runs: dict = field(default_factory=dict)  # by method


def load(files, peers=HERE / "peers.json"):
    """The tables by name, the flags of each configuration, and what the lines say of program and machine.

    Of several lines for a table, method and seed the last counts. Lines of a peer replace its results in peers.json.
    """
    tables = {}
    for name, found in json.loads(Path(peers).read_text())["tables"].items():
        tables[name] = Table(name, "rmse" if found["task"] == "regress" else "logloss", found)
        for method, one in found["methods"].items():
            accuracies = [one["acc"]] if "acc" in one else []
            tables[name].runs[method] = Runs([one[tables[name].metric]], accuracies, [], [one["seconds"]])
    lines = {}
    for file in files:
        for text in Path(file).read_text().splitlines():
            line = json.loads(text)
            lines[line["table"], line["method"], line["seed"]] = line
    measured, digests, flags, marks = {}, {}, {}, {}
    for (name, method, _), line in lines.items():
        table = tables.setdefault(name, Table(name, line["metric"]))
        expected = digests.setdefault(name, table.facts.get("data", line["data"]))
        if line["data"] != expected:
            sys.exit(f"{name}: rows with the digest {line['data']}, but {expected} elsewhere: not the same split")
        one = measured.setdefault((name, method), Runs())
        one.errors.append(line["error"])
        one.accuracies += [line["acc"]] if "acc" in line else []
        one.cpu.append(line["cpu_seconds"])
        one.wall.append(line["wall_seconds"])
        if method not in PEERS:
            flags.setdefault(method, set()).add(line["flags"])
        for key in ("version", "commit", "program", "threads", "device", "quick"):
            if line.get(key) not in (None, False) and not (method in PEERS and key == "version"):
                marks.setdefault(key, set()).add(str(line[key]))
    for (name, method), one in measured.items():
        tables[name].runs[method] = one
    return tables, flags, marks


def files_of(given):
    """The files of results: those given, or the default one if there is one."""
    return given or [path for path in [RESULTS] if path.exists()]


def configs_of(tables):
    """bngpu's configurations, in the order in which they occur first."""
    return list(dict.fromkeys(name for table in tables.values() for name in table.runs if name not in PEERS))


def is_tie(a, b):
    """Whether two methods differ by no more than the larger of their spreads over seeds."""
    return abs(a.error - b.error) <= max(a.spread or 0, b.spread or 0)


def rank(name, among, runs):
    """The rank of a method, 1 the best: each better one counts 1, each tie one half."""
    others = [runs[other] for other in among if other != name and other in runs]
    ties = sum(is_tie(runs[name], other) for other in others)
    return 1 + ties / 2 + sum(other.error < runs[name].error for other in others if not is_tie(runs[name], other))
