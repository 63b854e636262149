"""What may be varied in any architecture without touching its file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from astrocnn.errors import ConfigError
from astrocnn.plugins import nearest

__all__ = ["ALLOWED", "Options"]

ALLOWED: dict[str, tuple[str, ...]] = {
    "activation": (
        "relu", "leaky_relu", "elu", "selu", "gelu", "silu", "softplus", "tanh", "sigmoid",
    ),
    "initializer": (
        "glorot_uniform", "glorot_normal", "he_uniform", "he_normal",
        "lecun_uniform", "lecun_normal", "orthogonal",
    ),
    "normalization": ("none", "batch", "layer", "group"),
    "pooling": ("max", "average"),
    "padding": ("same", "valid"),
    "stem": ("small", "large"),
}  # fmt: skip
"""Names each option accepts."""


@dataclass(frozen=True)
class Options:
    """Variations on an architecture; None means "as in its paper".

    Parameters
    ----------
    activation : str, optional
        Of every hidden layer.
    normalization : str, optional
        ``"none"``, ``"batch"``, ``"layer"`` or ``"group"``, between each convolution and its
        activation.
    pooling : str, optional
        ``"max"`` or ``"average"``, of every local pooling.
    dropout : float or tuple of float
        A number multiplies all dropout rates (0 switches dropout off); a tuple gives the rate of
        each dropout layer in order, the one before the head included when there is one.
    head_dropout : float, optional
        Rate of one dropout layer between the features and the head, which makes any
        architecture able to say how uncertain it is.
    initializer : str, optional
        Of all kernels of hidden layers.
    l2 : float
        Penalty on the squares of all kernels of hidden layers.
    padding : str, optional
        Of every convolution.
    width : float
        Factor on the number of filters and units of every hidden layer; 0.5 makes a network of
        about a quarter of the parameters and the cost.
    stem : str, optional
        First layers of a residual network: ``"large"`` for images of 112 pixels and more,
        ``"small"`` keeps the resolution of small stamps.  Chosen by the size when None.

    Raises
    ------
    ConfigError
        If a value is out of range or a name is unknown (with the nearest known one).
    """

    activation: str | None = None
    normalization: str | None = None
    pooling: str | None = None
    dropout: float | tuple[float, ...] = 1.0
    head_dropout: float | None = None
    initializer: str | None = None
    l2: float = 0.0
    padding: str | None = None
    width: float = 1.0
    stem: str | None = None

    def __post_init__(self) -> None:
        for name, allowed in ALLOWED.items():
            value = getattr(self, name)
            if value is not None and value not in allowed:
                raise ConfigError(
                    f"The option '{name}' of the network has an unknown value.",
                    received=repr(value),
                    allowed=allowed,
                    hint=nearest(str(value), allowed),
                )
        if isinstance(self.dropout, (list, tuple)):
            object.__setattr__(self, "dropout", tuple(float(r) for r in self.dropout))
            _within("dropout", self.dropout, upper=1.0)
        else:
            _within("dropout", (self.dropout,), upper=None)
        if self.head_dropout is not None:
            _within("head_dropout", (self.head_dropout,), upper=1.0)
        _within("l2", (self.l2,), upper=None)
        _within("width", (self.width,), upper=None)
        if self.width == 0:
            raise ConfigError("A network of width 0 has no layers.", received=self.width)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Options:
        """Options from a plain mapping, as a run file holds it.

        Raises
        ------
        ConfigError
            If a key is not an option (with the nearest known one), or a value is not allowed.
        """
        known = [field.name for field in fields(cls)]
        for key in values:
            if key not in known:
                raise ConfigError(
                    f"The network has no option '{key}'.", allowed=known, hint=nearest(key, known)
                )
        return cls(**values)


def _within(name: str, values: tuple[Any, ...], upper: float | None) -> None:
    for value in values:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not number or not value >= 0 or value == float("inf") or (upper and value >= upper):
            raise ConfigError(
                f"The option '{name}' of the network is out of range.",
                received=repr(value),
                allowed="a number from 0 up" + (f", below {upper:g}" if upper else ""),
            )
