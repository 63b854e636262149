"""The image a network would like best: what it takes a class, or a filter, to look like.

References
----------
Simonyan, Vedaldi & Zisserman 2014, ICLR workshop (arXiv:1312.6034), equation 1.
Jaggi 2013, ICML, PMLR 28, 427, algorithm 1 (steps of conditional gradients).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocnn.backend import keras
from astrocnn.errors import ModelError
from astrocnn.explain._gradients import compiled, gradient
from astrocnn.explain._looks import Looks
from astrocnn.explain._network import arrays_for, check_counts, image_shape, scorer
from astrocnn.explain._painting import Blur, painted
from astrocnn.explain.output import Explained

__all__ = ["class_image"]


def class_image(
    model: keras.Model,
    output: Explained,
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
    """Paint the image with the largest output, S(I) - l2 |I|^2, on an empty sky.

    What keeps it from being a pattern that only a network can read is what an image of the sky
    is.  Light only adds to the sky.  It has come through the atmosphere: nothing is sharper
    than ``seeing``.  It lies where the images it should be ``like`` have theirs, in colors like
    theirs.  And the output is a mean over draws of sky noise, in which what is fainter than the
    noise is lost.

    Parameters
    ----------
    model : keras.Model
        From images, and scalars where it takes them.
    output : Output or Response
        The number to be raised; for a class the logit, for a quantity the mean, since a probability
        has no slope where it is near 0 or 1.
    lowest : bool
        Whether to paint the image with the smallest output instead: that of small redshift, say.
    like : array_like of shape (n, height, width, n_channels), optional
        Normalized images of objects, a hundred or more, whose borders tell level and noise of the
        sky, and whose light how bright it is by place and by band.  Without them the sky is 0
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
        How many of the first channels are painted; the others, masks for instance, stay at the
        level of the sky.  All by default.
    draws : int
        Of the noise, new ones in each step.
    steps : int
        Of the ascent.  Each goes to the image that would be best if the slope stayed as it is,
        by a share of the way that falls with the number of steps done: there is no
        learning rate.
    seed : int
        Of the noise.

    Returns
    -------
    ndarray of shape (height, width, n_channels)
        Normalized; `astrocnn.imaging.Normalization.invert` makes fluxes of it.

    Raises
    ------
    ModelError
        If the network has no such output, or a number makes no sense.

    Notes
    -----
    With B for the blur and P for place and color as matrices, the image is ``sky + B P j`` and the
    penalty ``l2 |j|^2``, so that the best image fulfills ``I = sky + B P P' B' S'(I) / (2 l2)``
    where light may have either sign.  For a score that is linear in the image, the first step
    is there.
    """
    shape = image_shape(model)
    check_counts(draws=draws, steps=steps)
    if l2 is not None and not (np.isfinite(l2) and l2 > 0):
        raise ModelError("The penalty must be positive.", received=l2, hint="l2=None chooses one")
    blur, mine = Blur(*shape[:2], seeing), painted(bands, shape[-1])
    looks = Looks.unknown(shape) if like is None else Looks.of(_images(model, like))
    sky = np.broadcast_to(looks.level, shape).astype(np.float32)
    arrays = arrays_for(model, sky[None], _row(model, scalars))
    views = {name: np.repeat(a, draws, axis=0) for name, a in arrays.items()}
    score = scorer(model, output)

    def slope(x: dict[str, Any]) -> Any:
        rise = gradient(lambda image: (score({**x, "image": image}), image), x["image"])[2]
        return -rise if lowest else rise

    step = compiled(slope)
    rng = np.random.default_rng(seed)
    drawn = np.zeros(shape, np.float64)
    for k in range(steps):
        noise = looks.noise * rng.standard_normal((draws, *shape), np.float32)
        views["image"] = (sky + noise + drawn).astype(np.float32)
        rise = keras.ops.convert_to_numpy(step(views)).mean(axis=0, dtype=np.float64)
        light = looks.gather(blur.back(rise * mine))
        rise = blur(looks.spread(np.maximum(light, 0) if adds else light)) * mine
        size = float(np.sqrt(np.mean(rise**2)))
        # With a given brightness it is the penalty that follows from the slope.
        weight = 2.0 * l2 if l2 is not None else max(size, 1e-30) / looks.brightness
        drawn += 2.0 / (k + 2) * (rise / weight - drawn)
    return (sky + drawn).astype(np.float32)


def _images(model: keras.Model, like: Any) -> NDArray[np.float32]:
    return arrays_for(model, like, _zeros(model, len(like)))["image"]


def _row(model: keras.Model, scalars: Any) -> Any:
    return _zeros(model, 1) if scalars is None else np.asarray(scalars, np.float32)[None]


def _zeros(model: keras.Model, n: int) -> Any:
    wanted = model.input.get("scalars")
    return None if wanted is None else np.zeros((n, *wanted.shape[1:]), np.float32)
