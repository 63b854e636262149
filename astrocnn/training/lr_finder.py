"""Which learning rate: a sweep from too low to too high."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from astrocnn.backend import keras, tf
from astrocnn.errors import TrainingError
from astrocnn.progress import track
from astrocnn.training.layer_rates import LayerOptimizers, LayerRates
from astrocnn.training.objective import EpochSums, Objective, PerObject
from astrocnn.training.optimizers import Optimizer
from astrocnn.training.steps import build_training_step

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["LearningRates", "find_learning_rate"]

# The moving average remembers a twelfth of the sweep; it ends at four times the lowest loss; a
# suggestion needs a fall by 2 percent and by three standard deviations of the noise.
_MEMORY = 12
_RISE = 4.0
_FALL = 0.02
_SIGMA = 3.0


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
        Of the moving average in `smoothed`: the part that one update leaves of it.
    diverged : bool
        Whether the sweep ended because the loss diverged.
    """

    rates: NDArray[np.float64]
    losses: NDArray[np.float64]
    memory: float = 0.9
    diverged: bool = False

    @cached_property
    def smoothed(self) -> NDArray[np.float64]:
        """Exponential moving average of the losses without the bias of its beginning."""
        decay = self.memory ** np.arange(1, len(self) + 1)
        return np.array(list(accumulate(self.losses, self._update, initial=0.0)))[1:] / (1 - decay)

    # Written out, since scipy.signal is slow to import.
    def _update(self, average: float, loss: float) -> float:
        return (1 - self.memory) * loss + self.memory * average

    @property
    def suggestion(self) -> float | None:
        """A tenth of the rate at which the smoothed loss is lowest; None if the loss never fell.

        It fell if it came to lie 2 percent, and three times its noise, below the mean of the first
        batches: as many as the moving average remembers, on which the lowest rates act.
        """
        first = self.losses[: self._first]
        # Variance of the moving average, and of the mean that it is compared with.
        share = (1 - self.memory) / (1 + self.memory) + 1 / len(first)
        noise = float(np.std(first, ddof=1)) * share**0.5 if len(first) > 1 else 0.0
        if self._fall <= max(_FALL * abs(float(np.mean(first))), _SIGMA * noise):
            return None
        return float(self.rates[self._lowest] / 10)

    @property
    def has_diverged(self) -> bool:
        """Whether the smoothed loss has risen to a multiple of its lowest value."""
        if len(self) < self._first:
            return False
        lowest = self.smoothed[self._lowest]
        return bool(self.smoothed[-1] > lowest + (_RISE - 1) * max(abs(lowest), self._fall))

    @property
    def _first(self) -> int:
        """How many batches the moving average remembers; before them it is noise."""
        return max(1, round(1 / (1 - self.memory)))

    @property
    def _lowest(self) -> int:
        # Before that the average follows each batch, and its lowest value is noise.
        before = self._first - 1
        return before + int(np.argmin(self.smoothed[before:]))

    @property
    def _fall(self) -> float:
        return float(np.mean(self.losses[: self._first]) - self.smoothed[self._lowest])

    def __len__(self) -> int:
        return len(self.rates)

    def figure(self) -> Figure:
        """Loss of each batch, its moving average, and the suggestion."""
        from matplotlib.figure import Figure

        begin = self._first - 1  # before it the average follows each batch
        settled = self.smoothed[begin:]
        figure = Figure(figsize=(5.6, 3.6), layout="constrained")
        axis = figure.subplots()
        small = 4 if len(self) < 500 else 2
        axis.plot(self.rates, self.losses, ".", ms=small, color="0.75", label="each batch")
        axis.plot(self.rates[begin:], settled, color="#4477aa", label="moving average")
        if self.suggestion is not None:
            label = f"suggestion {self.suggestion:.1e}"
            axis.axvline(self.suggestion, color="#ee6677", ls="--", label=label)
        low, high = settled.min(), max(settled[0], np.median(settled))
        room = 0.5 * (high - low) + 0.05 * abs(high) + 1e-12
        bottom = max(low - room, 0) if self.losses.min() >= 0 else low - room
        axis.set(xscale="log", xlabel="learning rate", ylabel="training loss")
        axis.set_ylim(bottom, high + 2 * room)
        axis.grid(alpha=0.25)
        figure.legend(loc="outside upper left", ncols=3, frameon=False, fontsize="small")
        return figure


def find_learning_rate(
    model: keras.Model,
    data: tf.data.Dataset,
    objective: Objective | Mapping[str, PerObject],
    *,
    optimizer: Optimizer | str = "adam",
    layer_rates: LayerRates | None = None,
    low: float = 1e-6,
    high: float = 1.0,
    steps: int = 120,
) -> LearningRates:
    """Raise the learning rate at every update until the loss diverges.

    The rates are evenly spaced in their logarithm.  The loss is smoothed over a twelfth of them,
    with the bias of the beginning removed [2]_.  The sweep stops when that average exceeds four
    times its lowest value, or is not finite; of a loss that may be negative, when it has risen by
    three times its size, or by three times its fall where that is more.  The network is left as it
    was.

    Parameters
    ----------
    model, data, objective
        As for `fit`; the batches begin again when they end.
    optimizer : Optimizer or str
        The method, without its schedule.
    layer_rates : LayerRates, optional
        As for `fit`; the sweep is that of the epochs after the frozen ones.
    low, high : float
        Ends of the sweep.
    steps : int
        Updates at most.

    Returns
    -------
    LearningRates

    Raises
    ------
    TrainingError
        If the range is empty, or one of the first batches has no finite loss.

    References
    ----------
    .. [1] Smith 2017, arXiv:1506.01186, section 3.3.
    .. [2] Kingma & Ba 2015, arXiv:1412.6980, section 3.
    """
    if not 0 < low < high or steps < 2:
        raise TrainingError(
            "Invalid range of learning rates.",
            received=f"low = {low}, high = {high}, steps = {steps}",
            allowed="0 < low < high, and 2 steps or more",
        )
    if not isinstance(objective, Objective):
        objective = Objective(objective)
    method = Optimizer(optimizer) if isinstance(optimizer, str) else optimizer
    # All variables, random states of dropout and running statistics too.
    saved = [np.array(variable.numpy()) for variable in model.variables]
    # Equal steps in the logarithm: the useful range spans several decades.
    rates = np.geomspace(low, high, steps)
    result = LearningRates(rates[:0], np.empty(0), max(0.0, 1 - _MEMORY / steps))
    optimizers = LayerOptimizers(method, model, layer_rates or LayerRates())
    try:
        optimizers.freeze(optimizers.frozen_epochs)
        sweep = _sweep(model, data, objective, optimizers, method.clip_norm, rates)
        for loss in track(sweep, "learning rates", steps):
            if not np.isfinite(loss):
                result = replace(result, diverged=True)
                break
            measured = np.append(result.losses, loss)
            result = replace(result, rates=rates[: len(measured)], losses=measured)
            if result.has_diverged:
                result = replace(result, diverged=True)
                break
    finally:
        optimizers.release()
        for variable, value in zip(model.variables, saved, strict=True):
            variable.assign(value)
    if len(result) < result._first:
        raise TrainingError(
            f"The loss of batch {len(result) + 1} is not finite, at the lowest learning rates.",
            hint="'astrocnn diagnose' names the first layer with non-finite outputs",
        )
    return result


def _sweep(
    model: keras.Model,
    data: tf.data.Dataset,
    objective: Objective,
    optimizers: LayerOptimizers,
    clip_norm: float | None,
    rates: NDArray[np.float64],
) -> Iterator[float]:
    """Loss before the update with each rate, infinite where it is not finite."""
    objective.check(model.output if isinstance(model.output, dict) else ())
    strategy = tf.distribute.get_strategy()
    update = build_training_step(
        model, optimizers, objective, strategy, data.element_spec, clip_norm
    )
    for rate, batch in zip(rates, data.repeat(), strict=False):
        # The loss is that of the weights before this rate acts on them.
        optimizers.learning_rate = rate
        sums = EpochSums(objective)
        sums.add(update(batch))
        yield np.inf if sums.fetch() is not None else sums.compute_means()["loss"]
