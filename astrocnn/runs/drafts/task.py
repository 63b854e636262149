"""A draft of the task and the inputs of a run, from the columns of a catalogue."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from astrocnn.catalog import Catalog
from astrocnn.catalog.roles import find_column
from astrocnn.runs.drafts.survey import quote

__all__ = ["UNKNOWN_TASK", "draft_scalars", "draft_task"]

_MOST_CLASSES = 20
# Catalogues mark a missing redshift by values such as 99 or 9999.
_NO_REDSHIFT = 90
UNKNOWN_TASK = 'name = "morphology"\ncolumn = "class"\nclasses = ["elliptical", "spiral"]\n'
# Words of volunteers' answers; questions of the Galaxy Zoo tree (Willett et al. 2013, table 2)
# that are asked only after some answer.
_ANSWERS = {"yes", "no", "smooth", "featured", "featured-or-disk", "artifact", "star", "round"}
_PARENTS = {
    "how-rounded": ("smooth-or-featured", "smooth"),
    "disk-edge-on": ("smooth-or-featured", "featured-or-disk"),
    "edge-on-bulge": ("disk-edge-on", "yes"),
    "bar": ("disk-edge-on", "no"),
    "has-spiral-arms": ("disk-edge-on", "no"),
    "bulge-size": ("disk-edge-on", "no"),
    "spiral-winding": ("has-spiral-arms", "yes"),
    "spiral-arm-count": ("has-spiral-arms", "yes"),
}
_BANDS = tuple("ugrizyYJHK")
_ERROR = re.compile(r"err|sigma|unc|flag|^e_|ext", re.IGNORECASE)


def draft_task(catalog: Catalog, images: bool = True) -> tuple[str, list[str]]:
    """The keys of ``[task]``: classes, votes of volunteers, or a redshift.

    Parameters
    ----------
    catalog : Catalog
        Its columns are looked through.
    images : bool
        Whether the run has images; without them a mixture is enough for a redshift.

    Returns
    -------
    text : str
        Lines of the run file.
    notes : list of str
        What was assumed.
    """
    votes = _find_votes(catalog)
    classes = _find_classes(catalog)
    text = [name for name in classes if catalog.table[name].dtype.kind in "USO"]
    redshift = find_column("redshift", catalog.table.colnames)
    # Text is a label more often than a number, which may be a flag or a count.
    if votes and not text:
        return _format_votes(votes)
    if redshift is not None and not text:
        values = catalog.numbers(redshift)
        good = values[np.isfinite(values) & (values < _NO_REDSHIFT)]
        high = math.ceil(np.max(good, initial=0.1) * 10) / 10
        lines = f'name = "photoz"\ncolumn = {quote(redshift)}\nrange = [0.0, {high}]\n'
        lines += "" if images else 'family = "mixture"\n'
        return lines, [f"redshifts from column '{redshift}', up to {high}"]
    if not classes:
        note = "no column of labels was found: name it, and its classes, under [task]"
        return UNKNOWN_TASK, [note]
    best = min(text or classes, key=lambda name: len(classes[name]))
    others = ", ".join(name for name in classes if name != best)
    comment = f"# other columns with few values: {others}\n" if others else ""
    lines = (
        f'{comment}name = "morphology"\ncolumn = {quote(best)}\nclasses = {quote(classes[best])}\n'
    )
    note = f"labels from column '{best}': {', '.join(classes[best])}"
    return lines, [note + (f" (others with few values: {others})" if others else "")]


def draft_scalars(catalog: Catalog) -> tuple[list[str], list[str]]:
    """Colors and one magnitude, if the catalogue has magnitudes of three or more bands.

    Returns
    -------
    scalars : list of str
        Empty if there are none.
    notes : list of str
        What was assumed.
    """
    redshift = find_column("redshift", catalog.table.colnames)
    groups: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)
    for name in catalog.table.colnames:
        if catalog.table[name].dtype.kind != "f" or name == redshift or _ERROR.search(name):
            continue
        for match in re.finditer(r"(?<![A-Za-z])[ugrizyYJHK](?![A-Za-z])", name):
            key = name[: match.start()], name[match.end() :]
            groups[key].setdefault(match.group(), name)
        # 'mag_g_lsst' and 'MAG_G': the word before or after says the same in every band.
        for match in re.finditer(r"(?<![A-Za-z])[GRIZU](?![A-Za-z])", name):
            key = name[: match.start()], name[match.end() :]
            groups[key].setdefault(match.group().lower(), name)
    best: dict[str, str] = max(groups.values(), key=len, default={})
    if len(best) < 3:
        return [], []
    names = [best[band] for band in _BANDS if band in best]
    scalars = [f"{a} - {b}" for a, b in pairwise(names)]
    scalars.append(best.get("r", names[len(names) // 2]))
    return scalars, [f"colors from columns {', '.join(names)}, taken as magnitudes"]


def _find_classes(catalog: Catalog) -> dict[str, list[str]]:
    """Columns with few different values, and these."""
    used = {name for name, _, _ in catalog.role_columns()}
    found = {}
    for name in catalog.table.colnames:
        values = catalog.table[name]
        if name not in used and values.ndim == 1 and values.dtype.kind in "USOiub":
            filled = values.compressed() if hasattr(values, "compressed") else values
            distinct = sorted({str(value).strip() for value in np.unique(filled)} - {""})
            # What differs in most rows is a name, or a path.
            if 2 <= len(distinct) <= min(_MOST_CLASSES, len(filled) / 2):
                found[name] = distinct
    return found


def _find_votes(catalog: Catalog) -> dict[str, dict[str, str]]:
    """Columns ``question_answer`` of counts, by question and answer."""
    groups: dict[str, dict[str, str]] = defaultdict(dict)
    for name in catalog.table.colnames:
        stem = re.sub(r"_(count|votes?)$", "", name)
        question, _, answer = stem.rpartition("_")
        column = catalog.table[name]
        if question and column.ndim == 1 and column.dtype.kind in "iu" and "total" not in answer:
            groups[question][answer] = name
    groups = {q: answers for q, answers in groups.items() if len(answers) >= 2}
    known = any(_ANSWERS.intersection(answers) for answers in groups.values())
    return dict(groups) if known else {}


def _format_votes(votes: dict[str, dict[str, str]]) -> tuple[str, list[str]]:
    lines = ['name = "morphology"']
    notes = [f"votes of volunteers on {len(votes)} questions: {', '.join(votes)}"]
    for question, answers in votes.items():
        inside = ", ".join(f"{_key(a)} = {quote(column)}" for a, column in answers.items())
        lines += ["", f"[task.questions.{_key(question)}]", f"answers = {{ {inside} }}"]
        parent = _find_parent(question, list(votes))
        if parent is not None:
            lines.append(f"depends_on = {quote(parent)}")
            notes.append(f"{question} is asked after {parent} only")
    if len(votes) > len(notes):
        notes.append(
            "a question that is asked only after some answer needs depends_on = 'question.answer'"
        )
    return "\n".join([*lines, ""]), notes


def _find_parent(question: str, questions: Sequence[str]) -> str | None:
    """The answer after which a question of Galaxy Zoo is asked, if that question is there."""
    for stem, (parent, answer) in _PARENTS.items():
        if question.startswith(stem):
            above = parent + question.removeprefix(stem)
            if above in questions:
                return f"{_key(above)}.{_key(answer)}"
    return None


def _key(text: str) -> str:
    """A name without quotes in TOML, and as it stands in columns of tables."""
    return re.sub(r"[^A-Za-z0-9]+", "_", text).strip("_") or "other"
