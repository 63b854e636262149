"""Validation of a search: all errors reported at once, before any training."""

from __future__ import annotations

import importlib.util
import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from astrocnn.backend import load_tensorflow
from astrocnn.catalog import Catalog
from astrocnn.errors import AstrocnnError, ConfigError, MissingDependency
from astrocnn.plugins import nearest
from astrocnn.runs.run import Run
from astrocnn.runs.search.folder import SearchFolder
from astrocnn.runs.search.sampling import known_values
from astrocnn.runs.search.section import SearchSection
from astrocnn.runs.sections import RunConfig
from astrocnn.runs.trained_runs import check_runs
from astrocnn.targets import ClassFamily, Task

__all__ = ["check"]

# Building a network takes a moment, so a large search builds only some of them beforehand.
_MOST_NETWORKS = 32
_MOST_CORNERS = 256

Values = Mapping[str, Any]
Refusals = dict[str, list[str]]


def check(folder: SearchFolder) -> None:
    """Validate a search and report all errors at once.

    First what is known from the run file alone, then what the catalogue, the images and the layers
    of the networks show.

    Raises
    ------
    ConfigError
        That lists all mistakes.
    MissingDependency
        If Optuna is needed and absent.
    AstrocnnError
        If the catalogue or the images cannot be read.
    """
    config, search = folder.config, folder.search
    needs_optuna = search.sampler == "tpe" or search.pruning
    if needs_optuna and importlib.util.find_spec("optuna") is None:
        purpose = "choose trials" if search.sampler == "tpe" else "stop trials early"
        raise MissingDependency("optuna", "search", purpose)
    mistakes = list(_find_run_mistakes(config, search))
    check_runs(config)
    whole = Run(config)
    task = whole.task
    mistakes += _find_objective_mistakes(search, task)
    refused: Refusals = {}
    for name, span in search.space.items():
        for value in span.ends():
            label = _format_values({name: value})
            _try(refused, label, partial(folder.build_config, {name: value}))
    runs = _Runs(folder, refused)
    runs.check(lambda run: Run(run).block_options)
    runs.check(lambda run: Run(run).optimizer, lambda run: run.training.model_dump(mode="json"))
    _refuse(mistakes, refused)

    load_tensorflow()
    catalog = _try(refused, "all trials", lambda: _labelled(whole))
    if catalog is not None:
        runs.check(lambda run: _build(run, whole), _dump_network_sections, most=_MOST_NETWORKS)
    _refuse([], refused)


def _find_run_mistakes(config: RunConfig, search: SearchSection) -> Iterator[str]:
    if config.model.method is not None:
        yield f"a search compares networks epoch by epoch, and '{config.model.method}' has none"
    if config.model.members > 1 or config.model.classical or "model.members" in search.space:
        yield "search with one network, then train the best with several members"
    if config.training.strategy == "multiworker":
        yield "several workers train one run: a search has trials for each process"
    for name in ("model.method", "model.classical", "model.features"):
        if name in search.space:
            yield f"{name} cannot be varied: a search compares networks"
    if search.sampler == "tpe" and search.startup and search.startup >= search.count:
        yield f"all {search.count} trials would be random with startup = {search.startup}"
    epochs = max([config.training.epochs, *_ends(search, "training.epochs")])
    if search.prune_after and search.prune_after >= epochs:
        after = search.prune_after
        yield f"no trial is pruned after {after} epochs when there are {epochs} at most"


def _ends(search: SearchSection, name: str) -> list[Any]:
    return search.space[name].ends() if name in search.space else []


def _find_objective_mistakes(search: SearchSection, task: Task) -> Iterator[str]:
    known = ["val_loss"]
    for target in task.targets:
        known += [f"val_{target.name}_loss"] if len(task.targets) > 1 else []
        known += [f"val_{target.name}_accuracy"] if isinstance(target.family, ClassFamily) else []
    if search.objective not in known:
        hint = nearest(search.objective, known)
        yield (
            f"search.objective: there is no '{search.objective}'; known: {', '.join(known)}"
            + (f"; {hint}" if hint else "")
        )


class _Runs:
    """Runs whose values are known beforehand, and extreme values in place of the others."""

    def __init__(self, folder: SearchFolder, refused: Refusals) -> None:
        self.folder = folder
        self.refused = refused
        self.runs: list[tuple[str, Values, RunConfig]] = []
        search = folder.search
        for number in range(search.count):
            values = known_values(search, number)
            if values is None:
                break
            self._add(f"trial {number} ({_format_values(values)})", values)
        else:
            return
        corners = itertools.product(*(span.ends() for span in search.space.values()))
        for corner in itertools.islice(corners, _MOST_CORNERS):
            values = dict(zip(search.space, corner, strict=True))
            self._add(_format_values(values), values)

    def _add(self, label: str, values: Values) -> None:
        try:
            self.runs.append((label, values, self.folder.build_config(values)))
        except ConfigError as error:
            # Report an interval once, not once for each value in it.
            refused_names = [
                name for name in values if any(f"{name} = " in x[0] for x in self.refused.values())
            ]
            if not any(self._refuses(name, values[name]) for name in refused_names):
                self.refused.setdefault(str(error), []).append(label)

    def _refuses(self, name: str, value: Any) -> bool:
        try:
            self.folder.build_config({name: value})
        except ConfigError:
            return True
        return False

    def check(
        self,
        do: Callable[[RunConfig], Any],
        part: Callable[[RunConfig], Any] = lambda run: run.model_dump(mode="json"),
        most: int | None = None,
    ) -> None:
        """Call `do` with one run for each distinct `part`, at most `most` of them."""
        unlike: dict[str, tuple[str, Values, RunConfig]] = {}
        for label, values, run in self.runs:
            unlike.setdefault(json.dumps(part(run), sort_keys=True), (label, values, run))
        chosen = list(unlike.values())
        for label, values, run in chosen[:: max(1, -(-len(chosen) // (most or len(chosen) or 1)))]:
            _try(
                self.refused,
                label,
                partial(do, run),
                partial(self._culprit, do, values),
            )

    def _do_with(self, do: Callable[[RunConfig], Any], values: Values) -> Any:
        return do(self.folder.build_config(values))

    def _culprit(self, do: Callable[[RunConfig], Any], values: Values, reason: str) -> str | None:
        """Find the single value that raises the same error alone."""
        for name, value in values.items():
            single: Refusals = {}
            _try(single, "", partial(self._do_with, do, {name: value}))
            if reason in single:
                return _format_values({name: value})
        return None


def _format_values(values: Values) -> str:
    return ", ".join(f"{name} = {value!r}" for name, value in values.items())


def _dump_network_sections(run: RunConfig) -> Any:
    return run.model_dump(mode="json", include={"model", "inputs", "augmentation"})


def _labelled(run: Run) -> Catalog:
    """The catalogue, with validated labels."""
    catalog = run.catalog
    run.task.encode({name: catalog.column(name) for name in run.task.label_columns})
    run.check_columns(catalog.table)
    return catalog


def _build(config: RunConfig, whole: Run) -> None:
    """Build inputs and layers, as training would."""
    run = Run(config)
    # Catalogue and task are the same in all trials.
    run.catalog, run.task = whole.catalog, whole.task
    for name in config.inputs.scalars:
        run.catalog.numbers(name)
    _ = run.augmentation, run.network
    run.check_draws()


def _try(
    refused: Refusals,
    label: str,
    do: Callable[[], Any],
    culprit: Callable[[str], str | None] = lambda reason: None,
) -> Any:
    """Return the result of `do`, or None after recording its error."""
    try:
        return do()
    except AstrocnnError as error:
        reason = str(error)
        if reason in refused:
            refused[reason].append(label)
        else:
            refused[reason] = [culprit(reason) or label]
    return None


def _refuse(mistakes: list[str], refused: Refusals) -> None:
    messages = list(mistakes)
    for reason, labels in refused.items():
        is_trial = len(labels) > 1 and labels[0].startswith("trial")
        others = f" and {len(labels) - 1} more" if is_trial else ""
        messages.append(
            f"{labels[0]}{others}: {reason.removeprefix('One mistake in the run:').strip()}"
        )
    if messages:
        listed = "\n".join(
            f"{i}. {text}".replace("\n", "\n   ") for i, text in enumerate(messages, 1)
        )
        count = "One thing" if len(messages) == 1 else f"{len(messages)} things"
        raise ConfigError(f"{count} in this search cannot be; nothing was begun.\n{listed}")
