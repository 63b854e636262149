"""``astrocnn list``: what is listed is what a run file accepts."""

from __future__ import annotations

import pytest

from astrocnn.models import Options
from astrocnn.models.options import ALLOWED
from astrocnn.runs.config import parse_run
from astrocnn.runs.verbs import list as verb

from .command import astrocnn
from .test_config import GOOD


def column(kind: str, number: int = 0) -> list[str]:
    (table,) = verb.run(kind)
    return [str(cell) for cell in table.columns[number].cells]


def test_every_option_is_listed_with_its_values_and_a_sentence():
    assert column("options") == list(Options.__dataclass_fields__)
    values = dict(zip(column("options"), column("options", 1), strict=True))
    assert {name: tuple(v.split(", ")) for name, v in values.items() if v} == ALLOWED
    assert all(sentence.endswith(".") for sentence in column("options", 2))
    # The bracket of a unit is no style, and the mark of a reference leads nowhere here.
    said = " ".join(astrocnn("list", "options").split())
    assert "[pixel]" in said and "]_" not in said


@pytest.mark.parametrize(("kind", "key"), [("optimizers", "optimizer"), ("schedules", "schedule")])
def test_names_of_the_training_are_listed(kind, key):
    for name in column(kind):
        assert getattr(parse_run({**GOOD, "training": {key: name}}).training, key) == name


def test_a_list_of_nothing_known():
    assert "did you mean 'optimizers'" in astrocnn("list", "optimisers", code=2)


def test_without_a_kind_the_names_of_all_kinds_are_listed():
    said = astrocnn("list")
    for kind in (*verb.KINDS, "options", "optimizers", "schedules"):
        for name in column(kind):
            assert name in said
    assert said.endswith("next: astrocnn list architectures\n")
