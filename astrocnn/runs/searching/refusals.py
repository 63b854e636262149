"""What a search cannot be: all of it said at once, before any work."""

from __future__ import annotations

import importlib.util
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from astrocnn.catalog import Catalog
from astrocnn.errors import AstrocnnError, ConfigError, MissingDependency
from astrocnn.families import ClassFamily
from astrocnn.plugins import nearest
from astrocnn.runs.assemble import (
    augmentation_of,
    catalog_of,
    check_columns,
    check_draws,
    inputs_of,
    network_of,
    optimizer_of,
    options_of,
    source_of,
    survey_of,
    task_of,
)
from astrocnn.runs.config import RunConfig, SearchSection, check_names
from astrocnn.runs.quiet import import_tensorflow
from astrocnn.runs.searching.folder import SearchFolder
from astrocnn.runs.searching.space import grid_values, random_values
from astrocnn.tasks import Task

__all__ = ["check", "known_values", "startup_of"]

# Building a network takes a moment, so a search of hundreds tries a part of them beforehand.
_MOST_NETWORKS = 32
_MOST_CORNERS = 256

Values = Mapping[str, Any]
Refusals = dict[str, list[str]]


def known_values(search: SearchSection, number: int) -> dict[str, Any] | None:
    """What a trial sets, where that is known beforehand; None if it depends on other trials."""
    if search.sampler == "grid":
        return grid_values(search.space, number)
    if search.sampler == "tpe" and number >= startup_of(search):
        return None
    return random_values(search.space, search.seed, number)


def startup_of(search: SearchSection) -> int:
    """How many trials are random before their outcomes are learned from."""
    return search.startup or max(1, min(10, search.count // 2))


def check(folder: SearchFolder) -> None:
    """Refuse a search with everything that is wrong with it.

    First what is known from the run file alone, then what the catalogue, the images and the layers
    of the networks have to say.

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
    asked = search.sampler == "tpe" or search.pruning
    if asked and importlib.util.find_spec("optuna") is None:
        what = "choose trials" if search.sampler == "tpe" else "stop trials early"
        raise MissingDependency("optuna", "search", what)
    mistakes = list(_of_the_run(config, search))
    check_names(config)
    task = task_of(config)
    mistakes += _of_the_objective(search, task)
    refused: Refusals = {}
    for name, one in search.space.items():
        for value in one.ends():
            _try(refused, f"{name} = {value!r}", lambda n=name, v=value: folder.config_of({n: v}))
    runs = list(_runs(folder, refused))
    for label, run in runs:
        _try(refused, label, lambda run=run: (check_names(run), options_of(run)))
    _refuse(mistakes, refused)

    import_tensorflow()
    for label, run in _unlike(runs, lambda run: run.training.model_dump(mode="json")):
        _try(refused, label, lambda run=run: optimizer_of(run))
    catalog = _try(refused, "all trials", lambda: _labelled(config, task))
    if catalog is None:
        _refuse([], refused)
    networks = list(_unlike(runs, _seen))
    step = -(-len(networks) // _MOST_NETWORKS)
    for label, run in networks[::step]:
        _try(refused, label, lambda run=run: _build(run, task, catalog))
    _refuse([], refused)


def _of_the_run(config: RunConfig, search: SearchSection) -> Iterator[str]:
    if config.model.method is not None:
        yield f"a search compares networks epoch by epoch, and '{config.model.method}' has none"
    if config.model.members > 1 or "model.members" in search.space:
        yield "search with model.members = 1, then train the best with several members"
    if config.training.strategy == "multiworker":
        yield "several workers train one run: a search has trials for each process"
    for name in ("model.method", "model.features"):
        if name in search.space:
            yield f"{name} cannot be varied: a search compares networks"
    if search.sampler == "tpe" and search.startup and search.startup >= search.count:
        yield f"all {search.count} trials would be random with startup = {search.startup}"
    most = max([config.training.epochs, *_ends(search, "training.epochs")])
    if search.prune_after and search.prune_after >= most:
        yield f"no trial is pruned after {search.prune_after} epochs when there are {most} at most"


def _ends(search: SearchSection, name: str) -> list[Any]:
    return search.space[name].ends() if name in search.space else []


def _of_the_objective(search: SearchSection, task: Task) -> Iterator[str]:
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


def _runs(folder: SearchFolder, refused: Refusals) -> Iterator[tuple[str, RunConfig]]:
    """The runs whose values are known beforehand, and extreme ones in place of the others."""
    search, unknown = folder.search, False
    for number in range(search.count):
        values = known_values(search, number)
        if values is None:
            unknown = True
            break
        label = f"trial {number} ({_said(values)})"
        run = _try(refused, label, lambda v=values, n=number: folder.config_of(v, n))
        if run is not None:
            yield label, run
    if unknown:
        corners = itertools.product(*(one.ends() for one in search.space.values()))
        for corner in itertools.islice(corners, _MOST_CORNERS):
            values = dict(zip(search.space, corner, strict=True))
            run = _try(refused, _said(values), lambda v=values: folder.config_of(v))
            if run is not None:
                yield _said(values), run


def _said(values: Values) -> str:
    return ", ".join(f"{name} = {value!r}" for name, value in values.items())


def _seen(run: RunConfig) -> Any:
    return run.model_dump(mode="json", include={"model", "inputs", "augmentation"})


def _unlike(
    runs: Iterable[tuple[str, RunConfig]], part: Callable[[RunConfig], Any]
) -> Iterator[tuple[str, RunConfig]]:
    """One run for each value of a part."""
    met = set()
    for label, run in runs:
        key = json.dumps(part(run), sort_keys=True)
        if key not in met:
            met.add(key)
            yield label, run


def _labelled(config: RunConfig, task: Task) -> Catalog:
    """The catalogue, whose labels are good."""
    catalog = catalog_of(config)
    task.encode({name: catalog.column(name) for name in task.label_columns})
    check_columns(config, catalog.table)
    return catalog


def _build(run: RunConfig, task: Task, catalog: Catalog) -> None:
    """What training would find out about inputs and layers."""
    for name in run.inputs.scalars:
        catalog.numbers(name)
    source = source_of(survey_of(run), catalog, run.inputs.size)
    augmentation_of(run, task, inputs_of(run, source))
    if run.prediction.draws:
        check_draws(run, task, source)
    else:
        network_of(run, task, source)


def _try(refused: Refusals, label: str, do: Callable[[], Any]) -> Any:
    """What `do` gives; None if it is refused, which is then remembered by its reason."""
    try:
        return do()
    except AstrocnnError as error:
        refused.setdefault(str(error), []).append(label)
    return None


def _refuse(mistakes: list[str], refused: Refusals) -> None:
    said = list(mistakes)
    for reason, labels in refused.items():
        more = f" and {len(labels) - 1} more" if len(labels) > 1 else ""
        said.append(f"{labels[0]}{more}: {reason.removeprefix('One mistake in the run:').strip()}")
    if said:
        listed = "\n".join(f"{i}. {text}".replace("\n", "\n   ") for i, text in enumerate(said, 1))
        count = "One thing" if len(said) == 1 else f"{len(said)} things"
        raise ConfigError(f"{count} in this search cannot be; nothing was begun.\n{listed}")
