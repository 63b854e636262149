"""Steps of augmentation made into one, and checked against what is predicted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Protocol

from astrocnn.backend import tf
from astrocnn.datasets.geometry import D4, Affine, Moves, Rotation, Shift, Zoom
from astrocnn.datasets.photometry import BandDropout, Gain, Noise
from astrocnn.errors import ConfigError
from astrocnn.imaging import Inputs
from astrocnn.plugins import nearest
from astrocnn.targets import Task

__all__ = ["Augmentation", "Step", "augmentation_from", "compose"]


class Step(Protocol):
    """A random change of images that depends on a seed alone."""

    @property
    def breaks(self) -> frozenset[str]:
        """What labels may no longer say about the changed image, such as "handedness"."""

    def __call__(self, images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Change float32 images of shape (n, height, width, n_bands)."""


@dataclass(frozen=True)
class Augmentation:
    """Steps in their order, each with a seed of its own derived from one."""

    steps: tuple[Step, ...]

    @property
    def breaks(self) -> frozenset[str]:
        """All that any step breaks."""
        return frozenset().union(*(step.breaks for step in self.steps))

    def seed_of(self, number: int, seed: tf.Tensor) -> tf.Tensor:
        """Seed of one step."""
        return tf.random.experimental.stateless_fold_in(seed, number)

    def __call__(self, images: tf.Tensor, seed: tf.Tensor, first: int = 0) -> tf.Tensor:
        """Apply the steps from number `first` on."""
        shape = images.shape
        for number in range(first, len(self.steps)):
            images = self.steps[number](images, self.seed_of(number, seed))
        return tf.ensure_shape(images, shape)


def compose(
    steps: Iterable[Step], task: Task | None = None, inputs: Inputs | None = None
) -> Augmentation:
    """Put steps together; affine moves in a row share one resampling.

    Parameters
    ----------
    steps : iterable of Step
        In the order in which they act.
    task : Task, optional
        What is predicted: augmentation that destroys its labels is refused.
    inputs : Inputs, optional
        Carries the sky noise for `Noise`.

    Raises
    ------
    ConfigError
        If a step breaks what a target depends on.

    Examples
    --------
    >>> from astrocnn.datasets import D4, Rotation, Shift
    >>> len(compose([D4(), Shift(pixels=2.0), Rotation()]).steps)
    2
    """
    bound = [
        step.bind(inputs) if inputs is not None and isinstance(step, Noise) else step
        for step in steps
    ]
    if task is not None:
        _refuse(bound, task)
    joined: list[Step] = []
    for affine, group in groupby(bound, key=lambda step: isinstance(step, Affine)):
        members: list[Any] = list(group)
        joined += [Moves(tuple(members))] if affine and len(members) > 1 else members
    return Augmentation(tuple(joined))


def augmentation_from(options: Mapping[str, Any]) -> tuple[Step, ...]:
    """Steps by name, in their usual order; zero or False leaves one out.

    Parameters
    ----------
    options : mapping
        ``d4`` (bool, or "rotations"), ``shift`` [pixel], ``rotation`` (bool, or the largest angle
        in degrees), ``zoom``, ``gain`` [mag], ``noise`` [sky noise], ``band_dropout``.

    Raises
    ------
    ConfigError
        If there is no step of that name.
    """
    make: dict[str, Callable[[Any], Step]] = {
        "d4": lambda v: D4(reflections=v != "rotations"),
        "shift": lambda v: Shift(pixels=float(v)),
        "rotation": lambda v: Rotation() if v is True else Rotation(degrees=float(v)),
        "zoom": lambda v: Zoom(amount=float(v)),
        "gain": lambda v: Gain(float(v)),
        "noise": lambda v: Noise(float(v)),
        "band_dropout": lambda v: BandDropout(float(v)),
    }
    for name in options:
        if name not in make:
            raise ConfigError(
                f"There is no augmentation '{name}'.", allowed=make, hint=nearest(name, make)
            )
    return tuple(build(options[name]) for name, build in make.items() if options.get(name))


def _refuse(steps: Iterable[Step], task: Task) -> None:
    for step in steps:
        if broken := step.breaks & task.sensitive_to:
            what = ", ".join(sorted(broken))
            names = [target.name for target in task.targets if not target.symmetric]
            raise ConfigError(
                f"The augmentation {type(step).__name__} destroys the {what} of an object, "
                f"which the labels of {', '.join(names)} are about.",
                received=repr(step),
                hint='rotations only: D4(reflections=False), in a run file d4 = "rotations"',
            )
