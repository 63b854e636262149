"""Augmentation: steps from leaves, in one chain that is checked against what is predicted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial, update_wrapper
from itertools import groupby
from typing import Any

from astrocnn import plugins
from astrocnn.backend import tf
from astrocnn.datasets.augmentations._affine import Affine, Moves
from astrocnn.datasets.augmentations.base import SYMMETRIES, Step
from astrocnn.errors import ConfigError
from astrocnn.imaging import Inputs
from astrocnn.targets import Task

__all__ = ["Augmentation", "build_step", "build_steps", "compose"]

# Steps from outside that state no order follow those of the package.
_LAST = 100


@dataclass(frozen=True)
class Augmentation:
    """Steps in their order, each with a seed of its own derived from one."""

    steps: tuple[Step, ...]

    @property
    def breaks(self) -> frozenset[str]:
        """Everything that any step breaks."""
        return frozenset().union(*(step.breaks for step in self.steps))

    def fold_seed(self, number: int, seed: tf.Tensor) -> tf.Tensor:
        """Seed of one step: with a common one, two steps would draw the same random numbers."""
        return tf.random.experimental.stateless_fold_in(seed, number)

    def __call__(self, images: tf.Tensor, seed: tf.Tensor, first: int = 0) -> tf.Tensor:
        """Apply the steps from number `first` on."""
        shape = images.shape
        for number in range(first, len(self.steps)):
            images = self.steps[number](images, self.fold_seed(number, seed))
        # A step may lose the static shape, by which the network was built.
        return tf.ensure_shape(images, shape)


def compose(
    steps: Iterable[Step], task: Task | None = None, inputs: Inputs | None = None
) -> Augmentation:
    """Chain steps; affine moves in a row share one resampling.

    Parameters
    ----------
    steps : iterable of Step
        In the order in which they act.
    task : Task, optional
        What is predicted: augmentation that destroys its labels is refused.
    inputs : Inputs, optional
        For steps that depend on them, such as `Noise` on the sky noise.

    Raises
    ------
    ConfigError
        If a step breaks what a target depends on, or does not declare what it breaks.

    Examples
    --------
    >>> from astrocnn.datasets import D4, Rotation, Shift
    >>> len(compose([D4(), Shift(pixels=2.0), Rotation()]).steps)
    2
    """
    bound = [
        step.bind(inputs) if inputs is not None and hasattr(step, "bind") else step
        for step in steps
    ]
    for step in bound:
        _check_declaration(step)
    if task is not None:
        _check_labels(bound, task)
    joined: list[Step] = []
    # Each resampling smooths the image, so moves in a row are multiplied and resample once.
    for affine, group in groupby(bound, key=lambda step: isinstance(step, Affine)):
        members: list[Any] = list(group)
        joined += [Moves(tuple(members))] if affine and len(members) > 1 else members
    return Augmentation(tuple(joined))


def build_step(leaf: str | Callable[..., Any], value: Any = True, *, trusted: bool = False) -> Step:
    """A step from a leaf and its options.

    Parameters
    ----------
    leaf : str, class or function
        A name in ``astrocnn/datasets/augmentations`` or of an entry point,
        ``module:attribute``, ``path/to/file.py:attribute``, or the class or function itself.
    value : object
        True for its defaults, a mapping of its parameters, or the value of its first parameter.
    trusted : bool
        See `astrocnn.plugins.load`.

    Returns
    -------
    Step

    Raises
    ------
    ConfigError
        If there is no such leaf, or it does not accept the value.

    Examples
    --------
    >>> build_step("shift", 2.0)
    Shift(edges='reflect', pixels=2.0)
    """
    factory = plugins.load("augmentations", leaf, trusted=trusted)
    options = dict(value) if isinstance(value, Mapping) else {}
    # A function is the step itself, a class makes it.
    if not isinstance(factory, type):
        if not options:
            return factory
        step: Any = update_wrapper(partial(factory, **options), factory)
        return step
    try:
        if hasattr(factory, "from_option") and not options:
            return factory.from_option(value)
        return factory(**options) if options or value is True else factory(value)
    except TypeError as error:
        raise ConfigError(
            f"The augmentation '{factory.__name__}' does not accept these options.",
            received=repr(value),
            hint=str(error),
        ) from error


def build_steps(options: Mapping[str, Any]) -> tuple[Step, ...]:
    """Steps by name, in their usual order; zero or False leaves one out.

    Parameters
    ----------
    options : mapping
        Values as for `build_step` by name of a leaf: ``d4`` (bool, or "rotations"), ``crop``,
        ``shift`` [pixel], ``rotation`` (bool, or the largest angle in degrees), ``zoom``, ``blur``
        [pixel], ``gain`` [mag], ``background`` and ``noise`` [sky noise], ``band_dropout``, or
        leaves from outside.

    Raises
    ------
    ConfigError
        If there is no augmentation of that name.
    """
    for name in options:
        plugins.check("augmentations", name)
    chosen = {name: value for name, value in options.items() if value}
    steps = [build_step(name, value) for name, value in chosen.items()]
    # Noise comes after resampling, which would smooth it, and gain, which would scale it.
    return tuple(sorted(steps, key=lambda step: getattr(step, "order", _LAST)))


def _check_declaration(step: Step) -> None:
    name = _get_name(step)
    breaks = getattr(step, "breaks", None)
    # No declaration must not pass for "breaks nothing": a mirrored spiral has a wrong label.
    if not isinstance(breaks, frozenset | set):
        raise ConfigError(
            f"The augmentation '{name}' does not declare what it breaks.",
            received=f"breaks = {breaks!r}",
            allowed=f"a frozenset of some of {', '.join(SYMMETRIES)}",
            hint=f"{name}.breaks = frozenset() if labels stay valid under every change",
        )
    if unknown := set(breaks) - set(SYMMETRIES):
        raise ConfigError(
            f"The augmentation '{name}' declares unknown symmetries.",
            received=sorted(unknown),
            allowed=SYMMETRIES,
        )


def _check_labels(steps: Iterable[Step], task: Task) -> None:
    for step in steps:
        if broken := step.breaks & task.sensitive_to:
            properties = ", ".join(sorted(broken))
            names = [target.name for target in task.targets if not target.symmetric]
            raise ConfigError(
                f"The augmentation {_get_name(step)} destroys the {properties} of an object, "
                f"on which the labels of {', '.join(names)} depend.",
                received=repr(step),
                hint='rotations only: D4(reflections=False), in a run file d4 = "rotations"',
            )


def _get_name(step: Any) -> str:
    return str(getattr(step, "__name__", type(step).__name__))
