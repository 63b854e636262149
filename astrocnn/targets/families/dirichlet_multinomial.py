"""Votes over the answers of a question: Dirichlet-multinomial."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from astrocnn.backend import ops
from astrocnn.column import Column
from astrocnn.errors import CatalogError, ConfigError
from astrocnn.targets.families._beta import mixture_quantile
from astrocnn.targets.families._draws import moments
from astrocnn.targets.families._log_gamma import log_gamma
from astrocnn.targets.families._names import check_distinct, checked_names, column_name
from astrocnn.targets.families._numbers import as_numbers

__all__ = ["DirichletMultinomial", "examples"]

_LARGEST = 100.0
_LEVELS = (0.16, 0.84)


@dataclass(frozen=True)
class DirichletMultinomial:
    """How the volunteers who are asked a question share among its answers.

    The network gives one concentration per answer, between 1 and 100.  The fractions of a large
    crowd then follow a Dirichlet distribution, and n votes a Dirichlet-multinomial one, so that
    three votes out of four teach less than thirty out of forty.  An object without votes on the
    question teaches nothing.

    Parameters
    ----------
    answers : tuple of str
        At least two; each has a column of vote counts in the catalogue, in the same order.

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

    answers: tuple[str, ...]
    chapter: ClassVar[str] = "votes"

    def __post_init__(self) -> None:
        names = checked_names(self.answers, "answer")
        object.__setattr__(self, "answers", names)
        if len(names) < 2:
            raise ConfigError("A question put to the vote needs two answers.", received=names)
        check_distinct((column.name for column in self.columns()), names, "answer")

    @property
    def classes(self) -> tuple[str, ...]:
        """The answers."""
        return self.answers

    @property
    def units(self) -> int:
        """One concentration per answer."""
        return len(self.answers)

    @property
    def initial_loss(self) -> float:
        """That of an object with one vote, log K [nat]; more votes have more."""
        return math.log(self.units)

    def encode(
        self, values: Any, missing: Any = None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
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
        masked = isinstance(values, np.ma.MaskedArray)
        data = values if masked else np.asarray(values)
        data = data.reshape(0, self.units) if data.size == 0 else data
        if data.ndim != 2 or data.shape[1] != self.units:
            raise CatalogError(
                "Votes are one count for each answer.",
                received=f"an array of shape {data.shape}",
                allowed=f"an array of shape (n, {self.units})",
            )
        given = np.zeros(data.shape, bool)
        if missing is not None:
            given[:] = np.asarray(missing, bool).reshape(len(data), -1)
        found = [as_numbers(data[:, k], given[:, k]) for k in range(self.units)]
        votes = np.stack([numbers for numbers, _ in found], axis=1)
        none = np.stack([lacking for _, lacking in found], axis=1)
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

    def activate(self, raw: Any) -> Any:
        """Concentrations, 1 + 99 sigmoid(x - log 98): 2 for x = 0, which knows little."""

        shifted = ops.cast(raw, "float32") - math.log(_LARGEST - 2.0)
        return 1.0 + (_LARGEST - 1.0) * ops.sigmoid(shifted)

    def loss(self, encoded: Any, raw: Any) -> Any:
        """Minus the log probability of the votes, binomial coefficients included [nat]."""

        votes = ops.cast(encoded, "float32")
        alpha = self.activate(raw)
        n, total = ops.sum(votes, axis=-1), ops.sum(alpha, axis=-1)
        ways = log_gamma(n + 1.0) - ops.sum(log_gamma(votes + 1.0), axis=-1)
        shares = ops.sum(log_gamma(alpha + votes) - log_gamma(alpha), axis=-1)
        return log_gamma(total + n) - log_gamma(total) - shares - ways

    def summarize(self, samples: NDArray[np.floating]) -> dict[str, NDArray[Any]]:
        """Expected fraction of each answer with its credible interval, and entropies."""
        m = moments(samples)
        out = {}
        for k, name in enumerate(self.answers):
            out[f"{column_name(name)}_fraction"] = m.mean[:, k].astype(np.float32)
        known = np.flatnonzero(np.isfinite(m.mean).all(axis=1))
        ends = np.full((len(_LEVELS), *m.mean.shape), np.nan)
        if len(known):
            alpha = np.ascontiguousarray(samples[:, known], np.float64)
            for i, level in enumerate(_LEVELS):
                ends[i, known] = mixture_quantile(alpha, level)
        for k, name in enumerate(self.answers):
            for i, end in enumerate(("low", "high")):
                out[f"{column_name(name)}_fraction_{end}"] = ends[i, :, k].astype(np.float32)
        out["entropy"] = m.entropy.astype(np.float32)
        out["mutual_info"] = m.mutual_info.astype(np.float32)
        return out

    def columns(self) -> tuple[Column, ...]:
        """Descriptions of what `summarize` returns."""
        names = [(column_name(answer), answer) for answer in self.answers]
        said = [
            (f"{c}_fraction", "stat.probability;stat.mean", f"Expected fraction of votes for {a}")
            for c, a in names
        ]
        for c, a in names:
            for level, end, ucd in zip(_LEVELS, ("low", "high"), ("min", "max"), strict=True):
                text = f"{round(100 * level)} % quantile of the fraction of votes for {a}"
                said.append((f"{c}_fraction_{end}", f"stat.probability;stat.{ucd}", text))
        said += [
            ("entropy", "stat.value", "Entropy of the expected fractions in nat"),
            ("mutual_info", "stat.value", "Entropy less its mean over draws in nat (epistemic)"),
        ]
        return tuple(Column(name, "f4", "", ucd, text) for name, ucd, text in said)

    def tally(self, encoded: NDArray[np.floating], weight: NDArray[np.floating]) -> dict[str, int]:
        """Number of objects with votes, by the answer with most of them."""
        most = np.argmax(np.asarray(encoded)[np.asarray(weight) > 0], axis=1)
        counts = np.bincount(most, minlength=self.units)
        return {name: int(n) for name, n in zip(self.answers, counts, strict=True)}

    def to_probabilities(self, samples: NDArray[np.floating]) -> NDArray[np.float64]:
        """Expected fraction of each answer, of shape (n_draws, n, K)."""
        alpha = np.asarray(samples, np.float64)
        return alpha / alpha.sum(axis=-1, keepdims=True)

    def to_truth(self, encoded: NDArray[np.floating]) -> NDArray[np.float64]:
        """Fractions of the votes, of shape (n, K); NaN where there is no vote."""
        votes = np.asarray(encoded, np.float64)
        total = votes.sum(axis=-1, keepdims=True)
        return np.where(total > 0, votes / np.where(total > 0, total, 1.0), np.nan)


def examples() -> tuple[DirichletMultinomial, ...]:
    """Instances for the contract tests."""
    return (
        DirichletMultinomial(("smooth", "featured-or-disk", "artifact")),
        DirichletMultinomial(("yes", "no")),
    )
