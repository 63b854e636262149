"""The layers every architecture is made of, with the options applied in one place.

An architecture follows its paper; a `Block` lets `Options` override it, names each layer
(``conv1``, ``pool1``, ``dropout1``, ...), and is the only maker of dropout layers.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

from astrocnn.backend import Tensor, keras, layers
from astrocnn.errors import ConfigError, ModelError
from astrocnn.models.custom_layers import (
    D4Conv,
    ImageTooSmall,
    L2Pooling,
    LayerScale,
    Maxout,
    SumPooling,
    compute_extent,
)
from astrocnn.models.options import Options

__all__ = ["Block"]

# By the rank of a tensor: spectra, images, and maps of the eight orientations of an image.
_READOUTS = {
    "average": {
        3: layers.GlobalAveragePooling1D,
        4: layers.GlobalAveragePooling2D,
        5: layers.GlobalAveragePooling3D,
    },
    "max": {
        3: layers.GlobalMaxPooling1D,
        4: layers.GlobalMaxPooling2D,
        5: layers.GlobalMaxPooling3D,
    },
}
_POOLINGS = {
    "max": {3: layers.MaxPooling1D, 4: layers.MaxPooling2D, 5: layers.MaxPooling3D},
    "average": {3: layers.AveragePooling1D, 4: layers.AveragePooling2D, 5: layers.AveragePooling3D},
    "sum": dict.fromkeys((3, 4, 5), SumPooling),
    "l2": dict.fromkeys((3, 4, 5), L2Pooling),
}
_CONV = {3: layers.Conv1D, 4: layers.Conv2D}
_SPATIAL = {3: layers.SpatialDropout1D, 4: layers.SpatialDropout2D, 5: layers.SpatialDropout3D}
_LAWS = {"he": "he_normal", "glorot": "glorot_uniform", "lecun": "lecun_normal"}
# Small, so that activations that saturate do not.
_CONSTANT = 0.01
# They have weights or change the number of channels, so they are no function of a layer.
_LAYERS_OF_THEIR_OWN = ("maxout", "prelu")


class Block:
    """Makes layers for one network.

    Parameters
    ----------
    options : Options
        Overrides the choices of an architecture.

    Notes
    -----
    Tensors are (batch, height, width, channels), (batch, length, channels) for spectra, (batch,
    height, width, 8, channels) for maps of eight orientations, or (batch, channels).

    What the options request and a layer cannot do is collected in `errors`, and the layer is made
    without it, so that all errors can be reported at once.
    """

    def __init__(self, options: Options | None = None) -> None:
        self.options = options or Options()
        self._count: Counter[str] = Counter()
        self._impossible: dict[str, list[str]] = {}
        self._rates_used = 0

    @property
    def errors(self) -> list[ConfigError]:
        """What the options request and the layers made so far cannot do."""
        return [
            ConfigError(f"{problem}.", received=", ".join(layer_names))
            for problem, layer_names in self._impossible.items()
        ]

    def conv(
        self,
        x: Tensor,
        filters: int,
        window: int,
        *,
        strides: int = 1,
        dilation: int = 1,
        padding: str = "same",
        activation: str | None = "relu",
        normalization: str = "none",
        epsilon: float | None = None,
        initializer: str = "glorot_uniform",
        orientations: bool = False,
    ) -> Tensor:
        """Convolution, then normalization, then activation.

        Without normalization it has a bias and may hold its own activation; with normalization
        the bias would be redundant.  One with neither is a linear map, which the option
        `normalization` leaves alone.  With `orientations` each filter is used in the eight
        orientations of the square, as it is on maps that come from such a layer.  The padding
        ``"symmetric"`` adds as many pixels on either side, also where "same" would put the odd
        pixel of a stride on the far side.
        """
        options = self.options
        padding = options.padding or padding
        kind = normalization
        if activation is not None or normalization != "none":
            kind = options.normalization or normalization
        if activation is not None:
            activation = options.activation or activation
        orientations = orientations or len(x.shape) == 5
        # Only the first convolution: a stride in each would leave nothing of a stamp.
        if options.strides and not self._count["conv"]:
            strides = options.strides
        if orientations and strides > 1:
            self._note_impossible(
                "Maps of eight orientations are convolved in steps of one pixel", "conv1"
            )
            strides = 1
        # Keras has no stride beside a dilation, and a single pixel cannot be spread.
        if strides == 1 and window > 1:
            dilation *= options.dilation
        if padding == "symmetric":
            x, padding = self._padded(x, window, strides)
        self._fits(x, (window - 1) * dilation + 1, padding)
        # Batch normalization subtracts the mean, and a bias with it.
        plain = kind == "none"
        # Normalization stands between convolution and activation, as in its paper.
        inside = plain and activation not in _LAYERS_OF_THEIR_OWN
        layer = D4Conv if orientations else _CONV[len(x.shape)]
        x = layer(
            self._scaled(filters),
            window,
            **({} if orientations else {"strides": strides}),
            dilation_rate=dilation,
            padding=padding,
            use_bias=plain,
            activation=activation if inside else None,
            kernel_initializer=self._initializer(initializer),
            kernel_regularizer=self._penalty(),
            name=self._name("conv"),
        )(x)
        if not plain:
            x = self.normalize(x, kind, epsilon=epsilon)
        if activation is None:
            return x
        if not inside:
            x = self.activate(x, activation)
        rate = self.options.spatial_dropout
        return _SPATIAL[len(x.shape)](rate, name=self._name("dropout"))(x) if rate else x

    def depthwise(
        self,
        x: Tensor,
        window: int,
        *,
        strides: int = 1,
        activation: str | None = None,
        normalization: str = "none",
    ) -> Tensor:
        """One filter for each map of an image; then normalization and activation, as `conv`."""
        padding = self.options.padding or "same"
        dilation = self.options.dilation if strides == 1 else 1
        self._fits(x, (window - 1) * dilation + 1, padding)
        kind = normalization
        if activation is not None or normalization != "none":
            kind = self.options.normalization or normalization
        x = layers.DepthwiseConv2D(
            window,
            strides=strides,
            padding=padding,
            dilation_rate=dilation,
            use_bias=kind == "none",
            depthwise_initializer=self._initializer("glorot_uniform"),
            depthwise_regularizer=self._penalty(),
            name=self._name("conv"),
        )(x)
        x = x if kind == "none" else self.normalize(x, kind)
        return x if activation is None else self.activate(x, activation)

    def excite(self, x: Tensor, units: int) -> Tensor:
        """Squeeze and excitation: each map times a factor between 0 and 1, from the means of all.

        References
        ----------
        Hu et al. 2018, CVPR (arXiv:1709.01507), equations 2 to 4.
        """
        factor = layers.GlobalAveragePooling2D(keepdims=True, name=self._name("squeeze"))(x)
        for count, activation in ((self._scaled(units), "swish"), (int(x.shape[-1]), "sigmoid")):
            factor = layers.Conv2D(
                count,
                1,
                activation=activation,
                kernel_initializer=self._initializer("glorot_uniform"),
                kernel_regularizer=self._penalty(),
                name=self._name("conv"),
            )(factor)
        return layers.Multiply(name=self._name("gate"))([x, factor])

    def normalize(self, x: Tensor, kind: str = "batch", *, epsilon: float | None = None) -> Tensor:
        """Batch, layer, group or instance normalization over the channels.

        `epsilon`, added to the variance, is that of Keras (0.001) unless given; it belongs to the
        `kind` of the architecture and not to another one that the options choose.
        """
        small = {} if epsilon is None or self.options.normalization else {"epsilon": epsilon}
        kind = self.options.normalization or kind
        if kind == "none":
            return x
        name = self._name("norm")
        channels, pixels = int(x.shape[-1]), math.prod(x.shape[1:-1])
        if kind == "batch":
            # The default of 0.99 lags by hundreds of steps, which is longer than an epoch here.
            return layers.BatchNormalization(momentum=0.9, **small, name=name)(x)
        # A vector has one number for each channel, and nothing is left of it by itself.
        if kind == "layer" or (kind == "instance" and len(x.shape) == 2):
            return layers.LayerNormalization(**small, name=name)(x)
        if kind == "instance":
            if pixels == 1:
                raise ImageTooSmall("Instance normalization leaves nothing of a map of one pixel.")
            return layers.GroupNormalization(-1, name=name)(x)
        # 32 groups as in the paper, or the largest power of two that divides the channels.
        groups = self.options.groups or math.gcd(channels, 32)
        if channels % groups:
            self._note_impossible(
                f"groups = {groups} does not divide the channels of every layer",
                f"{name} ({channels})",
            )
            groups = 1
        return layers.GroupNormalization(groups, name=name)(x)

    def activate(self, x: Tensor, activation: str = "relu") -> Tensor:
        """Activation as a layer of its own."""
        activation = self.options.activation or activation
        name = self._name("act")
        if activation == "prelu":
            # One slope for each map, shared by its pixels.
            axes = list(range(1, len(x.shape) - 1))
            return layers.PReLU(shared_axes=axes or None, name=name)(x)
        if activation == "maxout":
            if x.shape[-1] % 2:
                self._note_impossible(
                    "activation = maxout takes units in pairs, and a layer has an odd number",
                    f"{name} ({x.shape[-1]})",
                )
                return x
            return Maxout(name=name)(x)
        return layers.Activation(activation, name=name)(x)

    def pool(
        self,
        x: Tensor,
        window: int = 2,
        *,
        strides: int | None = None,
        padding: str = "valid",
        kind: str = "max",
    ) -> Tensor:
        """Local pooling; orientations are not pooled together.

        The padding ``"symmetric"`` is that of `conv`, with zeros: it is meant for maps that are
        nowhere negative.
        """
        if padding == "symmetric":
            x, padding = self._padded(x, window, strides or window)
        self._fits(x, window, padding)
        rank = len(x.shape)
        axes = 1 if rank == 3 else 2
        # A window of 1 over the orientations keeps them apart.
        ends = (1,) * (rank - 2 - axes)
        layer = _POOLINGS[self.options.pooling or kind][rank]
        sizes = (window,) * axes + ends, (strides or window,) * axes + ends
        return layer(*sizes, padding=padding, name=self._name("pool"))(x)

    def dense(
        self,
        x: Tensor,
        units: int,
        *,
        activation: str | None = "relu",
        initializer: str = "glorot_uniform",
    ) -> Tensor:
        """Fully connected hidden layer; on maps, the same in each pixel."""
        if activation is not None:
            activation = self.options.activation or activation
        inside = activation not in _LAYERS_OF_THEIR_OWN
        x = layers.Dense(
            self._scaled(units),
            activation=activation if inside else None,
            kernel_initializer=self._initializer(initializer),
            kernel_regularizer=self._penalty(),
            name=self._name("dense"),
        )(x)
        return x if activation is None or inside else self.activate(x, activation)

    def add(self, first: Tensor, second: Tensor) -> Tensor:
        """Sum of two branches of one shape.

        Raises
        ------
        ModelError
            If the branches differ in shape.
        """
        if tuple(first.shape) != tuple(second.shape):
            if self.options.activation == "maxout":
                self._note_impossible(
                    "activation = maxout halves the maps, which then cannot be added to a shortcut",
                    f"{first.shape[-1]} maps and {second.shape[-1]}",
                )
                # Of any shape: the error is raised when the network is complete.
                return second
            raise _unequal(first, second)
        return layers.Add(name=self._name("add"))([first, second])

    def concatenate(self, *tensors: Tensor) -> Tensor:
        """Branches side by side in the channels.

        Raises
        ------
        ModelError
            If the branches differ in height or width.
        """
        # A layer that does nothing would shift the names of all others.
        if len(tensors) == 1:
            return tensors[0]
        for other in tensors[1:]:
            if tuple(other.shape[1:-1]) != tuple(tensors[0].shape[1:-1]):
                raise _unequal(tensors[0], other)
        return layers.Concatenate(name=self._name("concat"))(list(tensors))

    def flatten(self, x: Tensor, scalars: Tensor = None) -> Tensor:
        """Feature maps as one vector, with the scalar inputs joined to it."""
        return self._join(self._read_out(x, "flatten"), scalars)

    def global_pool(self, x: Tensor, scalars: Tensor = None, *, kind: str = "average") -> Tensor:
        """Mean of each feature map, over the orientations too, with the scalar inputs joined.

        With `kind` ``"max"`` the maximum of each.
        """
        return self._join(self._read_out(x, kind), scalars)

    def crop(self, image: Tensor, size: int) -> Tensor:
        """The middle of an image, `size` pixels a side; all of one that is smaller."""
        margins = [max(0, int(side) - size) for side in image.shape[1:3]]
        if not any(margins):
            return image
        borders = tuple((margin // 2, margin - margin // 2) for margin in margins)
        return layers.Cropping2D(borders, name=self._name("crop"))(image)

    def reshape(self, x: Tensor, shape: tuple[int, ...]) -> Tensor:
        """The same numbers in another shape (without the objects)."""
        return layers.Reshape(shape, name=self._name("reshape"))(x)

    def scale(self, x: Tensor) -> Tensor:
        """A trained factor for each channel, near zero at first."""
        return LayerScale(name=self._name("scale"))(x)

    def dropout(self, x: Tensor, rate: float) -> Tensor:
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
        # Also for rate 0, so that listed rates stay those of their layers.
        self._rates_used += 1
        if rate >= 1:
            raise ModelError(
                "The option 'dropout' scales a dropout rate to 1 or more.",
                received=rate,
                allowed="a rate from 0 up, below 1",
            )
        return layers.Dropout(rate, name=self._name("dropout"))(x) if rate > 0 else x

    def head_dropout(self, x: Tensor, rate: float = 0.0) -> Tensor:
        """The dropout between features and head: the architecture's, or the option's."""
        if self.options.head_dropout is not None:
            rate = self.options.head_dropout
        x = self.dropout(x, rate) if rate > 0 else x
        # Only here is it known that no further dropout layer comes.
        dropout = self.options.dropout
        if isinstance(dropout, tuple) and len(dropout) != self._rates_used:
            raise ModelError(
                f"The option 'dropout' gives {len(dropout)} rates, and the network has "
                f"{self._rates_used} dropout layers.",
                received=dropout,
                allowed="one rate for each dropout layer, or one number that scales them all",
            )
        return x

    def large_stem(self, image: Tensor) -> bool:
        """Whether the first layers may shrink the image at once: by its size, or by the option."""
        if self.options.stem is not None:
            return self.options.stem == "large"
        return int(image.shape[1]) >= 112

    def _padded(self, x: Tensor, window: int, strides: int) -> tuple[Tensor, str]:
        """Maps with as many zeros on either side, and the padding that is left to do."""
        # Without a stride "same" is symmetric already, and needs no layer of its own.
        if strides == 1 or window == 1 or len(x.shape) != 4:
            return x, "same"
        margin = (window - 1) // 2
        return layers.ZeroPadding2D(margin, name=self._name("pad"))(x), "valid"

    def _initializer(self, name: str) -> Any:
        name = self.options.initializer or name
        if name == "constant":
            return keras.initializers.Constant(_CONSTANT)
        return _LAWS.get(name, name)

    def _scaled(self, count: int) -> int:
        # One at least: `smallest_size` tries networks of nearly no width.
        return max(1, round(count * self.options.width))

    def _penalty(self) -> Any:
        return keras.regularizers.L2(self.options.l2) if self.options.l2 else None

    def _read_out(self, x: Tensor, kind: str) -> Tensor:
        kind = self.options.readout or kind
        if kind == "flatten" and len(x.shape) == 5:
            self._note_impossible(
                "readout = flatten keeps the orientations apart, which the network treats as equal",
                f"maps in {x.shape[-2]} orientations",
            )
            kind = "average"
        if kind == "flatten":
            return layers.Flatten(name=self._name("flatten"))(x)
        return _READOUTS[kind][len(x.shape)](name=self._name("global_pool"))(x)

    def _join(self, x: Tensor, scalars: Tensor) -> Tensor:
        return x if scalars is None else self.concatenate(x, scalars)

    def _note_impossible(self, problem: str, layer_name: str) -> None:
        self._impossible.setdefault(problem, []).append(layer_name)

    def _name(self, kind: str) -> str:
        self._count[kind] += 1
        return f"{kind}{self._count[kind]}"

    @staticmethod
    def _fits(x: Tensor, window: int, padding: str) -> None:
        # Maps of eight orientations have height and width before the orientations.
        side = min(int(n) for n in (x.shape[1:-1] if len(x.shape) < 5 else x.shape[1:3]))
        if padding == "valid" and compute_extent(side, window) < 1:
            raise ImageTooSmall(
                f"A feature map of {side} pixels a side is smaller than the next window, {window}."
            )


def _unequal(first: Tensor, second: Tensor) -> ModelError:
    return ModelError(
        "Two branches that are to be joined differ in shape.",
        received=f"{tuple(first.shape[1:])} and {tuple(second.shape[1:])}",
        hint="leave the option padding unset for networks of branches",
    )
