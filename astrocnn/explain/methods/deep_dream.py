"""What a layer sees in an image, drawn into it: its own response, raised.

References
----------
Mordvintsev, Olah & Tyka 2015, "Inceptionism: Going Deeper into Neural Networks", Google Research
blog, 17 June 2015.
Yosinski et al. 2015, arXiv:1506.06579, section 3 (blur as a regularizer).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocnn.backend import keras, ops
from astrocnn.errors import ModelError
from astrocnn.explain._gradients import compiled, gradient
from astrocnn.explain._network import arrays_for, check_counts, in_blocks
from astrocnn.explain._painting import Blur, painted
from astrocnn.explain._resized import resized
from astrocnn.explain.output import Explained, Response

__all__ = ["deep_dream"]

Images = NDArray[np.floating]


def deep_dream(
    model: keras.Model,
    images: Any,
    response: Explained,
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
    """Climb from given images toward a larger response, from coarse to fine.

    Each octave is a smaller copy of the image, in which what the layer draws is larger; what was
    drawn there is enlarged and drawn upon in the next one.

    Parameters
    ----------
    model : keras.Model
        From images, and scalars where it takes them.
    images : array_like of shape (n, height, width, n_channels)
        Normalized.
    response : Response or Output
        What is raised: of a whole layer its mean square, so that what it sees a little it
        will see more of; of a channel its mean; of an `Output` the number itself.
    scalars : array_like of shape (n, n_scalars), optional
        Standardized.
    octaves : int
        Sizes of the image, the last of which is its own; 1 for what follows a flattening, which
        knows one size only.
    ratio : float
        Of the size of each octave to that of the one before.
    steps : int
        In each octave.
    rate : float
        Most by which a step changes a pixel, where the slope is steepest [normalized unit]; half
        of it where the slope is typical.
    seeing : float
        Standard deviation of the blur of each step [pixel]; 0 for none.
    jitter : int
        Most pixels by which the image is shifted before a step, at random, and back after it.
    bands : int, optional
        How many of the first channels are drawn upon; the others, masks for instance, stay.
        All by default.
    seed : int
        Of the shifts, which are the same for all images.
    batch_size : int
        Objects at once; without influence on the outcome.

    Returns
    -------
    ndarray of shape (n, height, width, n_channels)
        Normalized; `astrocnn.imaging.Normalization.invert` makes fluxes of it.

    Raises
    ------
    ModelError
        If there is no such layer or channel, what is asked needs one size of the image, or a
        number makes no sense.
    """
    arrays = arrays_for(model, images, scalars)
    check_counts(octaves=octaves, steps=steps)
    height, width, channels = arrays["image"].shape[1:]
    _check(ratio, rate, jitter)
    mine = painted(bands, channels)
    sizes = [
        (max(1, round(height / ratio**k)), max(1, round(width / ratio**k)))
        for k in reversed(range(octaves))
    ]
    cut = keras.Model(model.input, response.nodes(model))
    slopes = [
        _slope(cut if size == (height, width) else resized(cut, *size), response) for size in sizes
    ]
    blurs = [Blur(*size, seeing) for size in sizes]
    shifts = np.random.default_rng(seed).integers(-jitter, jitter + 1, (octaves, steps, 2))

    def dream(x: dict[str, Any]) -> NDArray[np.float32]:
        drawn = np.zeros_like(x["image"])
        for size, slope, blur, moves in zip(sizes, slopes, blurs, shifts, strict=True):
            base = _resize(x["image"], size)
            seen = base + _resize(drawn, size)
            for move in moves:
                there = np.roll(seen, move, axis=(1, 2))
                rise = ops.convert_to_numpy(slope({**x, "image": there}))
                rise = blur(blur.back(np.roll(rise * mine, -move, axis=(1, 2))))
                typical = np.sqrt(np.mean(rise**2, axis=(1, 2, 3), keepdims=True))
                # Bounded: most of a slope is in few pixels, which would soon outshine all else.
                step = rise / (np.abs(rise) + np.maximum(typical, 1e-30))
                seen = seen + (rate * step).astype(np.float32)
            drawn = seen - base
        return x["image"] + drawn

    return in_blocks(dream, arrays, batch_size)[0]


def _slope(cut: keras.Model, response: Explained) -> Callable[[dict[str, Any]], Any]:
    whole = isinstance(response, Response) and response.channel is None

    def score(x: dict[str, Any]) -> Any:
        values = cut({name: x[name] for name in cut.input}, training=False)
        return response.number(ops.square(values) if whole else values)

    def slope(x: dict[str, Any]) -> Any:
        return gradient(lambda image: (score({**x, "image": image}), image), x["image"])[2]

    return compiled(slope)


def _resize(images: Images, size: tuple[int, int]) -> NDArray[np.float32]:
    if images.shape[1:3] == size:
        return np.asarray(images, np.float32)
    made = ops.image.resize(images, size, interpolation="bilinear", antialias=True)
    return np.asarray(ops.convert_to_numpy(made), np.float32)


def _check(ratio: float, rate: float, jitter: int) -> None:
    for name, value, allowed, good in (
        ("ratio of octaves", ratio, "more than 1", np.isfinite(ratio) and ratio > 1),
        ("length of a step", rate, "more than 0", np.isfinite(rate) and rate > 0),
        ("jitter", jitter, "0 pixels or more", jitter >= 0),
    ):
        if not good:
            raise ModelError(f"The {name} makes no sense.", received=value, allowed=allowed)
