"""Integrated gradients: what each pixel adds, compared with an image without an object.

References
----------
Sundararajan, Taly & Yan 2017, ICML (arXiv:1703.01365), equation 1 and proposition 1
(completeness).
Sturmfels, Lundberg & Lee 2020, Distill, doi:10.23915/distill.00022 (baselines).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from astrocnn.backend import keras
from astrocnn.explain.methods import AttributionMethod
from astrocnn.explain.network import Evaluator, validate_counts
from astrocnn.explain.sky import baselines
from astrocnn.explain.target import ExplainTarget

__all__ = ["METHOD", "IntegratedGradients", "integrated_gradients"]


class IntegratedGradients(NamedTuple):
    """Result of `integrated_gradients`."""

    attribution: NDArray[np.float32]
    """Contribution of each pixel and band, of shape (n, height, width, n_channels)."""
    score: NDArray[np.float32]
    """Target of the image, of shape (n,)."""
    baseline_score: NDArray[np.float32]
    """Target of the image without an object, mean over draws, of shape (n,)."""

    @property
    def residual(self) -> NDArray[np.float64]:
        """Difference of the scores minus the sum of the attributions, of shape (n,).

        Zero for an exact integral; it falls with the number of steps, in proportion to it where
        ReLU and max pooling make the path kinked.
        """
        added = self.attribution.sum(axis=(1, 2, 3), dtype=np.float64)
        return self.score.astype(np.float64) - self.baseline_score - added


def integrated_gradients(
    model: keras.Model,
    images: Any,
    target: ExplainTarget,
    *,
    scalars: Any = None,
    baseline: str = "sky",
    draws: int = 5,
    steps: int = 32,
    seed: int = 0,
    batch_size: int = 64,
) -> IntegratedGradients:
    """Integrate the gradient on the straight path from an image without an object to the image.

    Parameters
    ----------
    model, images, target, scalars, batch_size
        See `astrocnn.explain.methods`; scalars stay as they are along the path.
    baseline : {"sky", "blurred", "zero"}
        The image without an object: noise as in the border of the image, the mean over several
        draws of it (zero for strips of scalars); the image smoothed by an eighth of its size; or
        zero.
    draws : int
        Draws of the noise; the other baselines have one.
    steps : int
        Points on the path, those of Gauss-Legendre quadrature.
    seed : int
        Seed of the noise.

    Raises
    ------
    ModelError
        If there is no such baseline, or there are no draws or steps.
    """
    evaluator = Evaluator(model, images, target, scalars=scalars, batch_size=batch_size)
    validate_counts(draws=draws, steps=steps)
    image = evaluator.images
    empty = baselines(image, baseline, draws, seed)
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    along = (0.5 * (nodes + 1)).astype(np.float32)
    n, n_draws = empty.shape[:2]
    # Each draw becomes an object, so that all draws share blocks.
    arrays = evaluator.arrays
    paths = {name: np.repeat(a, n_draws, axis=0) for name, a in arrays.items()}
    start = empty.reshape(-1, *image.shape[1:])
    slope = evaluator.gradients_of_variations(
        lambda x, a: x["start"] + a[:, None, None, None] * (x["image"] - x["start"]),
        along,
        (0.5 * weights).astype(np.float32),
        {**paths, "start": start},
    )
    added = (paths["image"] - start) * slope.astype(np.float64)
    stacked = {k: np.concatenate([arrays[k], a]) for k, a in (paths | {"image": start}).items()}
    scores = evaluator.map(evaluator.score, stacked)
    return IntegratedGradients(
        added.reshape(empty.shape).mean(axis=1).astype(np.float32),
        scores[:n],
        scores[n:].reshape(n, n_draws).mean(axis=1),
    )


METHOD = AttributionMethod(
    integrated_gradients,
    meaning="Contribution of each pixel relative to empty sky. The sum over pixels is the "
    "difference of the two outputs.",
    scalars_meaning="Contribution of each input relative to its mean in the training set. The sum "
    "over inputs is the difference of the two outputs.",
    unit="Contribution to OUTPUT; the sum is SCORE minus that of empty sky.",
    scalars_unit="contribution to OUTPUT, relative to mean inputs",
    default=True,
    # Scalars need no draws of the sky and are cheap.
    report_options={"draws": 2, "steps": 24},
    report_options_scalars={"steps": 128},
)
