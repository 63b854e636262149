"""Extras: their columns follow the task's, their values stand in the rows that were predicted."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from astrocnn import plugins
from astrocnn.column import Column
from astrocnn.errors import PredictionError
from astrocnn.flags import Flag
from astrocnn.prediction import predict, predict_objects
from astrocnn.prediction.layout import Layout, get_absent_values


def test_columns_follow_those_of_the_task_and_are_absent_where_nothing_was_predicted(
    fake, tmp_path
):
    catalog, source = fake.survey()
    extras = (fake.Brightness(), fake.Counted())
    estimator = fake.Photometric(members=3)
    out = predict(estimator, catalog, source, tmp_path / "p.fits", draws=2, extras=extras)
    table = Table.read(out, hdu="PREDICTIONS")
    task = [c.name for c in estimator.task.columns()]
    own = ["brightness", "side", "n_samples", "n_modes", "selected"]
    assert table.colnames == ["OBJECT_ID", "RA", "DEC", "flags", *task, *own]
    images = source.read(np.arange(300)).images
    expected = np.nansum(images, axis=(1, 2, 3))
    good = np.arange(300) != fake.broken
    np.testing.assert_allclose(np.ma.getdata(table["brightness"])[good], expected[good], rtol=1e-6)
    assert np.isnan(np.ma.getdata(table["brightness"])[fake.broken])
    side = np.where(catalog.dec > 0, "north", "south")
    side[fake.broken] = ""
    assert np.ma.getdata(table["side"]).astype(str).tolist() == side.tolist()
    assert table["n_samples"].tolist() == np.where(good, 6, -1).tolist()
    assert table["n_modes"][fake.broken] == -5
    low = np.ma.getdata(table["z_mean"]) < 0.5
    assert np.asarray(table["selected"]).tolist() == low.astype(int).tolist()
    assert 10 < low.sum() < 290 and not low[fake.broken]
    header = fits.getheader(out, 0)
    assert header["EXTRA1"] == "Brightness brightness-1"
    assert fits.getheader(out, 1)["TCOMM" + str(table.colnames.index("side") + 1)]


def test_rows_in_memory_are_those_of_the_table(fake, tmp_path):
    catalog, source = fake.survey()
    extras = (fake.Brightness(), fake.Counted())
    out = predict(fake.Photometric(), catalog, source, tmp_path / "p.fits", extras=extras)
    rows = np.arange(5, 20)
    columns = predict_objects(fake.Photometric(), catalog[rows], source.read(rows), extras=extras)
    table = Table.read(out, hdu="PREDICTIONS", mask_invalid=False)
    for name, values in columns.items():
        found = np.ma.getdata(table[name])[rows]
        found = found.astype(str) if found.dtype.kind == "S" else found
        np.testing.assert_array_equal(found, values, err_msg=name)


def test_only_rows_without_a_prediction_never_reach_an_extra(fake):
    catalog, source = fake.survey()
    extra = fake.Brightness()
    extra.compute = None
    rows = np.array([fake.broken])
    columns = predict_objects(
        fake.Photometric(), catalog[rows], source.read(rows), extras=(extra, fake.Counted())
    )
    assert np.isnan(columns["brightness"][0]) and columns["side"][0] == ""
    assert columns["n_samples"][0] == -1 and columns["selected"].tolist() == [False]


@pytest.mark.parametrize("draws", [0, 1, 3])
def test_no_number_stands_where_nothing_was_predicted(fake, draws):
    catalog, source = fake.survey(20)
    columns = predict_objects(fake.Photometric(), catalog, source.read(np.arange(20)), draws=draws)
    assert columns.pop("flags")[fake.broken] & Flag.NOT_PREDICTED
    for name, values in columns.items():
        held = values[fake.broken]
        assert held == "" if values.dtype.kind == "U" else np.isnan(held), name


def test_an_object_that_the_estimator_cannot_predict_is_flagged(fake):
    class Lacking(fake.Photometric):
        def sample(self, *arrays, **options):
            found = super().sample(*arrays, **options)
            for values in found.values():
                values[:, 2] = np.nan
            return found

    catalog, source = fake.survey(20)
    columns = predict_objects(Lacking(), catalog, source.read(np.arange(20)))
    absent = (columns.pop("flags") & Flag.NOT_PREDICTED) > 0
    assert np.flatnonzero(absent).tolist() == [2, fake.broken]
    for values in columns.values():
        np.testing.assert_array_equal(values[2], values[fake.broken])


def test_another_extra_is_another_prediction(fake, tmp_path):
    catalog, source = fake.survey(20)
    extra, estimator = fake.Brightness(), fake.Photometric()
    for fingerprint, calls in (("a", 1), ("a", 1), ("b", 2)):
        extra.fingerprint = fingerprint
        predict(estimator, catalog, source, tmp_path / "p.fits", extras=(extra,))
        assert estimator.calls == calls
    predict(estimator, catalog, source, tmp_path / "p.fits")
    assert estimator.calls == 3


def _of_the_package():
    found = []
    for name in plugins.module_names("astrocnn.calibration"):
        module = plugins.load_module("astrocnn.calibration", name)
        found += module.examples() if hasattr(module, "examples") else []
    return [extra for extra in found if hasattr(extra, "compute")]


@pytest.mark.parametrize("extra", _of_the_package(), ids=lambda e: type(e).__name__)
def test_extras_of_the_package_fit_a_table(fake, extra):
    catalog, _ = fake.survey(20)
    layout = Layout.build(fake.Photometric(), catalog, (extra,), "none")
    declared = layout.predicted[-len(extra.columns()) :]
    assert [c.name for c in declared] == [c.name for c in extra.columns()]
    for column, value in zip(declared, get_absent_values(extra).values(), strict=True):
        assert column.encode(value, 1).shape == (1,)
    assert len(extra.fingerprint) > 7


class Odd:
    """An extra with one column, to order."""

    fingerprint = "odd"

    def __init__(self, dtype="f4", values=None, name="odd", given=None, **more):
        self.name, self.dtype = name, dtype
        self.values, self.given = values, given or name
        self.__dict__.update(more)

    def columns(self):
        return (Column(self.name, self.dtype),)

    def compute(self, batch):
        return {self.given: np.zeros(len(batch)) if self.values is None else self.values}


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        (Odd(name="Z_Mean"), "one of the task, one of Odd"),
        (Odd(name="ra"), "one of the catalogue, one of Odd"),
        (Odd(name="flags"), "one of the table itself, one of Odd"),
        (Odd(name="odd"), "'odd'.*one of Odd, one of Odd"),
        (Odd("u2"), "cannot hold its absent value"),
        (Odd("i2", absent={"odd": 40000}), "cannot hold its absent value"),
        (Odd("c8", name="c"), "a type a FITS table does not hold"),
    ],
)
def test_impossible_columns_are_refused_before_any_work(fake, tmp_path, extra, said):
    catalog, source = fake.survey(20)
    estimator = fake.Photometric()
    with pytest.raises(PredictionError, match=f"(?s){said}"):
        predict(estimator, catalog, source, tmp_path / "p.fits", extras=(Odd(), extra))
    assert estimator.calls == 0 and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        (Odd(given="even"), "other columns than it declares"),
        (Odd(values=np.zeros(3)), r"shape \(3,\)"),
        (Odd("i2", np.zeros(5)), "values of type float64"),
        (Odd("i2", np.full(5, 40000)), "do not fit"),
        (Odd("U3", np.full(5, "long")), "do not fit"),
        (Odd("bool", np.zeros(5, int)), "values of type int64"),
    ],
)
def test_values_other_than_declared_are_refused(fake, extra, said):
    catalog, source = fake.survey(5, broken=False)
    rows = np.arange(5)
    with pytest.raises(PredictionError, match=f"(?s){said}"):
        predict_objects(fake.Photometric(), catalog[rows], source.read(rows), extras=(extra,))


def test_an_unsigned_integer_may_state_its_absent_value(fake):
    catalog, source = fake.survey(10)
    extra = Odd("u1", np.arange(9), absent={"odd": 255})
    columns = predict_objects(
        fake.Photometric(), catalog, source.read(np.arange(10)), extras=(extra,)
    )
    assert columns["odd"].tolist() == [0, 1, 2, 3, 4, 5, 6, 255, 7, 8]


class Alarm(Odd):
    """An extra that sets a flag where it is told to, and counts features."""

    needs_features = True
    flags = Flag.NOVEL

    def __init__(self, bits=0, **more):
        super().__init__(**more)
        self.bits = bits

    def compute(self, batch):
        assert batch.features.shape == (len(batch), 3)
        bits = np.where(batch.features[:, 0] > 0.5, self.bits, 0)
        return {**super().compute(batch), "flags": bits}


def _with_features(fake):
    estimator = fake.Photometric()
    estimator.features = lambda images, scalars: np.repeat(
        np.nanmean(images, axis=(1, 2, 3))[:, None], 3, axis=1
    )
    return estimator


def test_an_extra_sets_the_flag_that_it_declares_and_no_other_bit(fake, tmp_path):
    catalog, source = fake.survey(200)
    estimator, images = _with_features(fake), source.read(np.arange(200)).images
    extras = (Alarm(int(Flag.NOVEL)), fake.Brightness())
    out = predict(estimator, catalog, source, tmp_path / "p.fits", extras=extras)
    flags = np.asarray(Table.read(out, hdu="PREDICTIONS")["flags"])
    bright = np.nanmean(np.nan_to_num(images), axis=(1, 2, 3)) > 0.5
    assert 10 < bright.sum() < 190
    np.testing.assert_array_equal(flags & Flag.NOVEL > 0, bright)
    assert flags[fake.broken] & Flag.NOT_PREDICTED and np.bitwise_or.reduce(flags) < 1 << 13
    assert fits.getheader(out)["FLAG12"] == Flag.NOVEL.sentence
    with pytest.raises(PredictionError, match=r"(?s)flags.*other bits.*NOVEL"):
        predict_objects(
            estimator, catalog, source.read(np.arange(200)), extras=(Alarm(int(Flag.NO_COVERAGE)),)
        )


def test_a_flag_that_was_not_declared_is_refused(fake):
    catalog, source = fake.survey(5, broken=False)
    silent = Alarm(int(Flag.NOVEL))
    silent.flags = 0
    with pytest.raises(PredictionError, match="other columns than it declares"):
        predict_objects(_with_features(fake), catalog, source.read(np.arange(5)), extras=(silent,))
