"""Contract of artefacts, and the camera in which they occur.

An artefact is a function ``(image, camera, rng, strength) -> ArtefactResult`` declared with the
decorator `artefact`:

- ``image`` is a stamp of shape (height, width) in any flux unit, NaN where there is no data; it
  is not changed;
- ``camera`` is its `Camera`, ``rng`` the only source of randomness;
- ``strength`` scales the effect: 1 is conspicuous, and the severity grows with it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np
import scipy.ndimage

from astrocnn.errors import ConfigError
from astrocnn.simulation.spectra import SimulatedBand

__all__ = ["REGISTRY", "STAGES", "Artefact", "ArtefactResult", "Camera", "artefact", "offsets"]

STAGES = ("sky", "optics", "well", "detector", "readout", "coverage")
"""The light path; an artefact of an earlier stage is applied before one of a later stage."""

FULL_WELL = 2.0e5  # electrons a pixel holds
VISIBLE = 0.5  # noise-free change, in sky sigmas, above which a pixel is in the mask
FAINT = 0.2  # ... or this fraction of the largest change, for what is fainter than the noise


@dataclasses.dataclass(frozen=True)
class Camera:
    """Noise, point spread function and detector of an image, in its flux unit and in pixels.

    Parameters
    ----------
    sigma : float
        Standard deviation of the sky noise in one pixel [flux unit].
    fwhm : float
        Full width at half maximum of the point spread function, pixel excluded [pixel].
    gain : float
        Detected electrons per flux unit.
    full_well : float
        Level at which a pixel saturates [flux unit].
    correlation : float
        Sigma [pixel] of the Gaussian that correlates the noise of resampled images; 0 for none.
    vanes : int
        Vanes of the secondary mirror: three make six spikes, four make four.
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
                raise ConfigError(f"`{name}` must be positive.", received=getattr(self, name))

    @classmethod
    def from_band(cls, band: SimulatedBand) -> Camera:
        """The camera of a simulated band such as ``PRESETS["euclid"].band("VIS")``, in nJy."""
        return cls(
            sigma=band.sky_sigma,
            fwhm=band.fwhm / band.pixel_scale,
            gain=band.gain,
            full_well=FULL_WELL / band.gain,
            correlation=band.noise_correlation,
        )

    @classmethod
    def from_images(
        cls,
        images: np.ndarray,
        *,
        fwhm: float,
        gain: float,
        full_well: float,
        vanes: int = 3,
        thickness: float = 3.3,
    ) -> Camera:
        """The camera of real images, with the noise and its correlation measured on them.

        Both follow from differences of pixels one and two apart, in which objects and a sloping
        background nearly cancel.

        The images [flux unit] have the shape (..., height, width), with NaN where there is no
        data; `ConfigError` if they have no measurable noise.
        """
        values = np.asarray(images, np.float64)
        near, far = _difference_variance(values, 1), _difference_variance(values, 2)
        if not near > 0:
            raise ConfigError("`images` have no measurable noise.", received=near)
        sigmas = np.linspace(0, 1.2, 241)
        lags = np.array([_autocorrelation(s) for s in sigmas])
        ratios = (1 - lags[:, 0]) / (1 - lags[:, 1])
        correlation = float(np.interp(-near / far, -ratios, sigmas))
        sigma = float(np.sqrt(far / (2 * (1 - np.interp(correlation, sigmas, lags[:, 1])))))
        # Below this, neighbors share less than 2 %, which faint objects cause as well.
        correlation = 0.0 if correlation < 0.33 else correlation
        return cls(sigma, fwhm, gain, full_well, correlation, vanes, thickness)

    @property
    def spikes(self) -> int:
        """Diffraction spikes of a bright star: two a vane, which coincide for opposite vanes."""
        return 2 * self.vanes if self.vanes % 2 else self.vanes

    @property
    def tolerance(self) -> float:
        """Largest noise-free change of a pixel outside a truth mask [flux unit]."""
        return VISIBLE * self.sigma

    def noise_transfer(self, shape: tuple[int, int]) -> np.ndarray:
        """Amplitude of the noise's Fourier modes relative to white noise of one sigma.

        Of shape (height, width // 2 + 1); the mean square over all modes is 1.
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

        `transfer` replaces the amplitude of the modes from `noise_transfer`.
        """
        white = rng.standard_normal(shape)
        if transfer is None:
            if not self.correlation:
                return white
            transfer = self.noise_transfer(shape)
        return np.fft.irfft2(np.fft.rfft2(white) * transfer, s=shape)

    def affected_pixels(self, change: np.ndarray) -> np.ndarray:
        """Pixels that a noise-free change affects: by half a sigma, or a fifth of its peak."""
        size = np.abs(change)
        return size > min(VISIBLE * self.sigma, FAINT * float(size.max(initial=0.0)))

    def signal_to_noise(self, change: np.ndarray) -> float:
        """S/N of a noise-free change with the optimal filter: |change| / sigma."""
        return float(np.sqrt(np.sum(np.square(change, dtype=np.float64))) / self.sigma)

    def add_light(
        self, image: np.ndarray, light: np.ndarray, rng: np.random.Generator
    ) -> ArtefactResult:
        """Add expected light [flux unit, not negative] with its photon noise."""
        if self.correlation:
            added = light + np.sqrt(light / self.gain) * self.noise(light.shape, rng)
        else:
            added = rng.poisson(light * self.gain) / self.gain
        return ArtefactResult(
            (image + added).astype(np.float32),
            self.affected_pixels(light),
            self.signal_to_noise(light),
        )


@dataclasses.dataclass(frozen=True, eq=False)
class ArtefactResult:
    """An image with an artefact.

    Parameters
    ----------
    image : ndarray of shape (height, width)
        The new image, float32.
    mask : ndarray of bool of shape (height, width)
        Pixels that the artefact changes.
    severity : float
        How strong it is, in the measure of its artefact.
    secondary : mapping of str to (mask, severity)
        Other artefacts that come with it, such as the spikes of a saturated star.
    """

    image: np.ndarray
    mask: np.ndarray
    severity: float
    secondary: Mapping[str, tuple[np.ndarray, float]] = dataclasses.field(default_factory=dict)


Apply = Callable[[np.ndarray, Camera, np.random.Generator, float], ArtefactResult]


@dataclasses.dataclass(frozen=True)
class Artefact:
    """An artefact and what is declared about it.

    Parameters
    ----------
    name, apply
        Its function, ``(image, camera, rng, strength) -> ArtefactResult``, and its name.
    stage : str
        Where it enters the light path, one of `STAGES`.
    strengths : tuple of float
        Range of strengths in a simulated survey, from barely visible to dominating the image.
    severity : str
        What its severity measures.
    """

    name: str
    apply: Apply
    stage: str
    strengths: tuple[float, float]
    severity: str

    @property
    def order(self) -> tuple[int, str]:
        """Sorting key along the light path."""
        return STAGES.index(self.stage), self.name


REGISTRY: dict[str, Artefact] = {}
"""Artefacts by name, filled by the decorator."""


def artefact(
    *, stage: str, strengths: tuple[float, float], severity: str
) -> Callable[[Apply], Apply]:
    """Declare a function as an artefact; parameters as for `Artefact`."""

    def register(function: Apply) -> Apply:
        name = function.__name__
        REGISTRY[name] = Artefact(name, function, stage, strengths, severity)
        return function

    return register


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
    return float(kernel[1:] @ kernel[:-1] / norm), float(kernel[2:] @ kernel[:-2] / norm)


def _smoothing(length: int, sigma: float) -> np.ndarray:
    probe = np.zeros(length)
    probe[0] = 1
    return np.fft.fft(scipy.ndimage.gaussian_filter1d(probe, sigma, mode="wrap", truncate=5)).real


def offsets(shape: tuple[int, int], x: float, y: float) -> tuple[np.ndarray, np.ndarray]:
    """Distance of each pixel from a point, along x and along y [pixel]."""
    return np.arange(shape[1]) - x, (np.arange(shape[0]) - y)[:, None]
