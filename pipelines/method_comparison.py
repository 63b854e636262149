"""Networks, classical methods and hybrids of both on the same stars and galaxies, with their cost.

Each is a run file of this folder with one thing changed; see ``RUNS``.  Every one is trained and
scored once by the command line, in processes whose processor time is counted, from reading the
images to the scored test split.  A run that is finished is kept, so that an interrupted call goes
on.

    ASTROCNN_DATA=../shared/data python pipelines/competitors.py --out runs/competitors

About two hours of processor time.  The figure shows the error on the test objects with 95 %
bootstrap intervals; ``astrocnn compare runs/competitors/gz1_*`` tells which differences are proven.
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
"""Run files of networks and of methods."""
EPOCHS = 30
MARKERS = {"ztf": "o", "gz1": "s"}
KINDS = ("network", "hybrid", "classical")
DROPOUT = {"model.options.head_dropout": 0.5}
RUNS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "resnet18": ("network", "resnet18, half as wide",
                 {"model.architecture": "resnet18", "model.options.width": 0.5, **DROPOUT}),
    "equivariant": ("network", "equivariant", {"model.architecture": "equivariant", **DROPOUT}),
    "dominguez_sanchez18": ("network", "dominguez_sanchez18",
                            {"model.architecture": "dominguez_sanchez18"}),
    "plain8": ("network", "plain8", {"model.architecture": "plain8"}),
    "lenet": ("network", "lenet", {"model.architecture": "lenet", **DROPOUT}),
    "hybrid": ("hybrid", "SVM of what plain8 sees", {"model.features": ["cnn:{plain8}"]}),
    "hybrid_joined": ("hybrid", "the same with HoG and colors",
                      {"model.features": ["cnn:{plain8}", "hog", "colors"]}),
    "boosted_trees": ("classical", "boosted trees of HoG and colors",
                      {"model.method": "boosted_trees"}),
    "svm": ("classical", "SVM of HoG and colors", {"model.method": "svm"}),
}  # fmt: skip
"""Kind, name in the figure, and what is set in the run file."""
LEFT_OUT = {"ztf_lenet", "gz1_resnet18"}
"""LeNet asks for 32 pixels a side; the other would take an hour."""


def overrides(survey: str, name: str, folder: Path) -> list[str]:
    """Arguments of the command line that make a run."""
    kind, _, changed = RUNS[name]
    values = {**changed, **({"training.epochs": EPOCHS} if kind == "network" else {})}
    found = []
    for key, value in values.items():
        text = json.dumps(value).replace("{plain8}", str((folder / f"{survey}_plain8").resolve()))
        found += ["--set", f"{key}={text}"]
    return found


def run(survey: str, name: str, folder: Path) -> None:
    """Train and score one, unless it is done; its seconds stand in ``cost.json``."""
    home = folder / f"{survey}_{name}"
    if (home / "cost.json").is_file():
        return
    file = HERE / FILES[survey][RUNS[name][0] != "network"]
    command = [sys.executable, "-m", "astrocnn.cli"]
    made = overrides(survey, name, folder)
    cost = {
        "train": processor_seconds([*command, "train", str(file), "--out", str(home), *made]),
        "evaluate": processor_seconds([*command, "evaluate", str(home)]),
    }
    write_text(home / "cost.json", json.dumps(cost) + "\n")


def processor_seconds(command: list[str]) -> float:
    """Processor time of a command and all it starts [s]."""
    before = os.times()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = os.times()
    return sum(
        getattr(after, part) - getattr(before, part)
        for part in ("children_user", "children_system")
    )


def told(folder: Path) -> list[dict[str, Any]]:
    """A row for each run that is done: its accuracy with interval and its cost."""
    rows = []
    for survey in FILES:
        for name, (kind, title, _) in RUNS.items():
            home = folder / f"{survey}_{name}"
            if not (home / "cost.json").is_file():
                continue
            scores = json.loads((home / "scores.json").read_text())["scores"]
            accuracy = next(score for score in scores if score["name"] == "accuracy")
            cost = json.loads((home / "cost.json").read_text())
            if kind == "hybrid":  # what it looks through had to be trained
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
def draw(rows: list[Mapping[str, Any]]) -> Figure:
    """Error with its interval, and processor time, of each run on either survey."""
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
    """Run what is not done yet, tell, draw."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("runs/competitors"))
    parser.add_argument("--surveys", nargs="+", choices=FILES, default=list(FILES))
    parser.add_argument("--figure", type=Path, help="where the figure goes (in the folder)")
    asked = parser.parse_args()
    for survey in asked.surveys:
        # Hybrids look through the network of plain8, which therefore comes first.
        for name in sorted(RUNS, key=lambda name: name != "plain8"):
            if f"{survey}_{name}" not in LEFT_OUT:
                run(survey, name, asked.out)
    rows = told(asked.out)
    with open(asked.out / "competitors.csv", "w", newline="") as stream:
        table = csv.DictWriter(stream, rows[0])
        table.writeheader()
        table.writerows(rows)
    for row in rows:
        interval = "[{:.1f}, {:.1f}]".format(*(100 * np.array([row["low"], row["high"]])))
        seconds = f"{row['train_s']} + {row['evaluate_s']} s"
        print(f"{row['survey']}  {row['title']:34}  {row['value']:.1%} {interval}  {seconds}")
    draw(rows).savefig(asked.figure or asked.out / "competitors.png")


if __name__ == "__main__":
    main()
