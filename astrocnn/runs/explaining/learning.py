"""What the network as a whole has learned: one small function a method."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocnn.backend import keras
from astrocnn.errors import InputsError, ModelError
from astrocnn.explain import Output, Response, feature_maps, weights
from astrocnn.explain.explained import TopFilters
from astrocnn.explain.methods.class_image import class_image
from astrocnn.explain.methods.deconvnet import deconvnet
from astrocnn.explain.methods.deep_dream import deep_dream
from astrocnn.explain.methods.embedding import embedding
from astrocnn.explain.methods.top_activations import patches, top_activations
from astrocnn.runs.explaining.subject import Subject
from astrocnn.runs.explaining.told import Told

__all__ = ["LEARNED", "ON_REQUEST", "Whole", "wholes_of"]

_FILTERS = 6
"""Filters of a layer that are shown with their strongest images."""
_COUNT = 9
_BLOCK = 256
_LIKE = 128
"""Objects that tell a class image how bright objects are."""
_ASCENT = 40
_RECTIFYING = (
    keras.layers.Activation,
    keras.layers.ReLU,
    keras.layers.LeakyReLU,
    keras.layers.PReLU,
)


@dataclass(frozen=True, eq=False)
class Whole:
    """What the functions below may look at.

    Parameters
    ----------
    subject : Subject
        The network.
    told : Told
        Predictions and labels.
    target : str
        The first target that is explained.
    rows : ndarray of int
        Rows of the test split.
    example : int
        Row of the object whose feature maps are shown.
    seed : int
        Of what is random.
    """

    subject: Subject
    told: Told
    target: str
    rows: NDArray[np.int64]
    example: int
    seed: int = 0

    def step(
        self, name: str, fields: dict[str, Any], missed: dict[str, str]
    ) -> tuple[str, Callable[[], None]]:
        """One method as something to be done: its name, and what fills `fields`, or `missed`."""

        def do() -> None:
            if not len(self.rows) and name in _OF_MANY:
                missed[name] = "The test split has no labelled object."
                return
            try:
                fields.update(LEARNED[name](self))
            except (ModelError, InputsError) as error:
                missed[name] = error.what

        return name, do


def _weights(whole: Whole) -> dict[str, Any]:
    return {"kernels": weights(whole.subject.model).transpose(2, 3, 0, 1)}


def _feature_maps(whole: Whole) -> dict[str, Any]:
    images, scalars = whole.subject.arrays([whole.example])
    found = {
        layer: feature_maps(whole.subject.model, images, layer, scalars=scalars)[0]
        for layer in _layers(whole.subject.model, 0.0, 1.0)
    }
    return {"maps": found, "image": whole.subject.shards.images([whole.example])[0]}


def _top_activations(whole: Whole) -> dict[str, Any]:
    found = []
    # What the first layer sees is a few pixels, which its kernels tell better.
    for layer in _layers(whole.subject.model, 0.5, 1.0):
        blocks = (
            whole.subject.arrays(whole.rows[start : start + _BLOCK])
            for start in range(0, len(whole.rows), _BLOCK)
        )
        top = top_activations(whole.subject.model, blocks, layer, count=_COUNT)
        found.append(_with_patches(whole, top))
    return {"top": tuple(found)}


def _with_patches(whole: Whole, top: Any) -> TopFilters:
    """The filters that answer most, with what they see and what they make of it."""
    kept = _differing(top.values[:, 0], top.rows)
    rows = whole.rows[top.rows[kept]]
    flat = rows.reshape(-1)
    images, scalars = whole.subject.arrays(flat)
    channels = np.repeat(top.channels[kept], rows.shape[1])
    places = top.places[kept].reshape(-1, 2)
    back = deconvnet(
        whole.subject.model, images, top.layer, channels, scalars=scalars, place=places
    )
    n_bands = whole.subject.inputs.n_bands
    boxes = _within(top.boxes[kept].reshape(-1, 4), images.shape[1:3])
    shape = rows.shape
    seen = patches(whole.subject.shards.images(flat), boxes)
    made = patches(back[..., :n_bands], boxes)
    return TopFilters(
        top.layer,
        [int(c) for c in top.channels[kept]],
        list(seen.reshape(*shape, *seen.shape[1:])),
        list(made.reshape(*shape, *made.shape[1:])),
        top.values[kept],
    )


def _differing(strength: NDArray[Any], rows: NDArray[Any]) -> NDArray[np.intp]:
    """The strongest filters, of which each has mostly other images than those before it."""
    order = np.argsort(-strength, kind="stable")
    kept: list[int] = []
    for most in (rows.shape[1] // 3, rows.shape[1]):
        for k in order.tolist():
            shared = max((len(np.intersect1d(rows[k], rows[j])) for j in kept), default=0)
            if len(kept) < _FILTERS and k not in kept and shared <= most:
                kept.append(k)
    return np.sort(kept)


def _within(boxes: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """Boxes no larger than the image: a field that sees all of it shows all of it."""
    found = boxes.copy()
    for first, length in ((0, shape[0]), (2, shape[1])):
        if (boxes[:, first + 1] - boxes[:, first] >= length).all():
            found[:, first], found[:, first + 1] = 0, length
    return found


def _layers(model: Any, *parts: float) -> list[str]:
    """Layers with maps, after their activation where there are such, at parts of the depth.

    Raises
    ------
    ModelError
        If there is none.
    """
    maps = [
        layer
        for layer in model.layers
        if len(getattr(layer.output, "shape", ())) == 4
        and min(layer.output.shape[1:3]) > 1
        and not isinstance(layer, keras.layers.InputLayer)
    ]
    rectified = [layer for layer in maps if isinstance(layer, _RECTIFYING)] or maps
    if not rectified:
        raise ModelError("The network keeps no maps of the image.")
    places = (round(part * (len(rectified) - 1)) for part in parts)
    return list(dict.fromkeys(rectified[place].name for place in places))


def _class_image(whole: Whole) -> dict[str, Any]:
    """The image that each class likes most; of a quantity, the one with the largest mean."""
    inside = whole.subject
    if not inside.inputs.bands:
        raise ModelError("The network looks at no image, so that it likes none most.")
    target = inside.task.target(whole.target)
    like, scalars = inside.arrays(whole.rows[:_LIKE])
    found = {}
    for wanted in getattr(target.family, "classes", (None,)):
        made = class_image(
            inside.model,
            Output(target, wanted),
            like=like,
            scalars=None if scalars is None else scalars.mean(axis=0),
            bands=inside.inputs.n_bands,
            steps=_ASCENT,
            seed=whole.seed,
        )
        found[f"large {target.name}" if wanted is None else wanted] = inside.flux(made)
    return {"class_images": found}


def _deep_dream(whole: Whole) -> dict[str, Any]:
    inside = whole.subject
    images, scalars = inside.arrays([whole.example])
    (layer,) = _layers(inside.model, 1.0)
    made = deep_dream(
        inside.model,
        images,
        Response(layer),
        scalars=scalars,
        bands=inside.inputs.n_bands,
        seed=whole.seed,
    )
    return {"dreams": (inside.flux(images), inside.flux(made))}


def _embedding(whole: Whole) -> dict[str, Any]:
    images, scalars = whole.subject.arrays(whole.rows)
    found = embedding(whole.subject.model, images, scalars=scalars, seed=whole.seed)
    share = 100 * float(np.sum(found.explained))
    predicted = whole.told.predictions(whole.target, whole.rows)
    return {
        "points": found.points,
        "method": f"PCA, {share:.0f} % of the variance",
        "colors": whole.told.colors(whole.target, whole.rows, predicted),
    }


LEARNED: dict[str, Callable[[Whole], dict[str, Any]]] = {
    "weights": _weights,
    "feature_maps": _feature_maps,
    "top_activations": _top_activations,
    "class_image": _class_image,
    "embedding": _embedding,
    "deep_dream": _deep_dream,
}
"""Fields of `astrocnn.explain.explanations.Learned`, by method."""

_OF_MANY = ("top_activations", "class_image", "embedding")

ON_REQUEST: tuple[str, ...] = ("deep_dream",)
"""Methods that are used only when they are named."""


def wholes_of() -> dict[str, bool]:
    """Names of the methods of the network as a whole, and whether they are used unnamed."""
    return {name: name not in ON_REQUEST for name in LEARNED}
