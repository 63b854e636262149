"""Write a trained network for other programs, and verify that it predicts what it did here."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocnn import __version__
from astrocnn.atomic import replacing_folder
from astrocnn.errors import ConfigError, ModelError
from astrocnn.estimators import Calibrated, Estimator
from astrocnn.export.formats import CONFIG, ExportedNetwork, Format, dump_config, get_format
from astrocnn.export.model_card import Training, build_model_card
from astrocnn.export.network import build_twin, trace_network
from astrocnn.targets import DiscreteFamily
from astrocnn.targets.storage import family_to_dict

__all__ = ["TOLERANCE", "compute_changes", "compute_difference", "export_network"]

TOLERANCE = 1e-5
"""Largest difference between predictions here and of an exported file that is accepted."""

_BLOCK = 32


def export_network(
    estimator: Estimator,
    out: str | os.PathLike[str],
    images: NDArray[np.floating] | None,
    scalars: NDArray[np.floating] | None = None,
    *,
    format: str = "onnx",
    draws: int = 0,
    seed: int = 0,
    views: str = "one",
    source: str = "given objects",
    training: Training | None = None,
    license: str = "unknown",
) -> ExportedNetwork:
    """Write a network with its normalization and activations inside, and verify it.

    The folder holds ``config.json``, the metadata, and ``model.onnx`` or ``model.tflite``, or is a
    SavedModel.  The network takes ``image``, float32 of shape (n, size, size, n_bands) in the unit
    of its inputs, NaN where there are no data, and ``scalars`` as in the catalogue, and gives the
    parameters of each target's distribution after activation, in float32 arithmetic.

    Parameters
    ----------
    estimator : Estimator
        A trained network, an ensemble of networks, or one of these calibrated.  A temperature is
        part of the exported network; other calibrations are not.
    out : path-like
        The folder; one that an export wrote is replaced.
    images : ndarray of shape (n, size, size, n_bands)
        Real cutouts for the parity check, linear fluxes; None for a network of scalars.  A copy of
        the first one with a hole is checked as well.
    scalars : ndarray of shape (n, n_scalars), optional
        Theirs.
    format : {"onnx", "saved_model", "litert"}
    draws : int
        Monte-Carlo dropout draws that the exported network makes, for networks whose dropout lies
        in the head: its outputs then have the shape (n_draws, n, units).  The masks are
        constants, the same for every object.
    seed, views
        As in `Estimator.sample`.
    source : str
        What the objects of the parity check are, for the metadata.
    training : Training, optional
        Facts and scores for the model card, ``README.md``; without them there is no card.
    license : str
        Identifier of the license of the weights, for the model card.

    Returns
    -------
    ExportedNetwork
        The file, opened by the library of its format; ``config["parity"]`` holds the largest
        difference found.

    Raises
    ------
    ModelError
        If the estimator is no network, has no such draws, cannot be written in this format, or if
        the file predicts something else: see `compute_difference`.
    ConfigError
        If `out` exists and is not the folder of an exported network.
    MissingDependency
        If the libraries of the format are not installed.
    """
    chosen, out = get_format(format), Path(out)
    if out.exists() and not ((out / CONFIG).is_file() or (out.is_dir() and not any(out.iterdir()))):
        raise ConfigError(
            "The folder exists, and no exported network is in it.",
            received=str(out),
            hint="name a new --out",
        )
    if draws and chosen.portable:
        raise ModelError(
            f"Networks in the format {chosen.name} have no draws.",
            received=f"draws = {draws}",
            hint="--format onnx or saved_model",
        )
    twin, lacks = build_twin(estimator)
    images, scalars = _take_probes(twin, images, scalars)
    expected = twin.sample(images, scalars, draws=draws, seed=seed, views=views)
    module = trace_network(twin, draws=draws, seed=seed, views=views, portable=chosen.portable)
    config = _describe(estimator, twin, lacks, chosen, draws, seed, views)
    with replacing_folder(out) as folder:
        chosen.write(folder, module)
        (folder / CONFIG).write_text(dump_config(config), encoding="utf-8")
        network = ExportedNetwork(config, chosen.open(folder))
        blocks = [
            network.predict(
                images[start : start + _BLOCK] if twin.inputs.bands else None,
                None if scalars is None else scalars[start : start + _BLOCK],
            )
            for start in range(0, len(images), _BLOCK)
        ]
        got = {name: np.concatenate([b[name] for b in blocks], axis=-2) for name in expected}
        difference = compute_difference(expected, got)
        if not difference < TOLERANCE:
            raise ModelError(
                f"The exported network does not predict what this one does ({chosen.name}).",
                received=f"largest difference {difference:.2g} over {len(images)} objects",
                allowed=f"below {TOLERANCE:g}",
                hint="another --format",
            )
        config["parity"] = {
            "objects": len(images),
            "source": source,
            "largest_difference": float(f"{difference:.3g}"),
            "runtime": f"{chosen.runtime} {_version(chosen.runtime)}",
        }
        text = dump_config(config)
        (folder / CONFIG).write_text(text, encoding="utf-8")
        chosen.embed(folder, text)
        if training is not None:
            card = build_model_card(config, training, license=license)
            (folder / "README.md").write_text(card, encoding="utf-8")
    return ExportedNetwork(config, network._run)


def compute_difference(
    expected: Mapping[str, NDArray[np.floating]], got: Mapping[str, NDArray[np.floating]]
) -> float:
    """Largest difference between two predictions; of values above 1 relative to them.

    Infinite where one is NaN and the other is not, or where shapes differ beyond a first axis of
    length 1.
    """
    largest = 0.0
    for name, values in expected.items():
        ours, theirs = np.asarray(values), np.asarray(got[name])
        theirs = theirs[None] if theirs.ndim == ours.ndim - 1 else theirs
        if ours.shape != theirs.shape:
            return np.inf
        largest = max(largest, float(compute_changes(ours, theirs).max(initial=0.0)))
    return largest


def compute_changes(ours: NDArray[Any], theirs: NDArray[Any]) -> NDArray[np.float64]:
    """Difference of each value; of values above 1 relative to them, 1 where texts differ.

    Infinite where one is NaN or infinite and the other is not the same.
    """
    if ours.dtype.kind not in "fiu":
        return np.asarray(ours != theirs, np.float64)
    a, b = ours.astype(np.float64), theirs.astype(np.float64)
    with np.errstate(invalid="ignore"):
        change = np.abs(a - b) / np.maximum(1.0, np.abs(a))
    same = np.isnan(a) & np.isnan(b) | (a == b)
    return np.where(same, 0.0, np.where(np.isfinite(change), change, np.inf))


def _take_probes(
    twin: Estimator, images: Any, scalars: Any
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Objects of the parity check, and the first one with a hole."""
    inputs = twin.inputs
    n = (
        len(images)
        if inputs.bands and images is not None
        else len(() if scalars is None else scalars)
    )
    if not n:
        raise ModelError("The parity check needs at least one object.", received="none")
    if scalars is not None:
        scalars = np.concatenate([scalars, scalars[:1]]).astype(np.float32)
    if not inputs.bands:
        return np.zeros((n + 1, 0, 0, 0), np.float32), scalars
    images = np.concatenate([images, images[:1]]).astype(np.float32)
    middle = inputs.size // 2
    images[-1, middle : middle + 3, :middle] = np.nan
    return images, scalars


def _describe(
    estimator: Estimator,
    twin: Estimator,
    lacks: tuple[str, ...],
    chosen: Format,
    draws: int,
    seed: int,
    views: str,
) -> dict[str, Any]:
    """The metadata of an exported network."""
    inputs, task = twin.inputs, twin.task
    members = len(getattr(getattr(twin, "estimator", twin), "members", ()))
    first = [] if not (draws or members) else [max(draws, 1) * max(members, 1)]
    outputs = {}
    for target in task.targets:
        family = target.family
        about: dict[str, Any] = {
            "shape": [*first, "n", family.units],
            "family": family_to_dict(family),
        }
        if isinstance(family, DiscreteFamily):
            about["classes"] = list(family.classes)
        if ucd := getattr(family, "ucd", ""):
            about["ucd"] = ucd
        outputs[target.name] = about
    image: dict[str, Any] | None = None
    if inputs.bands:
        assert inputs.normalization is not None
        image = {
            "shape": ["n", inputs.size, inputs.size, inputs.n_bands],
            "bands": list(inputs.bands),
            "unit": inputs.unit,
            "pixel_scale_arcsec": inputs.pixel_scale,
            "missing": "NaN",
            "mask_channel": inputs.mask_channel,
            "stretch": inputs.normalization.stretch,
        }
    temperatures = {
        name: remap.temperature  # type: ignore[attr-defined]
        for name, remap in (twin.remaps if isinstance(twin, Calibrated) else {}).items()
    }
    return {
        "program": f"astrocnn {__version__}",
        "format": chosen.name,
        "fingerprint": estimator.fingerprint,
        "task": task.name,
        "inputs": {
            **({"image": image} if image else {}),
            **(
                {"scalars": {"shape": ["n", len(inputs.scalars)], "columns": list(inputs.scalars)}}
                if inputs.scalars
                else {}
            ),
        },
        "outputs": outputs,
        "draws": draws,
        "seed": seed,
        "views": views,
        "members": max(members, 1),
        "temperatures": temperatures,
        "not_included": list(lacks),
    }


def _version(package: str) -> str:
    """Version of a package; "unknown" where it goes by another name."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "unknown"
