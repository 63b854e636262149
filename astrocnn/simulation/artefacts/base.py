"""What all artefacts share: the camera they happen in, and what drawing one gives."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import scipy.ndimage

from astrocnn.errors import ConfigError
from astrocnn.simulation.presets import SimulatedBand

__all__ = ["STAGES", "Camera", "Drawn"]

STAGES = ("sky", "optics", "well", "detector", "readout", "coverage")
"""The light path; an artefact of an earlier stage is drawn before one of a later stage."""

FULL_WELL = 2.0e5  # electrons a pixel holds
VISIBLE = 0.5  # noise-free change, in sky sigmas, from which on a pixel is in the mask
FAINT = 0.2  # ... or this share of the largest change, for what is fainter than the noise


@dataclasses.dataclass(frozen=True)
class Camera:
    """Noise, sharpness and detector of an image, in its own flux unit and in pixels.

    Parameters
    ----------
    sigma : float
        Standard deviation of the sky noise in one pixel [flux unit].
    fwhm : float
        Full width at half maximum of the point spread function, pixel excluded [pixel].
    gain : float
        Detected electrons per flux unit.
    full_well : float
        Where a pixel saturates [flux unit].
    correlation : float
        Sigma [pixel] of the Gaussian that correlates the noise of resampled images; 0 for none.
    vanes : int
        Vanes that hold the secondary mirror: three make six spikes, four make four.
    thickness : float
        Depth of the detector [pixel]: cosmic rays are longer in a thick one.

    Raises
    ------
    ConfigError
        If a number is not positive.

    Examples
    --------
    >>> Camera(sigma=1.4, fwhm=1.3, gain=5.0, full_well=4e4).spikes
    6
    """

    sigma: float
    fwhm: float
    gain: float
    full_well: float
    correlation: float = 0.0
    vanes: int = 3
    thickness: float = 3.3

    def __post_init__(self) -> None:
        for name in ("sigma", "fwhm", "gain", "full_well", "vanes", "thickness"):
            if not getattr(self, name) > 0:
                raise ConfigError(
                    f"The {name} of a camera is positive.", received=getattr(self, name)
                )

    @classmethod
    def of_band(cls, band: SimulatedBand) -> Camera:
        """The camera of a simulated band, in nJy.

        Parameters
        ----------
        band : SimulatedBand
            For instance ``PRESETS["euclid"].band("VIS")``.
        """
        return cls(
            sigma=band.sky_sigma,
            fwhm=band.fwhm / band.pixel_scale,
            gain=band.gain,
            full_well=FULL_WELL / band.gain,
            correlation=band.noise_correlation,
        )

    @classmethod
    def measured(
        cls, images: np.ndarray, *, fwhm: float, gain: float, full_well: float, **others: float
    ) -> Camera:
        """The camera of real images, with noise and its correlation measured on them.

        Both follow from differences of pixels one and two apart, in which objects and a sloping
        background nearly cancel.

        Parameters
        ----------
        images : ndarray of shape (..., height, width)
            Images [flux unit]; NaN where there is no data.
        fwhm, gain, full_well, **others : float
            As for the class.

        Raises
        ------
        ConfigError
            If the images have no noise.
        """
        near, far = (_difference_variance(np.asarray(images, np.float64), k) for k in (1, 2))
        if not near > 0:
            raise ConfigError("No noise can be measured on these images.", received=near)
        sigmas = np.linspace(0, 1.2, 241)
        lags = np.array([_autocorrelation(s) for s in sigmas])
        ratios = (1 - lags[:, 0]) / (1 - lags[:, 1])
        correlation = float(np.interp(-near / far, -ratios, sigmas))
        rest = 1 - np.interp(correlation, sigmas, lags[:, 1])
        if correlation < 0.33:  # neighbors share less than 2 %, which objects do as well
            correlation = 0.0
        sigma = float(np.sqrt(far / (2 * rest)))
        return cls(sigma, fwhm, gain, full_well, correlation, **others)  # type: ignore[arg-type]

    @property
    def spikes(self) -> int:
        """Diffraction spikes of a bright star: two a vane, which coincide for opposite vanes."""
        return 2 * self.vanes if self.vanes % 2 else self.vanes

    @property
    def tolerance(self) -> float:
        """Largest noise-free change of a pixel outside a truth mask [flux unit]."""
        return VISIBLE * self.sigma

    def noise_transfer(self, shape: tuple[int, int]) -> np.ndarray:
        """Amplitude by which the noise's Fourier modes differ from white noise of one sigma.

        Parameters
        ----------
        shape : tuple of int
            Height and width of the image [pixel].

        Returns
        -------
        ndarray of shape (height, width // 2 + 1)
            Its mean square over all modes is 1.
        """
        if not self.correlation:
            return np.ones((shape[0], shape[1] // 2 + 1))
        along_y, along_x = (_smoothing(length, self.correlation) for length in shape)
        scale = np.sqrt(np.mean(along_y**2) * np.mean(along_x**2))
        return np.asarray(along_y[:, None] * along_x[: shape[1] // 2 + 1] / scale)

    def noise(
        self, shape: tuple[int, int], rng: np.random.Generator, transfer: np.ndarray | None = None
    ) -> np.ndarray:
        """A field of Gaussian noise of unit variance, correlated as in this camera's images.

        Parameters
        ----------
        shape : tuple of int
            Height and width [pixel].
        rng : numpy.random.Generator
            Source of the noise.
        transfer : ndarray of shape (height, width // 2 + 1), optional
            Another amplitude of the modes than `noise_transfer`.

        Returns
        -------
        ndarray of shape (height, width)
        """
        white = rng.standard_normal(shape)
        if transfer is None:
            if not self.correlation:
                return white
            transfer = self.noise_transfer(shape)
        return np.fft.irfft2(np.fft.rfft2(white) * transfer, s=shape)

    def visible(self, change: np.ndarray) -> np.ndarray:
        """Pixels that a noise-free change touches: by half a sigma, or a fifth of its peak.

        Parameters
        ----------
        change : ndarray of shape (height, width)
            Difference of two images without noise [flux unit].

        Returns
        -------
        ndarray of bool of shape (height, width)
        """
        size = np.abs(change)
        return size > min(VISIBLE * self.sigma, FAINT * float(size.max(initial=0.0)))

    def signal_to_noise(self, change: np.ndarray) -> float:
        """Significance with which the best of all filters would find a change in the sky noise.

        Parameters
        ----------
        change : ndarray of shape (height, width)
            Difference of two images without noise [flux unit].

        Returns
        -------
        float
            Square root of the sum of (change / sigma)^2.
        """
        return float(np.sqrt(np.sum(np.square(change, dtype=np.float64))) / self.sigma)

    def shine(self, image: np.ndarray, light: np.ndarray, rng: np.random.Generator) -> Drawn:
        """Add light with its photon noise.

        Parameters
        ----------
        image : ndarray of shape (height, width)
            Image [flux unit].
        light : ndarray of shape (height, width)
            Expected light, not negative [flux unit].
        rng : numpy.random.Generator
            Source of the noise.

        Returns
        -------
        Drawn
        """
        if self.correlation:
            added = light + np.sqrt(light / self.gain) * self.noise(light.shape, rng)
        else:
            added = rng.poisson(light * self.gain) / self.gain
        return Drawn(
            (image + added).astype(np.float32), self.visible(light), self.signal_to_noise(light)
        )


@dataclasses.dataclass(frozen=True, eq=False)
class Drawn:
    """An image with an artefact.

    Parameters
    ----------
    image : ndarray of shape (height, width)
        The new image, float32.
    mask : ndarray of bool of shape (height, width)
        Pixels that the artefact touches.
    severity : float
        How bad it is, in the measure of its leaf.
    brought : mapping of str to (mask, severity)
        Other artefacts that come with it, such as the spikes of a saturated star.
    """

    image: np.ndarray
    mask: np.ndarray
    severity: float
    brought: Mapping[str, tuple[np.ndarray, float]] = dataclasses.field(default_factory=dict)


def _difference_variance(images: np.ndarray, step: int) -> float:
    """Variance of the difference of pixels some steps apart, from the median deviation."""
    across = images[..., step:] - images[..., :-step]
    along = images[..., step:, :] - images[..., :-step, :]
    both = np.concatenate([across.ravel(), along.ravel()])
    both = both[np.isfinite(both)]
    return float((1.4826 * np.median(np.abs(both))) ** 2) if both.size else np.nan


def _autocorrelation(sigma: float) -> tuple[float, float]:
    """Correlation of smoothed white noise, one and two pixels apart."""
    probe = np.zeros(33)
    probe[16] = 1
    kernel = scipy.ndimage.gaussian_filter1d(probe, sigma, truncate=5) if sigma else probe
    norm = kernel @ kernel
    return kernel[1:] @ kernel[:-1] / norm, kernel[2:] @ kernel[:-2] / norm


def _smoothing(length: int, sigma: float) -> np.ndarray:
    probe = np.zeros(length)
    probe[0] = 1
    return np.fft.fft(scipy.ndimage.gaussian_filter1d(probe, sigma, mode="wrap", truncate=5)).real
