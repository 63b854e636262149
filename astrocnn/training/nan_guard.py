"""The explanation when numbers are no longer numbers."""

from __future__ import annotations

import numpy as np

from astrocnn.errors import TrainingError

__all__ = ["explain_non_finite"]


def explain_non_finite(
    vector: np.ndarray,
    stage: str,
    epoch: int,
    batch: int,
    learning_rate: float,
    precision: str,
) -> TrainingError:
    """The error for a batch with values that are not numbers.

    Parameters
    ----------
    vector : ndarray
        Result of the training step; its last two numbers count the pixels or scalars and the
        encoded labels of that batch that are not finite.
    stage : {"training", "validation"}
        In which pass.
    epoch, batch : int
        Where it happened, counted from 1.
    learning_rate : float
        As used for that batch.
    precision : str
        Arithmetic of the network.

    Returns
    -------
    TrainingError
        With the likely cause and what to try.
    """
    inputs, labels = (float(count) for count in vector[-2:])
    if inputs > 0:
        cause = f"{inputs:.0f} input values of this batch are NaN or infinite"
        hint = (
            "normalize the images (Normalization.apply fills pixels without data); look for "
            "infinite pixels and for missing scalars"
        )
    elif labels > 0:
        cause = f"{labels:.0f} label values of this batch are NaN or infinite"
        hint = "give objects without a label the weight 0"
    else:
        cause = "the inputs and labels are finite but the loss is not, so the weights have run away"
        hint = f"a lower learning rate (it was {learning_rate:.3g}), a warm-up, or clip_norm = 1"
        if precision == "bfloat16":
            hint += ", or precision float32"
    return TrainingError(
        f"The {stage} met values that are no numbers in epoch {epoch}, batch {batch}: {cause}.",
        hint=hint,
    )
