"""The loss of a family, in the form Keras trains with."""

from __future__ import annotations

from typing import Any

from astrocnn.backend import Tensor, keras
from astrocnn.targets import Family
from astrocnn.targets.storage import family_from_dict, family_to_dict

__all__ = ["FamilyLoss"]


@keras.saving.register_keras_serializable(package="astrocnn")
class FamilyLoss(keras.losses.Loss):
    """Weighted mean over the objects of a family's loss.

    The mean divides by the sum of the weights.  By default Keras divides by the number of
    objects, so that objects without a label (weight 0) would dilute the loss.

    Parameters
    ----------
    family : Family
        Its ``loss(encoded, raw)`` gives one number per object.
    """

    def __init__(self, family: Family, name: str | None = None) -> None:
        super().__init__(
            name=name or type(family).__name__.lower(), reduction="mean_with_sample_weight"
        )
        self.family = family

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Loss of each object, of shape (n,)."""
        return self.family.loss(y_true, y_pred)

    def get_config(self) -> dict[str, Any]:
        """Name and fields of the family: all plain, so that a saved model is safe."""
        return {"name": self.name, "family": family_to_dict(self.family)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> FamilyLoss:
        """Rebuild from `get_config`."""
        return cls(family_from_dict(config["family"]), name=config["name"])
