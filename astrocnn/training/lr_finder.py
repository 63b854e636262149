"""Which learning rate: a sweep from too low to too high."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from astrocnn.errors import TrainingError
from astrocnn.training.optimizers import Optimizer

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from astrocnn.training.objective import PerObject

__all__ = ["LearningRates", "find_learning_rate"]

_DIVERGED = 4.0
_FALL = 0.02


@dataclass(frozen=True)
class LearningRates:
    """Loss against learning rate.

    Parameters
    ----------
    rates : ndarray of float64, shape (n_steps,)
        Learning rates, ascending.
    losses : ndarray of float64, shape (n_steps,)
        Loss of the batch before the update with that rate.
    memory : float
        Of the moving average in `smoothed`.
    diverged : bool
        Whether the sweep ended because the loss ran away.
    """

    rates: NDArray[np.float64]
    losses: NDArray[np.float64]
    memory: float = 0.9
    diverged: bool = False

    @property
    def smoothed(self) -> NDArray[np.float64]:
        """Exponential moving average of the losses without the bias of its beginning."""
        weights = self.memory ** np.arange(len(self.losses))[::-1]
        return np.array(
            [np.average(self.losses[: i + 1], weights=weights[-i - 1 :]) for i in range(len(self))]
        )

    @property
    def suggestion(self) -> float:
        """A tenth of the rate at which the smoothed loss is lowest; NaN if the loss never fell."""
        smoothed = self.smoothed
        lowest = int(np.argmin(smoothed))
        if not smoothed[lowest] < smoothed[0] - _FALL * abs(smoothed[0]):
            return float("nan")
        return float(self.rates[lowest] / 10)

    def __len__(self) -> int:
        return len(self.rates)

    def figure(self) -> Figure:
        """Loss of each batch, its moving average, and the suggestion."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(5.2, 3.6), layout="constrained")
        axis = figure.subplots()
        axis.plot(self.rates, self.losses, ".", ms=4, color="0.7", label="each batch")
        axis.plot(self.rates, self.smoothed, color="#4477aa", label="moving average")
        if np.isfinite(self.suggestion):
            label = f"suggestion {self.suggestion:.1e}"
            axis.axvline(self.suggestion, color="#ee6677", ls="--", label=label)
        low, high = self.smoothed.min(), max(self.smoothed[0], np.median(self.smoothed))
        room = 0.5 * (high - low) + 0.05 * abs(high) + 1e-12
        axis.set(xscale="log", xlabel="learning rate", ylabel="training loss")
        axis.set_ylim(low - room, high + room)
        axis.grid(alpha=0.25)
        axis.legend(frameon=False)
        return figure


def find_learning_rate(
    model: Any,
    data: Any,
    losses: Mapping[str, PerObject],
    *,
    optimizer: Optimizer | str = "adam",
    low: float = 1e-6,
    high: float = 1.0,
    steps: int = 120,
    loss_weights: Mapping[str, float] | None = None,
) -> LearningRates:
    """Raise the learning rate at every update until the loss runs away.

    The rates are evenly spaced in their logarithm.  The sweep stops when the smoothed loss
    exceeds its lowest value by four times its fall so far (or by four times its own size where it
    has not fallen), or is no number.  The network is left as it was.

    Parameters
    ----------
    model : keras.Model
        As for `fit`.
    data : tf.data.Dataset
        Batches ``(x, y, weights)`` as for `fit`, begun again when they end.
    losses : mapping of target to function
        Loss per object of (encoded, raw).
    optimizer : Optimizer or str
        The method, without its schedule.
    low, high : float
        Ends of the sweep.
    steps : int
        Updates at most.
    loss_weights : mapping of target to float, optional
        Importance of each target, 1 unless named.

    Returns
    -------
    LearningRates

    Raises
    ------
    TrainingError
        If the range is empty, or the first batch has no finite loss.

    References
    ----------
    Smith 2017 (arXiv:1506.01186), section 3.3.
    """
    if not 0 < low < high or steps < 2:
        raise TrainingError(
            "There are no learning rates to try.",
            received=f"low = {low}, high = {high}, steps = {steps}",
            allowed="0 < low < high, and 2 steps or more",
        )
    method = Optimizer(optimizer) if isinstance(optimizer, str) else optimizer
    saved = [np.array(variable.numpy()) for variable in model.variables]
    rates = np.geomspace(low, high, steps)
    try:
        measured, diverged = _sweep(model, data, losses, method, rates, loss_weights or {})
    finally:
        for variable, value in zip(model.variables, saved, strict=True):
            variable.assign(value)
    if not measured:
        raise TrainingError(
            "The first batch has no finite loss, before any update.",
            hint="'astrocnn diagnose' names the first layer that yields no numbers",
        )
    return LearningRates(rates[: len(measured)], np.array(measured), diverged=diverged)


def _sweep(
    model: Any,
    data: Any,
    losses: Mapping[str, PerObject],
    method: Optimizer,
    rates: NDArray[np.float64],
    loss_weights: Mapping[str, float],
) -> tuple[list[float], bool]:
    """Loss before each update, and whether it ran away."""
    import tensorflow as tf

    from astrocnn.training.objective import Objective, Sums
    from astrocnn.training.step import training_step

    rule = method.build()
    rule.build(model.trainable_variables)
    objective = Objective(losses, loss_weights)
    objective.check(model.output if isinstance(model.output, dict) else ())
    where = tf.distribute.get_strategy()
    update = training_step(model, rule, objective, where, data.element_spec, method.clip_norm)
    measured: list[float] = []
    lowest = np.inf
    for rate, batch in zip(rates, data.repeat(), strict=False):
        rule.learning_rate = rate
        sums = Sums(objective)
        sums.add(update(batch))
        if sums.fetch() is not None:
            return measured, True
        measured.append(sums.means()["loss"])
        now = LearningRates(rates[: len(measured)], np.array(measured)).smoothed
        lowest = min(lowest, float(now[-1]))
        fall = max(now[0] - lowest, _FALL * abs(now[0]))
        if now[-1] > max(lowest + _DIVERGED * fall, now[0] + fall) and len(measured) > 10:
            return measured, True
    return measured, False
