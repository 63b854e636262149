"""``astrocnn explain``: what the network looks at, can one believe it, what has it learned."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from astrocnn import __version__
from astrocnn.atomic import replacing_folder, sha256, write_bytes
from astrocnn.backend import load_tensorflow
from astrocnn.datasets import find_usable_rows
from astrocnn.errors import AstrocnnError, ConfigError, PredictionError
from astrocnn.imaging import get_cutout_wcs, open_source
from astrocnn.progress import track
from astrocnn.report.style import render_png
from astrocnn.runs.run import CustomSurvey, Run
from astrocnn.runs.verbs import report

if TYPE_CHECKING:
    from astrocnn.report.page import Chapter
    from astrocnn.runs.explaining.learning import Whole
    from astrocnn.runs.explaining.parts import Part
    from astrocnn.runs.explaining.subject import Subject
    from astrocnn.runs.explaining.told import Told

__all__ = ["PER_CLASS", "run"]

PER_CLASS = 2
"""Objects of each predicted class, when nothing is asked for."""

_POINTS = 1000
"""Objects of the test split that the network as a whole is shown, at most."""

Rows = NDArray[np.int64]


def run(
    folder: Path,
    *,
    objects: Sequence[str] = (),
    most_uncertain: int | None = None,
    per_class: int | None = None,
    methods: Sequence[str] = (),
    targets: Sequence[str] = (),
    of: str | None = None,
    square: int | None = None,
    uncertainty: bool = False,
    checks: bool = True,
) -> Iterator[str]:
    """Look into the network of a run; write ``explanations/``, figures, and the report anew.

    Parameters
    ----------
    folder : Path
        The run directory.
    objects : sequence of str
        Identifiers of the objects to explain.
    most_uncertain : int, optional
        Instead, so many of the test split of which the prediction is least certain.
    per_class : int, optional
        Instead, so many of each predicted class of the test split; of a quantity in each fifth of
        the objects ordered by the predicted value.
    methods : sequence of str
        By name; some of each kind by default.
    targets : sequence of str
        Of the task; that of the headline by default.
    of : str, optional
        The number that is explained, in place of the predicted class and the mean: see
        `astrocnn.runs.explaining.parts.number_of`.
    square : int, optional
        Side of the square by which occlusion hides parts of the image [pixel].
    uncertainty : bool
        Also map what the draws disagree about.
    checks : bool
        Whether maps are checked, which takes most of the time.

    Raises
    ------
    ConfigError
        If there is no such method or target, objects are chosen in two ways, or one number is to be
        explained of several targets.
    ModelError
        If there is no network, no such number, or the square is larger than the image.
    CatalogError
        If an object is not in the catalogue.
    PredictionError
        If an object has no image, or there is none to choose from.
    """
    if bool(objects) + (most_uncertain is not None) + (per_class is not None) > 1:
        raise ConfigError("Objects are chosen in one way.", allowed="one of the three options")
    if of is not None and len(targets) > 1:
        raise ConfigError("One number is explained of one target.", received=", ".join(targets))
    current = Run.open(folder)
    config, home, shards = current.config, current.directory, current.shards
    home.require(home.model, "train")

    load_tensorflow()
    from astrocnn.runs.explaining.learning import Whole, wholes_of
    from astrocnn.runs.explaining.looking import CHECKS
    from astrocnn.runs.explaining.methods import methods_of
    from astrocnn.runs.explaining.parts import answer, disagreement, number_of
    from astrocnn.runs.explaining.subject import subject_of
    from astrocnn.runs.explaining.told import Told

    estimator = current.estimator
    inside = subject_of(estimator, shards)
    names = tuple(targets) or (inside.task.headline.partition(".")[0],)
    for name in names:
        inside.task.target(name)
    number = None if of is None else number_of(of, inside.task.target(names[0]))
    mapping, knowing = methods_of(methods, wholes_of())
    test = current.rows["test"]
    told = Told(home, config, estimator, shards)
    rows, how = _chosen(inside, told, test, names[0], objects, most_uncertain, per_class)
    yield f"{len(rows)} objects, {how}; labels are shown, and no score is computed"
    yield from inside.remarks

    made = CHECKS if checks else ()
    common = (inside, told)
    parts = [
        answer(*common, name, rows, mapping, made, number=number, square=square)
        for name in names
        if mapping
    ]
    if uncertainty and mapping:
        draws, seed = config.prediction.draws or 20, config.seed
        parts += [
            disagreement(*common, name, rows, mapping, made, draws=draws, seed=seed, square=square)
            for name in names
        ]
    few = test[:_POINTS]
    whole = Whole(inside, told, names[0], few, int(rows[0]), config.seed)
    fields: dict[str, Any] = {}
    missed: dict[str, str] = {}
    steps = [step for part in parts for step in part.maps.work()]
    steps += [whole.step(name, fields, missed) for name in knowing]
    for _, step in track(steps, "looking inside"):
        step()
    for left_out in (*(part.maps.left_out for part in parts), missed):
        yield from (f"without {name}: {why}" for name, why in left_out.items())
    parts = [part for part in parts if part.maps.maps]
    if not parts and not fields:
        raise PredictionError(
            "None of these methods can be used on this network.", received=", ".join(methods)
        )
    yield from _left_behind(current, inside, estimator.fingerprint, rows, parts, whole, fields)


def _chosen(
    inside: Subject,
    told: Told,
    test: Rows,
    target: str,
    objects: Sequence[str],
    most_uncertain: int | None,
    per_class: int | None,
) -> tuple[Rows, str]:
    """Rows to explain, and how they were chosen."""
    from astrocnn.runs.explaining.objects import named, some_of_each, uncertain

    shards = inside.shards
    if objects:
        rows = named(shards.catalog, objects)
        good, _ = find_usable_rows(shards, inside.inputs)
        bad = np.setdiff1d(rows, good)
        if len(bad):
            raise PredictionError(
                "There is nothing to look at: an object lacks its image, a band or a scalar.",
                received=", ".join(str(i) for i in shards.ids[bad]),
            )
        return rows, "as named"
    if not len(test):
        raise PredictionError(
            "The test split has no labelled object to choose from.", hint="name some: --objects"
        )
    found = told.predictions(target, test)
    if most_uncertain is not None:
        places = uncertain(found, most_uncertain)
        return test[places], "the least certain of the test split"
    count = PER_CLASS if per_class is None else per_class
    each = "predicted class" if found.classes else "fifth of the predicted values"
    return test[some_of_each(found, count)], f"{count} of each {each} in the test split"


def _places(current: Run, rows: Rows) -> tuple[list[Any], str]:
    """WCS of the cutouts, and why there is none."""
    none = [None] * len(rows)
    try:
        survey, shards = current.survey, current.shards
        if survey is None or isinstance(survey, CustomSurvey):
            return none, ""
        catalog = current.catalog
        if not np.array_equal(catalog.ids[rows], shards.ids[rows]):
            return none, "without WCS: the catalogue has changed since the cutouts were made"
        columns = {name: catalog.table[name][rows] for name in catalog.table.colnames}
        ra, dec = (None if v is None else v[rows] for v in (catalog.ra, catalog.dec))
        source = open_source(survey, ra=ra, dec=dec, columns=columns, size=shards.size)
        return [get_cutout_wcs(source, k) for k in range(len(rows))], ""
    except (AstrocnnError, OSError, IndexError) as error:
        return none, f"without WCS: {getattr(error, 'what', error)}"


def _left_behind(
    current: Run,
    inside: Subject,
    fingerprint: str,
    rows: Rows,
    parts: Sequence[Part],
    whole: Whole,
    fields: dict[str, Any],
) -> Iterator[str]:
    """Write files, figures and report."""
    from astrocnn.explain import explanation_files as files
    from astrocnn.explain.explained import Learned

    home, config, shards = current.directory, current.config, inside.shards
    wcs, nowhere = _places(current, rows)
    if nowhere:
        yield nowhere
    catalog = shards.catalog
    found = files.Objects(
        ids=shards.ids[rows],
        rows=rows,
        ra=None if catalog.ra is None else catalog.ra[rows],
        dec=None if catalog.dec is None else catalog.dec[rows],
        images=shards.images(rows),
        wcs=wcs,
        bands=shards.bands,
        channels=inside.channels,
        unit=shards.unit,
        scalars=inside.alone(rows),
    )
    cards: list[tuple[str, Any, str]] = [
        ("ORIGIN", f"astrocnn {__version__}", "software"),
        ("RUN", config.title, "title of the run"),
        ("CONFSHA", sha256(home.config_file), "digest of the run file"),
        ("MODELSHA", fingerprint, "digest of what predicts"),
        ("NETSHA", inside.network.fingerprint, "digest of the network explained"),
    ]
    diagnosed = [part.diagnosed(found.ids, found.images) for part in parts]
    learned = Learned(**fields) if fields else None
    with replacing_folder(home.explanations) as fresh:
        files.write(fresh, found, diagnosed, learned, cards, (shards.ids[whole.rows], whole.rows))
    made = report.inside_chapters(home, shards, inside.network.fingerprint) or []
    n = _save_figures(home.figures, made)
    yield f"explanations: {home.explanations}"
    yield f"{n} figures: {home.figures / 'explain_*.png'}"
    if home.scores.is_file():
        yield from report.write(current, inside=made)
    else:
        yield "run 'astrocnn evaluate' and 'astrocnn report' for a report with these chapters"


def _save_figures(folder: Path, chapters: Sequence[Chapter]) -> int:
    """Write the figures of chapters as PNG, in place of those of last time."""
    old = set(folder.glob("explain_*.png"))
    n = 0
    for chapter in chapters:
        name = chapter.anchor.removeprefix("what-the-network-")
        for number, picture in enumerate(chapter.figures, start=1):
            path = folder / f"explain_{name}_{number}.png"
            # A raster of the page is the same file; lines are drawn as pixels here.
            text = (
                picture.source.partition(",")[2] if picture.raster else render_png(picture.figure)
            )
            write_bytes(path, base64.b64decode(text))
            old.discard(path)
            n += 1
    for path in old:
        path.unlink()
    return n
