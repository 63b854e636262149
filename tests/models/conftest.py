"""A task as small as a network needs: names and widths of heads."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from astrocnn.models.build import ARCHITECTURES, build_model
from astrocnn.models.options import Options
from astrocnn.plugins import load_module
from astrocnn.targets.families.bernoulli import Bernoulli
from astrocnn.targets.families.categorical import Categorical


@dataclass(frozen=True)
class Target:
    name: str
    family: object


@dataclass(frozen=True)
class Task:
    targets: tuple[Target, ...]


@dataclass(frozen=True)
class Width:
    units: int


@pytest.fixture(scope="session")
def task_of():
    """``task_of(morphology=3)``: a task with a head of three units called morphology."""
    return lambda **widths: Task(tuple(Target(n, Width(u)) for n, u in widths.items()))


@pytest.fixture(scope="session")
def two_targets():
    return Task(
        (
            Target("morphology", Categorical(("elliptical", "spiral", "edge-on"))),
            Target("merger", Bernoulli()),
        )
    )


@pytest.fixture(scope="session")
def published(task_of):
    """``published("lenet")``: an architecture as its paper has it, the lighter ones kept."""
    kept = {}

    def get(name):
        if name in kept:
            return kept[name]
        reference = load_module(ARCHITECTURES, name).REFERENCE
        model = build_model(
            name,
            task_of(target=reference.units),
            size=reference.size,
            n_channels=reference.n_channels,
            n_scalars=reference.n_scalars,
            options=Options(initializer="constant"),  # quickly drawn
        )
        if reference.parameters < 3e7:
            kept[name] = model
        return model

    return get
