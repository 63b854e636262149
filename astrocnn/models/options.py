"""What may be varied in any architecture without touching its file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from astrocnn.errors import ConfigError
from astrocnn.plugins import nearest

__all__ = ["ALLOWED", "Options", "raise_errors"]

ALLOWED: dict[str, tuple[str, ...]] = {
    "activation": (
        "relu", "leaky_relu", "prelu", "elu", "selu", "gelu", "silu", "softplus", "tanh",
        "sigmoid", "maxout",
    ),
    "initializer": (
        "he", "glorot", "lecun", "constant", "he_uniform", "he_normal", "glorot_uniform",
        "glorot_normal", "lecun_uniform", "lecun_normal", "orthogonal",
    ),
    "normalization": ("none", "batch", "layer", "group", "instance"),
    "pooling": ("max", "average", "sum", "l2"),
    "padding": ("same", "valid"),
    "stem": ("small", "large"),
    "readout": ("flatten", "average", "max"),
}  # fmt: skip
"""Names each option accepts."""


@dataclass(frozen=True)
class Options:
    """Variations on an architecture; None means "as in its paper".

    Parameters
    ----------
    activation : str, optional
        Of every hidden layer.  ``"maxout"`` takes the larger of each pair of neighbouring units
        and so halves their number [1]_; ``"prelu"`` learns one negative slope for each map [2]_.
    normalization : str, optional
        ``"none"``, or ``"batch"``, ``"layer"``, ``"group"`` [3]_ or ``"instance"`` between each
        convolution and its activation.
    groups : int, optional
        Groups of channels of the group normalization; it must divide the channels of every layer.
        By default the largest power of two up to 32 that does.
    pooling : str, optional
        Of every local pooling: ``"max"``, ``"average"``, ``"sum"``, or ``"l2"``, the square root
        of the sum of squares.
    dropout : float or tuple of float
        A number multiplies all dropout rates (0 switches dropout off); a tuple gives the rate of
        each dropout layer in order, the one before the head included when there is one.
    head_dropout : float, optional
        Rate of one dropout layer between the features and the head, which makes any
        architecture able to estimate its uncertainty.
    spatial_dropout : float
        Rate at which whole feature maps are dropped after each convolution and its activation
        [4]_, beside the dropout of the architecture.
    initializer : str, optional
        Of all kernels of hidden layers: ``"he"`` (normal, variance 2/n, for ReLU), ``"glorot"``
        (uniform), ``"lecun"`` (normal, variance 1/n), or a longer name to choose the law;
        ``"constant"`` sets all weights equal, so that all units of a layer stay equal in training.
    l2 : float
        Penalty on the squares of all kernels of hidden layers.
    padding : str, optional
        Of every convolution.
    strides : int, optional
        Step of the first convolution [pixel]; 2 quarters the cost of all that follows it.
    dilation : int
        Distance between the pixels of a kernel [pixel], in every convolution that steps by one
        pixel: 2 makes a 3x3 kernel see 5x5 pixels.
    width : float
        Factor on the number of filters and units of every hidden layer; 0.5 makes a network of
        about a quarter of the parameters and the cost.
    stem : str, optional
        First layers of the networks made for photographs: ``"large"`` shrinks images of 112
        pixels and more at once, ``"small"`` keeps the resolution of small stamps.  Chosen by the
        size when None.
    auxiliary : float
        Weight of the losses of auxiliary heads, which predict from the middle of the network and
        exist in training only, for networks of a paper that has them: ``"googlenet"``, with 0.3.
    readout : str, optional
        What feature maps become before the dense layers or the head: ``"flatten"``, all their
        pixels, or the ``"average"`` or ``"max"`` of each map [5]_, which need fewer weights and
        do not care where on the image something is.

    Raises
    ------
    ConfigError
        If values are out of range, names are unknown (with the nearest known one), or options
        contradict each other: all errors at once.

    References
    ----------
    .. [1] Goodfellow et al. 2013, arXiv:1302.4389, section 3.
    .. [2] He et al. 2015, arXiv:1502.01852, section 2.1.
    .. [3] Wu & He 2018, arXiv:1803.08494, section 3.1.
    .. [4] Tompson et al. 2015, arXiv:1411.4280, section 3.2.
    .. [5] Lin et al. 2014, arXiv:1312.4400, section 3.2.
    """

    activation: str | None = None
    normalization: str | None = None
    groups: int | None = None
    pooling: str | None = None
    dropout: float | tuple[float, ...] = 1.0
    head_dropout: float | None = None
    spatial_dropout: float = 0.0
    initializer: str | None = None
    l2: float = 0.0
    padding: str | None = None
    strides: int | None = None
    dilation: int = 1
    width: float = 1.0
    stem: str | None = None
    auxiliary: float = 0.0
    readout: str | None = None

    def __post_init__(self) -> None:
        # All errors at once, so that a run file is corrected in one go.
        raise_errors(list(self._errors()))
        # A list or whole number, as TOML has it, would differ from that of a stored model.
        if isinstance(self.dropout, (list, tuple)):
            object.__setattr__(self, "dropout", tuple(float(r) for r in self.dropout))
        for name in ("dropout", "head_dropout", "spatial_dropout", "l2", "width", "auxiliary"):
            if isinstance(value := getattr(self, name), int):
                object.__setattr__(self, name, float(value))

    def _errors(self) -> Iterator[ConfigError]:
        for name, allowed in ALLOWED.items():
            value = getattr(self, name)
            if value is not None and value not in allowed:
                yield ConfigError(
                    f"The option '{name}' of the network has an unknown value.",
                    received=repr(value),
                    allowed=allowed,
                    hint=nearest(str(value), allowed),
                )
        rates = self.dropout if isinstance(self.dropout, (list, tuple)) else (self.dropout,)
        for rate in rates:
            # A factor may exceed 1, a rate may not.
            yield from _outside("dropout", rate, 1.0 if rates is self.dropout else None)
        if self.head_dropout is not None:
            yield from _outside("head_dropout", self.head_dropout, 1.0)
        yield from _outside("spatial_dropout", self.spatial_dropout, 1.0)
        for name in ("l2", "auxiliary", "width"):
            yield from _outside(name, getattr(self, name), None)
        if self.width == 0:
            yield ConfigError("A network of width 0 has no layers.", received=self.width)
        for name in ("groups", "strides", "dilation"):
            value = getattr(self, name)
            # By type: True is an instance of int.
            if value is not None and (type(value) is not int or value < 1):
                yield ConfigError(
                    f"The option '{name}' of the network is out of range.",
                    received=repr(value),
                    allowed="a whole number from 1 up",
                )
        if self.groups is not None and self.normalization != "group":
            yield ConfigError(
                "The option 'groups' counts the groups of group normalization, which is not on.",
                received=f"groups = {self.groups}, normalization = {self.normalization}",
                hint='set normalization = "group", or leave groups unset',
            )

    @property
    def chosen(self) -> dict[str, Any]:
        """Those that differ from the paper, by name: options added later do not change it."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {k: v for k, v in values.items() if v != getattr(type(self), k)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Options:
        """Options from a plain mapping, as a run file holds it.

        Raises
        ------
        ConfigError
            If a key is not an option (with the nearest known one), or a value is not allowed.
        """
        # The TypeError of a constructor would name one key only, and no alternative.
        names = [field.name for field in fields(cls)]
        raise_errors(
            [
                ConfigError(
                    f"The network has no option '{key}'.", allowed=names, hint=nearest(key, names)
                )
                for key in values
                if key not in names
            ]
        )
        return cls(**values)


def raise_errors(errors: Sequence[ConfigError]) -> None:
    """Raise the only error itself, or one `ConfigError` that lists them all, if there are any."""
    if len(errors) == 1:
        raise errors[0]
    if errors:
        listed = "\n".join(f"{i}. {error}" for i, error in enumerate(errors, 1))
        raise ConfigError(f"{len(errors)} options of the network are invalid.\n{listed}")


def _outside(name: str, value: Any, upper: float | None) -> Iterator[ConfigError]:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not value >= 0 or value == float("inf") or (upper and value >= upper):
        yield ConfigError(
            f"The option '{name}' of the network is out of range.",
            received=repr(value),
            allowed="a number from 0 up" + (f", below {upper:g}" if upper else ""),
        )
