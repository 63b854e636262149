"""Votes of volunteers on the answers of a question: fractions, likelihood, credible sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from typing import ClassVar

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from astrocnn import metrics
from astrocnn.evaluation import figures
from astrocnn.evaluation.baselines import ConstantBaseline, fit_votes
from astrocnn.evaluation.kinds.base import Array, FigureSpec, ScoreLabel, TargetEvaluation
from astrocnn.metrics import Score
from astrocnn.metrics.intervals import Statistic
from astrocnn.report.gallery import Stamp
from astrocnn.targets import DiscreteFamily, Target

__all__ = ["VoteEvaluation"]

_LEVELS = (68, 95)


class VoteEvaluation(TargetEvaluation):
    """Dirichlet concentrations beside numbers of votes; see `TargetEvaluation`."""

    FAMILY: ClassVar[type] = DiscreteFamily
    SCORES: ClassVar[Mapping[str, ScoreLabel]] = {
        "rmse": ScoreLabel("Root mean square error"),
        "mean_deviation": ScoreLabel("Mean absolute deviation of the fractions"),
        "nll": ScoreLabel("Negative log-likelihood [nat]"),
        **{
            f"coverage_{p}": ScoreLabel(f"Coverage of the {p} % highest-density sets", percent=True)
            for p in _LEVELS
        },
        "questions_rmse": ScoreLabel("RMSE over questions"),
        "entropy": ScoreLabel("Mean predictive entropy [nat]"),
        "mutual_info": ScoreLabel("Mean epistemic part (mutual information) [nat]"),
    }
    CLASS_SCORES: ClassVar[Mapping[str, ScoreLabel]] = {
        "rmse": ScoreLabel("RMSE"),
        "deviation": ScoreLabel("Mean deviation"),
    }

    SECTIONS: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "Votes": (
            "A predicted fraction is that of infinitely many volunteers; the fractions of the few "
            "who voted scatter about it. Objects without votes on a question are excluded from its "
            "scores.",
        ),
        "Uncertainty": (),
    }
    GALLERY_TEXT: ClassVar[str] = (
        "Below each stamp: majority answer of the volunteers \u2192 of the model, with its "
        "predicted fraction; orange where they differ. Pink pixels have no data."
    )

    def _prepare(self) -> None:
        assert isinstance(self.target.family, DiscreteFamily)
        self.answers = self.target.family.classes
        self.votes = np.asarray(self.encoded[self.rows], np.float64)
        self.alpha = np.asarray(self.samples[:, self.rows], np.float64)

    def describe_unlabelled(self) -> str:
        return "without votes"

    @cached_property
    def draws(self) -> Array:
        """Predicted fractions of each draw, of shape (n_draws, m, n_answers)."""
        return self.alpha / self.alpha.sum(axis=-1, keepdims=True)

    @cached_property
    def predicted(self) -> Array:
        """Predicted fractions, of shape (m, n_answers)."""
        return self.draws.mean(axis=0)

    @cached_property
    def observed(self) -> Array:
        """Fractions of the votes, of shape (m, n_answers); NaN for an object without votes."""
        total = self.votes.sum(axis=1, keepdims=True)
        return np.where(total > 0, self.votes / np.maximum(total, 1), np.nan)

    @cached_property
    def credible(self) -> tuple[Array, Array]:
        """Position of each number of votes; see `astrocnn.metrics.votes_credible`."""
        return metrics.votes_credible(self.votes, self.alpha)

    # Scores

    def statistics(self) -> dict[str, Statistic]:
        predicted, observed = self.predicted, self.observed
        nll = metrics.dirichlet_multinomial_nll(self.votes, self.alpha)
        out: dict[str, Statistic] = {
            "rmse": lambda w: metrics.rmse(predicted, observed, w),
            "mean_deviation": lambda w: metrics.mean_deviation(predicted, observed, w),
            "nll": partial(metrics.average, nll),
        }
        before, within = self.credible
        for level in _LEVELS:
            covered = metrics.credible_coverage(before.ravel(), within.ravel(), level / 100)
            mean = covered.reshape(before.shape).mean(axis=1)
            out[f"coverage_{level}"] = partial(metrics.average, mean)
        if len(self):
            out["entropy"] = partial(metrics.average, metrics.predictive_entropy(self.draws))
            out["mutual_info"] = partial(metrics.average, metrics.mutual_information(self.draws))
        for k, answer in enumerate(self.answers):
            error = np.abs(predicted[:, k] - observed[:, k])
            out[f"rmse_{answer}"] = partial(_root_mean, error**2)
            out[f"deviation_{answer}"] = partial(metrics.average, error)
        return out

    def get_score_notes(self) -> dict[str, str]:
        noise = "includes the sampling noise of few votes"
        notes = {"rmse": noise, "mean_deviation": noise}
        for level in _LEVELS:
            notes[f"coverage_{level}"] = f"over all answers; sets trimmed to exactly {level} %"
        for k, answer in enumerate(self.answers):
            notes[f"rmse_{answer}"] = f"{self.votes[:, k].sum():,.0f} votes"
        return notes

    # Report

    def get_figure_specs(self) -> Mapping[str, FigureSpec]:
        return {
            "fractions": FigureSpec(
                "Votes",
                "Fraction of the votes for each answer against the predicted fraction; orange, "
                "means in bins with equal numbers of objects and their 95 % intervals. The "
                "vertical scatter includes the sampling noise of few votes.",
                _plot_fractions,
            ),
            "credible_votes": FigureSpec(
                "Uncertainty",
                "Coverage: fraction of the observed numbers of votes inside the predicted "
                "highest-probability sets for as many voters, over all answers. Below the "
                "diagonal the predicted spread is too narrow. The band is a 95 % interval.",
                lambda e: figures.plot_credible_sets(
                    *(values.ravel() for values in e.credible), n_independent=len(e)
                ),
            ),
        }

    def get_column_spec(self, name: str, column: Array) -> FigureSpec:
        """Bias and scatter of the most frequent answer along a column."""
        first = int(self.observed.mean(axis=0).argmax())
        answer, error = self.answers[first], (self.predicted - self.observed)[:, first]
        symbol = rf"\Delta f(\mathrm{{{answer}}})" if answer.isalnum() else r"\Delta f"
        return FigureSpec(
            "Votes",
            f"Bias and scatter of the predicted fraction of {answer}, the most frequent answer, "
            f"in bins of {name}.",
            lambda e: figures.plot_errors(error, column, xlabel=name, symbol=symbol),
        )

    def stamps(self, count: int = 12) -> dict[str, list[Stamp]]:
        """The least and the most entropy, and the largest errors of a fraction."""
        evaluation = self.with_unlabelled()
        voted = evaluation.votes.sum(axis=1) > 0
        entropy = metrics.predictive_entropy(evaluation.draws) if len(evaluation) else np.zeros(0)
        difference = evaluation.predicted - np.nan_to_num(evaluation.observed)
        error = np.abs(difference).max(axis=1, initial=0)
        spread = evaluation.draws.std(axis=0)
        majority, predicted = evaluation.votes.argmax(axis=1), evaluation.predicted.argmax(axis=1)

        def stamp(i: int) -> Stamp:
            k = predicted[i]
            detail = f"{evaluation.predicted[i, k]:.2f} \u00b1 {spread[i, k]:.2f}"
            if voted[i]:
                detail += f" (votes {evaluation.observed[i, k]:.2f})"
            label = self.answers[majority[i]] if voted[i] else ""
            is_error = bool(voted[i] and majority[i] != k)
            return Stamp(int(evaluation.rows[i]), label, self.answers[k], detail, is_error)

        return self._choose_stamps(stamp, entropy, error, voted, count)

    # Baselines

    @classmethod
    def fit_baselines(
        cls, target: Target, encoded: ArrayLike, weight: ArrayLike
    ) -> tuple[ConstantBaseline, ...]:
        """The mean fractions and their scatter."""
        return (fit_votes(target, encoded, weight),)

    # Several targets

    @classmethod
    def joint_scores(cls, evaluations: Sequence[TargetEvaluation], **options: int) -> list[Score]:
        """RMSE over all answers of all questions; an object counts where it has votes."""
        questions = [e for e in evaluations if isinstance(e, cls)]
        if len(questions) < 2:
            return []
        square, count = np.zeros((2, len(questions[0].weight)))
        for e in questions:
            square[e.rows] += ((e.predicted - e.observed) ** 2).sum(axis=1)
            count[e.rows] += e.votes.shape[1]
        used = count > 0
        square, count = square[used], count[used]
        return cls._score_questions(
            lambda w: np.sqrt(w @ square / np.maximum(w @ count, 1)),
            len(count),
            int((~used).sum()),
            "without votes or without a prediction",
            f"over {len(questions)} questions, where they have votes",
            **options,
        )


def _root_mean(square: Array, weights: Array) -> Array:
    return np.sqrt(metrics.average(square, weights))


def _plot_fractions(e: VoteEvaluation) -> Figure:
    table = e.target.family.summarize(e.samples[:, e.rows])
    ends = [
        np.stack([values for name, values in table.items() if name.endswith(f"_fraction_{end}")], 1)
        for end in ("low", "high")
    ]
    return figures.plot_vote_fractions(e.predicted, e.observed, e.answers, intervals=ends)
