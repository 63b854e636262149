"""DeepDream: an image changed so that the activation of a layer rises.

References
----------
Mordvintsev, Olah & Tyka 2015, "Inceptionism: Going Deeper into Neural Networks", Google Research
blog, 17 June 2015.
Yosinski et al. 2015, arXiv:1506.06579, section 3 (blur as a regularizer).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocnn.backend import keras, layers, ops
from astrocnn.errors import ModelError
from astrocnn.explain.attribution import Explanation
from astrocnn.explain.explained_network import Inspection
from astrocnn.explain.figures import plot_deep_dream
from astrocnn.explain.gradients import compiled
from astrocnn.explain.hdus import find_hdus, image_hdu
from astrocnn.explain.methods import InspectionMethod
from astrocnn.explain.network import (
    Evaluator,
    band_mask,
    compute_image_gradient,
    select_layers,
    validate_counts,
)
from astrocnn.explain.sky import Blur
from astrocnn.explain.target import ExplainTarget
from astrocnn.report.page import Picture

__all__ = ["METHOD", "deep_dream", "resize_network"]


def deep_dream(
    model: keras.Model,
    images: Any,
    target: ExplainTarget,
    *,
    scalars: Any = None,
    octaves: int = 3,
    ratio: float = 1.4,
    steps: int = 20,
    rate: float = 0.03,
    seeing: float = 1.0,
    jitter: int = 4,
    bands: int | None = None,
    seed: int = 0,
    batch_size: int = 64,
) -> NDArray[np.float32]:
    """Climb from given images toward a larger activation, from coarse to fine.

    Each octave is a smaller copy of the image, in which the patterns of the layer are larger; the
    change found there is enlarged and continued in the next one.

    Parameters
    ----------
    model, images, scalars, batch_size
        See `astrocnn.explain.methods`.
    target : ExplainTarget
        What is raised: of a whole layer its mean square, which amplifies what is weakly there; of
        a channel its mean; of an output the number itself.
    octaves, steps : int
        Sizes of the image, the last of which is its own, and steps in each; one size for what
        follows a flattening, which fixes it.
    ratio : float
        Ratio of the sizes of consecutive octaves.
    rate : float
        Most by which a step changes a pixel, where the gradient is steepest [normalized unit];
        half of it where the gradient is typical.
    seeing : float
        Standard deviation of the blur of each step [pixel]; 0 for none.
    jitter : int
        Most pixels by which the image is shifted before a step, at random, and back after it.
    bands : int, optional
        Number of leading channels that are changed; the others, masks for instance, stay.
        All by default.
    seed : int
        Seed of the shifts, which are the same for all images.

    Returns
    -------
    ndarray of shape (n, height, width, n_channels)
        Normalized; `astrocnn.imaging.Normalization.invert` makes fluxes of it.

    Raises
    ------
    ModelError
        If there is no such layer or channel, the target needs one size of the image, or a
        number is out of range.
    """
    evaluator = Evaluator(model, images, scalars=scalars, batch_size=batch_size)
    validate_counts(octaves=octaves, steps=steps)
    height, width, channels = evaluator.images.shape[1:]
    for name, value, allowed, valid in (
        ("ratio", ratio, "> 1", 1 < ratio < np.inf),
        ("rate", rate, "> 0", 0 < rate < np.inf),
        ("jitter", jitter, ">= 0 pixels", jitter >= 0),
    ):
        if not valid:
            raise ModelError(f"`{name}` must be {allowed}.", received=value)
    mask = band_mask(bands, channels)
    sizes = [
        (max(1, round(height / ratio**k)), max(1, round(width / ratio**k)))
        for k in reversed(range(octaves))
    ]
    cut = keras.Model(model.input, target.tensor(model))
    slopes = [
        _build_slope(cut if size == (height, width) else resize_network(cut, *size), target)
        for size in sizes
    ]
    blurs = [Blur(*size, seeing) for size in sizes]
    shifts = np.random.default_rng(seed).integers(-jitter, jitter + 1, (octaves, steps, 2))

    def dream(x: dict[str, Any]) -> NDArray[np.float32]:
        added = np.zeros_like(x["image"])
        for size, slope, blur, moves in zip(sizes, slopes, blurs, shifts, strict=True):
            base = _resize(x["image"], size)
            current = base + _resize(added, size)
            for move in moves:
                shifted = np.roll(current, move, axis=(1, 2))
                rise = ops.convert_to_numpy(slope({**x, "image": shifted}))
                rise = np.roll(rise * mask, -move, axis=(1, 2))
                rise = blur(blur(rise, transposed=True))
                typical = np.sqrt(np.mean(rise**2, axis=(1, 2, 3), keepdims=True))
                # Bounded: a gradient is concentrated in few pixels, which would dominate.
                step = rise / (np.abs(rise) + np.maximum(typical, 1e-30))
                current = current + (rate * step).astype(np.float32)
            added = current - base
        return x["image"] + added

    return evaluator.map(dream, compile=False)


def _build_slope(cut: keras.Model, target: ExplainTarget) -> Callable[[dict[str, Any]], Any]:
    all_channels = target.layer is not None and target.channel is None

    def score(x: dict[str, Any]) -> Any:
        values = cut({name: x[name] for name in cut.input}, training=False)
        return target.value(ops.square(values) if all_channels else values)

    return compiled(lambda x: compute_image_gradient(score, x))


def _resize(images: Any, size: tuple[int, int]) -> NDArray[np.float32]:
    if images.shape[1:3] == size:
        return np.asarray(images, np.float32)
    resized = ops.image.resize(images, size, interpolation="bilinear", antialias=True)
    return np.asarray(ops.convert_to_numpy(resized), np.float32)


def resize_network(cut: Any, height: int, width: int) -> keras.Model:
    """The same layers and weights, for images of another size [pixel].

    Raises ModelError if a layer works for one size only, or the image shrinks to nothing.
    """
    image = cut.input["image"]
    inputs = [
        layers.Input(
            batch_shape=(None, height, width, x.shape[-1]) if x is image else x.shape,
            dtype=x.dtype,
            name=x.name,
        )
        for x in cut.inputs
    ]
    try:
        outputs = cut._run_through_graph(
            inputs,
            operation_fn=lambda operation: operation,
            call_fn=lambda operation, *args, **kwargs: operation(*args, **kwargs),
        )
    except (ValueError, TypeError) as error:
        raise ModelError(
            "The target cannot be computed from images of another size.",
            received=f"{height} x {width} pixels: {str(error).splitlines()[0]}",
            allowed=f"{image.shape[1]} x {image.shape[2]} pixels, for what follows a flattening",
            hint="fewer octaves, or a layer with maps",
        ) from error
    return keras.Model(keras.tree.pack_sequence_as(cut._inputs_struct, inputs), outputs)


def _inspect(inspection: Inspection) -> list[Any]:
    network = inspection.network
    images, scalars = network.arrays([inspection.example])
    (layer,) = select_layers(inspection.model, 1.0)
    after = deep_dream(
        inspection.model,
        images,
        ExplainTarget(layer=layer),
        scalars=scalars,
        bands=inspection.network.inputs.n_bands,
        seed=inspection.seed,
    )
    both = np.stack([network.to_flux(images), network.to_flux(after)])
    comments = ["Images before and after: which, object, band, y, x."]
    values = np.moveaxis(both, -1, 2)
    return [image_hdu("DREAMS", values, inspection.flux_cards, comments=comments)]


def _plot(hdus: Sequence[Any], explanation: Explanation) -> list[Picture]:
    before, after = np.moveaxis(find_hdus(hdus, "DREAMS")[1], 2, -1)
    objects = explanation.objects
    figure = plot_deep_dream(before, after, pixel_scale=objects.pixel_scale, unit=objects.unit)
    caption = (
        "Images before and after they were changed so that the activation of a layer rises; the "
        "difference is the mean over bands."
    )
    return [Picture(figure, caption, raster=True)]


METHOD = InspectionMethod(_inspect, _plot, default=False)
