"""The loss of a family, in the form Keras trains with."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from astrocnn import plugins
from astrocnn.backend import keras

__all__ = ["FamilyLoss"]


@keras.saving.register_keras_serializable(package="astrocnn")
class FamilyLoss(keras.losses.Loss):
    """Weighted mean over the objects of a family's loss.

    The mean divides by the sum of the weights.  Keras divides by the number of objects unless
    told otherwise, so that objects without a label (weight 0) would dilute the loss.

    Parameters
    ----------
    family : Family
        Its ``loss(encoded, raw)`` gives one number per object.
    """

    def __init__(self, family: Any, name: str | None = None) -> None:
        super().__init__(
            name=name or type(family).__name__.lower(), reduction="mean_with_sample_weight"
        )
        self.family = family

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Loss of each object, of shape (n,)."""
        return self.family.loss(y_true, y_pred)

    def get_config(self) -> dict[str, Any]:
        """The family's name and fields: all plain, so that a saved model is safe."""
        return {
            "name": self.name,
            "family": plugins.reference("families", type(self.family)),
            "arguments": {
                field.name: _plain(getattr(self.family, field.name))
                for field in fields(self.family)
                if field.init
            },
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> FamilyLoss:
        """Rebuild from `get_config`; only families that are trusted are loaded."""
        kind = plugins.load("families", config["family"])
        arguments = {key: _frozen(value) for key, value in config["arguments"].items()}
        return cls(kind(**arguments), name=config["name"])


def _plain(value: Any) -> Any:
    return [_plain(v) for v in value] if isinstance(value, tuple) else value


def _frozen(value: Any) -> Any:
    return tuple(_frozen(v) for v in value) if isinstance(value, list) else value
