#!/usr/bin/env python3
"""A picture of error against seconds, one panel for each table: plot.py [FILE...] [-o docs/quality.svg].

Filled marks are CPU seconds, hollow ones wall seconds, where only these were measured. Vertical lines are one standard
deviation over seeds on each side.
"""

import argparse
import math
from pathlib import Path
from xml.sax.saxutils import escape

from results import HERE, PEERS, RESULTS, files_of, load

WIDTH, PANEL, GAP = 1080, (300, 240), (54, 62)
TOP, LEFT, COLUMNS = 64, 58, 3
FONT, INK, FAINT, OURS, THEIRS = 12, "#222222", "#dddddd", "#0b62c4", "#8a4b08"
MARK, BESIDE = 4.5, 9
NAMES = PEERS | {"lgbm": "LightGBM defaults", "sk_mlp": "sklearn MLP"}


def width_of(text, bold=False):
    """The width of a label in a sans-serif font, rather too large."""
    ems = sum(0.34 if letter in "iljtf.,|! " else 0.88 if letter in "mwMW" else 0.61 for letter in text)
    return FONT * ems * (1.12 if bold else 1) + 2


def overlap(a, b):
    """The area that two boxes (left, top, right, bottom) share."""
    return max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))


def cuts(start, stop, box):
    """Whether a line meets a box: samples of it do."""
    shares = [at / 12 for at in range(1, 13)]
    points = [[a + (b - a) * share for a, b in zip(start, stop)] for share in shares]
    return any(box[0] < x < box[2] and box[1] < y < box[3] for x, y in points)


def nearest(point, box):
    """The point of a box nearest to a point."""
    return min(max(point[0], box[0]), box[2]), min(max(point[1], box[1]), box[3])


def candidates(x, y, width, height):
    """Boxes around a mark with a cost: beside it first, then farther away, where a line leads to it."""
    for away in (7, 12, 20, 30, 42, 56):
        for angle in range(0, 360, 15):
            dx, dy = math.cos(math.radians(angle)), -math.sin(math.radians(angle))
            left, top = x + dx * away + (dx - 1) * width / 2, y + dy * away + (dy - 1) * height / 2
            box = left, top, left + width, top + height
            yield box, away + (0 if angle in (0, 180) else 2 if angle in (90, 270) else 4) + (angle == 180)


def placed(marks, obstacles, frame):
    """A box for the label of each mark ((x, y, label width)), and the end of the line that leads to it, or None.

    Labels cover neither each other nor `obstacles`, if there is room: from several orders of the marks, each label
    takes the cheapest place given the others, until none moves. The first obstacles are the marks.
    """
    choices = []
    for at, (x, y, width) in enumerate(marks):
        options = []
        for box, cost in candidates(x, y, width, FONT + 1):
            if box[0] < frame[0] + 4 or box[1] < frame[1] + 2 or box[2] > frame[2] - 4 or box[3] > frame[3] - 2:
                continue
            lead = nearest((x, y), box)
            if math.dist((x, y), lead) <= BESIDE:
                lead = None
            cost += 100 * sum(overlap(box, other) > 0 for other in obstacles)
            if lead:
                others = obstacles[:at] + obstacles[at + 1 : len(marks)]
                cost += 100 * sum(cuts((x, y), lead, other) for other in others)
            options.append((cost, box, lead))
        choices.append(sorted(options, key=lambda option: option[0]))

    def clashes(at, box, lead, chosen):
        total, grown = 0, (box[0] - 3, box[1], box[2] + 3, box[3])
        for other, taken in enumerate(chosen):
            if other != at and taken:
                total += 100 * (overlap(grown, taken[1]) > 0)
                total += 60 * bool(taken[2] and cuts(marks[other][:2], taken[2], box))
                total += 60 * bool(lead and cuts(marks[at][:2], lead, taken[1]))
        return total

    def cheapest(at, chosen):
        best, least = None, math.inf
        for option in choices[at]:
            if option[0] >= least:
                break
            total = option[0] + clashes(at, *option[1:], chosen)
            if total < least:
                best, least = option, total
        return best

    best, least = None, math.inf
    down = sorted(range(len(marks)), key=lambda at: marks[at][1])
    across = sorted(range(len(marks)), key=lambda at: marks[at][0])
    for order in (down, down[::-1], across, across[::-1]):
        chosen = [None] * len(marks)
        for _ in range(6):
            before = list(chosen)
            for at in order:
                chosen[at] = cheapest(at, chosen)
            if chosen == before:
                break
        total = sum(option[0] + clashes(at, *option[1:], chosen) for at, option in enumerate(chosen))
        if total < least:
            best, least = chosen, total
    return [(box, lead) for _, box, lead in best]


def steps(low, high, count=5):
    """Round numbers between two, about `count`, and their decimals."""
    rough = (high - low) / count
    unit = 10 ** math.floor(math.log10(rough))
    step = next(unit * by for by in (1, 2, 5, 10) if unit * by >= rough)
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    values = [at * step for at in range(math.ceil(low / step), math.floor(high / step) + 1)]
    return [(value, f"{value:,.{decimals}f}") for value in values]


class Drawing(list):
    def text(self, x, y, text, anchor="start", color=INK, size=FONT, weight="normal"):
        self.append(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{color}" font-size="{size}" '
                    f'font-weight="{weight}">{escape(text)}</text>')  # fmt: skip

    def line(self, x1, y1, x2, y2, color, width=1.0):
        self.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{color}" '
                    f'stroke-width="{width}"/>')  # fmt: skip

    def mark(self, x, y, color, filled):
        self.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{MARK}" fill="{color if filled else "#ffffff"}" '
                    f'stroke="{color}" stroke-width="1.6"/>')  # fmt: skip


def panel(draw, table, frame, low, high):
    """One table in a frame (left, top, right, bottom), with seconds from 10^low to 10^high."""
    left, top, right, bottom = frame
    ends = [one.error + sign * (one.spread or 0) for one in table.runs.values() for sign in (-1, 1)]
    room = 0.1 * (max(ends) - min(ends)) or 0.1 * abs(ends[0])
    floor, ceiling = min(ends) - room, max(ends) + room
    across = lambda value: left + (math.log10(value) - low) / (high - low) * (right - left)
    up = lambda value: bottom - (value - floor) / (ceiling - floor) * (bottom - top)

    metric = {"rmse": "RMSE", "logloss": "log loss"}[table.metric]
    rows = f", {table.facts['train']:,} training rows" if "train" in table.facts else ""
    draw.text(left, top - 8, f"{table.name}: {metric}{rows}", weight="bold")
    for value, text in steps(floor, ceiling):
        draw.line(left, up(value), right, up(value), FAINT)
        draw.text(left - 5, up(value) + 4, text, "end", size=11)
    for power in range(math.ceil(low), math.floor(high) + 1):
        draw.line(across(10**power), top, across(10**power), bottom, FAINT)
        draw.text(across(10**power), bottom + 15, f"{10.0**power:,g} s", "middle", size=11)
    draw.append(f'<rect x="{left}" y="{top}" width="{right - left}" height="{bottom - top}" fill="none" '
                'stroke="#999999"/>')  # fmt: skip

    marks, boxes, bars = [], [], []
    for name, one in table.runs.items():
        value, is_cpu = one.seconds
        x, y, color = across(value), up(one.error), THEIRS if name in PEERS else OURS
        if one.spread:
            bars.append((x - 1, up(one.error + one.spread), x + 1, up(one.error - one.spread)))
            draw.line(x, bars[-1][1], x, bars[-1][3], color, 1.5)
        marks.append((x, y, NAMES.get(name, name), color, is_cpu))
        boxes.append((x - MARK - 1, y - MARK - 1, x + MARK + 1, y + MARK + 1))
    wanted = [(x, y, width_of(text, bold=color == OURS)) for x, y, text, color, _ in marks]
    labels = placed(wanted, boxes + bars, frame)
    for (x, y, _, color, _), (_, lead) in zip(marks, labels):
        if lead:
            draw.line(x, y, *lead, color, 0.7)
    for (x, y, text, color, is_cpu), (box, _) in zip(marks, labels):
        draw.mark(x, y, color, is_cpu)
        anchor, at = "middle", (box[0] + box[2]) / 2
        if x <= box[0]:
            anchor, at = "start", box[0] + 1
        elif x >= box[2]:
            anchor, at = "end", box[2] - 1
        draw.text(at, box[3] - 3, text, anchor, color, weight="bold" if color == OURS else "normal")


def picture(tables):
    seconds = [one.seconds[0] for table in tables.values() for one in table.runs.values()]
    low, high = math.log10(min(seconds)) - 0.25, math.log10(max(seconds)) + 0.25
    draw = Drawing()
    lines = -(-len(tables) // COLUMNS)
    height = TOP + lines * (PANEL[1] + GAP[1]) - 16
    draw.append(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
                f'width="{WIDTH}" height="{height}" '
                'font-family="DejaVu Sans, Verdana, Helvetica, Arial, sans-serif">')  # fmt: skip
    draw.append(f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>')
    title = "Error on the test rows against seconds of training and predicting; lower and further left is better"
    draw.text(16, 22, title, size=14)
    x = 16
    kinds = {(name in PEERS, one.seconds[1]) for table in tables.values() for name, one in table.runs.items()}
    legend = [("bngpu, CPU seconds", OURS, True)] if (False, True) in kinds else []
    legend += [("other programs, CPU seconds", THEIRS, True)] if (True, True) in kinds else []
    legend += [("other programs, wall seconds on two shared cores", THEIRS, False)] if (True, False) in kinds else []
    for text, color, filled in legend:
        draw.mark(x + 6, TOP - 26, color, filled)
        draw.text(x + 16, TOP - 22, text, color=color)
        x += 44 + width_of(text)
    for at, table in enumerate(tables.values()):
        left = LEFT + at % COLUMNS * (PANEL[0] + GAP[0])
        top = TOP + 24 + at // COLUMNS * (PANEL[1] + GAP[1])
        panel(draw, table, (left, top, left + PANEL[0], top + PANEL[1] - 14), low, high)
    return "\n".join([*draw, "</svg>"]) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help=f"of run.py [default: {RESULTS}]")
    parser.add_argument("--peers", type=Path, default=HERE / "peers.json", help="the peers' results")
    parser.add_argument("--only", metavar="NAMES", help="bngpu's configurations to show, separated by commas")
    parser.add_argument("-o", "--output", type=Path, default=HERE.parents[1] / "docs/quality.svg")
    args = parser.parse_args()
    tables, _, _ = load(files_of(args.files), args.peers)
    if args.only:
        shown = [*PEERS, *args.only.split(",")]
        for table in tables.values():
            table.runs = {name: one for name, one in table.runs.items() if name in shown}
    args.output.write_text(picture(tables))


if __name__ == "__main__":
    main()
