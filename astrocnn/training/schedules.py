"""Learning-rate schedules: a factor between 1 and a floor, against the part of training done.

Each is a pure function of t, the fraction of training done after the warm-up, so that a training
that was interrupted goes on with the same rates.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

__all__ = ["PLATEAU_EPOCHS", "PLATEAU_FACTOR", "SCHEDULES", "drops_on_plateaus", "factor"]

PLATEAU_EPOCHS = 5
"""Epochs without improvement after which "plateau" lowers the rate."""

PLATEAU_FACTOR = math.sqrt(0.1)
"""What "plateau" multiplies the rate with: two plateaus are a decade."""

_RISE = 0.3
_STEPS = 3


def _constant(t: float, floor: float) -> float:
    return 1.0


def _exponential(t: float, floor: float) -> float:
    return floor**t


def _cosine(t: float, floor: float) -> float:
    return floor + (1.0 - floor) * 0.5 * (1.0 + math.cos(math.pi * t))


def _step(t: float, floor: float) -> float:
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


def factor(
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
    t : float
        Fraction of training done, 0 to 1.
    floor : float
        Factor at the end.
    drops : int
        Plateaus so far, for "plateau": see `drops_on_plateaus`.
    warmups : float
        How many times as long as the warm-up (an epoch, if that was shorter) training has gone on
        since, for "inverse_sqrt".

    References
    ----------
    Loshchilov & Hutter 2017 (arXiv:1608.03983), equation 5: the cosine.
    Smith & Topin 2017 (arXiv:1708.07120), section 3: one cycle.
    Vaswani et al. 2017 (arXiv:1706.03762), equation 3: the inverse square root.
    """
    if schedule == "plateau":
        return max(floor, PLATEAU_FACTOR**drops)
    if schedule == "inverse_sqrt":
        return max(floor, 1.0 / math.sqrt(1.0 + warmups))
    return _FUNCTIONS[schedule](t, floor)


def drops_on_plateaus(values: Sequence[float]) -> int:
    """How often a loss stayed above its best for `PLATEAU_EPOCHS` epochs in a row.

    Parameters
    ----------
    values : sequence of float
        One for each epoch so far.

    Examples
    --------
    >>> drops_on_plateaus([3, 2, 2, 2, 2, 2, 2]), drops_on_plateaus([3, 2, 1])
    (1, 0)
    """
    best, waited, drops = math.inf, 0, 0
    for value in values:
        waited = 0 if value < best else waited + 1
        best = min(best, value)
        if waited == PLATEAU_EPOCHS:
            waited, drops = 0, drops + 1
    return drops
