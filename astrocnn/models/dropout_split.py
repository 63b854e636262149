"""Split a network at its first dropout layers into what runs once and what runs in every draw.

The two parts share the weights of the network and leave it unchanged.  In the second part each
dropout layer is a multiplication by a mask, and the mask is an input like any other: nothing is
stored, nothing is random, and batch normalization is never in training mode.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from astrocnn.backend import keras, layers
from astrocnn.errors import ModelError

__all__ = [
    "DropoutSite",
    "HINT",
    "DropoutSplit",
    "fits_bfloat16",
    "holds_dropout",
    "mask_shape",
    "split_at_dropout",
]

_UNSUPPORTED = (layers.GaussianDropout, layers.AlphaDropout)
HINT = "use keras.layers.Dropout or SpatialDropout as layers of the network itself"


class DropoutSite(NamedTuple):
    """One place where a mask is needed."""

    layer: str
    rate: float
    shape: tuple[int, ...]
    """Shape of the mask without the objects; 1 where values are dropped together."""
    dtype: str
    """Type the layer computes in."""
    gain: float
    """Value of the mask where a unit is kept."""


def holds_dropout(operation: Any) -> bool:
    """Whether a layer, or a layer inside it, drops units when it trains.

    Raises
    ------
    ModelError
        If one is stochastic in a way that has no mask.
    """
    if not isinstance(operation, layers.Layer):
        return False
    # A wrapper (Bidirectional, TimeDistributed) hides layers with dropout of their own.
    inside = list(operation._flatten_layers())
    for layer in inside:
        if isinstance(layer, _UNSUPPORTED) and layer.rate > 0:
            raise ModelError(
                f"The layer '{layer.name}' is stochastic in a way that has no mask.",
                received=type(layer).__name__,
                hint=HINT,
            )
    return any(
        (isinstance(layer, layers.Dropout) and layer.rate > 0)
        or any(_rate(layer, name) > 0 for name in ("dropout", "recurrent_dropout"))
        for layer in inside
    )


def _rate(layer: Any, name: str) -> float:
    value = getattr(layer, name, 0)
    return float(value) if isinstance(value, (int, float)) else 0.0


def mask_shape(layer: Any, x: Any) -> tuple[int, ...]:
    """Shape of a dropout layer's mask without the objects; 1 where values are dropped together.

    Raises
    ------
    ModelError
        If the tensor it acts on has no fixed size.
    """
    shape: list[Any] = list(x.shape[1:])
    noise = getattr(layer, "noise_shape", None)
    if isinstance(
        layer, (layers.SpatialDropout1D, layers.SpatialDropout2D, layers.SpatialDropout3D)
    ):
        last = getattr(layer, "data_format", "channels_last") != "channels_first"
        channels = len(shape) - 1 if last else 0
        shape = [n if axis == channels else 1 for axis, n in enumerate(shape)]
    elif noise is not None:
        shape = [have if n is None else n for have, n in zip(shape, noise[1:], strict=True)]
    if any(n is None for n in shape):
        raise ModelError(
            f"The dropout layer '{layer.name}' acts on feature maps of no fixed size.",
            received=tuple(x.shape),
            hint="give the network's Input a fixed height and width",
        )
    return tuple(int(n) for n in shape)


def fits_bfloat16(value: float) -> bool:
    """Whether a number fits the eight significant bits of bfloat16."""
    return float(value * 256).is_integer() and value <= 256


class DropoutSplit(NamedTuple):
    """The two parts of a network."""

    prefix: Any
    """Model from the network's inputs to a list of tensors."""
    fixed: int
    """How many tensors of the prefix go into the suffix; the others are outputs already."""
    suffix: Any
    """Model from the list of those tensors and one mask for each site to a dict of outputs."""
    sites: tuple[DropoutSite, ...]
    constant: tuple[str, ...]
    """Names of outputs that no dropout can change, in the order of the prefix's last tensors."""


class _Mask(layers.Layer):
    """Multiplication by a mask, in place of a dropout layer."""

    def __init__(self, divide: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.divide = divide

    def call(self, x: Any, keep: Any) -> Any:
        return x * keep if self.divide == 1 else x * keep / self.divide

    def compute_output_shape(self, x_shape: Any, keep_shape: Any) -> Any:
        return x_shape


def split_at_dropout(model: keras.Model) -> DropoutSplit:
    """Cut a Functional or Sequential model at its first dropout layers.

    Parameters
    ----------
    model : keras.Model
        Branches, residual sums, nested models, several inputs and several outputs are fine.
        Noise layers such as GaussianNoise stay off, as in any prediction.

    Returns
    -------
    DropoutSplit
        Both parts share the weights of `model`.

    Raises
    ------
    ModelError
        If no dropout reaches an output, if a layer is stochastic in a way that has no mask, or if
        the model is not a graph of layers.
    """
    graph = _functional(model)
    # The graph is called again on new inputs: layers, and so weights, are shared.
    cut = _Cut()
    inputs = [layers.Input(batch_shape=x.shape, dtype=x.dtype, name=x.name) for x in graph.inputs]
    outputs = _as_dict(cut.run(graph, inputs), model)
    # Computed once with the first part, and repeated for the draws at the end.
    constant = {name: t for name, t in outputs.items() if id(t) not in cut.random}
    stochastic = {name: t for name, t in outputs.items() if name not in constant}
    if not stochastic:
        raise ModelError(
            "Monte-Carlo dropout needs a network with dropout layers.",
            received=f"{len(graph.layers)} layers, none of them dropout at a rate above 0",
            hint="build it with Options(head_dropout=0.5) and train again, or use draws = 0",
        )
    fixed = [tensor for tensor, _ in cut.boundary.values()]
    placeholders = [placeholder for _, placeholder in cut.boundary.values()]
    masks = [mask for _, mask in cut.sites.values()]
    return DropoutSplit(
        prefix=keras.Model(_packed(model, inputs), [*fixed, *constant.values()]),
        fixed=len(fixed),
        suffix=keras.Model([*placeholders, *masks], stochastic),
        sites=tuple(site for site, _ in cut.sites.values()),
        constant=tuple(constant),
    )


class _Cut:
    """Traverses a network once, in the order of computation."""

    def __init__(self) -> None:
        self.random: set[int] = set()
        self.boundary: dict[int, tuple[Any, Any]] = {}
        self.sites: dict[tuple[str, tuple[int, ...]], tuple[DropoutSite, Any]] = {}
        self._alive: list[Any] = []

    def run(self, graph: Any, inputs: list[Any]) -> Any:
        return graph._run_through_graph(inputs, operation_fn=lambda op: op, call_fn=self.call)

    def call(self, operation: Any, *args: Any, **kwargs: Any) -> Any:
        """Apply one operation to symbolic tensors."""
        if isinstance(operation, layers.Dropout) and operation.rate > 0:
            return self._note(self._mask(operation, args[0]), True)
        if holds_dropout(operation):
            if not isinstance(operation, (keras.Model, keras.Sequential)):
                raise ModelError(
                    f"The layer '{operation.name}' drops units inside itself, where no mask can "
                    "be given.",
                    received=type(operation).__name__,
                    hint=HINT,
                )
            # A network inside the network is opened, so that its dropout gets masks too.
            return self.run(_functional(operation), keras.tree.flatten(args[0]))
        # A layer built into the graph with training=True would be stochastic or move its
        # statistics in every pass.
        if "training" in kwargs:
            kwargs["training"] = False
        random = any(id(t) in self.random for t in keras.tree.flatten((args, kwargs)))
        if random:
            args, kwargs = keras.tree.map_structure(self._enter, (args, kwargs))
        return self._note(operation(*args, **kwargs), random)

    def _mask(self, layer: Any, x: Any) -> Any:
        shape = mask_shape(layer, x)
        keep = 1.0 - float(layer.rate)
        dtype = layer.compute_dtype
        # In a short float type 1/keep is rounded, the same way for every unit: dividing by keep
        # rounds each product by itself where keep is a number of that type.
        exact = dtype == "float32" or fits_bfloat16(1.0 / keep) or not fits_bfloat16(keep)
        # A layer used twice has one mask for each shape, as it has one name.
        key = (layer.name, shape)
        if key not in self.sites:
            mask = layers.Input(batch_shape=(None, *shape), dtype=dtype)
            gain = 1.0 / keep if exact else 1.0
            site = DropoutSite(layer.name, float(layer.rate), shape, dtype, gain)
            self.sites[key] = (site, mask)
        masked = _Mask(1.0 if exact else keep, dtype=layer.dtype_policy)
        return masked(self._enter(x), self.sites[key][1])

    def _enter(self, value: Any) -> Any:
        """The tensor itself in the second part, a placeholder for one of the first."""
        if not isinstance(value, keras.KerasTensor) or id(value) in self.random:
            return value
        if id(value) not in self.boundary:
            placeholder = layers.Input(batch_shape=value.shape, dtype=value.dtype)
            self._note(placeholder, True)
            self.boundary[id(value)] = (value, placeholder)
        return self.boundary[id(value)][1]

    def _note(self, result: Any, random: bool) -> Any:
        for tensor in keras.tree.flatten(result):
            # Kept alive, for an id may be used again after a tensor is gone.
            self._alive.append(tensor)
            if random:
                self.random.add(id(tensor))
        return result


def _functional(model: Any) -> Any:
    if isinstance(model, keras.Sequential):
        if not model.built:
            raise ModelError(
                "The network has no input shape yet.",
                hint="start it with keras.Input, or call it once",
            )
        model = model._functional
    if not hasattr(model, "_run_through_graph"):
        raise ModelError(
            "Monte-Carlo dropout needs a network that is a graph of layers.",
            received=type(model).__name__,
            allowed="Functional and Sequential models",
        )
    return model


def _as_dict(outputs: Any, model: Any) -> dict[str, Any]:
    if isinstance(outputs, dict):
        return dict(outputs)
    flat = keras.tree.flatten(outputs)
    return dict(zip(_functional(model).output_names, flat, strict=True))


def _packed(model: Any, inputs: list[Any]) -> Any:
    return keras.tree.pack_sequence_as(_functional(model)._inputs_struct, inputs)
