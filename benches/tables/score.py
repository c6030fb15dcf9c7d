#!/usr/bin/env python3
"""Tables of the errors, ranks and seconds that run.py measured, beside those of the peers.

  python benches/tables/score.py                                   # target/quality/results.jsonl and peers.json
  python benches/tables/score.py --base plain                      # also what each configuration adds to `plain`
  python benches/tables/score.py FILE... --write docs/quality.md   # replaces the part between the two markers

Errors are means over seeds, with the standard deviation; ranks are those of docs/quality.md.
"""

import argparse
import math
import statistics
import sys
from pathlib import Path

from results import HERE, PEERS, RANKED, RESULTS, configs_of, files_of, is_tie, load, rank

BEGIN, END = "<!-- score.py: begin -->", "<!-- score.py: end -->"


def number(value, like=None):
    """Four digits, with as many decimals as `like` would have."""
    like = abs(value if like is None else like)
    decimals = max(0, 3 - math.floor(math.log10(like))) if like else 3
    return f"{value:,.{decimals}f}"


def rounded(value):
    """A rank or a number of seconds."""
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}" if value < 1 else f"{value:.1f}"


def short(value):
    return f"{value:.2f}".rstrip("0").rstrip(".")


def title(name):
    return PEERS.get(name, f"bngpu `{name}`")


def grid(rows, markdown):
    """Rows of cells, the first is the header: Markdown, or aligned with spaces."""
    if markdown:
        lines = [f"| {' | '.join(row)} |" for row in rows]
        return [lines[0], "|---" * len(rows[0]) + "|", *lines[1:]]
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]


def errors(tables, configs):
    """A row for each method: error, spread and rank on each table, and the mean rank."""
    rows = [["", *(f"{name}, {table.metric}" for name, table in tables.items()), "mean rank"]]
    for name in [*RANKED, *(name for name in PEERS if name not in RANKED), *configs]:
        among = RANKED if name in RANKED else [*RANKED, name]
        ranked = name in RANKED or name in configs
        row, ranks = [title(name)], []
        for table in tables.values():
            one = table.runs.get(name)
            if one is None:
                row.append("")
                continue
            cell = number(one.error)
            if one.spread is not None:
                cell += f" ± {number(one.spread, one.error)}"
            if ranked:
                ranks.append(rank(name, among, table.runs))
                others = [table.runs[other] for other in among if other != name and other in table.runs]
                tied = any(is_tie(one, other) for other in others)
                cell += f" ({short(ranks[-1])}{'=' if tied else ''})"
            row.append(cell)
        rows.append([*row, short(statistics.mean(ranks)) if ranks else ""])
    return rows


def ranks_with(tables, configs):
    """The mean ranks of each configuration and the peers, without the other configurations."""
    have = {name: [table.runs for table in tables.values() if name in table.runs] for name in configs}
    rows = [["", *(f"{title(name)}, {len(have[name])} tables" for name in configs)]]
    for method in [None, *RANKED]:
        row = [title(method) if method else "bngpu"]
        for name in configs:
            ranks = [rank(method or name, [*RANKED, name], runs) for runs in have[name] if (method or name) in runs]
            row.append(short(statistics.mean(ranks)) if ranks else "")
        rows.append(row)
    return rows


def against(tables, configs, peer="catb"):
    """On how many tables each configuration has a smaller error than a peer."""
    rows = [["", f"better than {PEERS[peer]} on", "tie on", "worse on"]]
    for name in configs:
        both = [table.runs for table in tables.values() if name in table.runs and peer in table.runs]
        ties = sum(is_tie(runs[name], runs[peer]) for runs in both)
        better = sum(runs[name].error < runs[peer].error for runs in both if not is_tie(runs[name], runs[peer]))
        rows.append([title(name), f"{better} of {len(both)}", str(ties), str(len(both) - ties - better)])
    return rows


def seconds(tables, configs):
    """A row for each method: mean seconds of a run on each table; wall seconds have a w."""
    rows = [["", *tables]]
    for name in [*PEERS, *configs]:
        cells = []
        for table in tables.values():
            value, is_cpu = table.runs[name].seconds if name in table.runs else (None, True)
            cells.append("" if value is None else rounded(value) + ("" if is_cpu else " w"))
        rows.append([title(name), *cells])
    return rows


def accuracies(tables, configs):
    """A row for each method: the accuracy on the tables with classes."""
    chosen = {name: table for name, table in tables.items() if table.metric == "logloss"}
    rows = [["", *chosen]]
    for name in [*PEERS, *configs]:
        found = [table.runs[name].accuracies if name in table.runs else [] for table in chosen.values()]
        rows.append([title(name), *(f"{100 * statistics.mean(one):.2f} %" if one else "" for one in found)])
    return rows


def ablation(tables, configs, base):
    """A row for each configuration: the share of the gap between `base` and the best peer that it closes."""
    rows = [["", *tables, "median", "better; worse than the base on", "seconds, times the base's"]]
    for name in configs:
        if name == base:
            continue
        cells, shares, better, worse, times = [], [], 0, 0, []
        for table in tables.values():
            runs = table.runs
            if name not in runs or base not in runs:
                cells.append("")
                continue
            times.append(runs[name].seconds[0] / runs[base].seconds[0])
            tie = is_tie(runs[name], runs[base])
            better += not tie and runs[name].error < runs[base].error
            worse += not tie and runs[name].error > runs[base].error
            best = min((runs[peer].error for peer in RANKED if peer in runs), default=math.inf)
            if best >= runs[base].error:
                cells.append("no gap")
                continue
            shares.append((runs[base].error - runs[name].error) / (runs[base].error - best))
            cells.append(f"{100 * shares[-1]:.0f} %" + ("=" if tie else ""))
        median = f"{100 * statistics.median(shares):.0f} %" if shares else ""
        seconds_ratio = f"{statistics.median(times):.2g}" if times else ""
        rows.append([title(name), *cells, median, f"{better}; {worse}", seconds_ratio])
    return rows


def text(files, peers, base, markdown):
    tables, flags, marks = load(files, peers)
    configs = configs_of(tables)
    if base and base not in configs:
        sys.exit(f"no results of {base!r}; there are {', '.join(configs) or 'none of bngpu'}")
    heading = "### " if markdown else ""
    lines = [f"{heading}Errors", ""]
    lines += grid(errors(tables, configs), markdown)
    if any(table.runs.keys() & set(PEERS) != set(PEERS) for table in tables.values()):
        lines += ["", "An empty cell was not measured; ranks are among the methods measured on that table."]
    lines += ["", f"{heading}Accuracies", ""] + grid(accuracies(tables, configs), markdown)
    if configs:
        lines += ["", f"{heading}Mean ranks with each configuration of bngpu", ""]
        lines += grid(ranks_with(tables, configs), markdown)
        lines += ["", f"{heading}Compared with CatBoost", ""] + grid(against(tables, configs), markdown)
    lines += ["", f"{heading}Seconds of training and predicting", ""]
    lines += ["CPU seconds, or wall seconds (w) where only these were measured.", ""]
    lines += grid(seconds(tables, configs), markdown)
    if base:
        lines += ["", f"{heading}Share of the gap between `{base}` and the best peer that is closed", ""]
        lines += grid(ablation(tables, configs, base), markdown)
    if configs:
        lines += ["", f"{heading}Configurations", ""]
        for name in configs:
            seeds = sorted({len(table.runs[name].errors) for table in tables.values() if name in table.runs})
            said = "; ".join(f"`bngpu {one}`" for one in sorted(flags[name]))
            numbers = "-".join(map(str, dict.fromkeys([seeds[0], seeds[-1]])))
            lines.append(f"- `{name}`: {said}; {numbers} seed{'s' * (seeds[-1] > 1)}")
            if len(flags[name]) > 1:
                print(f"warning: {name} has lines of different flags", file=sys.stderr)
        lines.append("- " + "; ".join(f"{key} {', '.join(sorted(values))}" for key, values in marks.items()))
        if len(marks.get("program", ())) > 1:
            print("warning: the lines are of different programs", file=sys.stderr)
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help=f"of run.py [default: {RESULTS}]")
    parser.add_argument("--peers", type=Path, default=HERE / "peers.json", help="the peers' results")
    parser.add_argument("--base", metavar="CONFIG", help="show what the others close of its gap to the best peer")
    parser.add_argument("--markdown", action="store_true", help="print Markdown")
    parser.add_argument("--write", type=Path, metavar="FILE", help=f"replace what is between {BEGIN} and {END}")
    args = parser.parse_args()
    lines = text(files_of(args.files), args.peers, args.base, args.markdown or bool(args.write))
    if not args.write:
        print("\n".join(lines))
        return
    page = args.write.read_text()
    if page.count(BEGIN) != 1 or page.count(END) != 1 or page.index(BEGIN) > page.index(END):
        sys.exit(f"{args.write}: the lines {BEGIN} and {END} are needed, once and in this order")
    before, rest = page.split(BEGIN)
    args.write.write_text(before + BEGIN + "\n" + "\n".join(lines) + "\n" + END + rest.split(END)[1])


if __name__ == "__main__":
    main()
