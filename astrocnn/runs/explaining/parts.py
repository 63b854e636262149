"""One number explained on all objects: with its maps, and what is said beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocnn.explain import Explained, Output, Response
from astrocnn.explain.explanation_files import Diagnosed
from astrocnn.explain.explanation_reading import words
from astrocnn.explain.own_answer import Asked, OwnAnswer, own_answers
from astrocnn.explain.uncertainty import Uncertainty
from astrocnn.models.monte_carlo_dropout import build_sampler
from astrocnn.runs.explaining.looking import CHECKS, Behind, Maps
from astrocnn.runs.explaining.subject import Subject
from astrocnn.runs.explaining.told import Told

__all__ = ["Part", "answer", "disagreement", "number_of"]


@dataclass(frozen=True, eq=False)
class Part:
    """Maps of one number.

    Parameters
    ----------
    target : str
        Which target.
    output : str
        Words for the number.
    outputs : sequence of str
        The number of each object.
    label, said : sequence of str
        Truth and prediction of each object.
    maps : Maps
        What is to be made.
    along : (str, ndarray of shape (n,)), optional
        A predicted quantity.
    """

    target: str
    output: str
    outputs: Sequence[str]
    label: Sequence[str]
    said: Sequence[str]
    maps: Maps
    along: tuple[str, Any] | None = None

    def diagnosed(self, ids: Any, flux: NDArray[Any]) -> Diagnosed:
        """All of it, when the work is done."""
        beside = [words(*told) for told in zip(ids, self.label, self.said, strict=True)]
        return Diagnosed(
            self.maps.looked(self.output, flux, beside, self.along),
            self.target,
            self.outputs,
            self.maps.scores(),
            self.label,
            self.said,
            self.maps.residuals,
        )


def answer(
    inside: Subject,
    told: Told,
    target: str,
    rows: NDArray[np.int64],
    methods: Sequence[str],
    checks: Sequence[str] = CHECKS,
    *,
    number: Explained | None = None,
    square: int | None = None,
) -> Part:
    """The predicted class's logit, or the mean of a quantity; or any other number."""
    found = told.predictions(target, rows)
    images, scalars = inside.arrays(rows)
    own = inside.task.target(target)
    if number is None:
        asked = own_answers(inside.model, own, found.wanted, scalars)
        outputs = [Output(own, wanted).label for wanted in found.wanted]
    else:
        number.nodes(inside.model)  # refuses what the network does not have
        asked = [Asked(np.arange(len(rows)), inside.model, scalars, number)]
        outputs = [number.label] * len(rows)
    output = outputs[0] if len(set(outputs)) == 1 else OwnAnswer(own).label
    along = None if found.classes else (f"predicted {target}", found.value)
    maps = Maps(images, asked, methods, checks, square=square)
    return Part(target, output, outputs, told.label(target, rows), found.said, maps, along)


def number_of(text: str, target: Any) -> Explained:
    """The number that a text asks for.

    Parameters
    ----------
    text : str
        The name of a class; the ends of an interval, as in ``"0.1,0.3"``, for the probability in
        it; or ``"layer:NAME"`` or ``"layer:NAME#CHANNEL"`` for the mean response of a layer.
    target : Target
        Whose class or interval it is.

    Raises
    ------
    ModelError
        If the target has no such class or interval.

    Examples
    --------
    >>> number_of("layer:conv2#5", None).label
    'mean response of conv2, channel 5'
    """
    kind, colon, layer = text.partition(":")
    if colon and kind == "layer":
        name, _, channel = layer.partition("#")
        return Response(name, int(channel)) if channel.isdecimal() else Response(layer)
    ends = text.split(",")
    try:
        low, high = (float(end) for end in ends)
    except ValueError:
        return Output(target, text)
    return Output(target, (low, high))


def disagreement(
    inside: Subject,
    told: Told,
    target: str,
    rows: NDArray[np.int64],
    methods: Sequence[str],
    checks: Sequence[str] = CHECKS,
    *,
    draws: int,
    seed: int,
    square: int | None = None,
) -> Part:
    """What the draws of the network disagree about: what it does not know."""
    found = told.predictions(target, rows)
    images, scalars = inside.arrays(rows)
    output = Uncertainty(inside.task.target(target))
    behind = Behind(inside.model, output.one_draw(), partial(build_sampler, draws=draws, seed=seed))
    asked = [Asked(np.arange(len(rows)), behind.drawing(inside.model), scalars, output)]
    outputs = [output.label] * len(rows)
    maps = Maps(images, asked, methods, checks, behind, square)
    return Part(target, output.label, outputs, told.label(target, rows), found.said, maps)
