"""Build a Keras model from an architecture and a task; the loss of its heads."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from astrocnn import plugins
from astrocnn.backend import Tensor, keras, layers
from astrocnn.errors import ConfigError, ModelError
from astrocnn.models.blocks import Block
from astrocnn.models.custom_layers import ImageTooSmall
from astrocnn.models.options import Options, raise_errors
from astrocnn.targets import Family, Task
from astrocnn.targets.storage import family_from_dict, family_to_dict

__all__ = [
    "ARCHITECTURES",
    "FamilyLoss",
    "build_model",
    "check_auxiliary",
    "count_parameters",
    "smallest_size",
    "add_auxiliary_heads",
]

ARCHITECTURES = "astrocnn.models.architectures"
"""Package whose modules are the architectures."""


def build_model(
    architecture: str | Callable[..., Any],
    task: Task | Mapping[str, int],
    *,
    size: int,
    n_channels: int,
    n_scalars: int = 0,
    options: Options | None = None,
) -> keras.Model:
    """Build an untrained network.

    Parameters
    ----------
    architecture : str or callable
        Name of a module in ``astrocnn/models/architectures``, ``path/to/file.py:features``, or
        ``features(image, scalars, block)`` itself: see `astrocnn.plugins.load`.
    task : Task, or mapping of str to int
        Its targets decide the heads: each has a `name` and a `family` with `units`; or the number
        of units by name.
    size : int
        Pixels a side of the image.
    n_channels : int
        Bands, plus one more each when the inputs carry mask channels; 0 for a network that
        takes scalars only.
    n_scalars : int
        Scalar inputs such as E(B-V), joined to the features before the head.
    options : Options, optional
        Variations; as in the paper by default.

    Returns
    -------
    keras.Model
        From ``{"image": (n, size, size, n_channels)}`` and ``"scalars": (n, n_scalars)``, where
        there are any, to ``{target name: (n, units)}``, the raw float32 parameters (logits) of
        each target's family.

    Raises
    ------
    ConfigError
        If there is no such architecture, or if its layers cannot do what the options request.
    ModelError
        If it needs an image and there is none, or the reverse, if the image is too small for it
        (the message names the smallest size), or if the targets or the numbers of channels make
        no sense.
    """
    options = options or Options()
    leaf = plugins.load("architectures", architecture, trusted=True)
    if isinstance(task, Mapping):
        heads, names = dict(task), list(task)
    else:
        heads = {target.name: int(target.family.units) for target in task.targets}
        names = [target.name for target in task.targets]
    _check(size, n_channels, n_scalars, heads, names)
    _check_image(leaf, n_channels, n_scalars)
    try:
        return _assemble(leaf, heads, size, n_channels, n_scalars, options)
    except ImageTooSmall as error:
        if not n_channels:
            raise
        # Searched only for the message, since it builds some ten networks.
        smallest = smallest_size(leaf, n_channels=n_channels, options=options, above=size)
        raise ModelError(
            f"An image of {size} pixels a side is too small for '{_name(leaf)}'.",
            received=f"size {size}",
            allowed=f"{smallest} pixels a side or more",
            hint="cut larger stamps, or take another architecture",
        ) from error


def smallest_size(
    architecture: str | Callable[..., Any],
    *,
    n_channels: int = 1,
    options: Options | None = None,
    above: int = 0,
) -> int:
    """Pixels a side of the smallest image an architecture accepts; 0 for one that takes none.

    Found by trying, so that it is right for any options and never typed; `above` is a size known
    to be too small, to save time.  The other parameters are those of `build_model`.
    """
    leaf = plugins.load("architectures", architecture, trusted=True)
    if not plugins.declared(leaf, "IMAGE", True):
        return 0
    options = options or Options()
    too_small, enough = above, max(1, 2 * above)
    # Doubled until it fits, then bisected: some ten trials for any size.
    while not _accepts(leaf, enough, n_channels, options):
        too_small, enough = enough, 2 * enough
    while enough - too_small > 1:
        middle = (too_small + enough) // 2
        if _accepts(leaf, middle, n_channels, options):
            enough = middle
        else:
            too_small = middle
    return enough


def count_parameters(model: keras.Model) -> int:
    """Trainable parameters, as papers count them (running means and variances are not)."""
    return sum(math.prod(weight.shape) for weight in model.trainable_weights)


def _assemble(
    leaf: Callable[..., Any],
    heads: dict[str, int],
    size: int,
    n_channels: int,
    n_scalars: int,
    options: Options,
) -> keras.Model:
    inputs = {}
    if n_channels:
        inputs["image"] = layers.Input((size, size, n_channels), name="image")
    if n_scalars:
        inputs["scalars"] = layers.Input((n_scalars,), name="scalars")
    # An architecture gets no task: heads are added here, so any task fits any architecture.
    block = Block(options)
    features = leaf(inputs.get("image"), inputs.get("scalars"), block)
    features = block.head_dropout(features, plugins.declared(leaf, "HEAD_DROPOUT", 0.0))
    # After the last layer, so that errors of all layers are reported together.
    raise_errors([*block.errors, *check_auxiliary(leaf, options)])
    taken = {layer.name for layer in keras.Model(inputs, features).layers}
    outputs = {}
    for name, units in heads.items():
        # The key is the target's name whatever the layer is called: a target named "dense1"
        # or "image" must not collide with a layer of the network.
        layer_name = name if name not in taken else _free(f"{name}_head", taken | set(heads))
        taken.add(layer_name)
        outputs[name] = layers.Dense(units, dtype="float32", name=layer_name)(features)
    return keras.Model(inputs, outputs, name=_name(leaf))


def _name(leaf: Callable[..., Any]) -> str:
    return plugins.short_name("architectures", leaf)


def _free(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    return name


def _accepts(leaf: Callable[..., Any], size: int, n_channels: int, options: Options) -> bool:
    image = layers.Input((size, size, n_channels))
    # Filters have no influence on sizes, and one of each is quickly made.
    narrow = replace(options, width=1e-9, groups=None)
    try:
        leaf(image, None, Block(narrow))
    except ImageTooSmall:
        return False
    return True


def _check_image(leaf: Callable[..., Any], n_channels: int, n_scalars: int) -> None:
    takes_image = plugins.declared(leaf, "IMAGE", True)
    if takes_image and not n_channels:
        raise ModelError(
            f"'{_name(leaf)}' needs an image, and the inputs have no bands.",
            hint="take the architecture 'ann', which takes scalars only, or inputs with bands",
        )
    if not takes_image and (n_channels or not n_scalars):
        raise ModelError(
            f"'{_name(leaf)}' takes scalars only, and no image.",
            received=f"{n_channels} channels and {n_scalars} scalars",
            hint='inputs with scalars and without bands: Inputs((), 0, scalars=("mag_g", "mag_r"))',
        )


def _check(
    size: int, n_channels: int, n_scalars: int, heads: dict[str, int], names: list[str]
) -> None:
    limits = ("size", size, min(n_channels, 1)), ("n_channels", n_channels, 0)
    for quantity, value, minimum in (*limits, ("n_scalars", n_scalars, 0)):
        if value < minimum:
            raise ModelError(
                f"A network cannot have {quantity} = {value}.", allowed=f"{minimum} or more"
            )
    if not names:
        raise ModelError("The task has no targets, so the network would have no head.")
    if len(heads) != len(names):
        raise ModelError("Two targets of the task have one name.", received=names)
    for name in names:
        # Keras takes "/" for the scopes of a variable.
        if not name or "/" in name:
            raise ModelError(
                "A target's name cannot be the name of a layer.",
                received=repr(name),
                allowed="a name that is not empty and has no '/'",
            )


def add_auxiliary_heads(
    model: keras.Model,
    task: Task,
    options: Options,
    architecture: str | Callable[..., Any] | None = None,
) -> tuple[keras.Model, dict[str, str]]:
    """A network with its auxiliary heads, for training.

    Parameters
    ----------
    model : keras.Model
        From `build_model`; its layers are shared, so that it is trained too, and remains without
        these heads.
    task, options, architecture
        With which it was built; without the option `auxiliary` it is returned as it is, and the
        architecture is by default the one that bears its name.

    Returns
    -------
    trained : keras.Model
        With outputs for each place and target beside those of `model`.
    targets : dict of str to str
        The target of each auxiliary output.

    References
    ----------
    Szegedy et al. 2015, CVPR (arXiv:1409.4842), section 5.
    """
    if not options.auxiliary:
        return model, {}
    leaf = plugins.load("architectures", architecture or model.name, trusted=True)
    places, auxiliary = plugins.declared(leaf, "AUXILIARY"), plugins.declared(leaf, "auxiliary")
    outputs, targets = dict(model.output), {}
    for number, place in enumerate(places, 1):
        features = auxiliary(model.get_layer(place).output, _Named(number, options))
        for target in task.targets:
            name = f"{target.name}_auxiliary{number}"
            # A target may be called like an auxiliary output.
            while name in outputs:
                name += "_"
            head = layers.Dense(target.family.units, dtype="float32", name=f"head_of_{name}")
            outputs[name], targets[name] = head(features), target.name
    # The same name, by which the architecture of a stored network is found.
    return keras.Model(model.input, outputs, name=model.name), targets


def check_auxiliary(leaf: Callable[..., Any], options: Options) -> list[ConfigError]:
    """What is wrong with the option `auxiliary` for an architecture."""
    if not options.auxiliary or plugins.declared(leaf, "AUXILIARY"):
        return []
    own = plugins.module_names(ARCHITECTURES)
    able = [x for x in own if plugins.declared(plugins.load("architectures", x), "AUXILIARY")]
    return [
        ConfigError(
            f"The network '{plugins.short_name('architectures', leaf)}' has no auxiliary heads.",
            received=f"auxiliary = {options.auxiliary:g}",
            allowed=able,
            hint="leave auxiliary out",
        )
    ]


class _Named(Block):
    """Layers of one auxiliary head; the rates of dropout that are listed are not for them."""

    def __init__(self, number: int, options: Options) -> None:
        # Listed rates are counted in the network without these heads.
        super().__init__(replace(options, dropout=1.0))
        self._number = number

    def _name(self, kind: str) -> str:
        return f"auxiliary{self._number}_{super()._name(kind)}"


@keras.saving.register_keras_serializable(package="astrocnn")
class FamilyLoss(keras.losses.Loss):
    """Weighted mean over the objects of a family's loss.

    The mean divides by the sum of the weights.  By default Keras divides by the number of
    objects, so that objects without a label (weight 0) would dilute the loss.

    Parameters
    ----------
    family : Family
        Its ``loss(encoded, raw)`` gives one number per object.
    """

    def __init__(self, family: Family, name: str | None = None) -> None:
        super().__init__(
            name=name or type(family).__name__.lower(), reduction="mean_with_sample_weight"
        )
        self.family = family

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Loss of each object, of shape (n,)."""
        return self.family.loss(y_true, y_pred)

    def get_config(self) -> dict[str, Any]:
        """Name and fields of the family: all plain, so that a saved model is safe."""
        return {"name": self.name, "family": family_to_dict(self.family)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> FamilyLoss:
        """Rebuild from `get_config`."""
        return cls(family_from_dict(config["family"]), name=config["name"])
