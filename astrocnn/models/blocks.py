"""The layers every architecture is made of, with the options applied in one place.

An architecture says what its paper says; a `Block` lets `Options` override it, names each layer
(``conv1``, ``pool1``, ``dropout1``, ...), and is the only maker of dropout layers.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

from keras import layers, regularizers

from astrocnn.errors import ModelError
from astrocnn.models.options import Options
from astrocnn.models.sizes import ImageTooSmall, extent

__all__ = ["Block"]


class Block:
    """Makes layers for one network.

    Parameters
    ----------
    options : Options
        Overrides what an architecture asks for.

    Notes
    -----
    All tensors are (batch, height, width, channels) or (batch, channels).
    """

    def __init__(self, options: Options | None = None) -> None:
        self.options = options or Options()
        self._count: Counter[str] = Counter()
        self._rates_used = 0

    def conv(
        self,
        x: Any,
        filters: int,
        window: int,
        *,
        strides: int = 1,
        padding: str = "same",
        activation: str | None = "relu",
        normalization: str = "none",
        initializer: str = "glorot_uniform",
    ) -> Any:
        """Convolution, then normalization, then activation.

        Without normalization it has a bias and holds its own activation; with normalization the
        bias would be redundant.
        """
        options = self.options
        padding = options.padding or padding
        kind = options.normalization or normalization
        if activation is not None:
            activation = options.activation or activation
        self._fits(x, window, padding)
        plain = kind == "none"
        x = layers.Conv2D(
            self._scaled(filters),
            window,
            strides=strides,
            padding=padding,
            use_bias=plain,
            activation=activation if plain else None,
            kernel_initializer=options.initializer or initializer,
            kernel_regularizer=self._penalty(),
            name=self._name("conv"),
        )(x)
        if plain:
            return x
        x = self.normalize(x, kind)
        return x if activation is None else self.activate(x, activation)

    def normalize(self, x: Any, kind: str = "batch") -> Any:
        """Batch, layer or group normalization over the channels."""
        kind = self.options.normalization or kind
        if kind == "none":
            return x
        name = self._name("norm")
        if kind == "batch":
            # The default of 0.99 lags by hundreds of steps, which is longer than an epoch here.
            return layers.BatchNormalization(momentum=0.9, name=name)(x)
        if kind == "layer":
            return layers.LayerNormalization(name=name)(x)
        return layers.GroupNormalization(math.gcd(int(x.shape[-1]), 32), name=name)(x)

    def activate(self, x: Any, activation: str = "relu") -> Any:
        """Activation as a layer of its own."""
        return layers.Activation(self.options.activation or activation, name=self._name("act"))(x)

    def pool(
        self,
        x: Any,
        window: int = 2,
        *,
        strides: int | None = None,
        padding: str = "valid",
        kind: str = "max",
    ) -> Any:
        """Local pooling."""
        self._fits(x, window, padding)
        kind = self.options.pooling or kind
        layer = layers.MaxPooling2D if kind == "max" else layers.AveragePooling2D
        return layer(window, strides=strides, padding=padding, name=self._name("pool"))(x)

    def dense(
        self,
        x: Any,
        units: int,
        *,
        activation: str = "relu",
        initializer: str = "glorot_uniform",
    ) -> Any:
        """Fully connected hidden layer."""
        return layers.Dense(
            self._scaled(units),
            activation=self.options.activation or activation,
            kernel_initializer=self.options.initializer or initializer,
            kernel_regularizer=self._penalty(),
            name=self._name("dense"),
        )(x)

    def _scaled(self, count: int) -> int:
        return max(1, round(count * self.options.width))

    def dropout(self, x: Any, rate: float) -> Any:
        """Dropout whose rate the options may scale or replace; none at all for rate 0.

        Raises
        ------
        ModelError
            If the options give fewer rates than there are dropout layers, or scale one to 1.
        """
        chosen = self.options.dropout
        if isinstance(chosen, tuple):
            if self._rates_used >= len(chosen):
                raise ModelError(
                    "The network has more dropout layers than the option 'dropout' has rates.",
                    received=chosen,
                    allowed="one rate for each dropout layer, or one number that scales them all",
                )
            rate = chosen[self._rates_used]
        else:
            rate = rate * chosen
        self._rates_used += 1
        if rate >= 1:
            raise ModelError(
                "The option 'dropout' scales a dropout rate to 1 or more.",
                received=rate,
                allowed="a rate from 0 up, below 1",
            )
        return layers.Dropout(rate, name=self._name("dropout"))(x) if rate > 0 else x

    def head_dropout(self, x: Any, rate: float = 0.0) -> Any:
        """The dropout between features and head: the architecture's, or the option's."""
        if self.options.head_dropout is not None:
            rate = self.options.head_dropout
        x = self.dropout(x, rate) if rate > 0 else x
        given = self.options.dropout
        if isinstance(given, tuple) and len(given) != self._rates_used:
            raise ModelError(
                f"The option 'dropout' gives {len(given)} rates, and the network has "
                f"{self._rates_used} dropout layers.",
                received=given,
                allowed="one rate for each dropout layer, or one number that scales them all",
            )
        return x

    def add(self, first: Any, second: Any) -> Any:
        """Sum of two branches of one shape.

        Raises
        ------
        ModelError
            If the branches differ in shape.
        """
        if tuple(first.shape) != tuple(second.shape):
            raise ModelError(
                "Two branches that are to be summed differ in shape.",
                received=f"{tuple(first.shape[1:])} and {tuple(second.shape[1:])}",
                hint="leave the option padding unset for residual networks",
            )
        return layers.Add(name=self._name("add"))([first, second])

    def concatenate(self, *tensors: Any) -> Any:
        """Branches side by side in the channels."""
        if len(tensors) == 1:
            return tensors[0]
        return layers.Concatenate(name=self._name("concat"))(list(tensors))

    def flatten(self, x: Any, scalars: Any = None) -> Any:
        """Feature maps as one vector, with the scalar inputs joined to it."""
        return self._join(layers.Flatten(name=self._name("flatten"))(x), scalars)

    def global_pool(self, x: Any, scalars: Any = None) -> Any:
        """Mean of each feature map, with the scalar inputs joined to it."""
        layer = layers.GlobalAveragePooling2D(name=self._name("global_pool"))
        return self._join(layer(x), scalars)

    def _join(self, x: Any, scalars: Any) -> Any:
        return x if scalars is None else self.concatenate(x, scalars)

    def _name(self, kind: str) -> str:
        self._count[kind] += 1
        return f"{kind}{self._count[kind]}"

    def _penalty(self) -> Any:
        return regularizers.L2(self.options.l2) if self.options.l2 else None

    @staticmethod
    def _fits(x: Any, window: int, padding: str) -> None:
        side = min(int(n) for n in x.shape[1:3])
        if padding == "valid" and extent(side, window) < 1:
            raise ImageTooSmall(
                f"A feature map of {side} pixels a side is smaller than the next window, {window}."
            )
