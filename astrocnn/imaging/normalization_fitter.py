"""Statistics of the training images in one streaming pass."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from astrocnn.errors import ConfigError, InputsError
from astrocnn.imaging.background import estimate_sky_noise
from astrocnn.imaging.normalization import STRETCHES, Normalization, check_limits, compress
from astrocnn.plugins import nearest

__all__ = ["Moments", "NormalizationFitter", "PixelSample"]

SAMPLE_PIXELS = 1 << 18
WARM_UP_IMAGES = 512
WARM_UP_BYTES = 64 << 20
BLOCK_PIXELS = 1 << 18
MAD_TO_SIGMA = 1.482602218505602
# Below it single precision cannot tell a combination of bands from rounding.
LEAST_EIGENVALUE = 1e-6
BLACK_AND_WHITE = (0.001, 0.999)
"""Quantiles of the stretched pixels that are put at black and white."""


class NormalizationFitter:
    """Fit a `Normalization` to a stream of images, each seen once.

    Pixels without data (NaN, infinite) do not count.  The result depends on the images and
    their order, and not on how they were cut into chunks.

    The softening of a stretch must be known before the first stretched pixel is summed.
    Therefore the first images (at most 512, at most 64 MiB) are kept until the sky noise has
    been measured on them, and are summed then.  Give the images in random order when their
    noise varies along the catalogue, as `astrocnn.datasets.fit_normalization` does.

    Parameters
    ----------
    stretch : {"none", "linear", "asinh", "log"}
        With "none" the pixels stay as they are, and those without data get the mean of the band.
    robust : bool
        Median and 1.4826 MAD in place of mean and standard deviation, from a seeded random
        sample of 2**18 pixels: their standard error on Gaussian pixels is 0.0024 and
        0.0023 standard deviations.
    whiten : bool
        Rotate and scale the bands so that their covariance over the training pixels is the
        identity (principal components).  Only pixels with data in every band are used.
    mask_channel : bool
        See `Normalization`.
    softening : float or sequence of n_bands floats, optional
        Flux at which "asinh" and "log" turn from linear to logarithmic [unit of the image]; by
        default the sky noise of each band.
    bands : sequence of str, optional
        Names for the messages.
    seed : int
        Seed of the sample of pixels.
    limits : sequence of n_bands pairs of float, optional
        Normalized values of black and white, for a network with weights that were trained on
        pictures: the stretched pixels of each band are scaled so that 0.1 % of them are darker
        than black and 0.1 % brighter than white.
    """

    def __init__(
        self,
        stretch: str = "asinh",
        *,
        robust: bool = False,
        whiten: bool = False,
        mask_channel: bool = False,
        softening: float | Sequence[float] | None = None,
        bands: Sequence[str] = (),
        seed: int = 0,
        limits: Sequence[Sequence[float]] | None = None,
    ) -> None:
        if stretch not in STRETCHES:
            raise ConfigError(
                f"There is no stretch '{stretch}'.",
                allowed=STRETCHES,
                hint=nearest(str(stretch), STRETCHES),
            )
        if stretch == "none" and (whiten or robust):
            raise ConfigError(
                "With stretch 'none' the pixels stay as they are: nothing is scaled or whitened.",
                received=f"robust={robust}, whiten={whiten}",
                hint="stretch = 'linear'",
            )
        if limits is not None and (stretch == "none" or whiten or robust):
            raise ConfigError(
                "For weights that expect black and white at certain values the pixels are scaled "
                "to these, and in no other way.",
                received=f"stretch='{stretch}', robust={robust}, whiten={whiten}",
                allowed="the stretch 'linear', 'asinh' or 'log', without robust and whiten",
            )
        self.stretch, self.robust, self.whiten = stretch, robust, whiten
        self._limits = limits
        self.mask_channel, self.bands = mask_channel, tuple(bands)
        self._fixed_softening = (
            None if softening is None else np.atleast_1d(np.asarray(softening, float))
        )
        if (
            self._fixed_softening is not None
            and not (np.isfinite(self._fixed_softening) & (self._fixed_softening > 0)).all()
        ):
            raise ConfigError("The softening must be positive.", received=softening)
        self._sample = PixelSample(SAMPLE_PIXELS, seed)
        self._first_images: list[np.ndarray] = []
        self._first_noises: list[np.ndarray] = []
        self._softening: np.ndarray | None = None
        self._moments: Moments | None = None
        self._warm_up = 0
        self._noise = np.zeros(0)

    def update(self, images: np.ndarray) -> NormalizationFitter:
        """Add images of shape (n, height, width, n_bands); returns itself."""
        images = np.asarray(images)
        if images.ndim != 4:
            raise InputsError(
                "Images to fit a normalization on have the axes (n, height, width, n_bands).",
                received=f"shape {images.shape}",
            )
        if len(images) == 0:
            return self
        if self._moments is None:
            self._start(images)
        elif images.shape[3] != len(self._moments.mean):
            raise InputsError(
                "The number of bands changed between two chunks.",
                received=images.shape[3],
                allowed=len(self._moments.mean),
            )
        if self._softening is None:
            n_free = self._warm_up - sum(map(len, self._first_images))
            # Copied, because the caller may use its array again for the next chunk.
            self._first_images.append(np.array(images[:n_free], np.float32))
            self._first_noises.append(estimate_sky_noise(self._first_images[-1]))
            images = images[n_free:]
            if sum(map(len, self._first_images)) == self._warm_up:
                self._fix_softening()
        if len(images):
            self._add(images)
        return self

    def finish(self) -> Normalization:
        """The normalization of all images seen.

        Raises
        ------
        InputsError
            If there were no images, or a band has no data, is constant, or (when whitening)
            is a linear combination of the others.
        """
        if self._moments is None:
            raise InputsError("No images to fit a normalization on.")
        if self._softening is None:
            self._fix_softening()
        assert self._softening is not None
        moments = self._moments
        self._refuse(moments.count == 0, "has no data in any training image")
        if self.stretch == "none":
            location, scale = np.zeros_like(moments.mean), np.ones_like(moments.mean)
            # Zero is the mean only of bands that are centered.
            fill = moments.mean
        else:
            location, scale = moments.mean, np.sqrt(moments.variance)
            fill = np.zeros_like(location)
            # Rounding leaves a constant band with a spread of a few units in the last place.
            constant = scale <= 1e-9 * np.maximum(np.abs(location), np.finfo(np.float32).tiny)
            self._refuse(constant, "has the same value in every pixel")
            if self.robust:
                location, scale = self._median_and_mad()
        limits = None
        if self._limits is not None:
            limits = check_limits(self._limits, len(location))
            location, scale = self._scale_to(np.asarray(limits))
            # The mean of the band, as without limits.
            fill = (moments.mean - location) / scale
        return Normalization(
            self.stretch,
            location=tuple(location.tolist()),
            scale=tuple(scale.tolist()),
            softening=tuple(self._softening.tolist()),
            fill=tuple(fill.tolist()),
            whitening=self._whitening(scale) if self.whiten else None,
            mask_channel=self.mask_channel,
            noise=tuple(self._noise.tolist()),
            limits=limits,
        )

    def _start(self, images: np.ndarray) -> None:
        n_bands = images.shape[3]
        if self._fixed_softening is not None and len(self._fixed_softening) not in (1, n_bands):
            raise ConfigError(
                "Softening: one number, or one per band.",
                received=f"{len(self._fixed_softening)} numbers",
                allowed=f"{n_bands} bands",
            )
        self._moments = Moments(n_bands, complete=self.whiten)
        self._warm_up = min(WARM_UP_IMAGES, max(1, WARM_UP_BYTES // (4 * images[0].size)))

    def _fix_softening(self) -> None:
        """Measure noise and softening on the first images, and sum these."""
        assert self._moments is not None
        n_bands = len(self._moments.mean)
        first_images = np.concatenate(self._first_images)
        self._first_images = []
        self._noise = np.array(
            [_typical_noise(band) for band in np.concatenate(self._first_noises).T]
        )
        # Simulated stamps may have a border of zeros: then the objects set the scale.
        for band in np.flatnonzero(self._noise == 0):
            self._noise[band] = _spread(first_images[..., band])
        if self.stretch not in ("asinh", "log"):
            self._softening = np.ones(n_bands)
        elif self._fixed_softening is not None:
            self._softening = np.broadcast_to(self._fixed_softening, (n_bands,)).copy()
        else:
            # A band without any spread is refused in finish(), with its name.
            self._softening = np.where(self._noise > 0, self._noise, 1.0)
        self._add(first_images)

    def _add(self, images: np.ndarray) -> None:
        assert self._moments is not None and self._softening is not None
        pixels = images.reshape(-1, images.shape[3])
        for start in range(0, len(pixels), BLOCK_PIXELS):
            # Sums of 10^9 pixels lose their last digits in float32.
            block = pixels[start : start + BLOCK_PIXELS].astype(np.float64)
            block[~np.isfinite(block)] = np.nan
            stretched = compress(block, self.stretch, self._softening)
            self._moments.update(stretched)
            if self.robust or self._limits is not None:
                self._sample.update(stretched)

    def _columns(self) -> list[np.ndarray]:
        """The sampled pixels with data of each band."""
        columns = [band[np.isfinite(band)] for band in self._sample.values().T]
        self._refuse(
            np.array([len(column) == 0 for column in columns]),
            "has too few pixels with data for a median",
        )
        return columns

    def _scale_to(self, limits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Location and scale that put the darkest and brightest pixels at black and white."""
        ends = np.array([np.quantile(column, BLACK_AND_WHITE) for column in self._columns()])
        self._refuse(ends[:, 0] >= ends[:, 1], "has the same value in nearly every pixel")
        scale = (ends[:, 1] - ends[:, 0]) / (limits[:, 1] - limits[:, 0])
        return ends[:, 0] - limits[:, 0] * scale, scale

    def _median_and_mad(self) -> tuple[np.ndarray, np.ndarray]:
        columns = self._columns()
        median = np.array([np.median(column) for column in columns])
        mad = np.array([_mad(column) for column in columns])
        self._refuse(mad == 0, "has the same value in more than half of its pixels", "robust=False")
        return median, mad

    def _whitening(self, scale: np.ndarray) -> tuple[tuple[float, ...], ...]:
        assert self._moments is not None
        # Whitening acts on pixels that have been centered and scaled.
        covariance = self._moments.covariance / np.outer(scale, scale)
        values, vectors = np.linalg.eigh(covariance)
        # From the largest variance down, as principal components are counted.
        values, vectors = values[::-1], vectors[:, ::-1]
        if values[-1] < LEAST_EIGENVALUE * values[0]:
            raise InputsError(
                "The bands cannot be whitened: one is a linear combination of the others.",
                received=f"eigenvalues of the covariance {np.array2string(values, precision=3)}",
                hint="leave a band out, or whiten = false",
            )
        # The sign of an eigenvector is arbitrary; fix it, so that two fits agree.
        vectors = vectors * np.sign(vectors[np.abs(vectors).argmax(axis=0), range(len(values))])
        return tuple(map(tuple, (vectors / np.sqrt(values)).T.tolist()))

    def _refuse(self, wrong: np.ndarray, what: str, hint: str | None = None) -> None:
        if not wrong.any():
            return
        names = [
            self.bands[i] if len(self.bands) == len(wrong) else f"number {i}"
            for i in np.flatnonzero(wrong)
        ]
        raise InputsError(
            f"Band {', '.join(names)} {what}: no normalization can be fitted.",
            hint=hint or "leave the band out of the survey, or look at its files",
        )


def _typical_noise(per_image: np.ndarray) -> float:
    finite = per_image[np.isfinite(per_image)]
    return float(np.median(finite)) if len(finite) else 0.0


def _mad(values: np.ndarray) -> float:
    return MAD_TO_SIGMA * float(np.median(np.abs(values - np.median(values))))


def _spread(values: np.ndarray) -> float:
    """A scale for bands whose border is flat: MAD, else standard deviation, else 0."""
    finite = values[np.isfinite(values)].astype(np.float64)
    if len(finite) == 0:
        return 0.0
    return _mad(finite) or float(finite.std())


class Moments:
    """Count, mean and co-moments over bands, updated block by block.

    Parameters
    ----------
    n_bands : int
        Columns of the blocks.
    complete : bool
        Use only the pixels that have data in every band, as a covariance needs.

    References
    ----------
    Chan, Golub & LeVeque 1983, The American Statistician 37, 242, equations 2.1a and 2.1b.
    """

    def __init__(self, n_bands: int, complete: bool = False) -> None:
        self.complete = complete
        self.count = np.zeros(n_bands)
        self.mean = np.zeros(n_bands)
        self.comoment = np.zeros((n_bands, n_bands))

    def update(self, block: np.ndarray) -> None:
        """Add a block of shape (n, n_bands); values that are not finite are left out."""
        valid = np.isfinite(block)
        if self.complete:
            valid &= valid.all(axis=1, keepdims=True)
        count = valid.sum(axis=0).astype(np.float64)
        total = np.where(valid, block, 0.0).sum(axis=0)
        mean = total / np.maximum(count, 1.0)
        # From the mean of the block: sums of squares would cancel where the sky is bright.
        deviation = np.where(valid, block - mean, 0.0)
        self._merge(count, mean, deviation.T @ deviation)

    def _merge(self, count: np.ndarray, mean: np.ndarray, comoment: np.ndarray) -> None:
        together = np.maximum(self.count + count, 1.0)
        delta = mean - self.mean
        weight = self.count * count / together
        # Off the diagonal the weight is meant for `complete`, where all counts are equal.
        self.comoment += comoment + np.outer(delta, delta) * np.sqrt(np.outer(weight, weight))
        self.mean = self.mean + delta * count / together
        self.count = self.count + count

    @property
    def variance(self) -> np.ndarray:
        """Population variance of each band."""
        result: np.ndarray = np.diag(self.comoment) / np.maximum(self.count, 1.0)
        return result

    @property
    def covariance(self) -> np.ndarray:
        """Population covariance, meaningful when `complete`."""
        result: np.ndarray = self.comoment / max(float(self.count.min()), 1.0)
        return result


class PixelSample:
    """A bounded random sample of a stream: the `size` pixels with the smallest hash.

    The hash is that of seed and position in the stream, so that the sample does not depend on
    the chunks in which the stream arrived.

    Parameters
    ----------
    size : int
        Pixels to keep; a pixel has a value in each band.
    seed : int
        Another seed, another sample.
    """

    def __init__(self, size: int, seed: int = 0) -> None:
        self.size = size
        # Mixed, or neighboring seeds would choose the same pixels, moved by one.
        self._salt = _mix(np.array([seed % 2**63], np.uint64))
        self._n_seen = 0
        self._limit = np.iinfo(np.uint64).max
        self._hashes: list[np.ndarray] = []
        self._pixels: list[np.ndarray] = []
        self._n_kept = 0

    def update(self, pixels: np.ndarray) -> None:
        """Add the next pixels, an array of shape (n, n_bands)."""
        ordinals = np.arange(self._n_seen, self._n_seen + len(pixels), dtype=np.uint64)
        self._n_seen += len(pixels)
        hashes = _mix(ordinals + self._salt)
        # Once the sample is full, only smaller hashes than its largest can enter.
        chosen = np.flatnonzero(hashes <= self._limit)
        self._hashes.append(hashes[chosen])
        self._pixels.append(pixels[chosen])
        self._n_kept += len(chosen)
        # Sorting only at twice the size keeps the cost per pixel constant.
        if self._n_kept > 2 * self.size:
            self._shrink()

    def values(self) -> np.ndarray:
        """The sample so far, an array of shape (min(n, size), n_bands)."""
        self._shrink()
        return self._pixels[0]

    def _shrink(self) -> None:
        hashes, pixels = np.concatenate(self._hashes), np.concatenate(self._pixels)
        order = np.argsort(hashes)[: self.size]
        self._hashes, self._pixels = [hashes[order]], [pixels[order]]
        self._n_kept = len(order)
        if self._n_kept == self.size:
            self._limit = hashes[order[-1]]


def _mix(values: np.ndarray) -> np.ndarray:
    """The finalizer of SplitMix64, a bijection of 64-bit integers that looks random.

    References
    ----------
    Steele, Lea & Flood 2014, OOPSLA, "Fast splittable pseudorandom number generators", fig. 14.
    """
    z = values + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    result: np.ndarray = z ^ (z >> np.uint64(31))
    return result
