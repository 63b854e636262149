"""Bag of visual words: how often each word of a vocabulary of dense descriptors occurs.

Around the points of a dense grid the gradients are described by the histograms of DAISY (8
orientations at the point and at 6 places on each of 2 rings), on the mean of the stretched bands.
Only points where the light around exceeds the sky by 1.5 noise are taken, all where none does.
`fit` sorts the descriptors of the training images into 64 clusters, the vocabulary; ``word_<k>`` is
the fraction of the descriptors of an image that lie nearest to word k [dimensionless].  Places in
the image do not count.  Descriptors turn with the image: the fractions are not invariant under
rotations.  Pixels without data take the level of the sky.

References
----------
Csurka et al. 2004, Workshop on Statistical Learning in Computer Vision, ECCV (bags of words).
Lowe 2004, International Journal of Computer Vision 60, 91, section 6 (histograms of gradients).
Tola, Lepetit & Fua 2010, IEEE TPAMI 32, 815 (DAISY: the same, densely).
Sculley 2010, WWW, 1177 (k-means of small batches).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter
from skimage.feature import daisy
from sklearn.cluster import MiniBatchKMeans

from astrocnn.errors import ConfigError
from astrocnn.features.base import average_bands, estimate_sky, stretch_image
from astrocnn.scheduling import find_libraries

__all__ = ["fit", "measure", "names"]

_WORDS = 64
_SMALLEST = 8
_SIGNIFICANT = 1.5
_MOST = 50_000


def names(size: int, n_bands: int) -> tuple[str, ...]:
    """Names of the frequencies of the 64 visual words.

    Raises
    ------
    ConfigError
        If the image is smaller than 8 pixels.
    """
    if size < _SMALLEST:
        raise ConfigError(
            "Images are too small for local descriptors.",
            received=f"{size} pixels",
            allowed=f"at least {_SMALLEST} pixels",
        )
    return tuple(f"word_{k}" for k in range(_WORDS))


def fit(images: Sequence[NDArray[np.float64]], seed: int = 0) -> dict[str, NDArray[np.float32]]:
    """The vocabulary of some images, each of shape (size, size, n_bands).

    Returns
    -------
    dict of str to ndarray
        ``words`` of shape (k, 104), where k is less than 64 only if there are fewer descriptors.
    """
    descriptors = np.concatenate([_compute_descriptors(image) for image in images])
    rng = np.random.default_rng(seed)
    descriptors = descriptors[np.sort(rng.permutation(len(descriptors))[:_MOST])]
    k = min(_WORDS, len(np.unique(descriptors, axis=0)))
    clusters = MiniBatchKMeans(k, random_state=seed, n_init=3, batch_size=1024)
    # The order of sums, and so the vocabulary, would depend on the number of threads.
    with find_libraries().limit(limits=1):
        return {"words": clusters.fit(descriptors).cluster_centers_.astype(np.float32)}


def measure(
    image: NDArray[np.float64],
    pixel_scale: float | None = None,
    state: Mapping[str, NDArray[np.floating]] | None = None,
) -> NDArray[np.float64]:
    """Measure one image of shape (size, size, n_bands) with the result of `fit`."""
    assert state is not None
    words = np.asarray(state["words"], np.float64)
    descriptors = _compute_descriptors(image)
    distance = (words**2).sum(axis=1) - 2 * descriptors @ words.T
    return np.bincount(distance.argmin(axis=1), minlength=_WORDS) / len(descriptors)


def _compute_descriptors(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute the descriptors of the grid points with significant light, of shape (m, 104)."""
    size = len(image)
    radius, step = max(3, size // 9), max(1, size // 20)
    gray = stretch_image(image).mean(axis=-1)
    every = daisy(gray, step, radius, rings=2, histograms=6, orientations=8, normalization="l2")
    light = average_bands(image)
    sky, noise = estimate_sky(light)
    around = uniform_filter(np.where(np.isfinite(light), light - sky, 0.0), 2 * step + 1)
    bright = around[radius:-radius:step, radius:-radius:step] > _SIGNIFICANT * noise
    return every[bright] if bright.any() else every.reshape(-1, every.shape[-1])
