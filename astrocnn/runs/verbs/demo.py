"""``astrocnn demo``: the whole chain on a simulated survey, from images to the report."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from astrocnn.atomic import write_text
from astrocnn.errors import AstrocnnError, ConfigError
from astrocnn.plugins import nearest
from astrocnn.runs.config import load_run
from astrocnn.runs.verbs import calibrate, evaluate, predict, report, simulate, train

__all__ = ["DEMOS", "run"]

DEMOS = {"morphology": "ground", "photoz": "redshift", "quality": "quality64"}
"""Preset of the simulated survey by task."""

_RUN_FILES = Path(__file__).parents[1] / "demos"


def run(
    out: Path,
    *,
    task: str = "morphology",
    seed: int = 0,
    objects: int = 2500,
    overrides: tuple[str, ...] = (),
    say: Callable[..., Any] = print,
) -> Iterator[str]:
    """Simulate, cut, train, calibrate, predict, score and report.

    Parameters
    ----------
    out : Path
        Folder to write; existing results are kept.
    task : {"morphology", "photoz", "quality"}
        Which demo.
    seed : int
        Seed of the simulation.
    objects : int
        Number of simulated objects.
    overrides : sequence of str
        As for `astrocnn.runs.config.load_run`.
    say : callable
        Called with a line as each step begins and ends.

    Raises
    ------
    ConfigError
        If `out` is a file, or there is no such demo.
    """
    if task not in DEMOS:
        raise ConfigError(
            f"There is no demo of '{task}'.", allowed=DEMOS, hint=nearest(task, tuple(DEMOS))
        )
    if out.exists() and not out.is_dir():
        raise ConfigError(f"'{out}' is a file, not a folder.", hint="name another --out")
    start = time.perf_counter()
    sky = out / "survey"
    if not (sky / "survey.toml").is_file():
        options = ("--objects", objects, "--seed", seed, "--preset", DEMOS[task])
        say(_format_command("simulate", sky, *options))
        for _ in simulate.run(sky, objects=objects, seed=seed, preset=DEMOS[task]):
            pass
    run_file = out / "run.toml"
    text = (_RUN_FILES / f"{task}.toml").read_text(encoding="utf-8")
    write_text(run_file, text)
    folder = out / "run"
    config = load_run(run_file, overrides)
    table = out / "predictions.fits"
    steps: dict[tuple[Any, ...], Callable[[], Iterator[Any]]] = {
        ("train", run_file, "--out", folder): lambda: train.run(config, folder),
        ("calibrate", folder): lambda: _calibrate(folder),
        ("predict", folder, "--out", table): lambda: predict.run(folder, out=table),
        ("evaluate", folder): lambda: evaluate.run(folder),
        ("report", folder): lambda: report.run(folder),
    }
    for command, step in steps.items():
        # Each command can be given again on its own.
        say("\n" + _format_command(*command))
        for line in step():
            say(line)
    yield f"done in {time.perf_counter() - start:.0f} s; open {folder / 'report.html'}"


def _format_command(*words: object) -> str:
    return f"$ astrocnn {shlex.join(map(str, words))}"


def _calibrate(folder: Path) -> Iterator[Any]:
    """Calibrate if there are enough objects; otherwise continue without."""
    try:
        yield from calibrate.run(folder)
    except AstrocnnError as error:
        yield f"not calibrated: {error.what} Simulate more --objects to see it."
