"""A task as small as a network needs: names and widths of heads."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from astrocnn.families.bernoulli import Bernoulli
from astrocnn.families.categorical import Categorical


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
