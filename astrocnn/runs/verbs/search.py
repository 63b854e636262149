"""``astrocnn search``: which values of a run give the lowest validation loss."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from pathlib import Path

from rich.table import Table

from astrocnn.clusters import open_scheduler
from astrocnn.errors import ConfigError, TrainingError
from astrocnn.evaluation.figures import plot_parallel_coordinates
from astrocnn.runs.run import Run
from astrocnn.runs.search.folder import SearchFolder, is_loss
from astrocnn.runs.search.results import (
    TrialResult,
    build_table,
    format_result,
    read_results,
    save_best,
    save_table,
)
from astrocnn.runs.search.sampling import known_values, save_study
from astrocnn.runs.search.validation import check
from astrocnn.runs.search.worker import cut, in_workers, prepare, work
from astrocnn.runs.sections import RunConfig
from astrocnn.runs.verbs.find_lr import save_figure

__all__ = ["run"]


def run(
    config: RunConfig, out: Path, *, workers: int = 1, cluster: str | None = None
) -> Generator[Table | str, None, Path | None]:
    """Train many runs that differ in the values of ``[search.space]``, and rank them.

    The test split plays no part.  Given again after an interruption it continues: finished trials
    are not trained again, an unfinished one goes on at its last epoch.  Given with more trials it
    adds to the existing ones.  The same command elsewhere, on the same folder, helps.

    Parameters
    ----------
    config : RunConfig
        With a search.
    out : Path
        Folder of the search; see `astrocnn.runs.search.folder.SearchFolder`.
    workers, cluster
        Who trains the trials; see `astrocnn.clusters.open_scheduler`.

    Raises
    ------
    ConfigError
        If the run file holds no search, or one that cannot be: all mistakes at once.
    TrainingError
        If not a single trial could be trained.
    """
    if config.search is None:
        raise ConfigError(
            "This run file does not say what to vary.",
            hint='[search.space] with, for instance, "training.learning_rate" = '
            '{ low = 1e-4, high = 1e-1, scale = "log" }',
        )
    folder = SearchFolder(out, config)
    check(folder)
    folder.create()
    _decide(folder)
    _cut(folder)
    done = sum(trial.done for trial in folder.trials())
    if done:
        yield f"{done} of {config.search.count} trials are there already"
    with open_scheduler(cluster, max(1, min(workers, config.search.count - done))) as scheduler:
        for trial in work(folder) if scheduler is None else in_workers(folder, scheduler):
            yield format_result(folder, trial)
    return (yield from _write_results(folder))


def _decide(folder: SearchFolder) -> None:
    """Write the run files of all trials that are independent of other trials."""
    for number in range(folder.search.count):
        if known_values(folder.search, number) is not None:
            prepare(folder, folder.trial(number))


def _cut(folder: SearchFolder) -> None:
    """Write the shards once for each set of inputs, and check that there are training objects."""
    runs = [trial.config() for trial in folder.trials()]
    for config in {folder.cutouts(run).path: run for run in runs}.values():
        cut(folder, config)
        Run(config, folder.cutouts(config)).require_rows("train", "validation")


def _write_results(folder: SearchFolder) -> Generator[Table | str, None, Path | None]:
    results = read_results(folder)
    save_table(folder, results)
    save_best(folder, results)
    if folder.search.sampler == "tpe" or folder.search.pruning:
        save_study(folder, folder.trials(), folder.study)
    counts = Counter(result.state for result in results)
    if counts["failed"] == len(results):
        raise TrainingError("Not one of the trials could be trained.", received=results[0].error)
    yield build_table(folder, results)
    yield ", ".join(f"{n} {state}" for state, n in counts.items())
    yield f"table: {folder.table}"
    if counts["complete"]:
        yield f"best run: {folder.best}"
    if any(result.epoch for result in results):
        yield f"figure: {_plot(folder, results)}"
    return folder.best if counts["complete"] else None


def _plot(folder: SearchFolder, results: list[TrialResult]) -> Path:
    shown = [result for result in results if result.epoch]
    figure = plot_parallel_coordinates(
        {name: [result.values[name] for result in shown] for name in folder.search.space},
        [result.objective for result in shown],
        objective_name=folder.search.objective,
        lowest=is_loss(folder.search.objective),
        log=[name for name, span in folder.search.space.items() if span.scale == "log"],
        limits={
            name: span.limits for name, span in folder.search.space.items() if span.choices is None
        },
        incomplete=[result.state != "complete" for result in shown],
    )
    return save_figure(figure, folder.figures / "parallel_coordinates.png")[0]
