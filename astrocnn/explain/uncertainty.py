"""How much the draws of a network disagree, as a number that can be explained.

References
----------
Houlsby et al. 2011, arXiv:1112.5745, equation 2 (mutual information, "BALD").
Gal, Islam & Ghahramani 2017, ICML (arXiv:1703.02910), section 3.
Kendall & Gal 2017, NeurIPS (arXiv:1703.04977), equation 9 (variance of the mean).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from astrocnn.backend import keras, ops
from astrocnn.errors import ModelError
from astrocnn.explain.output import Output, is_quantity

__all__ = ["Uncertainty"]

_TINY = 1e-37
_NEARLY_NOTHING = 1e-6


@dataclass(frozen=True)
class Uncertainty:
    """What the network does not know about a target (epistemic), per object.

    For classes, votes and yes/no it is the mutual information of answer and draw, as in the column
    ``mutual_info`` [nat]; for a quantity the variance over draws of the mean, the square of the
    column ``std_epistemic`` [square of its unit].

    Methods that map an `Output` map this too, of a model that answers with its draws, such as
    ``estimator.drawing(draws, seed)``.

    Parameters
    ----------
    target : Target
        Its name is that of the network's output, its family says what the output means.

    Raises
    ------
    ModelError
        If the family has neither classes nor a density.

    Examples
    --------
    Two draws, certain of the opposite: one bit.

    >>> from types import SimpleNamespace
    >>> from astrocnn.targets import Bernoulli
    >>> quality = SimpleNamespace(name="quality", family=Bernoulli())
    >>> round(float(Uncertainty(quality).number(np.array([[[99.0], [-99.0]]]))[0]), 6)
    0.693147
    """

    target: Any

    def __post_init__(self) -> None:
        self.one_draw()

    @property
    def label(self) -> str:
        """What it is, for the axis of a figure."""
        if is_quantity(self.target.family):
            return f"variance over draws of the mean of {self.target.name}"
        return f"mutual information of {self.target.name} [nat]"

    def nodes(self, model: keras.Model) -> Any:
        """The draws for the target.

        Raises
        ------
        ModelError
            If the network has no such output, or answers without draws.
        """
        found = self.one_draw().nodes(model)
        if len(found.shape) != 3:
            raise ModelError(
                "The network answers without draws, so that they cannot disagree.",
                received=f"shape (n, {str(tuple(found.shape[1:]))[1:]}",
                allowed="shape (n, draws, units)",
                hint="ask estimator.drawing(draws=20), a network that answers with its draws",
            )
        return found

    def number(self, values: Any) -> Any:
        """The number from raw outputs of shape (n, draws, units)."""
        family = self.target.family
        if is_quantity(family):
            return ops.var(Output(self.target).of_draws(values), axis=1)
        active = family.activate(ops.cast(values, "float32"))
        if family.units == 1:
            active = ops.concatenate([1.0 - active, active], axis=-1)
        p = active / ops.sum(active, axis=-1, keepdims=True)
        # In differences, so that equal draws give exactly nothing: the mean over draws of
        # p log(p/m) - p + m, of which the last two terms cancel in the sum.
        mean = p[:, :1] + ops.mean(p - p[:, :1], axis=1, keepdims=True)
        excess = (p - mean) / ops.maximum(mean, _TINY)
        ratio = ops.log1p(ops.maximum(excess, _NEARLY_NOTHING - 1.0))
        return ops.mean(ops.sum(mean * ((1.0 + excess) * ratio - excess), axis=-1), axis=1)

    def one_draw(self) -> Output:
        """An answer about the target that each draw gives, and the network behind them as well."""
        classes = getattr(self.target.family, "classes", ())
        return Output(self.target, classes[0] if classes else None)
