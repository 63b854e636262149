"""Classical methods as estimators, on catalogue columns and image features."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import skops.io
from numpy.typing import NDArray

from astrocnn import plugins
from astrocnn.atomic import replacing_folder
from astrocnn.datasets import Shards, read_labels
from astrocnn.display import Displayed
from astrocnn.errors import ConfigError, ModelError
from astrocnn.estimators._image_features import ImageFeatures, Part
from astrocnn.estimators.base import (
    ABOUT,
    TRY,
    average_over_views,
    evaluate_in_blocks,
    explain_damage,
    select_with_scalars,
    validate_arrays,
    validate_draws,
    write_json,
)
from astrocnn.estimators.methods import (
    METHODS,
    fit_target,
    map_in_threads,
    predict_target,
    threads_for_parts,
    validate_target,
)
from astrocnn.imaging import Inputs
from astrocnn.stored_files import Stored, read_json
from astrocnn.targets import Task, storage

__all__ = ["ESTIMATOR", "METHODS", "ClassicalEstimator", "example"]

_FILE = "model.skops"
_BLOCK = 512
# Images on which feature families are fitted, all in memory.
_FEATURE_ROWS = 1000


class _About(Stored):
    kind: Literal["classical"]
    method: str
    options: dict[str, Any]
    seed: int
    data_digest: str
    task: dict[str, Any]


class ClassicalEstimator(Displayed):
    """A method on standardized numbers, one for each target: scalars, features of the image, or
    both.

    Class probabilities and equally probable values go through the family of each target, so that
    its predictions stand in the same columns as those of a network.

    Parameters
    ----------
    task : Task
    inputs : Inputs
        Scalars, and bands when there are features.  Without location and scale of the
        scalars, `fit` measures them on the training rows.
    method : str
        Name of a module in ``astrocnn/estimators/methods``.
    features : sequence of str, Estimator, or tuple of Estimator and str
        Input from an image: families of `astrocnn.features`, such as "hog" (those that
        are fitted on images take up to 1000 of the training rows), and trained networks: what
        goes into their heads, or what the layer named beside them makes.  Such a network must not
        have been trained on objects on which this estimator is tested.

    Other Parameters
    ----------------
    options : mapping, optional
        Of the method, as its ``OPTIONS`` names them.
    seed : int
        Of whatever is random in fitting.

    Attributes
    ----------
    states_ : dict of str to dict
        The fitted method, by target.

    Raises
    ------
    ConfigError
        If there is no such method or option.
    ModelError
        If there are bands without features, features without bands, or nothing at all to learn
        from, or the method cannot predict a target.
    """

    precision = "float32"

    def __init__(
        self,
        task: Task,
        inputs: Inputs,
        method: str = "boosted_trees",
        features: Sequence[Part] = (),
        *,
        options: Mapping[str, Any] | None = None,
        seed: int = 0,
    ) -> None:
        self._method = plugins.load_module(METHODS, method)
        for name in options or {}:
            if name not in self._method.OPTIONS:
                raise ConfigError(
                    f"The method '{method}' has no option '{name}'.",
                    allowed=tuple(self._method.OPTIONS),
                    hint=plugins.nearest(name, self._method.OPTIONS),
                )
        if bool(inputs.bands) != bool(features):
            raise ModelError(
                f"The method '{method}' takes scalars only, and no image."
                if inputs.bands
                else "Features are measured on images, and these inputs have no bands.",
                received=f"{len(inputs.bands)} bands and {len(inputs.scalars)} scalars",
                hint='features = ["hog", "colors"]'
                if inputs.bands
                else 'Inputs((), 0, scalars=("mag_g", "mag_r")) without features',
            )
        for target in task.targets:
            validate_target(target, self._method)
        self.task, self.inputs, self.method, self.seed = task, inputs, method, seed
        self.options = {**self._method.OPTIONS, **(options or {})}
        self._features = ImageFeatures(features, inputs)

    def _facts(self) -> dict[str, object]:
        return {
            "predicts": self.task.names,
            "method": self.method,
            "features": self._features.labels,
            "scalars": self.inputs.scalars,
        }

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the training data, the method, its options and the inputs, hexadecimal."""
        self._require_trained()
        about = (
            self.method,
            sorted(self.options.items()),
            self.seed,
            self.inputs,
            storage.to_dict(self.task),
            self.data_digest_,
            *((self._features.digest(),) if self._features.parts else ()),
        )
        return hashlib.sha256(repr(about).encode()).hexdigest()

    @property
    def facts(self) -> dict[str, str]:
        """The method, its features and its options."""
        features = {"Features": ", ".join(self._features.labels)} if self._features.parts else {}
        options = {k: str(v) for k, v in self.options.items()}
        return {"Method": self.method, **features, **options}

    def fit(
        self,
        shards: Shards,
        train: NDArray[np.integer],
        validation: NDArray[np.integer] | None = None,
    ) -> ClassicalEstimator:
        """Fit each target on the rows with its label, all scalars and all features.

        Parameters
        ----------
        shards, train
            As for every estimator.
        validation : ndarray of int, optional
            Not used; every estimator takes it.

        Raises
        ------
        TrainingError
            If a target has too few labels, or all of one class.
        """
        rows, inputs = select_with_scalars(shards, self.inputs, train)
        scalars = shards.scalars(inputs.scalars)[rows] if inputs.scalars else None
        if self._features.needs_images:
            subset = np.random.default_rng(self.seed).permutation(rows)[:_FEATURE_ROWS]
            self._features.fit(shards.images(np.sort(subset)), self.seed)
        measured = self._measure(shards, rows, scalars)
        self._features.fit_scale(measured)
        x = self._join(inputs, scalars, measured)
        complete = np.isfinite(x).all(axis=1)
        rows, x = rows[complete], x[complete]
        encoded, weights = read_labels(shards, self.task, rows)
        digest = hashlib.sha256(np.ascontiguousarray(x).tobytes())
        states = {}
        for target in self.task.targets:
            known = weights[target.name] > 0
            y = encoded[target.name][known]
            with threads_for_parts():
                states[target.name] = fit_target(
                    target, self._method, x[known], y, self.options, self.seed
                )
            for array in (known, encoded[target.name]):
                digest.update(np.ascontiguousarray(array).tobytes())
        self.inputs, self.states_, self.data_digest_ = inputs, states, digest.hexdigest()
        return self

    def _measure(
        self, shards: Shards, rows: NDArray[np.int64], scalars: NDArray[np.floating] | None
    ) -> NDArray[np.float32]:
        """Compute features of rows of shards, one block of images in memory at a time."""
        parts = []
        for start in range(0, max(len(rows), 1) if self._features.parts else 0, _BLOCK):
            block = slice(start, start + _BLOCK)
            block_scalars = None if scalars is None else scalars[block].astype(np.float32)
            parts.append(self._features.measure(shards.images(rows[block]), block_scalars))
        return np.concatenate(parts) if parts else np.empty((len(rows), 0), np.float32)

    def _join(
        self, inputs: Inputs, scalars: NDArray[np.floating] | None, measured: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Standardized scalars, then standardized features, of shape (n, k)."""
        x = self._features.standardize(measured)
        return x if scalars is None else np.hstack([inputs.standardize(scalars), x])

    def sample(
        self,
        images: NDArray[np.floating] | None,
        scalars: NDArray[np.floating] | None = None,
        *,
        draws: int = 0,
        seed: int = 0,
        views: str = "one",
    ) -> dict[str, NDArray[np.float32]]:
        """Predict objects; see `astrocnn.estimators.Estimator.sample`.

        Without features images are not read, and their orientation has no effect.  A row that
        lacks a scalar, or has a feature that is not defined, is NaN.
        """
        self._require_trained()
        validate_draws(draws, views)
        stack, scalar_values = validate_arrays(self.inputs, images, scalars)

        def predict(view: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
            return self._predict(self._compute_x(view, scalar_values), draws, seed)

        return average_over_views(
            predict, stack, self.task, views if self._features.parts else "one"
        )

    def sample_with_features(
        self, images: Any, scalars: Any = None, *, draws: int = 0, seed: int = 0, views: str = "one"
    ) -> tuple[dict[str, NDArray[np.float32]], NDArray[np.float32]]:
        """Samples, and the input of the method, which is measured once."""
        self._require_trained()
        if views != "one":
            raise ModelError("Features are those of one view.", received=f"views = {views!r}")
        validate_draws(draws, views)
        x = self._compute_x(*validate_arrays(self.inputs, images, scalars))
        return self._predict(x, draws, seed), x

    def _compute_x(
        self, images: NDArray[np.float32], scalars: NDArray[np.float32] | None
    ) -> NDArray[np.float32]:
        return self._join(self.inputs, scalars, self._features.measure(images, scalars))

    def _predict(
        self, x: NDArray[np.float32], draws: int, seed: int
    ) -> dict[str, NDArray[np.float32]]:
        members = self._members(draws, seed)
        out = {
            t.name: np.full((len(members), len(x), t.family.units), np.nan, np.float32)
            for t in self.task.targets
        }
        good = np.flatnonzero(np.isfinite(x).all(axis=1))
        if not good.size:
            return out

        def block(arrays: dict[str, Any]) -> dict[str, NDArray[np.float32]]:
            return {
                t.name: np.stack(
                    [
                        predict_target(t, self._method, self.states_[t.name], arrays["x"], member)
                        for member in members
                    ]
                )
                for t in self.task.targets
            }

        def piece(rows: NDArray[np.intp]) -> dict[str, NDArray[np.float32]]:
            # Blocks of one size, because the last bits of linear algebra depend on it.
            return evaluate_in_blocks(block, {"x": x[rows]}, block=_BLOCK)

        pieces = [good[start : start + _BLOCK] for start in range(0, len(good), _BLOCK)]
        for rows, predicted in zip(pieces, map_in_threads(piece, pieces), strict=True):
            for name, values in predicted.items():
                out[name][:, rows] = values
        return out

    @property
    def most_draws(self) -> int:
        """Number of draws that the fitted method has; 0 for most methods."""
        self._require_trained()
        count = getattr(self._method, "members", lambda state: 0)
        return min(count(fitted["state"]) for fitted in self.states_.values())

    def _members(self, draws: int, seed: int) -> list[Any]:
        if not draws:
            return [None]
        most = self.most_draws
        if draws > most:
            problem = "has too few members for so many draws." if most else "has no draws."
            raise ModelError(
                f"The method '{self.method}' {problem}",
                received=f"draws = {draws}",
                allowed=f"at most {most}",
                hint="ask for 0 draws" + ("" if most else ", or take 'random_forest'"),
            )
        return np.random.default_rng(seed).permutation(most)[:draws].tolist()

    def features(
        self, images: NDArray[np.floating] | None, scalars: NDArray[np.floating] | None = None
    ) -> NDArray[np.float32]:
        """Input of the method for each object, of shape (n, k): standardized scalars and
        features.
        """
        self._require_trained()
        return self._compute_x(*validate_arrays(self.inputs, images, scalars))

    def _require_trained(self) -> None:
        if not hasattr(self, "states_"):
            raise ModelError("This estimator has not been trained.", hint="call fit, or load one")

    def save(self, directory: str | os.PathLike[str]) -> None:
        """Write a folder with ``model.skops``, ``inputs.json`` and ``estimator.json``.

        With features, ``features.json``, their fitted parameters and the folders of networks are
        written as well.
        """
        self._require_trained()
        about = {
            "kind": "classical",
            "method": self.method,
            "options": self.options,
            "seed": self.seed,
            "data_digest": self.data_digest_,
            "task": storage.to_dict(self.task),
        }
        with replacing_folder(directory) as folder:
            skops.io.dump(self.states_, folder / _FILE)
            plugins.copy_files(folder, [type(t.family) for t in self.task.targets])
            if self._features.parts:
                self._features.save(folder)
            (folder / "inputs.json").write_text(self.inputs.to_json() + "\n", encoding="utf-8")
            write_json(folder / ABOUT, about)

    @classmethod
    def load(cls, directory: str | os.PathLike[str]) -> ClassicalEstimator:
        """Read what `save` wrote; nothing in the files is executed.

        Raises
        ------
        ModelError
            If a file is missing, damaged, or holds what the method does not need.
        """
        folder = Path(directory)
        about = read_json(folder / ABOUT, _About, hint=TRY)
        inputs = read_json(folder / "inputs.json", Inputs, hint=TRY)
        features = ImageFeatures.load(folder, inputs)
        estimator = cls(
            storage.from_dict(about.task, folder),
            inputs,
            about.method,
            () if features is None else features.parts,
            options=about.options,
            seed=about.seed,
        )
        estimator._features = features or estimator._features
        estimator.data_digest_ = about.data_digest
        estimator.states_ = _read_states(folder / _FILE, estimator._method.TRUSTED)
        return estimator


def _read_states(path: Path, trusted: tuple[str, ...]) -> dict[str, Any]:
    """Read fitted objects if their types are trusted or known to skops to be harmless."""
    with explain_damage(f"The fitted method cannot be read from '{path}'."):
        unknown = sorted(set(skops.io.get_untrusted_types(file=path)) - set(trusted))
        if not unknown:
            return dict(skops.io.load(path, trusted=list(trusted)))
    raise ModelError(
        f"'{path}' holds types that the method does not need; it is not loaded.",
        received=unknown,
        allowed=trusted,
        hint="take the file from where it was trained, or train again",
    )


ESTIMATOR = ClassicalEstimator


def example(task: Task, inputs: Inputs) -> ClassicalEstimator:
    """A small instance for the contract tests, on scalars."""
    only = Inputs((), 0, scalars=inputs.scalars or ("peak", "area"))
    return ClassicalEstimator(task, only, "random_forest", options={"trees": 50})
