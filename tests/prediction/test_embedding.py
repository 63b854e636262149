"""Embeddings: the features of each object, for any workers, interruptions and orientations."""

from __future__ import annotations

import itertools

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from astropy.table import Table

from astrocnn.catalog import Catalog, read_catalog
from astrocnn.errors import ModelError, PredictionError
from astrocnn.flags import Flag
from astrocnn.imaging import ArraySource
from astrocnn.prediction import embed, predict, to_parquet
from astrocnn.prediction.fits_headers import is_intact


def measure(images):
    """Ten numbers per image, which a rotation changes."""
    flat = np.nan_to_num(np.asarray(images, np.float32)).reshape(len(images), -1)
    return flat[:, :10] - flat[:, -10:]


@pytest.fixture
def featured(fake):
    class Featured(fake.Photometric):
        fingerprint = "featured"
        batches = ()

        def features(self, images, scalars=None, *, layer=None):
            if layer not in (None, "deep"):
                raise ModelError(f"The network has no layer '{layer}'.")
            self.batches += (len(images),)
            return measure(images) * (2 if layer else 1)

    return Featured


def read(path):
    with fits.open(path) as hdus:
        data, header = hdus["EMBEDDINGS"].data, hdus[0].header
        return {name: np.array(data[name]) for name in data.names}, header, hdus[1].header


def test_each_row_has_the_features_of_its_image(fake, featured, tmp_path):
    catalog, source = fake.survey()
    out = embed(featured(), catalog, source, tmp_path / "e.fits")
    table, primary, header = read(out)
    assert list(table) == ["OBJECT_ID", "RA", "DEC", "flags", "embedding"]
    np.testing.assert_array_equal(table["OBJECT_ID"], catalog.ids)
    assert table["OBJECT_ID"].dtype.itemsize == 8 and table["OBJECT_ID"].dtype.kind == "i"
    expected = measure(source.read(np.arange(len(catalog))).images)
    expected[fake.broken] = np.nan
    np.testing.assert_array_equal(table["embedding"], expected)
    unusable = (table["flags"] & int(Flag.NOT_PREDICTED)) != 0
    assert np.flatnonzero(unusable).tolist() == [fake.broken]
    assert primary["LAYER"] == "" and primary["VIEWS"] == "one" and "NDRAWS" not in primary
    assert header["TUCD5"] == "stat.value" and "input of the heads" in header["TCOMM5"]
    assert is_intact(out) and not (tmp_path / "e.fits.parts").exists()


def test_workers_and_interruptions_give_the_same_bytes(fake, featured, tmp_path, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    catalog, source = fake.survey(text=True)
    whole = embed(featured(), catalog, source, tmp_path / "a.fits").read_bytes()
    out = tmp_path / "b.fits"
    done = [embed(featured(), catalog, source, out, worker=(i, 3)) for i in (2, 3, 1)]
    assert done == [None, None, out]
    assert out.read_bytes() == whole

    class Dying(featured):
        left = 4

        def features(self, images, scalars=None, *, layer=None):
            self.left -= 1
            if not self.left:
                raise KeyboardInterrupt
            return super().features(images, scalars, layer=layer)

    out = tmp_path / "c.fits"
    with pytest.raises(KeyboardInterrupt):
        embed(Dying(), catalog, source, out)
    again = featured()
    embed(again, catalog, source, out)
    assert out.read_bytes() == whole
    # One object for the width; two of five chunks were there.
    assert len(again.batches) == 1 + 3


def test_with_all_orientations_a_rotated_image_has_the_same_embedding(fake, featured, tmp_path):
    catalog, source = fake.survey(broken=False)
    images = source.read(np.arange(len(catalog))).images
    vectors = []
    for k, flip in itertools.product((0, 1), (False, True)):
        turned = np.rot90(images, k, axes=(1, 2))
        turned = turned[:, ::-1] if flip else turned
        moved = ArraySource(np.ascontiguousarray(turned), bands=source.bands)
        path = embed(featured(), catalog, moved, tmp_path / f"{k}{flip}.fits", views="d4")
        vectors.append(read(path)[0]["embedding"])
    for other in vectors[1:]:
        np.testing.assert_allclose(other, vectors[0], atol=1e-6)
    plain = read(embed(featured(), catalog, source, tmp_path / "one.fits"))[0]["embedding"]
    assert np.abs(plain - vectors[0]).max() > 0.1


def test_another_layer_is_another_table(fake, featured, tmp_path):
    catalog, source = fake.survey(n=70)
    out = tmp_path / "e.fits"
    first = read(embed(featured(), catalog, source, out))
    # What exists is only taken for what was asked.
    second = read(embed(featured(), catalog, source, out, layer="deep"))
    np.testing.assert_array_equal(second[0]["embedding"], 2 * first[0]["embedding"])
    assert second[1]["LAYER"] == "deep" and second[1]["FPRINT"] != first[1]["FPRINT"]
    with pytest.raises(ModelError, match="no layer 'pool9'"):
        embed(featured(), catalog, source, out, layer="pool9")
    with pytest.raises(ModelError, match="no features"):
        embed(fake.Photometric(), catalog, source, out)
    with pytest.raises(ModelError, match="`views`"):
        embed(featured(), catalog, source, out, views="d8")


def test_a_column_of_the_catalogue_with_the_name_of_ours_is_refused(featured, fake, tmp_path):
    _, source = fake.survey(n=70)
    catalog = Catalog.from_table(Table({"Embedding": np.arange(70)}), id="Embedding")
    with pytest.raises(PredictionError, match="Two columns"):
        embed(featured(), catalog, source, tmp_path / "e.fits")


def test_chunks_of_a_prediction_are_not_taken_for_embeddings(fake, featured, tmp_path):
    catalog, source = fake.survey()
    out = tmp_path / "t.fits"
    assert predict(featured(), catalog, source, out, worker=(1, 2)) is None
    with pytest.raises(PredictionError, match="another prediction"):
        embed(featured(), catalog, source, out)


def test_parquet_keeps_identifiers_and_vectors(fake, featured, tmp_path):
    catalog, source = fake.survey()
    path = embed(featured(), catalog, source, tmp_path / "e.fits")
    to_parquet(path, tmp_path / "e.parquet", hdu="EMBEDDINGS")
    stored = pq.read_table(tmp_path / "e.parquet")
    assert stored.schema.field("embedding").type == pa.list_(pa.float32(), 10)
    assert stored["OBJECT_ID"].to_pylist() == catalog.ids.tolist()
    np.testing.assert_array_equal(
        read_catalog(tmp_path / "e.parquet").column("embedding")[0], read(path)[0]["embedding"]
    )
