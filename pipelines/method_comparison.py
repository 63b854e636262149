"""Networks, classical methods and hybrids of both on the same stars and galaxies, with their cost.

Each is a run file of this folder with a few changed values; see ``RUNS``.  Each is trained and
scored once through the command line, and the processor time is measured from reading the images to
the scored test split.  Finished runs are kept, so that an interrupted call can be resumed.

    ASTROCNN_DATA=../shared/data python pipelines/method_comparison.py --out runs/comparison

About two hours of processor time.  The figure shows the error rate on the test objects with 95 %
bootstrap intervals; ``astrocnn compare runs/comparison/gz1_*`` tests the differences.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from astrocnn.atomic import write_text
from astrocnn.report.style import COLORS, COLUMN, styled

HERE = Path(__file__).parent
TITLES = {"ztf": "ZTF star or galaxy", "gz1": "Galaxy Zoo 1, three classes"}
FILES = {
    "ztf": ("ztf_star_galaxy.toml", "ztf_hog_svm.toml"),
    "gz1": ("gz1_morphology.toml", "gz1_hog_svm.toml"),
}
"""Run files of networks and of classical methods."""
EPOCHS = 30
MARKERS = {"ztf": "o", "gz1": "s"}
KINDS = ("network", "hybrid", "classical")
DROPOUT = {"model.options.head_dropout": 0.5}
RUNS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "resnet18": ("network", "resnet18, half width",
                 {"model.architecture": "resnet18", "model.options.width": 0.5, **DROPOUT}),
    "equivariant": ("network", "equivariant", {"model.architecture": "equivariant", **DROPOUT}),
    "dominguez_sanchez18": ("network", "dominguez_sanchez18",
                            {"model.architecture": "dominguez_sanchez18"}),
    "plain8": ("network", "plain8", {"model.architecture": "plain8"}),
    "lenet": ("network", "lenet", {"model.architecture": "lenet", **DROPOUT}),
    "hybrid": ("hybrid", "SVM on features of plain8", {"model.features": ["cnn:{plain8}"]}),
    "hybrid_joined": ("hybrid", "the same with HoG and colors",
                      {"model.features": ["cnn:{plain8}", "hog", "colors"]}),
    "boosted_trees": ("classical", "boosted trees on HoG and colors",
                      {"model.method": "boosted_trees"}),
    "svm": ("classical", "SVM on HoG and colors", {"model.method": "svm"}),
}  # fmt: skip
"""Kind, label in the figure, and values set in the run file."""
SKIPPED = {"ztf_lenet", "gz1_resnet18"}
"""LeNet requires 32 pixels a side; the other would take an hour."""


def overrides(survey: str, name: str, folder: Path) -> list[str]:
    """Command-line arguments of a run."""
    kind, _, changed = RUNS[name]
    values = {**changed, **({"training.epochs": EPOCHS} if kind == "network" else {})}
    found = []
    for key, value in values.items():
        text = json.dumps(value).replace("{plain8}", str((folder / f"{survey}_plain8").resolve()))
        found += ["--set", f"{key}={text}"]
    return found


def run(survey: str, name: str, folder: Path) -> None:
    """Train and score one run, unless it is finished; its seconds are in ``cost.json``."""
    home = folder / f"{survey}_{name}"
    if (home / "cost.json").is_file():
        return
    file = HERE / FILES[survey][RUNS[name][0] != "network"]
    command = [sys.executable, "-m", "astrocnn"]
    options = overrides(survey, name, folder)
    cost = {
        "train": processor_seconds([*command, "train", str(file), "--out", str(home), *options]),
        "evaluate": processor_seconds([*command, "evaluate", str(home)]),
    }
    write_text(home / "cost.json", json.dumps(cost) + "\n")


def processor_seconds(command: list[str]) -> float:
    """Processor time of a command and its children [s]."""
    before = os.times()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = os.times()
    return sum(
        getattr(after, part) - getattr(before, part)
        for part in ("children_user", "children_system")
    )


def collect_results(folder: Path) -> list[dict[str, Any]]:
    """A row for each finished run: its accuracy with interval and its cost."""
    rows = []
    for survey in FILES:
        for name, (kind, title, _) in RUNS.items():
            home = folder / f"{survey}_{name}"
            if not (home / "cost.json").is_file():
                continue
            scores = json.loads((home / "scores.json").read_text())["scores"]
            accuracy = next(score for score in scores if score["name"] == "accuracy")
            cost = json.loads((home / "cost.json").read_text())
            if kind == "hybrid":  # its feature network had to be trained
                network = folder / f"{survey}_plain8" / "cost.json"
                cost["train"] += json.loads(network.read_text())["train"]
            rows.append(
                {
                    "survey": survey,
                    "run": name,
                    "kind": kind,
                    "title": title,
                    **{key: accuracy[key] for key in ("value", "low", "high", "n_used")},
                    **{f"{key}_s": round(seconds) for key, seconds in cost.items()},
                }
            )
    return rows


@styled
def plot_comparison(rows: list[Mapping[str, Any]]) -> Figure:
    """Plot error rate with interval, and processor time, of each run."""
    figure = Figure(figsize=(2 * COLUMN, 0.9 + 0.24 * len(RUNS)), layout="constrained")
    panels = figure.subplots(1, len(FILES) + 1, sharey=True, width_ratios=(1, 1, 0.7))
    place = {name: -k for k, name in enumerate(RUNS)}
    for axes, survey in zip(panels, FILES, strict=False):
        of = [row for row in rows if row["survey"] == survey]
        for row in of:
            error, low, high = (100 * (1 - row[key]) for key in ("value", "high", "low"))
            axes.errorbar(error, place[row["run"]], xerr=[[error - low], [high - error]],
                          marker="o", ms=4, capsize=2, elinewidth=1, color=_color(row))  # fmt: skip
        axes.set_title(TITLES[survey], fontsize=9)
        axes.set(xlabel=f"errors on {of[0]['n_used']} test objects [%]" if of else "")
        axes.set_xlim(left=0)
    for row in rows:
        seconds, marker = row["train_s"] + row["evaluate_s"], MARKERS[row["survey"]]
        panels[-1].plot(seconds, place[row["run"]], marker, mfc="none", color=_color(row), ms=4.5)
    for survey, marker in MARKERS.items():
        panels[-1].plot([], [], marker, mfc="none", color="0.3", ms=4.5, label=survey.upper())
    for kind, color in zip(KINDS, COLORS, strict=False):
        panels[0].plot([], [], "o-", ms=4, lw=1, color=color, label=kind)
    panels[0].legend(loc="upper right", fontsize=7)
    panels[-1].legend(loc="lower right", fontsize=7, handletextpad=0.2, borderpad=0.3)
    panels[-1].set_title("Cost", fontsize=9)
    panels[-1].set(xscale="log", xlabel="processor time [s]")
    panels[0].set_yticks(list(place.values()), [RUNS[name][1] for name in place])
    for axes in panels:
        axes.grid(axis="y", color="0.92", lw=0.7)
        axes.set_axisbelow(True)
        axes.tick_params(axis="y", length=0)
    return figure


def _color(row: Mapping[str, Any]) -> str:
    return COLORS[KINDS.index(row["kind"])]


def main() -> None:
    """Run the missing runs, print and plot."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("runs/comparison"))
    parser.add_argument("--surveys", nargs="+", choices=FILES, default=list(FILES))
    parser.add_argument("--figure", type=Path, help="path of the figure (default: in --out)")
    arguments = parser.parse_args()
    for survey in arguments.surveys:
        # Hybrids use the features of plain8, which therefore comes first.
        for name in sorted(RUNS, key=lambda name: name != "plain8"):
            if f"{survey}_{name}" not in SKIPPED:
                run(survey, name, arguments.out)
    rows = collect_results(arguments.out)
    with open(arguments.out / "comparison.csv", "w", newline="") as stream:
        table = csv.DictWriter(stream, rows[0])
        table.writeheader()
        table.writerows(rows)
    for row in rows:
        interval = "[{:.1f}, {:.1f}]".format(*(100 * np.array([row["low"], row["high"]])))
        seconds = f"{row['train_s']} + {row['evaluate_s']} s"
        print(f"{row['survey']}  {row['title']:34}  {row['value']:.1%} {interval}  {seconds}")
    plot_comparison(rows).savefig(arguments.figure or arguments.out / "comparison.png")


if __name__ == "__main__":
    main()
