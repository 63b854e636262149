"""Principal components of the pixels themselves: how much of each eigenimage is in the image.

All pixels of all bands, above the sky of the border and stretched by
``asinh(flux / (3 softening))``, stand side by side as one vector; the softening of a band is the
median noise of the training images.  `fit` finds the mean of the training images and the 32
directions in which they vary most; ``component_<k>`` is the projection on direction k
[dimensionless], in the order of the variance.  A direction that the training images do not have is
0.  Pixels without data take the level of the sky.  The features turn and move with the image.

References
----------
Turk & Pentland 1991, Journal of Cognitive Neuroscience 3, 71, section 2 (eigenfaces).
Uzeirbegovic, Geach & Kaviraj 2020, MNRAS 498, 4021 (eigengalaxies).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from astrocnn.features.base import estimate_sky
from astrocnn.scheduling import find_libraries

__all__ = ["fit", "measure", "names"]

_COMPONENTS = 32
_SOFT = 3.0
# Below these shares of the largest variance, and of the mean image, there is only rounding.
_NOTHING, _ROUNDING = 1e-9, 1e-20


def names(size: int, n_bands: int) -> tuple[str, ...]:
    """Thirty-two components."""
    return tuple(f"component_{k}" for k in range(_COMPONENTS))


def fit(images: Sequence[NDArray[np.float64]], seed: int = 0) -> dict[str, NDArray[np.float32]]:
    """Mean and principal directions of some images, each of shape (size, size, n_bands).

    Returns
    -------
    dict of str to ndarray
        ``softening`` of shape (n_bands,) [unit of the images], ``mean`` of shape (p,),
        ``directions`` of shape (32, p), and ``share`` of shape (32,), of the variance.
    """
    noise = [[estimate_sky(band)[1] for band in np.moveaxis(i, -1, 0)] for i in images]
    softening = _medians(np.array(noise)).astype(np.float32)
    x = np.stack([_vector(image, softening) for image in images])
    mean = x.mean(axis=0)
    x -= mean
    # The eigenvectors of the small matrix of n images give those of the large one of p pixels.
    with find_libraries().limit(limits=1):
        variances, vectors = np.linalg.eigh(x @ x.T)
        largest = np.argsort(variances)[::-1][:_COMPONENTS]
        least = max(_NOTHING * float(variances.max()), _ROUNDING * len(x) * float(mean @ mean))
        largest = largest[variances[largest] > least]
        found = vectors[:, largest].T @ x
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    # A direction and its opposite are one: its largest pixel is made positive.
    top = np.abs(found).argmax(axis=1)
    found *= np.sign(found[np.arange(len(found)), top])[:, None]
    directions = np.zeros((_COMPONENTS, x.shape[1]), np.float32)
    directions[: len(found)] = found
    share = np.zeros(_COMPONENTS, np.float32)
    share[: len(found)] = variances[largest] / (x**2).sum()
    return {
        "softening": softening,
        "mean": mean.astype(np.float32),
        "directions": directions,
        "share": share,
    }


def measure(
    image: NDArray[np.float64],
    pixel_scale: float | None = None,
    state: Mapping[str, NDArray[np.floating]] | None = None,
) -> NDArray[np.float64]:
    """Measure one image of shape (size, size, n_bands) with the result of `fit`."""
    assert state is not None
    return np.asarray(
        state["directions"] @ (_vector(image, state["softening"]) - state["mean"]), np.float64
    )


def _vector(image: NDArray[np.float64], softening: NDArray[np.floating]) -> NDArray[np.float64]:
    """Pixels of all bands, stretched, of shape (p,)."""
    out = np.zeros(image.shape)
    for band in range(image.shape[-1]):
        plane = image[..., band]
        valid = np.isfinite(plane)
        if valid.any():
            sky = estimate_sky(plane)[0]
            out[valid, band] = np.arcsinh((plane[valid] - sky) / (_SOFT * softening[band]))
    return out.ravel()


def _medians(noise: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of the noise of each band, of shape (n_bands,); 1 where there is none."""
    usual = np.ones(noise.shape[1])
    for band, values in enumerate(noise.T):
        some = values[np.isfinite(values) & (values > 0)]
        if some.size:
            usual[band] = np.median(some)
    return usual
