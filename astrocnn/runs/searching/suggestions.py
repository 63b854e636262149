"""Optuna's part: values that learn from other trials, and trials that are not worth finishing.

The trials on disk are all there is: a study is made from them whenever a question is asked.  A
question therefore has the same answer after an interruption as without one, and no lock of a data
base outlives a process.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from astrocnn.atomic import replacing
from astrocnn.runs.searching.folder import SearchFolder, is_loss
from astrocnn.runs.searching.ranges import Range
from astrocnn.runs.searching.space import startup_of
from astrocnn.runs.searching.trial import TrialFolder

__all__ = ["Pruned", "Pruning", "save_study", "suggest"]

_COMPLETE_BEFORE_PRUNING = 4
_PRUNE_AFTER = 3


class Pruned(Exception):
    """A trial is stopped because others were better."""


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
    word = hashlib.sha256(f"{search.seed} {number}".encode()).digest()[:4]
    sampler = optuna.samplers.TPESampler(
        seed=int.from_bytes(word, "big"), n_startup_trials=startup_of(search)
    )
    study = _study(folder, folder.trials(), sampler=sampler)
    asked = study.ask(_distributions(space))
    return {name: _value(one, asked.params[name]) for name, one in space.items()}


class Pruning:
    """Stops a trial whose best epoch is worse than the median of the others at the same epoch.

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
        others = [one for one in folder.trials() if one.number != trial.number]
        self.study = _study(folder, others, pruner=pruner)
        self.make = optuna.trial.create_trial
        self.running = optuna.trial.TrialState.RUNNING

    def __call__(self, history: Any) -> None:
        """Look at the epochs so far.

        Raises
        ------
        Pruned
            If the trial is to be stopped.
        """
        told = dict(enumerate((float(v) for v in history[self.column]), 1))
        frozen = self.make(state=self.running, intermediate_values=_finite(told))
        if self.study.pruner.prune(self.study, frozen):
            raise Pruned


def save_study(folder: SearchFolder, trials: Iterable[TrialFolder], path: Path) -> None:
    """Write trials as a journal that Optuna and its tools can open.

    Parameters
    ----------
    folder : SearchFolder
        Its search says what is varied.
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


def _study(folder: SearchFolder, trials: Iterable[TrialFolder], **how: Any) -> Any:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    direction = "minimize" if is_loss(folder.search.objective) else "maximize"
    study = optuna.create_study(direction=direction, **how)
    distributions = _distributions(folder.search.space)
    for trial in trials:
        study.add_trial(_frozen(folder, trial, distributions))
    return study


def _frozen(folder: SearchFolder, trial: TrialFolder, distributions: dict[str, Any]) -> Any:
    import optuna

    states = optuna.trial.TrialState
    values = trial.values()
    params = {name: _param(one, values[name]) for name, one in folder.search.space.items()}
    state, value = states.RUNNING, None
    epochs: dict[int, float] = {}
    if trial.done:
        outcome = trial.outcome().state
        objective, _ = folder.objective(trial)
        complete = outcome == "complete" and math.isfinite(objective)
        state, value = (states.COMPLETE, objective) if complete else (states.PRUNED, None)
        # One that failed has no epochs to tell: the sampler counts it as worse than all.
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
    for name, one in space.items():
        log = one.scale == "log"
        if one.choices is not None:  # by number, since a choice may be any value of a run file
            made[name] = CategoricalDistribution(range(len(one.choices)))
        elif one.integer:
            made[name] = IntDistribution(int(one.low), int(one.high), log=log)
        else:
            made[name] = FloatDistribution(one.low, one.high, log=log)
    return made


def _param(one: Range, value: Any) -> Any:
    return value if one.choices is None else one.choices.index(value)


def _value(one: Range, param: Any) -> Any:
    return one.rounded(param) if one.choices is None else one.choices[param]
