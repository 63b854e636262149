"""Class images: the image with the largest output of a class, a quantity or a filter.

References
----------
Simonyan, Vedaldi & Zisserman 2014, ICLR workshop (arXiv:1312.6034), equation 1.
Jaggi 2013, ICML, PMLR 28, 427, algorithm 1 (steps of conditional gradients).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocnn.backend import keras
from astrocnn.errors import ModelError
from astrocnn.explain.attribution import Explanation
from astrocnn.explain.explained_network import Inspection
from astrocnn.explain.figures import plot_class_images
from astrocnn.explain.gradients import compiled
from astrocnn.explain.hdus import Card, find_hdus, image_hdu
from astrocnn.explain.methods import InspectionMethod
from astrocnn.explain.network import (
    Evaluator,
    band_mask,
    build_arrays,
    image_shape,
    validate_counts,
)
from astrocnn.explain.sky import Blur, SourceModel
from astrocnn.explain.target import ExplainTarget
from astrocnn.report.page import Picture

__all__ = ["METHOD", "class_image"]

_LIKE = 128
"""Objects from which the brightness of a class image is measured."""
_STEPS = 40


def class_image(
    model: keras.Model,
    target: ExplainTarget,
    *,
    lowest: bool = False,
    like: Any = None,
    scalars: Any = None,
    l2: float | None = None,
    seeing: float = 1.5,
    adds: bool = True,
    bands: int | None = None,
    draws: int = 2,
    steps: int = 60,
    seed: int = 0,
) -> NDArray[np.float32]:
    """Find the image with the largest target, ``S(I) - l2 |I|^2``, on an empty sky.

    Four constraints of astronomical images suppress high-frequency patterns: light is positive,
    blurred by `seeing`, has the places and colors of the light in `like`, and the target is
    averaged over draws of sky noise, which hide what is fainter.

    Parameters
    ----------
    model : keras.Model
        See `astrocnn.explain.methods`.
    target : ExplainTarget
        The number to be raised; not a probability, which has no gradient where it is near 0 or 1.
    lowest : bool
        Whether to find the image with the smallest target instead.
    like : array_like of shape (n, height, width, n_channels), optional
        Normalized images of objects, a hundred or more, from which level and noise of the sky
        are measured, and the brightness of light by place and by band.  Without them the sky is 0
        with a noise of 0.1, and light, of a root mean square of 1, anywhere and of any color.
    scalars : array_like of shape (n_scalars,), optional
        Standardized; zeros, their means, by default.
    l2 : float, optional
        Weight of the penalty, per squared unit of the normalized image; by default that with which
        the image is as bright, in the root mean square, as those it should be like.
    seeing : float
        Standard deviation of the blur [pixel]; 0 for none.
    adds : bool
        Whether light can only add to the sky; otherwise there are holes in it as well.
    bands : int, optional
        Number of leading channels that are changed; the others, masks for instance, stay at the
        level of the sky.  All by default.
    draws, steps : int
        Draws of the noise in each step, and steps of the ascent (conditional gradients), which
        become smaller with their number: there is no learning rate.
    seed : int
        Seed of the noise.

    Returns
    -------
    ndarray of shape (height, width, n_channels)
        Normalized; `astrocnn.imaging.Normalization.invert` makes fluxes of it.

    Raises
    ------
    ModelError
        If the network has no such output, or a number is out of range.

    Notes
    -----
    With B for the blur and P for place and color as matrices, the image is ``sky + B P j`` and the
    penalty ``l2 |j|^2``, so that the best image fulfills ``I = sky + B P P' B' S'(I) / (2 l2)``
    where light may have either sign.  For a score that is linear in the image, the first step
    is there.
    """
    shape = image_shape(model)
    validate_counts(draws=draws, steps=steps)
    if l2 is not None and not (np.isfinite(l2) and l2 > 0):
        raise ModelError("`l2` must be > 0.", received=l2, hint="l2=None chooses one")
    blur, mask = Blur(*shape[:2], seeing), band_mask(bands, shape[-1])
    light_model = (
        SourceModel.uninformed(shape)
        if like is None
        else SourceModel.measure(build_arrays(model, like, _zeros(model, len(like)))["image"])
    )
    sky = np.broadcast_to(light_model.level, shape).astype(np.float32)
    row = _zeros(model, 1) if scalars is None else np.asarray(scalars, np.float32)[None]
    evaluator = Evaluator(model, sky[None], target, scalars=row)
    views = {name: np.repeat(a, draws, axis=0) for name, a in evaluator.arrays.items()}
    sign = -1 if lowest else 1
    step = compiled(lambda x: sign * evaluator.gradient(x))
    rng = np.random.default_rng(seed)
    added = np.zeros(shape, np.float64)
    for k in range(steps):
        noise = light_model.noise * rng.standard_normal((draws, *shape), np.float32)
        views["image"] = (sky + noise + added).astype(np.float32)
        rise = keras.ops.convert_to_numpy(step(views)).mean(axis=0, dtype=np.float64)
        light = light_model.gather(blur(rise * mask, transposed=True))
        rise = blur(light_model.spread(np.maximum(light, 0) if adds else light)) * mask
        size = float(np.sqrt(np.mean(rise**2)))
        # Without `l2`, the penalty follows from the brightness.
        weight = 2.0 * l2 if l2 is not None else max(size, 1e-30) / light_model.brightness
        added += 2.0 / (k + 2) * (rise / weight - added)
    return (sky + added).astype(np.float32)


def _zeros(model: keras.Model, n: int) -> Any:
    tensor = model.input.get("scalars")
    return None if tensor is None else np.zeros((n, *tensor.shape[1:]), np.float32)


def _inspect(inspection: Inspection) -> list[Any]:
    """The image with the largest logit of each class; of a quantity, that with the largest mean."""
    network = inspection.network
    if not network.inputs.bands:
        raise ModelError("The network takes no image, so there is no class image.")
    target = network.task.target(inspection.target)
    like, scalars = network.arrays(inspection.rows[:_LIKE])
    names = getattr(target.family, "classes", (None,))
    images = [
        class_image(
            inspection.model,
            ExplainTarget(target, name),
            like=like,
            scalars=None if scalars is None else scalars.mean(axis=0),
            bands=inspection.network.inputs.n_bands,
            steps=_STEPS,
            seed=inspection.seed,
        )
        for name in names
    ]
    titles = (f"large {target.name}" if name is None else name for name in names)
    cards: list[Card] = [(f"CLASS{k}", title, "") for k, title in enumerate(titles, start=1)]
    values = np.moveaxis(network.to_flux(np.stack(images)), -1, 1)
    comments = ["The image with the largest output of each class: class, band, y, x."]
    return [image_hdu("CLASS_IMAGES", values, [*inspection.flux_cards, *cards], comments=comments)]


def _plot(hdus: Sequence[Any], explanation: Explanation) -> list[Picture]:
    objects = explanation.objects
    images = {
        hdus[0].header[f"CLASS{k}"]: np.moveaxis(image, 0, -1)
        for k, image in enumerate(find_hdus(hdus, "CLASS_IMAGES")[1], start=1)
    }
    figure = plot_class_images(
        images,
        band_names=objects.channel_names(np.shape(next(iter(images.values())))[-1]),
        pixel_scale=objects.pixel_scale,
        unit=objects.unit,
    )
    caption = (
        "The image with the largest logit of each class. It is not a typical member: it is what "
        "an image would have to hold for the network to be most confident."
        if len(images) > 1
        else "The image with the largest predicted value. It is not a typical object, nor need "
        "there be one like it."
    )
    return [Picture(figure, caption, raster=True)]


METHOD = InspectionMethod(_inspect, _plot, needs_objects=True)
