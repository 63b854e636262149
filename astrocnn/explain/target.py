"""What is explained: one number per object that a network computes.

References
----------
Houlsby et al. 2011, arXiv:1112.5745, equation 2 (mutual information, "BALD").
Gal, Islam & Ghahramani 2017, ICML (arXiv:1703.02910), section 3.
Kendall & Gal 2017, NeurIPS (arXiv:1703.04977), equation 9 (variance of the mean).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocnn.backend import keras, ops
from astrocnn.errors import ModelError
from astrocnn.models.layer_access import layer_output
from astrocnn.plugins import nearest
from astrocnn.targets import Binned, Gaussian, Mixture, Target

__all__ = ["ExplainTarget"]

_SCALES = ("logit", "probability")
_TINY = 1e-37
_MIN_EXCESS = 1e-6 - 1.0


@dataclass(frozen=True, eq=False)
class ExplainTarget:
    """One number per object that a network computes.

    Parameters
    ----------
    target : Target, optional
        A predicted quantity: its name is that of an output of the network, and its family says
        what the raw output means.
    output : str or tuple of float, optional
        For classes, votes and yes/no: the name of a class (``"yes"`` by default for yes/no).
        For a quantity: its point estimate, the mean of the density, by default, or the two ends
        of an interval for the probability in it.
    scale : {"logit", "probability"}
        For classes: the raw output of the class, which does not saturate, or its probability.

    Other Parameters
    ----------------
    layer : str, optional
        Instead of a target: the mean activation of this layer.
    channel : int, optional
        Of that layer, along the last axis; all channels by default.
    uncertainty : bool
        The epistemic uncertainty of the target: for classes the mutual information of class and
        draw [nat], as in the column ``mutual_info``; for a quantity the variance over draws of
        the mean, the square of the column ``std_epistemic``.  The network must return draws, as
        ``estimator.drawing(draws, seed)`` does.
    classes : sequence of str of length n, optional
        One class per object, whose logit is explained: the predicted class of each, for instance.

    Raises
    ------
    ModelError
        If the family has no such class, interval or scale.

    Examples
    --------
    >>> from astrocnn.targets import Binned, Bernoulli
    >>> usable = Target("usable", Bernoulli(), "usable")
    >>> float(ExplainTarget(usable).value(np.array([[1.5]]))[0])
    1.5
    >>> z = Target("z", Binned(0.0, 0.4, 4), "z")
    >>> round(float(ExplainTarget(z).value(np.zeros((1, 4)))[0]), 6)
    0.2
    >>> round(float(ExplainTarget(z, (0.1, 0.25)).value(np.zeros((1, 4)))[0]), 6)
    0.375

    Two draws, each certain of the opposite, disagree by one bit:

    >>> draws = np.array([[[99.0], [-99.0]]])
    >>> round(float(ExplainTarget(usable, uncertainty=True).value(draws)[0]), 6)
    0.693147
    """

    target: Target | None = None
    output: str | tuple[float, float] | None = None
    scale: str = "logit"
    layer: str | None = None
    channel: int | None = None
    uncertainty: bool = False
    classes: Sequence[str] | None = None

    @classmethod
    def parse(cls, text: str, target: Target | None = None) -> ExplainTarget:
        """The number that a text names.

        Parameters
        ----------
        text : str
            The name of a class; the ends of an interval, as in ``"0.1,0.3"``, for the probability
            in it; or ``"layer:NAME"`` or ``"layer:NAME#CHANNEL"`` for the activation of a layer.
        target : Target, optional
            Whose class or interval it is.

        Raises
        ------
        ModelError
            If the target has no such class or interval.

        Examples
        --------
        >>> ExplainTarget.parse("layer:conv2#5").label
        'mean activation of conv2, channel 5'
        """
        kind, colon, layer = text.partition(":")
        if colon and kind == "layer":
            name, _, channel = layer.partition("#")
            if channel.isdecimal():
                return cls(layer=name, channel=int(channel))
            return cls(layer=layer)
        try:
            low, high = (float(end) for end in text.split(","))
        except ValueError:
            return cls(target, text)
        return cls(target, (low, high))

    def __post_init__(self) -> None:
        if self.layer is not None:
            return
        if self.scale not in _SCALES:
            raise ModelError(
                "`scale` must be 'logit' or 'probability'.", received=self.scale, allowed=_SCALES
            )
        if self.is_quantity:
            self._validate_interval()
        elif self.uncertainty:
            names = getattr(self._family, "classes", ())
            self._validate_class(names[0] if names else None)
        elif self.classes is not None:
            for name in dict.fromkeys(self.classes):
                self._validate_class(name)
        else:
            names = getattr(self._family, "classes", ())
            if self.output is None and names and self._family.units == 1:
                object.__setattr__(self, "output", names[1])
            self._validate_class(self.output)

    @property
    def _family(self) -> Any:
        if self.target is None:
            raise ModelError("A target or a layer is needed to explain something.")
        return self.target.family

    @property
    def name(self) -> str:
        """Name of the target; empty for a layer."""
        return "" if self.target is None else self.target.name

    @property
    def is_quantity(self) -> bool:
        """Whether the target is one real number with a density."""
        return self.target is not None and isinstance(self._family, (Binned, Gaussian, Mixture))

    def _validate_interval(self) -> None:
        if self.output is None:
            return
        pair = not isinstance(self.output, str) and len(self.output) == 2
        if not pair or not float(self.output[0]) < float(self.output[1]):
            raise ModelError(
                f"'{self.name}' is a quantity: its mean or the probability of an interval is "
                "explained.",
                received=repr(self.output),
                allowed="nothing for the mean, or two ends of an interval, the lower one first",
            )
        low, high = self._family.low, self._family.high
        if not (float(self.output[0]) < high and float(self.output[1]) > low):
            raise ModelError(
                f"The interval lies outside the range of '{self.name}'.",
                received=self.output,
                allowed=f"a part of {low:g} to {high:g}",
            )

    def _validate_class(self, output: Any) -> None:
        names = getattr(self._family, "classes", ())
        if output not in names:
            raise ModelError(
                f"'{self.name}' has no such class, or none was named."
                if names
                else f"What '{self.name}' predicts cannot be explained.",
                received=repr(output),
                allowed=names or "classes, votes, yes/no, or a number with a density",
                hint=nearest(str(output), names) if output else None,
            )

    @property
    def label(self) -> str:
        """What it is, for the axis of a figure."""
        if self.layer is not None:
            channel = "" if self.channel is None else f", channel {self.channel}"
            return f"mean activation of {self.layer}{channel}"
        if self.uncertainty:
            if self.is_quantity:
                return f"variance over draws of the mean of {self.name}"
            return f"mutual information of {self.name} [nat]"
        if self.is_quantity:
            if self.output is None:
                return f"mean of {self.name}"
            return f"probability of {self.output[0]:g} < {self.name} < {self.output[1]:g}"
        if self.classes is None:
            return f"{self.scale} of {self.name} = {self.output}"
        if len(set(self.classes)) == 1:
            return f"logit of {self.name} = {self.classes[0]}"
        return f"logit of the predicted class of {self.name}"

    def labels(self, n: int) -> list[str]:
        """`label` for each of n objects, with its own class where they differ."""
        if self.classes is None:
            return [self.label] * n
        return [f"logit of {self.name} = {one}" for one in self.classes]

    def take(self, rows: Any) -> ExplainTarget:
        """The same for some of the objects."""
        if self.classes is None:
            return self
        return replace(self, classes=[self.classes[k] for k in np.asarray(rows).tolist()])

    @property
    def one_draw(self) -> ExplainTarget:
        """Of an uncertainty: an output of one draw, to which the same layers lead."""
        names = getattr(self._family, "classes", ())
        return ExplainTarget(self.target, names[0] if names else None)

    @property
    def choice(self) -> NDArray[np.float32] | None:
        """Weight of each raw output for each object, of shape (n, units), where they differ.

        A network is traced once for a target.  With the class as an input, one trace serves the
        classes of all objects.
        """
        if self.classes is None or self.is_quantity:
            return None
        place = np.array([self._family.classes.index(one) for one in self.classes])
        if self._family.units == 1:
            return np.where(place == 1, 1.0, -1.0)[:, None].astype(np.float32)
        return np.eye(self._family.units, dtype=np.float32)[place]

    def tensor(self, model: keras.Model) -> Any:
        """The symbolic tensor of the network from which the number is computed.

        Raises
        ------
        ModelError
            If the network has no such layer, channel or output, an output of another width, or
            no draws where they are needed.
        """
        if self.layer is not None:
            return self._layer_tensor(model, self.layer)
        outputs = model.output
        known = tuple(outputs) if isinstance(outputs, dict) else ()
        if self.name not in known:
            raise ModelError(
                f"The network does not predict '{self.name}'.",
                allowed=known or "a network whose outputs have the names of targets",
                hint=nearest(self.name, known),
            )
        found = outputs[self.name]
        if found.shape[-1] != self._family.units:
            raise ModelError(
                f"The width of the network's output '{self.name}' does not fit its family.",
                received=f"{found.shape[-1]} numbers",
                allowed=f"{self._family.units} numbers",
            )
        if self.uncertainty and len(found.shape) != 3:
            raise ModelError(
                "An epistemic uncertainty needs a network that returns draws.",
                received=f"shape (n, {str(tuple(found.shape[1:]))[1:]}",
                allowed="shape (n, draws, units)",
                hint="explain estimator.drawing(draws=20), a network that returns its draws",
            )
        return found

    def _layer_tensor(self, model: keras.Model, layer: str) -> Any:
        found = layer_output(model, layer)
        if self.channel is not None and not 0 <= self.channel < found.shape[-1]:
            raise ModelError(
                f"The layer '{layer}' has no such channel.",
                received=self.channel,
                allowed=f"0 to {found.shape[-1] - 1}",
            )
        return found

    def value(self, values: Any, choice: Any = None) -> Any:
        """The number of each object from the values of `tensor`.

        Parameters
        ----------
        values : tensor of shape (n, units) or (n, draws, units), or of any shape for a layer
            Of `tensor`; the mean over draws is taken unless their disagreement is explained.
        choice : tensor of shape (n, units), optional
            See `choice`.

        Returns
        -------
        tensor of shape (n,)
        """
        values = ops.cast(values, "float32")
        if self.layer is not None:
            return self._activation(values)
        if self.uncertainty:
            return self._disagreement(values)
        if choice is not None:
            return ops.sum(values * choice, axis=-1)
        found = self._of_draws(values)
        return ops.mean(found, axis=1) if len(found.shape) == 2 else found

    def _activation(self, values: Any) -> Any:
        if self.channel is not None:
            values = values[..., self.channel]
        axes = tuple(range(1, len(values.shape)))
        return ops.mean(values, axis=axes) if axes else values

    def _of_draws(self, raw: Any) -> Any:
        """The number of every draw from raw outputs (..., units)."""
        family = self._family
        if self.is_quantity:
            interval = None if self.output is None else (self.output[0], self.output[1])
            return _quantity(family, raw, interval)
        place = family.classes.index(self.output)
        if family.units == 1:
            logit = raw[..., 0] if place == 1 else -raw[..., 0]
            return logit if self.scale == "logit" else ops.sigmoid(logit)
        if self.scale == "logit":
            return raw[..., place]
        active = family.activate(raw)
        return active[..., place] / ops.sum(active, axis=-1)

    def _disagreement(self, raw: Any) -> Any:
        """Variance or mutual information over draws, from raw outputs (n, draws, units)."""
        if self.is_quantity:
            return ops.var(self.one_draw._of_draws(raw), axis=1)
        active = self._family.activate(raw)
        if self._family.units == 1:
            active = ops.concatenate([1.0 - active, active], axis=-1)
        p = active / ops.sum(active, axis=-1, keepdims=True)
        # In differences, so that equal draws give exactly zero: the mean over draws of
        # p log(p/m) - p + m, of which the last two terms cancel in the sum.
        mean = p[:, :1] + ops.mean(p - p[:, :1], axis=1, keepdims=True)
        excess = (p - mean) / ops.maximum(mean, _TINY)
        ratio = ops.log1p(ops.maximum(excess, _MIN_EXCESS))
        return ops.mean(ops.sum(mean * ((1.0 + excess) * ratio - excess), axis=-1), axis=1)


def _quantity(family: Any, raw: Any, interval: tuple[Any, Any] | None) -> Any:
    """The mean of a density, or the probability of an interval."""
    active = family.activate(raw)
    if isinstance(family, Binned):
        edges = family.edges
        if interval is None:
            return ops.sum(active * (0.5 * (edges[1:] + edges[:-1])).astype(np.float32), axis=-1)
        shared = np.minimum(edges[1:], interval[1]) - np.maximum(edges[:-1], interval[0])
        part = (np.maximum(shared, 0.0) / np.diff(edges)).astype(np.float32)
        return ops.sum(active * part, axis=-1)
    if isinstance(family, Gaussian):
        mean, std = active[..., :1], active[..., 1:]
        weight = ops.ones_like(mean)
    else:
        weight, mean, std = ops.split(active, 3, axis=-1)
    if interval is None:
        return ops.sum(weight * _clipped_mean(mean, std, family), axis=-1)
    low, high = interval
    above = _normal_cdf((high - mean) / std) if high < family.high else 1.0
    below = _normal_cdf((low - mean) / std) if low > family.low else 0.0
    return ops.sum(weight * (above - below), axis=-1)


def _normal_cdf(x: Any) -> Any:
    return 0.5 * (1.0 + ops.erf(x / math.sqrt(2.0)))


def _clipped_mean(mean: Any, std: Any, family: Any) -> Any:
    """Mean of normal densities whose tails count to the ends of the range."""
    below, above = family.low - mean, family.high - mean
    a, b = below / std, above / std
    f_a, f_b = (ops.exp(-0.5 * t * t) / math.sqrt(2.0 * math.pi) for t in (a, b))
    return mean + below * _normal_cdf(a) + above * _normal_cdf(-b) - std * (f_b - f_a)
