"""Several estimators trained on the same data: networks from different initial weights, or of
different kinds."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from astrocnn import plugins
from astrocnn.atomic import replacing_folder
from astrocnn.datasets import Shards
from astrocnn.display import Displayed
from astrocnn.errors import ModelError
from astrocnn.estimators.base import (
    ABOUT,
    TRY,
    Estimator,
    Wrapper,
    load_estimator,
    sample_with_features,
    write_json,
)
from astrocnn.estimators.classical import ClassicalEstimator
from astrocnn.estimators.keras_estimator import KerasEstimator
from astrocnn.imaging import Inputs
from astrocnn.stored_files import Stored, read_json
from astrocnn.targets import Task
from astrocnn.training.loggers import Logger

__all__ = ["ESTIMATOR", "Ensemble", "example"]


class _About(Stored):
    kind: Literal["ensemble"]
    members: tuple[Annotated[str, Field(pattern=r"^member-\d+$")], ...] = Field(min_length=1)


class Ensemble(Displayed, Wrapper):
    """A deep ensemble: the predictive distribution is the mean over members and draws.

    Members of `of` differ in their seed, hence in initial weights, order of the training data,
    augmentation and dropout; others can be networks and classical methods of any kind.  They share
    task and inputs, normalization included.  What they disagree on is the epistemic uncertainty,
    as it is between draws of one network.  Features are those of the first member.

    Parameters
    ----------
    members : sequence of Estimator
        At least two, of one task and with the same inputs.

    Raises
    ------
    ModelError
        If there are fewer than two, or they differ in task or inputs.

    References
    ----------
    Lakshminarayanan, Pritzel and Blundell (2017), NeurIPS (without their adversarial training).
    """

    def __init__(self, members: Sequence[Estimator]) -> None:
        self.members = tuple(members)
        if len(self.members) < 2:
            raise ModelError(
                "An ensemble has several members.", received=len(self.members), allowed="2 or more"
            )
        self._inner = self.members[0]
        for attribute in ("task", "inputs"):
            first, *others = (getattr(m, attribute) for m in self.members)
            if any(other != first for other in others):
                raise ModelError(f"The members of an ensemble must have the same {attribute}.")

    def _facts(self) -> dict[str, object]:
        return {"predicts": self.task.names, "members": [repr(m) for m in self.members]}

    @classmethod
    def of(
        cls,
        task: Task,
        inputs: Inputs,
        architecture: str | Callable[..., Any] = "plain8",
        *,
        members: int = 5,
        seed: int = 0,
        **options: Any,
    ) -> Ensemble:
        """Build an ensemble of networks of one architecture.

        Parameters
        ----------
        task, inputs, architecture
            As for `KerasEstimator`.
        members : int
            How many.
        seed : int
            Of the first member; member k has seed + k.
        **options
            Further arguments of `KerasEstimator`.
        """
        return cls(
            [
                KerasEstimator(task, inputs, architecture, seed=seed + k, **options)
                for k in range(members)
            ]
        )

    @property
    def precision(self) -> str:
        """``"bfloat16"`` if any member predicts in it on this machine, else ``"float32"``."""
        precisions = {member.precision for member in self.members}
        return "bfloat16" if "bfloat16" in precisions else "float32"

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the fingerprints of the members, in their order, hexadecimal."""
        fingerprints = ",".join(member.fingerprint for member in self.members)
        return hashlib.sha256(f"ensemble {fingerprints}".encode()).hexdigest()

    @property
    def facts(self) -> dict[str, str]:
        """Number of members, methods among them, and the facts of the first."""
        methods = [m.method for m in self.members if isinstance(m, ClassicalEstimator)]
        others = f", {', '.join(methods)} among them" if methods else ""
        return {"Members": f"{len(self.members)}{others}", **self.members[0].facts}

    def fit(
        self,
        shards: Shards,
        train: NDArray[np.integer],
        validation: NDArray[np.integer] | None = None,
        *,
        backup: str | os.PathLike[str] | None = None,
        history_file: str | os.PathLike[str] | None = None,
        start: Estimator | None = None,
        **options: Any,
    ) -> Ensemble:
        """Train the members in turn, all with the normalization measured for the first one.

        Parameters
        ----------
        shards, train, validation
            As for every estimator.
        backup : path, optional
            A folder, in which each member has its own.  The same call again goes on with the
            member and the epoch at which it was interrupted; members that were finished are not
            trained again.
        history_file : path, optional
            CSV of the first member; that of member k (from 1) has ``-k`` before its suffix.
        start : Estimator, optional
            A trained network that initializes all networks, or an ensemble of as many, each
            for one.  Members with one beginning have more in common, so that they disagree
            less where they are wrong.
        **options
            As for the `fit` of a network; classical methods take none.

        Raises
        ------
        ModelError
            If the start is an ensemble of another number of networks.
        """
        # Classical methods have no initial weights.
        networks = [k for k, m in enumerate(self.members) if isinstance(m, KerasEstimator)]
        members = getattr(start, "members", ())
        known: list[Any] = [m for m in members if isinstance(m, KerasEstimator)]
        known = known or [start] * len(networks)
        if len(known) != len(networks):
            raise ModelError(
                "An ensemble begins with one network, or with an ensemble of as many.",
                received=f"{len(known)} networks",
                allowed=f"1 or {len(networks)}",
            )
        starts = dict(zip(networks, known, strict=True))
        for k, member in enumerate(self.members):
            own: dict[str, Any] = {} if start is None else {"start": starts.get(k)}
            if backup is not None:
                own["backup"] = Path(backup) / f"member-{k}"
            if history_file is not None:
                path = Path(history_file)
                own["history_file"] = path if k == 0 else path.with_stem(f"{path.stem}-{k}")
            if callbacks := options.get("callbacks"):
                name = f"member-{k}"
                own["callbacks"] = [
                    c.open_part(name) if isinstance(c, Logger) else c for c in callbacks
                ]
            # Only estimators whose inputs can be set train as members.
            setattr(member, "inputs", self.members[0].inputs)  # noqa: B010
            own = {**options, **own} if isinstance(member, KerasEstimator) else {}
            member.fit(shards, train, validation, **own)
        return self

    def sample(
        self,
        images: NDArray[np.floating],
        scalars: NDArray[np.floating] | None = None,
        *,
        draws: int = 0,
        seed: int = 0,
        views: str = "one",
    ) -> dict[str, NDArray[np.float32]]:
        """Predict objects with every member; see `astrocnn.estimators.Estimator.sample`.

        Parameters
        ----------
        images, scalars, views
            As for every estimator.
        draws : int
            Of each member, or 0 for one deterministic pass of each.  A classical method with fewer
            draws predicts the same in each.
        seed : int
            Member k draws with seed + k.

        Returns
        -------
        dict of str to ndarray of shape (max(draws, 1) * n_members, n, units)
            The first draw of each member in turn, then the second, and so on.  In place of a
            member that cannot predict an object, for want of a feature, stands the first one that
            can.
        """
        samples = [
            member.sample(images, scalars, draws=_draws(member, draws), seed=seed + k, views=views)
            for k, member in enumerate(self.members)
        ]
        return self._join(samples)

    def sample_with_features(
        self, images: Any, scalars: Any = None, *, draws: int = 0, seed: int = 0, views: str = "one"
    ) -> tuple[dict[str, NDArray[np.float32]], NDArray[np.float32]]:
        """Samples of every member, and the features of the first one."""
        first, *others = self.members
        samples, features = sample_with_features(
            first, images, scalars, draws=_draws(first, draws), seed=seed, views=views
        )
        rest = [
            member.sample(images, scalars, draws=_draws(member, draws), seed=seed + k, views=views)
            for k, member in enumerate(others, 1)
        ]
        return self._join([samples, *rest]), features

    @staticmethod
    def _join(samples: list[dict[str, NDArray[np.float32]]]) -> dict[str, NDArray[np.float32]]:
        joined = {}
        for name in samples[0]:
            # One prediction stands for as many draws as the others have.
            values = np.stack(np.broadcast_arrays(*(s[name] for s in samples)), axis=1)
            absent = np.isnan(values).any(axis=(0, 3))
            if absent.any():
                others = values[:, absent.argmin(axis=0), np.arange(values.shape[2])]
                values = np.where(absent[..., None], others[:, None], values)
            joined[name] = values.reshape(len(values) * len(samples), *values.shape[2:])
        return joined

    def save(self, directory: str | os.PathLike[str]) -> None:
        """Write a folder with ``estimator.json`` and a folder for each member."""
        names = [f"member-{k}" for k in range(len(self.members))]
        with replacing_folder(directory) as folder:
            for name, member in zip(names, self.members, strict=True):
                member.save(folder / name)
            write_json(folder / ABOUT, {"kind": "ensemble", "members": names})

    @classmethod
    def load(cls, directory: str | os.PathLike[str]) -> Ensemble:
        """Read what `save` wrote."""
        folder = Path(directory)
        about = read_json(folder / ABOUT, _About, hint=TRY)
        return cls([load_estimator(folder / name) for name in about.members])


def _draws(member: Estimator, draws: int) -> int:
    """Draws to ask of a member, 0 where it has fewer."""
    return draws if draws <= getattr(member, "most_draws", draws) else 0


ESTIMATOR = Ensemble


def example(task: Task, inputs: Inputs) -> Ensemble:
    """A small instance for the contract tests, with two classical members."""
    inside = plugins.load_module("astrocnn.estimators", "classical")
    members = [inside.example(task, inputs) for _ in range(2)]
    for k, member in enumerate(members):
        member.seed = k
    return Ensemble(members)
