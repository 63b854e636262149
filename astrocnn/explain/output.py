"""Which number of a network is explained: of an answer, or of a layer on the way to it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from astrocnn.backend import keras, ops
from astrocnn.errors import ModelError
from astrocnn.models.layer_access import layer_output
from astrocnn.plugins import nearest
from astrocnn.targets import Binned, Gaussian, Mixture

__all__ = ["Explained", "Output", "Response"]

_SCALES = ("logit", "probability")


class Explained(Protocol):
    """A number per object that a network computes."""

    def nodes(self, model: keras.Model) -> Any:
        """The symbolic tensor of the network from which the number is made."""

    def number(self, values: Any) -> Any:
        """The number, of shape (n,), from the values of that tensor."""


@dataclass(frozen=True)
class Output:
    """One number of the answer about a target.

    Parameters
    ----------
    target : Target
        Its name is that of the network's output, its family says what the output means.
    wanted : str or tuple of float, optional
        For classes, votes and yes/no: the name of a class (``"yes"`` by default for yes/no).
        For a quantity: nothing for the mean of its density, or the two ends of an interval for
        the probability in it.
    scale : str
        For classes: ``"logit"``, the raw output of the class, which does not saturate, or
        ``"probability"``.  Quantities have no logit, and need not say so.

    Raises
    ------
    ModelError
        If the family has no such class, interval or scale.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> from astrocnn.targets import Binned, Bernoulli
    >>> quality = SimpleNamespace(name="quality", family=Bernoulli())
    >>> float(Output(quality).number(np.array([[1.5]]))[0])
    1.5
    >>> redshift = SimpleNamespace(name="z", family=Binned(0.0, 0.4, 4))
    >>> round(float(Output(redshift).number(np.zeros((1, 4)))[0]), 6)
    0.2
    >>> round(float(Output(redshift, (0.1, 0.25)).number(np.zeros((1, 4)))[0]), 6)
    0.375
    """

    target: Any
    wanted: str | tuple[float, float] | None = None
    scale: str = "logit"

    def __post_init__(self) -> None:
        if self.scale not in _SCALES:
            raise ModelError("There is no such scale.", received=repr(self.scale), allowed=_SCALES)
        if is_quantity(self.target.family):
            self._check_interval()
        else:
            self._check_class()

    def _check_interval(self) -> None:
        family, wanted = self.target.family, self.wanted
        if wanted is None:
            return
        pair = not isinstance(wanted, str) and len(wanted) == 2
        if not pair or not float(wanted[0]) < float(wanted[1]):
            raise ModelError(
                f"'{self.target.name}' is a number, of which no such part can be explained.",
                received=repr(wanted),
                allowed="nothing for its mean, or two ends of an interval, the lower one first",
            )
        if not (wanted[0] < family.high and wanted[1] > family.low):
            raise ModelError(
                f"The interval lies outside the range of '{self.target.name}'.",
                received=wanted,
                allowed=f"a part of {family.low:g} to {family.high:g}",
            )

    def _check_class(self) -> None:
        classes = getattr(self.target.family, "classes", ())
        if self.wanted is None and classes and self.target.family.units == 1:
            object.__setattr__(self, "wanted", classes[1])
        if self.wanted not in classes:
            raise ModelError(
                f"'{self.target.name}' has no such class, or none was named."
                if classes
                else f"What '{self.target.name}' predicts cannot be explained.",
                received=repr(self.wanted),
                allowed=classes or "classes, votes, yes/no, or a number with a density",
                hint=nearest(str(self.wanted), classes) if self.wanted else None,
            )

    @property
    def label(self) -> str:
        """What it is, for the axis of a figure."""
        name, wanted = self.target.name, self.wanted
        if not is_quantity(self.target.family):
            return f"{self.scale} of {name} = {wanted}"
        if wanted is None:
            return f"mean of {name}"
        return f"probability of {wanted[0]:g} < {name} < {wanted[1]:g}"

    def nodes(self, model: keras.Model) -> Any:
        """The raw output for the target.

        Raises
        ------
        ModelError
            If the network has no such output, or not with as many numbers as the family asks for.
        """
        outputs = model.output
        known = tuple(outputs) if isinstance(outputs, dict) else ()
        if self.target.name not in known:
            raise ModelError(
                f"The network does not predict '{self.target.name}'.",
                allowed=known or "a network whose outputs have the names of targets",
                hint=nearest(self.target.name, known),
            )
        found = outputs[self.target.name]
        if found.shape[-1] != self.target.family.units:
            raise ModelError(
                f"The network's output '{self.target.name}' is not of this family.",
                received=f"{found.shape[-1]} numbers",
                allowed=f"{self.target.family.units} numbers",
            )
        return found

    def number(self, values: Any) -> Any:
        """The number from raw outputs of shape (n, units), or its mean over (n, draws, units)."""
        found = self.of_draws(values)
        return ops.mean(found, axis=1) if len(found.shape) == 2 else found

    def of_draws(self, values: Any) -> Any:
        """The number of every draw, of shape (n, draws), from raw outputs (n, draws, units)."""
        raw = ops.cast(values, "float32")
        family = self.target.family
        if not is_quantity(family):
            return self._of_class(raw)
        active = family.activate(raw)
        if isinstance(family, Binned):
            return ops.sum(active * self._bin_values(), axis=-1)
        if isinstance(family, Gaussian):
            mean, std = active[..., :1], active[..., 1:]
            weight = ops.ones_like(mean)
        else:
            weight, mean, std = ops.split(active, 3, axis=-1)
        if self.wanted is None:
            return ops.sum(weight * _clipped_mean(mean, std, family), axis=-1)
        low, high = self.wanted
        above = _normal((high - mean) / std) if high < family.high else 1.0
        below = _normal((low - mean) / std) if low > family.low else 0.0
        return ops.sum(weight * (above - below), axis=-1)

    def _of_class(self, raw: Any) -> Any:
        family = self.target.family
        place = family.classes.index(self.wanted)
        if family.units == 1:
            logit = raw[..., 0] if place == 1 else -raw[..., 0]
            return logit if self.scale == "logit" else ops.sigmoid(logit)
        if self.scale == "logit":
            return raw[..., place]
        active = family.activate(raw)
        return active[..., place] / ops.sum(active, axis=-1)

    def _bin_values(self) -> Any:
        """What the probability of each bin counts: its center, or its share in the interval."""
        edges = self.target.family.edges
        if self.wanted is None:
            return (0.5 * (edges[1:] + edges[:-1])).astype(np.float32)
        low, high = self.wanted
        shared = np.minimum(edges[1:], high) - np.maximum(edges[:-1], low)
        return (np.maximum(shared, 0.0) / np.diff(edges)).astype(np.float32)


@dataclass(frozen=True)
class Response:
    """The mean response of a layer, or of one of its channels.

    Parameters
    ----------
    layer : str
        Name of any layer.
    channel : int, optional
        Index along the last axis; all channels by default.
    """

    layer: str
    channel: int | None = None

    @property
    def label(self) -> str:
        """What it is, for the axis of a figure."""
        which = "" if self.channel is None else f", channel {self.channel}"
        return f"mean response of {self.layer}{which}"

    def nodes(self, model: keras.Model) -> Any:
        """Output of the layer.

        Raises
        ------
        ModelError
            If there is no such layer or channel.
        """
        found = layer_output(model, self.layer)
        if self.channel is not None and not 0 <= self.channel < found.shape[-1]:
            raise ModelError(
                f"The layer '{self.layer}' has no such channel.",
                received=self.channel,
                allowed=f"0 to {found.shape[-1] - 1}",
            )
        return found

    def number(self, values: Any) -> Any:
        """Mean over all axes but that of objects."""
        values = ops.cast(values, "float32")
        if self.channel is not None:
            values = values[..., self.channel]
        axes = tuple(range(1, len(values.shape)))
        return ops.mean(values, axis=axes) if axes else values


def is_quantity(family: Any) -> bool:
    """Whether it is a family over one real number."""
    return isinstance(family, (Binned, Gaussian, Mixture))


def _normal(x: Any) -> Any:
    return 0.5 * (1.0 + ops.erf(x / math.sqrt(2.0)))


def _clipped_mean(mean: Any, std: Any, family: Any) -> Any:
    """Mean of normal densities whose tails count to the ends of the range."""
    below, above = family.low - mean, family.high - mean
    a, b = below / std, above / std
    f_a, f_b = (ops.exp(-0.5 * t * t) / math.sqrt(2.0 * math.pi) for t in (a, b))
    return mean + below * _normal(a) + above * _normal(-b) - std * (f_b - f_a)
