"""Heads in the middle of a network, which train its first layers and are then left away."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Protocol

from astrocnn.backend import keras, layers
from astrocnn.errors import ConfigError
from astrocnn.models.blocks import Block
from astrocnn.models.options import Options
from astrocnn.plugins import load, names

__all__ = ["check_auxiliary", "with_auxiliary_heads"]

_ARCHITECTURES = "astrocnn.models.architectures"


class _Task(Protocol):
    @property
    def targets(self) -> Iterable[Any]: ...


def with_auxiliary_heads(
    model: keras.Model, task: _Task, options: Options
) -> tuple[keras.Model, dict[str, str]]:
    """A network with its auxiliary heads, for training.

    Parameters
    ----------
    model : keras.Model
        As `astrocnn.models.build.build` makes it; its layers are shared, so that it is trained
        too, and remains without these heads.
    task : Task
        What `model` was built for.
    options : Options
        Likewise; without the option `auxiliary` the network is returned as it is.

    Returns
    -------
    trained : keras.Model
        With outputs for each place and target beside those of `model`.
    answers : dict of str to str
        The target that each of them answers.

    References
    ----------
    Szegedy et al. 2015, CVPR (arXiv:1409.4842), section 5.
    """
    if not options.auxiliary:
        return model, {}
    module = load(_ARCHITECTURES, model.name)
    outputs, answers = dict(model.output), {}
    for number, place in enumerate(module.AUXILIARY, 1):
        features = module.auxiliary(model.get_layer(place).output, _Named(number, options))
        for target in task.targets:
            name = f"{target.name}_auxiliary{number}"
            while name in outputs:
                name += "_"
            head = layers.Dense(target.family.units, dtype="float32", name=f"head_of_{name}")
            outputs[name], answers[name] = head(features), target.name
    return keras.Model(model.input, outputs, name=model.name), answers


def check_auxiliary(architecture: str, options: Options) -> list[ConfigError]:
    """What is wrong with the option `auxiliary` for an architecture."""
    if not options.auxiliary or hasattr(load(_ARCHITECTURES, architecture), "AUXILIARY"):
        return []
    able = [x for x in names(_ARCHITECTURES) if hasattr(load(_ARCHITECTURES, x), "AUXILIARY")]
    return [
        ConfigError(
            f"The network '{architecture}' has no auxiliary heads.",
            received=f"auxiliary = {options.auxiliary:g}",
            allowed=able,
            hint="leave auxiliary out",
        )
    ]


class _Named(Block):
    """Layers of one auxiliary head; the rates of dropout that are listed are not for them."""

    def __init__(self, number: int, options: Options) -> None:
        super().__init__(replace(options, dropout=1.0))
        self._number = number

    def _name(self, kind: str) -> str:
        return f"auxiliary{self._number}_{super()._name(kind)}"
