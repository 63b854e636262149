"""The target of an explanation: one number per object that a network computes.

References
----------
Houlsby et al. 2011, arXiv:1112.5745, equation 2 (mutual information, "BALD").
Gal, Islam & Ghahramani 2017, ICML (arXiv:1703.02910), section 3.
Kendall & Gal 2017, NeurIPS (arXiv:1703.04977), equation 9 (variance of the mean).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocnn.backend import keras, ops
from astrocnn.errors import ModelError
from astrocnn.models.layer_access import layer_output
from astrocnn.plugins import nearest
from astrocnn.targets import Family, Target
from astrocnn.targets.families.base import SCALES

__all__ = ["ExplainTarget"]

_TINY = 1e-37
_MIN_EXCESS = 1e-6 - 1.0


@dataclass(frozen=True, eq=False)
class ExplainTarget:
    """One number per object that a network computes.

    Parameters
    ----------
    target : Target, optional
        A predicted quantity: its name is that of an output of the network, and its family
        declares the meaning of the raw output.
    output : str or tuple of float, optional
        A part of the prediction that the family declares: the name of a class (``"yes"`` by
        default for yes/no); of a quantity the two ends of an interval, for the probability in it,
        and the point estimate by default.
    scale : {"logit", "probability"}
        For classes: the raw output of the class, which does not saturate, or its probability.
    layer, channel : str, int, optional
        Instead of a target: the mean activation of this layer, or of one channel of it.
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
        """Parse the name of a class, an interval or a layer.

        Parameters
        ----------
        text : str
            The name of a class; the ends of an interval, as in ``"0.1,0.3"``, for the probability
            in it; or ``"layer:NAME"`` or ``"layer:NAME#CHANNEL"`` for the activation of a layer.
        target : Target, optional
            Whose class or interval it is.

        Examples
        --------
        >>> ExplainTarget.parse("layer:conv2#5").label
        'mean activation of conv2, channel 5'
        """
        kind, colon, layer = text.partition(":")
        if colon and kind == "layer":
            name, _, channel = layer.partition("#")
            is_numbered = channel.isdecimal()
            return cls(layer=name, channel=int(channel)) if is_numbered else cls(layer=layer)
        try:
            low, high = (float(end) for end in text.split(","))
        except ValueError:
            return cls(target, text)
        return cls(target, (low, high))

    def __post_init__(self) -> None:
        if self.layer is not None:
            return
        if self.scale not in SCALES:
            raise ModelError("Unknown `scale`.", received=self.scale, allowed=SCALES)
        if self.uncertainty:
            _ = self.one_draw
        elif self.classes is not None:
            for name in dict.fromkeys(self.classes):
                self._family.validate_part(name)
        else:
            object.__setattr__(self, "output", self._family.validate_part(self.output))

    @property
    def _family(self) -> Family:
        if self.target is None:
            raise ModelError("`ExplainTarget` needs a target or a layer.")
        return self.target.family

    @property
    def name(self) -> str:
        """Name of the target; empty for a layer."""
        return "" if self.target is None else self.target.name

    @property
    def _class_names(self) -> tuple[str, ...]:
        """Classes of the target; none for a quantity."""
        return getattr(self._family, "classes", ())

    @property
    def label(self) -> str:
        """Label for the axis of a figure."""
        if self.layer is not None:
            channel = "" if self.channel is None else f", channel {self.channel}"
            return f"mean activation of {self.layer}{channel}"
        if self.uncertainty:
            if self._class_names:
                return f"mutual information of {self.name} [nat]"
            return f"variance over draws of the {self.one_draw.label}"
        if self.classes is None:
            return self._family.part_label(self.name, self.output, self.scale)
        if len(set(self.classes)) == 1:
            return self._family.part_label(self.name, self.classes[0])
        return f"logit of the predicted class of {self.name}"

    def labels(self, n: int) -> list[str]:
        """`label` for each of n objects, with its own class where they differ."""
        if self.classes is None:
            return [self.label] * n
        return [self._family.part_label(self.name, one) for one in self.classes]

    def take(self, rows: Any) -> ExplainTarget:
        """The target of some of the objects."""
        if self.classes is None:
            return self
        return replace(self, classes=[self.classes[k] for k in np.asarray(rows).tolist()])

    @property
    def one_draw(self) -> ExplainTarget:
        """For an uncertainty, an output of one draw, computed by the same layers."""
        return ExplainTarget(self.target, self._class_names[0] if self._class_names else None)

    @property
    def choice(self) -> NDArray[np.float32] | None:
        """1 for the class of each object and 0 for the others, of shape (n, n_classes).

        A network is traced once for a target.  With the class as an input, one trace serves the
        classes of all objects.
        """
        if self.classes is None:
            return None
        indices = [self._class_names.index(one) for one in self.classes]
        return np.eye(len(self._class_names), dtype=np.float32)[indices]

    def tensor(self, model: keras.Model) -> Any:
        """The symbolic tensor of the network from which the number is computed.

        Raises
        ------
        ModelError
            If the network has no such layer, channel or output, an output of another width, or
            no draws where they are needed.
        """
        if self.layer is not None:
            tensor = layer_output(model, self.layer)
            if self.channel is not None and not 0 <= self.channel < tensor.shape[-1]:
                raise ModelError(
                    f"The layer '{self.layer}' has no such channel.",
                    received=self.channel,
                    allowed=f"0 to {tensor.shape[-1] - 1}",
                )
            return tensor
        outputs = model.output
        names = tuple(outputs) if isinstance(outputs, dict) else ()
        if self.name not in names:
            raise ModelError(
                f"The network does not predict '{self.name}'.",
                allowed=names or "a network whose outputs have the names of targets",
                hint=nearest(self.name, names),
            )
        output = outputs[self.name]
        if output.shape[-1] != self._family.units:
            raise ModelError(
                f"The width of the network's output '{self.name}' does not fit its family.",
                received=f"{output.shape[-1]} numbers",
                allowed=f"{self._family.units} numbers",
            )
        if self.uncertainty and len(output.shape) != 3:
            raise ModelError(
                "An epistemic uncertainty needs a network that returns draws.",
                received=f"shape (n, {str(tuple(output.shape[1:]))[1:]}",
                allowed="shape (n, draws, units)",
                hint="explain estimator.drawing(draws=20), a network that returns its draws",
            )
        return output

    def value(self, values: Any, choice: Any = None) -> Any:
        """The number of each object, of shape (n,), from the values of `tensor` and `choice`.

        Of values of shape (n, draws, units), the mean over draws is taken unless their
        disagreement is explained.
        """
        values = ops.cast(values, "float32")
        if self.layer is not None:
            values = values if self.channel is None else values[..., self.channel]
            axes = tuple(range(1, len(values.shape)))
            return ops.mean(values, axis=axes) if axes else values
        if self.uncertainty:
            return self._compute_disagreement(values)
        if choice is not None:
            return ops.sum(self._compute_class_values(values, "logit") * choice, axis=-1)
        scores = self._family.explained(values, self.output, self.scale)
        return ops.mean(scores, axis=1) if len(scores.shape) == 2 else scores

    def _compute_class_values(self, raw: Any, scale: str) -> Any:
        """Numbers of all classes, of shape (..., n_classes)."""
        return ops.stack([self._family.explained(raw, c, scale) for c in self._class_names], -1)

    def _compute_disagreement(self, raw: Any) -> Any:
        """Variance or mutual information over draws, from raw outputs (n, draws, units)."""
        if not self._class_names:
            return ops.var(self._family.explained(raw), axis=1)
        p = self._compute_class_values(raw, "probability")
        # In differences, so that equal draws give exactly zero: the mean over draws of
        # p log(p/m) - p + m, of which the last two terms cancel in the sum.
        mean = p[:, :1] + ops.mean(p - p[:, :1], axis=1, keepdims=True)
        excess = (p - mean) / ops.maximum(mean, _TINY)
        ratio = ops.log1p(ops.maximum(excess, _MIN_EXCESS))
        return ops.mean(ops.sum(mean * ((1.0 + excess) * ratio - excess), axis=-1), axis=1)
