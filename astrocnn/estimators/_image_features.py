"""Image features for classical methods: hand-crafted ones, and those of trained networks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocnn import plugins
from astrocnn.errors import ModelError
from astrocnn.estimators.base import (
    TRY,
    Estimator,
    compute_features,
    load_estimator,
    write_json,
)
from astrocnn.features import FEATURES, compute
from astrocnn.features import fit as fit_features
from astrocnn.imaging import Inputs
from astrocnn.stored_files import Stored, compute_array_digest, read_arrays, read_json

__all__ = ["ImageFeatures", "Part"]

Part = str | Estimator | tuple[Estimator, str | None]
"""A family of features, or a network, of which one layer may be meant."""

_FILE = "features.json"
_FITTED_FILE = "features.npz"


class _Layer(Stored):
    layer: str | None


class _About(Stored):
    parts: tuple[str | _Layer, ...]
    location: tuple[float, ...]
    scale: tuple[float, ...]


class ImageFeatures:
    """Features of images, fitted if needed and standardized on the training rows.

    Parameters
    ----------
    parts : sequence of str, Estimator, or tuple of Estimator and str
        Families of `astrocnn.features`, trained networks for what goes into their heads, and
        trained networks with the name of a layer for what that makes.
    inputs : Inputs
        What the images and scalars are.

    Raises
    ------
    ConfigError
        If there is no such family.
    ModelError
        If a network has no features or no such layer, or takes scalars that the inputs lack.
    InputsError
        If a network takes other images.
    """

    def __init__(self, parts: Sequence[Part], inputs: Inputs) -> None:
        self.parts = tuple(p if isinstance(p, (str, tuple)) else (p, None) for p in parts)
        self._inputs = inputs
        self.location = np.empty(0)
        self.scale = np.empty(0)
        self.fitted: dict[str, dict[str, NDArray[np.floating]]] = {}
        for part in self.parts:
            if isinstance(part, str):
                plugins.load_module(FEATURES, part)
            else:
                _check_network(*part, inputs)

    @property
    def labels(self) -> tuple[str, ...]:
        """Name of each part: the family, or the fingerprint of the network."""
        return tuple(part if isinstance(part, str) else _describe(*part) for part in self.parts)

    @property
    def needs_images(self) -> bool:
        """Whether a family must be fitted on images before it measures any."""
        return any(hasattr(plugins.load_module(FEATURES, name), "fit") for name in self._families)

    @property
    def _families(self) -> list[str]:
        return [part for part in self.parts if isinstance(part, str)]

    def fit(self, images: NDArray[np.float32], seed: int) -> None:
        """Fit the families that need it on training images."""
        self.fitted = fit_features(self._families, images, seed=seed)

    def measure(
        self, images: NDArray[np.float32], scalars: NDArray[np.float32] | None
    ) -> NDArray[np.float32]:
        """Compute raw features, of shape (n, k)."""
        blocks = [np.empty((len(images), 0), np.float32)]
        for part in self.parts:
            if isinstance(part, str):
                scale = self._inputs.pixel_scale
                blocks.append(compute(part, images, scale, fitted=self.fitted)[0])
                continue
            network, layer = part
            own = None
            if network.inputs.scalars:
                assert scalars is not None
                own = scalars[:, [self._inputs.scalars.index(n) for n in network.inputs.scalars]]
            blocks.append(compute_features(network, images, own, layer))
        return np.concatenate(blocks, axis=1)

    def fit_scale(self, values: NDArray[np.float32]) -> None:
        """Compute mean and standard deviation of features, over complete rows."""
        known = np.isfinite(values).all(axis=1)
        x = values[known].astype(np.float64) if known.any() else np.zeros((1, values.shape[1]))
        self.location, scale = x.mean(axis=0), x.std(axis=0)
        # Rounding errors of a constant are no spread.
        self.scale = np.where(scale > 1e-6 * np.abs(self.location), scale, 1.0)

    def standardize(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """``(value - location) / scale``, float32."""
        with np.errstate(over="ignore"):
            return ((values - self.location) / self.scale).astype(np.float32)

    def save(self, folder: Path) -> None:
        """Write ``features.json``, ``features.npz`` with fitted families, and each network
        into a folder of its own.
        """
        for k, part in enumerate(self.parts):
            if not isinstance(part, str):
                part[0].save(folder / f"network-{k}")
        about: dict[str, Any] = {
            "parts": [p if isinstance(p, str) else {"layer": p[1]} for p in self.parts],
            "location": self.location.tolist(),
            "scale": self.scale.tolist(),
        }
        write_json(folder / _FILE, about)
        if self.fitted:
            arrays = {f"{n}/{k}": a for n, state in self.fitted.items() for k, a in state.items()}
            np.savez(folder / _FITTED_FILE, allow_pickle=False, **arrays)

    @classmethod
    def load(cls, folder: Path, inputs: Inputs) -> ImageFeatures | None:
        """Read the files of `save`; None if there are none."""
        if not (folder / _FILE).is_file():
            return None
        about = read_json(folder / _FILE, _About, hint=TRY)
        parts: list[Part] = [
            part if isinstance(part, str) else (load_estimator(folder / f"network-{k}"), part.layer)
            for k, part in enumerate(about.parts)
        ]
        features = cls(parts, inputs)
        features.location = np.array(about.location, np.float64)
        features.scale = np.array(about.scale, np.float64)
        if features.needs_images:
            for label, array in read_arrays(folder / _FITTED_FILE, ModelError, TRY).items():
                family, _, key = label.partition("/")
                features.fitted.setdefault(family, {})[key] = array
        return features

    def digest(self) -> str:
        """SHA-256 over the parts, their fitted parameters and the statistics, hexadecimal."""
        states = [state[key] for _, state in sorted(self.fitted.items()) for key in sorted(state)]
        return compute_array_digest((self.location, self.scale, *states), repr(self.labels))


def _describe(network: Estimator, layer: str | None) -> str:
    return f"network {network.fingerprint}" + (f", layer {layer}" if layer else "")


def _check_network(network: Estimator, layer: str | None, inputs: Inputs) -> None:
    if not hasattr(network, "features") or not network.inputs.bands:
        raise ModelError(
            "Only a trained network of images has features to learn from.",
            received=type(network).__name__,
        )
    # The images alone: scalars are compared by name.
    images = {name: getattr(inputs, name) for name in ("bands", "size", "pixel_scale", "unit")}
    network.inputs.check(SimpleNamespace(**images))
    absent = [name for name in network.inputs.scalars if name not in inputs.scalars]
    if absent:
        raise ModelError(
            "The network of the features takes scalars that are not among the inputs.",
            received=absent,
            allowed=inputs.scalars or "no scalars",
            hint=f"inputs.scalars = {list(network.inputs.scalars)}",
        )
    if layer is not None:
        own = network.inputs
        none = np.empty((0, own.size, own.size, len(own.bands)), np.float32)
        scalars = np.empty((0, len(own.scalars)), np.float32) if own.scalars else None
        compute_features(network, none, scalars, layer)
