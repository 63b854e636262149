"""Votes over the answers of a question: Dirichlet-multinomial."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betainc, betaincinv, betaln

from astrocnn.backend import Tensor, ops
from astrocnn.column import Column
from astrocnn.errors import CatalogError
from astrocnn.targets.families.base import DiscreteFamily, Encoded, build_columns, moments
from astrocnn.targets.labels import as_numbers, column_name, validate_distinct, validate_names

__all__ = ["DirichletMultinomial", "examples"]

_LARGEST = 100.0
# Ends of the credible interval: suffix of the column, probability below, word of its UCD.
_ENDS = (("low", 0.16, "min"), ("high", 0.84, "max"))

# Stirling's series of the log gamma function holds from here on; smaller numbers are shifted.
_STIRLING_FROM = 8.0
_STIRLING_SHIFT = 6

# Newton's method for quantiles of a mixture of Beta distributions.
_NEWTON_STEPS = 30
_CLOSE = 1e-9
_TINY = 1e-12


@dataclass(frozen=True)
class DirichletMultinomial(DiscreteFamily):
    """How the volunteers who are asked a question share among its answers.

    The network predicts one concentration per answer, between 1 and 100.  The fractions of a large
    crowd then follow a Dirichlet distribution, and n votes a Dirichlet-multinomial one, so that
    three votes out of four weigh less in the loss than thirty out of forty.  An object without
    votes on the question has no weight.

    Parameters
    ----------
    classes : tuple of str
        The answers, at least two; each has a column of vote counts in the catalogue, in the same
        order.

    References
    ----------
    Walmsley et al. 2022, MNRAS 509, 3966 (likelihood, concentrations between 1 and
    100 by a scaled sigmoid).

    Examples
    --------
    >>> family = DirichletMultinomial(("smooth", "featured"))
    >>> family.encode([[30, 10], [0, 0]])[1].tolist()
    [1.0, 0.0]
    """

    classes: tuple[str, ...]
    kind: ClassVar[str] = "votes"

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", validate_names(self.classes, "answer"))
        validate_distinct((column.name for column in self.columns()), self.classes, "answer")

    @property
    def units(self) -> int:
        """One concentration per answer."""
        return len(self.classes)

    @property
    def initial_loss(self) -> float:
        """That of an object with one vote, log K [nat]; more votes have more."""
        return math.log(self.units)

    def encode(self, values: ArrayLike, missing: ArrayLike | None = None) -> Encoded:
        """Vote counts of shape (n, K); weight 1 where there is a vote, 0 where there is none.

        Parameters
        ----------
        values : array_like of shape (n, K)
            Whole numbers, also as floats or text.
        missing : array_like of bool of shape (n,) or (n, K), optional
            True where there is none.  A row that lacks one answer lacks all.

        Raises
        ------
        CatalogError
            If a count is negative, not whole, or not a number.
        """
        data = values if isinstance(values, np.ma.MaskedArray) else np.asarray(values)
        data = data.reshape(0, self.units) if data.size == 0 else data
        if data.ndim != 2 or data.shape[1] != self.units:
            raise CatalogError(
                "Votes must be one count for each answer.",
                received=f"an array of shape {data.shape}",
                allowed=f"an array of shape (n, {self.units})",
            )
        is_masked = np.zeros(data.shape, bool)
        if missing is not None:
            is_masked[:] = np.asarray(missing, bool).reshape(len(data), -1)
        parsed = [as_numbers(data[:, k], is_masked[:, k]) for k in range(self.units)]
        votes = np.stack([numbers for numbers, _ in parsed], axis=1)
        none = np.stack([is_missing for _, is_missing in parsed], axis=1)
        lost = none.any(axis=1)
        bad = ~none & ~((votes >= 0) & (votes == np.round(votes)) & np.isfinite(votes))
        if bad.any():
            raise CatalogError(
                f"{int(bad.any(axis=1).sum())} objects have votes that are not counts.",
                received=[f"{v:g}" for v in np.unique(votes[bad])],
                allowed="whole numbers from 0, or nothing for no label",
                hint="give the columns of vote counts, not those of fractions",
            )
        counts = np.where(np.expand_dims(lost, 1), 0.0, votes).astype(np.float32)
        return counts, (counts.sum(axis=1) > 0).astype(np.float32)

    def activate(self, raw: Tensor) -> Tensor:
        """Concentrations, 1 + 99 sigmoid(x - log 98): 2 for x = 0, a broad distribution."""
        shifted = ops.cast(raw, "float32") - math.log(_LARGEST - 2.0)
        return 1.0 + (_LARGEST - 1.0) * ops.sigmoid(shifted)

    def loss(self, encoded: Tensor, raw: Tensor) -> Tensor:
        """Minus the log probability of the votes, binomial coefficients included [nat]."""
        votes = ops.cast(encoded, "float32")
        alpha = self.activate(raw)
        n, total = ops.sum(votes, axis=-1), ops.sum(alpha, axis=-1)
        coefficient = log_gamma(n + 1.0) - ops.sum(log_gamma(votes + 1.0), axis=-1)
        ratios = ops.sum(log_gamma(alpha + votes) - log_gamma(alpha), axis=-1)
        return log_gamma(total + n) - log_gamma(total) - ratios - coefficient

    def summarize(self, samples: NDArray[np.floating]) -> dict[str, NDArray[np.generic]]:
        """Expected fraction of each answer with its credible interval, and entropies."""
        m = moments(samples)
        finite = np.flatnonzero(np.isfinite(m.mean).all(axis=1))
        ends = {suffix: np.full(m.mean.shape, np.nan) for suffix, _, _ in _ENDS}
        if len(finite):
            alpha = np.ascontiguousarray(samples[:, finite], np.float64)
            for suffix, level, _ in _ENDS:
                ends[suffix][finite] = mixture_quantile(alpha, level)
        names = [f"{column_name(answer)}_fraction" for answer in self.classes]
        out = {name: m.mean[:, k] for k, name in enumerate(names)}
        for k, name in enumerate(names):
            out |= {f"{name}_{suffix}": ends[suffix][:, k] for suffix, _, _ in _ENDS}
        out |= {"entropy": m.entropy, "mutual_info": m.mutual_info}
        return {name: values.astype(np.float32) for name, values in out.items()}

    def columns(self) -> tuple[Column, ...]:
        """Declarations of what `summarize` returns."""
        names = [(f"{column_name(answer)}_fraction", answer) for answer in self.classes]
        rows = [
            (name, "stat.probability;stat.mean", f"Expected fraction of votes for {answer}")
            for name, answer in names
        ]
        for name, answer in names:
            for suffix, level, ucd in _ENDS:
                text = f"{100 * level:.0f} % quantile of the fraction of votes for {answer}"
                rows.append((f"{name}_{suffix}", f"stat.probability;stat.{ucd}", text))
        rows += [
            ("entropy", "stat.value", "Entropy of the expected fractions in nat"),
            ("mutual_info", "stat.value", "Entropy less its mean over draws in nat (epistemic)"),
        ]
        return build_columns(rows)

    def tally(self, encoded: NDArray[np.floating], weight: NDArray[np.floating]) -> dict[str, int]:
        """Number of objects with votes, by the answer with most of them."""
        most = np.argmax(np.asarray(encoded)[np.asarray(weight) > 0], axis=1)
        counts = np.bincount(most, minlength=self.units)
        return {name: int(n) for name, n in zip(self.classes, counts, strict=True)}

    def to_probabilities(self, samples: NDArray[np.floating]) -> NDArray[np.float64]:
        """Expected fraction of each answer, of shape (n_draws, n, K)."""
        alpha = np.asarray(samples, np.float64)
        return alpha / alpha.sum(axis=-1, keepdims=True)

    def to_truth(self, encoded: NDArray[np.floating]) -> NDArray[np.float64]:
        """Fractions of the votes, of shape (n, K); NaN where there is no vote."""
        votes = np.asarray(encoded, np.float64)
        total = votes.sum(axis=-1, keepdims=True)
        return np.where(total > 0, votes / np.where(total > 0, total, 1.0), np.nan)


def log_gamma(x: Tensor) -> Tensor:
    """log Gamma(x) for x of at least 1, to the precision of float32: `keras.ops` has none.

    Stirling's series, after Gamma(x + 1) = x Gamma(x) has brought small arguments to where it
    holds.

    References
    ----------
    Abramowitz & Stegun 1964, equations 6.1.15 and 6.1.41.
    """
    x = ops.cast(x, "float32")
    small = x < _STIRLING_FROM
    # Bounded, so that the branch not taken does not overflow, which would make the gradient NaN.
    low = ops.minimum(x, _STIRLING_FROM)
    product = low
    for i in range(1, _STIRLING_SHIFT):
        product = product * (low + float(i))
    y = ops.where(small, x + float(_STIRLING_SHIFT), x)
    inverse = 1.0 / y
    square = inverse * inverse
    series = inverse * (1.0 / 12.0 - square * (1.0 / 360.0 - square / 1260.0))
    stirling = (y - 0.5) * ops.log(y) - y + 0.5 * math.log(2.0 * math.pi) + series
    return stirling - ops.where(small, ops.log(product), 0.0)


def mixture_quantile(alpha: NDArray[np.float64], level: float) -> NDArray[np.float64]:
    """Quantile of the fraction of each answer, of shape (n, K).

    The marginals of a Dirichlet distribution are Beta distributions; the predictive one is their
    mean over draws.  Newton's method, kept within a shrinking bracket, starts from the Beta
    distribution of the same mean and variance, which for a single draw is the solution.  `alpha`
    holds the concentrations, all finite, of shape (n_draws, n, K).
    """
    mean, square = np.zeros(alpha.shape[1:]), np.zeros(alpha.shape[1:])
    for draw in alpha:
        total = draw.sum(axis=-1, keepdims=True)
        m = draw / total
        mean += m
        square += m * (draw + 1) / (total + 1)
    mean /= len(alpha)
    variance = np.maximum(square / len(alpha) - mean * mean, _TINY)
    strength = np.maximum(mean * (1 - mean) / variance - 1, _TINY)
    x = np.clip(betaincinv(mean * strength, (1 - mean) * strength, level), _TINY, 1 - _TINY)
    first, last = np.zeros_like(x), np.ones_like(x)
    rows = np.arange(len(x))
    for _ in range(_NEWTON_STEPS):
        at = x[rows]
        miss, slope = np.full_like(at, -level * len(alpha)), np.zeros_like(at)
        for draw in alpha:
            a = draw[rows]
            b = a.sum(axis=-1, keepdims=True) - a
            miss += betainc(a, b, at)
            slope += np.exp((a - 1) * np.log(at) + (b - 1) * np.log1p(-at) - betaln(a, b))
        low = first[rows] = np.where(miss < 0, at, first[rows])
        high = last[rows] = np.where(miss < 0, last[rows], at)
        step = at - miss / np.maximum(slope, _TINY)
        inside = (step >= low) & (step <= high)
        x[rows] = np.where(inside, step, 0.5 * (low + high))
        rows = rows[(np.abs(x[rows] - at) > _CLOSE).any(axis=1)]
        if not len(rows):
            break
    return x


def examples() -> tuple[DirichletMultinomial, ...]:
    """Instances for the contract tests."""
    return (
        DirichletMultinomial(("smooth", "featured-or-disk", "artifact")),
        DirichletMultinomial(("yes", "no")),
    )
