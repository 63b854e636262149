"""How much each pixel adds to the answer, compared with an image without an object.

References
----------
Sundararajan, Taly & Yan 2017, ICML (arXiv:1703.01365), equation 1 and proposition 1
(completeness).
Sturmfels, Lundberg & Lee 2020, Distill, doi:10.23915/distill.00022 (baselines).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from astrocnn.backend import keras
from astrocnn.errors import ModelError
from astrocnn.explain._gradients import compiled
from astrocnn.explain._network import arrays_for, check_counts, in_blocks, scorer
from astrocnn.explain._sky import sky
from astrocnn.explain._variations import gradients_of_variations
from astrocnn.explain.output import Explained

__all__ = ["IntegratedGradients", "integrated_gradients", "pixel_map"]

_BASELINES = ("sky", "blurred", "zero")


class IntegratedGradients(NamedTuple):
    """What `integrated_gradients` found."""

    attribution: NDArray[np.float32]
    """What each pixel and band adds, of shape (n, height, width, n_channels)."""
    score: NDArray[np.float32]
    """Output of the image, of shape (n,)."""
    baseline_score: NDArray[np.float32]
    """Output of the image without an object, mean over draws, of shape (n,)."""

    @property
    def residual(self) -> NDArray[np.float64]:
        """What the attributions miss of the difference of the scores, of shape (n,).

        Zero for an exact integral; more steps bring it down, in proportion to their number where
        ReLU and max pooling make the way kinked.
        """
        added = self.attribution.sum(axis=(1, 2, 3), dtype=np.float64)
        return self.score.astype(np.float64) - self.baseline_score - added


def integrated_gradients(
    model: keras.Model,
    images: Any,
    output: Explained,
    *,
    scalars: Any = None,
    baseline: str = "sky",
    draws: int = 5,
    steps: int = 32,
    seed: int = 0,
    batch_size: int = 64,
) -> IntegratedGradients:
    """Integrate the gradient on the straight way from an image without an object to the image.

    Parameters
    ----------
    model : keras.Model
        From images, and scalars where it takes them.
    images : array_like of shape (n, height, width, n_channels)
        Normalized.
    output : Output or Response
        The number to be explained.
    scalars : array_like of shape (n, n_scalars), optional
        Standardized; they stay as they are on the way.
    baseline : str
        The image without an object: ``"sky"``, noise as in the border of the image, the mean over
        several draws of it (zero for strips of scalars), ``"blurred"``, smoothed by an eighth of
        the image, or ``"zero"``.
    draws : int
        Of the noise; the other baselines have one.
    steps : int
        Points on the way, those of Gauss-Legendre quadrature.
    seed : int
        Of the noise.
    batch_size : int
        Points at once; without influence on the outcome.

    Returns
    -------
    IntegratedGradients

    Raises
    ------
    ModelError
        If there is no such baseline, or there are no draws or steps.
    """
    arrays = arrays_for(model, images, scalars)
    check_counts(draws=draws, steps=steps)
    image = arrays["image"]
    empty = _baselines(image, baseline, draws, seed)
    place, share = np.polynomial.legendre.leggauss(steps)
    along, share = (0.5 * (place + 1)).astype(np.float32), (0.5 * share).astype(np.float32)
    score = scorer(model, output)
    n, n_draws = empty.shape[:2]
    # Each draw is an object of its own, so that all share their blocks.
    ways = {name: np.repeat(a, n_draws, axis=0) for name, a in arrays.items()}
    start = empty.reshape(-1, *image.shape[1:])
    slope = gradients_of_variations(
        score,
        lambda x, a: x["start"] + a[:, None, None, None] * (x["image"] - x["start"]),
        {**ways, "start": start},
        along,
        share,
        batch_size,
    )
    added = (ways["image"] - start) * slope.astype(np.float64)
    everything = {k: np.concatenate([arrays[k], a]) for k, a in (ways | {"image": start}).items()}
    scores = in_blocks(compiled(score), everything, batch_size)[0]
    return IntegratedGradients(
        added.reshape(empty.shape).mean(axis=1).astype(np.float32),
        scores[:n],
        scores[n:].reshape(n, n_draws).mean(axis=1),
    )


def pixel_map(
    model: keras.Model,
    images: Any,
    output: Explained,
    *,
    scalars: Any = None,
    batch_size: int = 64,
) -> NDArray[np.float32]:
    """Attribution of each pixel and band, of shape (n, height, width, n_channels)."""
    return integrated_gradients(
        model, images, output, scalars=scalars, batch_size=batch_size
    ).attribution


def _baselines(
    image: NDArray[np.float32], baseline: str, draws: int, seed: int
) -> NDArray[np.float32]:
    if baseline not in _BASELINES:
        raise ModelError("There is no such baseline.", received=repr(baseline), allowed=_BASELINES)
    if baseline == "sky":
        return sky(image, draws, seed)
    if baseline == "zero":
        return np.zeros_like(image)[:, None]
    height, width = image.shape[1:3]
    smooth: NDArray[np.float32] = gaussian_filter(image, (0, height / 8, width / 8, 0))
    return smooth[:, None]
