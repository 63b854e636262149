"""Values of trials: random, on a grid, or by Optuna's tree-structured Parzen estimator.

Random values are pure functions of the seed, the number of the trial and the name of the parameter.
Values that depend on other trials come from an Optuna study that is rebuilt from the trial folders,
so they are the same with and without an interruption.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from astrocnn.atomic import replacing
from astrocnn.runs.search.folder import SearchFolder, TrialFolder, is_loss
from astrocnn.runs.search.section import Range, SearchSection

__all__ = [
    "Pruned",
    "Pruning",
    "grid_values",
    "known_values",
    "random_values",
    "save_study",
    "count_startup_trials",
    "suggest",
    "uniform",
]

_COMPLETE_BEFORE_PRUNING = 4
_PRUNE_AFTER = 3


def uniform(seed: int, trial: int, name: str) -> float:
    """Uniform deviate in [0, 1) for one parameter of one trial.

    It depends on nothing else: not on how many trials there are, in which order or by how many
    processes they are made, nor on what else is varied.

    Parameters
    ----------
    seed : int
        Of the search.
    trial : int
        Number of the trial, from 0.
    name : str
        Dotted path of the parameter.

    Returns
    -------
    float
    """
    name_key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
    source = np.random.Philox(np.random.SeedSequence(seed, spawn_key=(trial, name_key)))
    # The raw bits: they are the same in all versions of numpy.
    return int(source.random_raw() >> np.uint64(11)) * 2.0**-53


def random_values(space: Mapping[str, Range], seed: int, trial: int) -> dict[str, Any]:
    """Values of a trial of a random search.

    Parameters
    ----------
    space : mapping of str to Range
        By dotted path.
    seed, trial : int
        Of the search; number of the trial, from 0.

    Returns
    -------
    dict of str to value
    """
    return {name: span.at(uniform(seed, trial, name)) for name, span in space.items()}


def grid_values(space: Mapping[str, Range], trial: int) -> dict[str, Any]:
    """Values of a grid point; the last parameter varies fastest."""
    axes = [span.grid() for span in space.values()]
    at = np.unravel_index(trial, [len(axis) for axis in axes])
    return {name: axis[i] for name, axis, i in zip(space, axes, at, strict=True)}


def known_values(search: SearchSection, number: int) -> dict[str, Any] | None:
    """Values of a trial, if they do not depend on other trials.

    Parameters
    ----------
    search : SearchSection
        How values are chosen.
    number : int
        Of the trial, from 0.

    Returns
    -------
    dict of str to value, or None
        By dotted path; None if it depends on other trials.
    """
    if search.sampler == "grid":
        return grid_values(search.space, number)
    if search.sampler == "tpe" and number >= count_startup_trials(search):
        return None
    return random_values(search.space, search.seed, number)


def count_startup_trials(search: SearchSection) -> int:
    """Number of random trials before the sampler models their outcomes."""
    return search.startup or max(1, min(10, search.count // 2))


class Pruned(Exception):
    """Raised to stop a trial that is worse than the others."""


def suggest(folder: SearchFolder, number: int) -> dict[str, Any]:
    """Values for a trial from the outcomes of the others, by the tree-structured Parzen estimator.

    A pure function of the seed, the number and those outcomes.

    Parameters
    ----------
    folder : SearchFolder
        With the other trials.
    number : int
        Of the trial, from 0.

    Returns
    -------
    dict of str to value
        By dotted path.

    References
    ----------
    Bergstra et al. 2011, NeurIPS 24, 2546, section 4.
    """
    import optuna

    space, search = folder.search.space, folder.search
    seed = hashlib.sha256(f"{search.seed} {number}".encode()).digest()[:4]
    sampler = optuna.samplers.TPESampler(
        seed=int.from_bytes(seed, "big"), n_startup_trials=count_startup_trials(search)
    )
    study = _study(folder, folder.trials(), sampler=sampler)
    trial = study.ask(_distributions(space))
    return {name: _value(span, trial.params[name]) for name, span in space.items()}


class Pruning:
    """Stop a trial whose best epoch is worse than the median of the others at the same epoch.

    Parameters
    ----------
    folder : SearchFolder
        With the other trials, as they are now.
    trial : TrialFolder
        The one in question.

    Notes
    -----
    Nothing is stopped before four others are complete.
    """

    def __init__(self, folder: SearchFolder, trial: TrialFolder) -> None:
        import optuna

        self.column = folder.search.objective
        pruner = optuna.pruners.MedianPruner(
            n_startup_trials=_COMPLETE_BEFORE_PRUNING,
            n_warmup_steps=folder.search.prune_after or _PRUNE_AFTER,
        )
        others = [other for other in folder.trials() if other.number != trial.number]
        self.study = _study(folder, others, pruner=pruner)
        self.make = optuna.trial.create_trial
        self.running = optuna.trial.TrialState.RUNNING

    def __call__(self, history: Any) -> None:
        """Check the epochs so far.

        Raises
        ------
        Pruned
            If the trial is to be stopped.
        """
        values = dict(enumerate((float(v) for v in history[self.column]), 1))
        frozen = self.make(state=self.running, intermediate_values=_finite(values))
        if self.study.pruner.prune(self.study, frozen):
            raise Pruned


def save_study(folder: SearchFolder, trials: Iterable[TrialFolder], path: Path) -> None:
    """Write trials as a journal that Optuna and its tools can open.

    Parameters
    ----------
    folder : SearchFolder
        Its search defines the space.
    trials : iterable of TrialFolder
        What is written.
    path : Path
        The file; replaced whole.
    """
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    made = _study(folder, trials).get_trials()
    with replacing(path) as temporary:
        storage = JournalStorage(JournalFileBackend(str(temporary)))
        name = folder.config.title
        _study(folder, (), storage=storage, study_name=name).add_trials(made)


def _study(folder: SearchFolder, trials: Iterable[TrialFolder], **options: Any) -> Any:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        direction="minimize" if is_loss(folder.search.objective) else "maximize", **options
    )
    distributions = _distributions(folder.search.space)
    for trial in trials:
        study.add_trial(_frozen(folder, trial, distributions))
    return study


def _frozen(folder: SearchFolder, trial: TrialFolder, distributions: dict[str, Any]) -> Any:
    import optuna

    states = optuna.trial.TrialState
    values = trial.values()
    params = {name: _param(span, values[name]) for name, span in folder.search.space.items()}
    state, value = states.RUNNING, None
    epochs: dict[int, float] = {}
    if trial.done:
        outcome = trial.outcome().state
        objective, _ = folder.objective(trial)
        complete = outcome == "complete" and math.isfinite(objective)
        state, value = (states.COMPLETE, objective) if complete else (states.PRUNED, None)
        # A failed trial has no epochs: the sampler ranks it below all others.
        if outcome != "failed":
            epochs = dict(enumerate(trial.history().get(folder.search.objective, []), 1))
    return optuna.trial.create_trial(
        state=state,
        value=value,
        params=params,
        distributions=distributions,
        intermediate_values=_finite(epochs),
    )


def _finite(epochs: Mapping[int, float]) -> dict[int, float]:
    return {epoch: value for epoch, value in epochs.items() if math.isfinite(value)}


def _distributions(space: Mapping[str, Range]) -> dict[str, Any]:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    made: dict[str, Any] = {}
    for name, span in space.items():
        log = span.scale == "log"
        if span.choices is not None:  # by number, since a choice may be any value of a run file
            made[name] = CategoricalDistribution(range(len(span.choices)))
        elif span.integer:
            made[name] = IntDistribution(int(span.limits[0]), int(span.limits[1]), log=log)
        else:
            made[name] = FloatDistribution(*span.limits, log=log)
    return made


def _param(span: Range, value: Any) -> Any:
    return value if span.choices is None else span.choices.index(value)


def _value(span: Range, param: Any) -> Any:
    return span.rounded(param) if span.choices is None else span.choices[param]
