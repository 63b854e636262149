"""Optimizers by name, and learning-rate schedules.

A schedule is a pure function of the fraction of training done after the warm-up, so that a training
that was interrupted continues with the same rates.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from astrocnn.backend import keras
from astrocnn.errors import TrainingError
from astrocnn.plugins import nearest

__all__ = [
    "OPTIMIZERS",
    "Optimizer",
    "PARAMETERS",
    "PLATEAU_EPOCHS",
    "PLATEAU_FACTOR",
    "SCHEDULES",
    "count_plateaus",
    "compute_factor",
]

PLATEAU_EPOCHS = 5
"""Epochs without improvement after which "plateau" lowers the rate."""

PLATEAU_FACTOR = math.sqrt(0.1)
"""What "plateau" multiplies the rate with: two plateaus are a decade."""

# Of one cycle: the fraction of the training in which the rate rises.
_RISE = 0.3
_STEPS = 3


def _constant(t: float, floor: float) -> float:
    return 1.0


def _exponential(t: float, floor: float) -> float:
    return floor**t


def _cosine(t: float, floor: float) -> float:
    return floor + (1.0 - floor) * 0.5 * (1.0 + math.cos(math.pi * t))


def _step(t: float, floor: float) -> float:
    # The last part lies at the floor, so that there is one step less than parts.
    done = min(int(_STEPS * t), _STEPS - 1)
    return floor ** (done / (_STEPS - 1))


def _one_cycle(t: float, floor: float) -> float:
    if t < _RISE:
        return floor + (1.0 - floor) * 0.5 * (1.0 - math.cos(math.pi * t / _RISE))
    return _cosine((t - _RISE) / (1.0 - _RISE), floor)


_FUNCTIONS: dict[str, Callable[[float, float], float]] = {
    "constant": _constant,
    "exponential": _exponential,
    "inverse_sqrt": _constant,
    "step": _step,
    "cosine": _cosine,
    "one_cycle": _one_cycle,
    "plateau": _constant,
}
SCHEDULES: tuple[str, ...] = tuple(_FUNCTIONS)
"""Names of the learning-rate schedules."""


def compute_factor(
    schedule: str, t: float, floor: float, *, drops: int = 0, warmups: float = 0.0
) -> float:
    """What the highest learning rate is multiplied with.

    Parameters
    ----------
    schedule : str
        One of `SCHEDULES`.  "exponential" falls by the same factor each epoch, "step" in three
        equal parts, "cosine" along half a cosine; "one_cycle" rises from the floor during the
        first three tenths and falls along a cosine; all of them end at the floor.
        "inverse_sqrt" falls as one over the square root of the updates made, whatever the length
        of the training, and "plateau" waits for the validation loss; the floor is their limit.
    t, floor : float
        Fraction of training done, 0 to 1, and the factor at the end.
    drops : int
        Plateaus so far, for "plateau": see `count_plateaus`.
    warmups : float
        How many times as long as the warm-up (an epoch, if that was shorter) training has gone on
        since, for "inverse_sqrt".

    References
    ----------
    Loshchilov & Hutter 2017 (arXiv:1608.03983), equation 5: the cosine.
    Smith & Topin 2017 (arXiv:1708.07120), section 3: one cycle.
    Vaswani et al. 2017 (arXiv:1706.03762), equation 3: the inverse square root.
    """
    # Depends on the history, which is in the backup, so it resumes exactly too.
    if schedule == "plateau":
        return max(floor, PLATEAU_FACTOR**drops)
    if schedule == "inverse_sqrt":
        return max(floor, 1.0 / math.sqrt(1.0 + warmups))
    return _FUNCTIONS[schedule](t, floor)


def count_plateaus(values: Iterable[float]) -> int:
    """How often a loss, of each epoch so far, stayed above its best for `PLATEAU_EPOCHS` in a row.

    Examples
    --------
    >>> count_plateaus([3, 2, 2, 2, 2, 2, 2]), count_plateaus([3, 2, 1])
    (1, 0)
    """
    best, waited, drops = math.inf, 0, 0
    for value in values:
        waited = 0 if value < best else waited + 1
        best = min(best, value)
        if waited == PLATEAU_EPOCHS:
            waited, drops = 0, drops + 1
    return drops


_KERAS: dict[str, tuple[str, dict[str, Any]]] = {
    "sgd": ("SGD", {}),
    "momentum": ("SGD", {"momentum": 0.9}),
    "nesterov": ("SGD", {"momentum": 0.9, "nesterov": True}),
    "adagrad": ("Adagrad", {}),
    "rmsprop": ("RMSprop", {}),
    "adam": ("Adam", {}),
    "adamw": ("AdamW", {}),
}
OPTIMIZERS: tuple[str, ...] = tuple(_KERAS)
"""Names accepted by `Optimizer`."""

# Spelled as in Keras, whose documentation then holds.
_OWN = {
    "SGD": ("momentum", "nesterov"),
    "Adagrad": ("initial_accumulator_value", "epsilon"),
    "RMSprop": ("rho", "momentum", "epsilon", "centered"),
    "Adam": ("beta_1", "beta_2", "epsilon", "amsgrad"),
    "AdamW": ("beta_1", "beta_2", "epsilon", "amsgrad"),
}
PARAMETERS: dict[str, tuple[str, ...]] = {
    name: (*_OWN[keras_name], "weight_decay") for name, (keras_name, _) in _KERAS.items()
}
"""Names that the options of each optimizer may have, beside those of `Optimizer` itself."""


@dataclass(frozen=True)
class Optimizer:
    """A gradient-descent method with its learning-rate schedule: plain data until built.

    Parameters
    ----------
    name : {"adam", "adamw", "sgd", "momentum", "nesterov", "adagrad", "rmsprop"}
        "momentum" and "nesterov" are SGD with momentum 0.9.
    learning_rate : float
        Highest learning rate.
    schedule : str
        One of `SCHEDULES`: how the rate falls after the warm-up.
    warmup : float
        Epochs during which the rate first rises linearly from zero.

    Other Parameters
    ----------------
    floor : float
        Smallest factor on the learning rate; most schedules reach it at the end of training.
    clip_norm : float, optional
        Gradients whose norm over all weights is greater are scaled down to it.
    average : float, optional
        Validate, and end with, an exponential moving average of the weights that keeps this
        share of itself at each update, such as 0.999.
    options : dict
        The numbers of the method, by the names in `PARAMETERS`: ``{"beta_2": 0.99}``.

    References
    ----------
    Polyak & Juditsky 1992 (SIAM J. Control Optim. 30, 838): averaged weights.
    Pascanu et al. 2013 (arXiv:1211.5063), algorithm 1: clipping by the norm.

    Examples
    --------
    >>> method = Optimizer("adam", 1e-3, schedule="cosine", warmup=1.0, floor=0.0)
    >>> [method.compute_rate(step, steps_per_epoch=10, epochs=3) for step in (5, 10, 20)]
    [0.0005, 0.001, 0.0005]
    """

    name: str = "adam"
    learning_rate: float = 1e-3
    schedule: str = "constant"
    warmup: float = 0.0
    floor: float = 0.01
    clip_norm: float | None = None
    average: float | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for kind, value, known in (
            ("optimizer", self.name, OPTIMIZERS),
            ("learning-rate schedule", self.schedule, SCHEDULES),
        ):
            if value not in known:
                raise TrainingError(
                    f"Unknown {kind} '{value}'.", allowed=known, hint=nearest(value, known)
                )
        for option in self.options:
            if option not in (known := PARAMETERS[self.name]):
                raise TrainingError(
                    f"The optimizer '{self.name}' has no option '{option}'.",
                    allowed=known,
                    hint=nearest(option, known),
                )
        for label, number, allowed, good in (
            ("learning_rate", self.learning_rate, "above 0", self.learning_rate > 0),
            ("warmup", self.warmup, "0 or more epochs", self.warmup >= 0),
            ("floor", self.floor, "0 to 1", 0 <= self.floor <= 1),
            # None stands for no average, and passes.
            ("average", self.average, "between 0 and 1", 0 < (self.average or 0.5) < 1),
            ("clip_norm", self.clip_norm, "above 0", self.clip_norm is None or self.clip_norm > 0),
        ):
            if not good:
                raise TrainingError(
                    f"The optimizer's {label} is out of range.", received=number, allowed=allowed
                )

    def compute_rate(
        self, step: int, *, steps_per_epoch: int, epochs: int, drops: int = 0
    ) -> float:
        """Learning rate of an update, counted from 0; `drops` are the plateaus so far."""
        # Counted in updates, so that a fraction of an epoch can be a warm-up.
        rising = self.warmup * steps_per_epoch
        if step < rising:
            return self.learning_rate * step / rising
        since = step - rising
        t = min(1.0, since / max(1.0, steps_per_epoch * epochs - rising))
        warmups = since / (steps_per_epoch * max(1.0, self.warmup))
        return self.learning_rate * compute_factor(
            self.schedule, t, self.floor, drops=drops, warmups=warmups
        )

    def build(self) -> keras.Optimizer:
        """The Keras optimizer, with a learning rate that is set before each update.

        Clipping is left out: Keras clips the gradient of each replica by itself, so that two
        replicas would not follow the path of one.  The training loop clips their sum.
        """
        # Keras keeps the averages among the variables of the optimizer, which are in the backup.
        keras_name, defaults = _KERAS[self.name]
        if self.average is not None:
            defaults = {**defaults, "use_ema": True, "ema_momentum": self.average}
        try:
            return getattr(keras.optimizers, keras_name)(
                learning_rate=self.learning_rate, **{**defaults, **self.options}
            )
        except (TypeError, ValueError) as error:
            raise TrainingError(
                f"Invalid options of the optimizer '{self.name}'.",
                received=str(dict(self.options)),
                hint=str(error).splitlines()[0],
            ) from error
