"""Exported networks predict what the trained ones do, in every format."""

from __future__ import annotations

import json
import zipfile

import numpy as np
import onnx
import pytest
from keras import layers

from astrocnn import plugins
from astrocnn.calibration import Temperature, pit_remap
from astrocnn.errors import ConfigError, ModelError
from astrocnn.estimators import Calibrated, ClassicalEstimator, Ensemble, KerasEstimator
from astrocnn.export import (
    FORMATS,
    TOLERANCE,
    build_twin,
    compute_difference,
    export_network,
    exporter,
    open_exported,
)
from astrocnn.imaging import Inputs
from astrocnn.imaging.normalization import Normalization
from astrocnn.models.build import ARCHITECTURES, smallest_size
from astrocnn.targets import Bernoulli, Categorical, Target, Task

SIZE, BANDS = 32, ("g", "r", "i")
EVERY_FAMILY = Task(
    "all",
    tuple(
        Target(f"{name}_{k}", family, tuple("abcdefgh"[: family.units]) if votes else "label")
        for name in plugins.module_names("astrocnn.targets.families")
        for k, family in enumerate(
            plugins.load_module("astrocnn.targets.families", name).examples()[:2]
        )
        for votes in [family.kind == "votes"]
    ),
    "gaussian_0.",
)
CLASSES = Task(
    "classes",
    (
        Target("kind", Categorical(("a", "b", "c")), "kind"),
        Target("merger", Bernoulli(), "merger"),
    ),
    "kind.accuracy",
)
NORMALIZATION = Normalization(
    "asinh",
    (0.1, 0.2, 0.3),
    (1.0, 0.5, 0.7),
    softening=(1.0, 2.0, 3.0),
    fill=(0.0, 0.5, 0.0),
    mask_channel=True,
)
INPUTS = Inputs(
    BANDS,
    SIZE,
    pixel_scale=0.3,
    unit="nJy",
    normalization=NORMALIZATION,
    # Hours of a Julian date: single precision keeps them only as a difference.
    scalars=("mjd", "ebv"),
    scalar_location=(59123.4567, 0.04),
    scalar_scale=(1.5, 0.02),
)


def network(task=CLASSES, inputs=INPUTS, architecture="lenet", seed=0, **options):
    """A network with the weights that it begins with."""
    options = {"width": 0.25, "head_dropout": 0.5, **options}
    estimator = KerasEstimator(task, inputs, architecture, options=options, seed=seed)
    estimator._adopt(estimator.network)
    return estimator


def objects(n=6, inputs=INPUTS, seed=1):
    """Images with pixels and a band without data, and scalars."""
    rng = np.random.default_rng(seed)
    images = 20 * rng.standard_t(2, (n, inputs.size, inputs.size, inputs.n_bands))
    images[0, 2:5, 3] = np.nan
    images[1, :, :, 1] = np.inf
    images[2, 0, 0] = 3e18
    scalars = np.stack([59123 + rng.normal(size=n), rng.uniform(0, 0.1, n)], axis=1)
    return images.astype(np.float32), scalars.astype(np.float32) if inputs.scalars else None


@pytest.mark.parametrize("format", FORMATS)
def test_every_family_in_every_format(format, tmp_path):
    estimator = network(EVERY_FAMILY)
    made = export_network(estimator, tmp_path / "net", *objects(), format=format)
    assert made.config["parity"]["largest_difference"] < TOLERANCE
    # Other objects than those that were compared, in another number.
    images, scalars = objects(9, seed=5)
    expected = estimator.sample(images, scalars)
    got = open_exported(tmp_path / "net").predict(images, scalars)
    assert set(got) == set(EVERY_FAMILY.names)
    for name, values in expected.items():
        assert got[name].dtype == np.float32 and got[name].shape == values.shape[1:]
        scale = np.maximum(1, np.abs(values[0]))
        assert np.abs((got[name] - values[0]) / scale).max() < 1e-5, name


ALIKE = {
    *("convnext_base", "convnext_nano", "convnext_pico", "convnext_tiny"),
    *("resnet34", "resnet50", "efficientnet_lite1", "efficientnet_lite2"),
}
LISTED = [name for name in plugins.module_names(ARCHITECTURES) if name not in ALIKE]
HEAVY = {
    "convnext",
    "efficientnet_lite0",
    "efficientnetv2_b0",
    "googlenet",
    "equivariant",
    "spectra",
}


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[pytest.mark.slow] if n in HEAVY else []) for n in LISTED],
)
def test_every_architecture_as_onnx(name, tmp_path):
    inputs, images = INPUTS, None
    if plugins.declared(plugins.load("architectures", name), "IMAGE", True):
        size = smallest_size(name, n_channels=6) + 3
        inputs = Inputs(BANDS, size, normalization=NORMALIZATION)
        images = objects(4, inputs)[0]
    else:
        inputs = Inputs((), 0, scalars=("a", "b"), scalar_location=(1, 2), scalar_scale=(3, 4))
    scalars = objects(4)[1] if inputs.scalars else None
    estimator = network(inputs=inputs, architecture=name, width=0.125)
    made = export_network(estimator, tmp_path / "net", images, scalars)
    assert made.config["parity"]["largest_difference"] < TOLERANCE


@pytest.mark.parametrize("format", ["onnx", "saved_model"])
def test_draws_are_those_of_the_network(format, tmp_path):
    estimator, (images, scalars) = network(), objects()
    made = export_network(
        estimator, tmp_path / "net", images, scalars, format=format, draws=13, seed=3
    )
    expected = estimator.sample(images, scalars, draws=13, seed=3)
    got = made.predict(images, scalars)
    for name, values in expected.items():
        assert got[name].shape == values.shape and values.std(axis=0).max() > 1e-3
        np.testing.assert_allclose(got[name], values, atol=1e-5, rtol=0)


@pytest.mark.parametrize("views", ["one", "d4"])
def test_ensembles_orientations_and_temperatures(views, tmp_path):
    ensemble = Ensemble([network(seed=0), network(seed=1)])
    remaps = {"kind": Temperature(1.7), "merger": Temperature(0.6)}
    estimator, (images, scalars) = Calibrated(ensemble, remaps), objects()
    made = export_network(
        estimator, tmp_path / "net", images, scalars, views=views, draws=3, seed=2
    )
    expected = estimator.sample(images, scalars, views=views, draws=3, seed=2)
    got = made.predict(images, scalars)
    for name, values in expected.items():
        assert got[name].shape == values.shape == (6, 6, values.shape[-1])
        np.testing.assert_allclose(got[name], values, atol=1e-5, rtol=0)
    assert made.config["temperatures"] == {"kind": 1.7, "merger": 0.6}
    assert made.config["fingerprint"] == estimator.fingerprint
    # Views of a rotated image are those of the image.
    turned = made.predict(np.rot90(images, axes=(1, 2)), scalars)["kind"]
    assert np.allclose(turned, got["kind"], atol=1e-5) == (views == "d4")


def test_other_calibrations_are_left_out_and_named():
    task = Task("z", (Target("z", plugins.load("families", "binned")(0.0, 1.0), "z"),), "z.")
    inner = network(task)
    estimator = Calibrated(inner, {"z": pit_remap.examples()[0]})
    twin, lacks = build_twin(estimator)
    assert isinstance(twin, KerasEstimator) and twin.precision == "float32"
    assert lacks == ("The calibration of 'z' (PitRemap) is not part of the exported network.",)


@pytest.mark.parametrize("format", FORMATS)
def test_the_file_describes_itself(format, tmp_path):
    folder = tmp_path / "net"
    export_network(network(), folder, *objects(), format=format)
    config = json.loads((folder / "config.json").read_text())
    if format == "onnx":
        model = onnx.load(folder / "model.onnx")
        inside = json.loads({p.key: p.value for p in model.metadata_props}["astrocnn"])
        onnx.checker.check_model(model, full_check=True)
        assert [i.name for i in model.graph.input] == ["image", "scalars"]
        assert {o.name for o in model.graph.output} == {"kind", "merger"}
    elif format == "litert":
        inside = json.loads(zipfile.ZipFile(folder / "model.tflite").read("astrocnn.json"))
    else:
        inside = json.loads((folder / "assets.extra/astrocnn.json").read_text())
    assert inside == config
    assert config["inputs"]["image"] == {
        "shape": ["n", SIZE, SIZE, 3],
        "bands": ["g", "r", "i"],
        "unit": "nJy",
        "pixel_scale_arcsec": 0.3,
        "missing": "NaN",
        "mask_channel": True,
        "stretch": "asinh",
    }
    assert config["outputs"]["kind"]["classes"] == ["a", "b", "c"]
    assert config["outputs"]["kind"]["shape"] == ["n", 3]
    assert config["parity"]["objects"] == 7


def test_a_file_that_predicts_something_else_is_refused(tmp_path, monkeypatch):
    honest = exporter.trace_network

    def with_another_head(twin, **options):
        module = honest(twin, **options)
        other = network(seed=9)
        return honest(other, **options) if module is not None else module

    monkeypatch.setattr(exporter, "trace_network", with_another_head)
    with pytest.raises(ModelError, match="does not predict what this one does") as caught:
        export_network(network(), tmp_path / "net", *objects())
    assert "largest difference" in str(caught.value.received)
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_exported_is_one_sentence(tmp_path):
    images, scalars = objects()
    with pytest.raises(ModelError, match="no such format"):
        export_network(network(), tmp_path / "n", images, scalars, format="onxx")
    with pytest.raises(ModelError, match="have no draws"):
        export_network(network(), tmp_path / "n", images, scalars, format="litert", draws=2)
    with pytest.raises(ModelError, match="whose dropout lies in the head"):
        early = network(inputs=INPUTS, architecture="dominguez_sanchez18", head_dropout=0.0)
        export_network(early, tmp_path / "n", images, scalars, draws=2)
    classical = ClassicalEstimator(CLASSES, Inputs((), 0, scalars=("mag",)), "knn")
    with pytest.raises(ModelError, match="Only networks"):
        export_network(classical, tmp_path / "n", images, scalars)
    with pytest.raises(ModelError, match="at least one object"):
        export_network(network(), tmp_path / "n", images[:0], scalars[:0])
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.tex").write_text("years of work")
    with pytest.raises(ConfigError, match="no exported network is in it"):
        export_network(network(), mine, images, scalars)
    assert (mine / "thesis.tex").read_text() == "years of work"
    with pytest.raises(ModelError, match="not the folder of an exported network"):
        open_exported(mine)


def test_operations_that_a_format_lacks_are_named(tmp_path):
    inputs = Inputs(BANDS, 8, normalization=NORMALIZATION)
    estimator = network(inputs=inputs, architecture="equivariant", width=0.125)
    with pytest.raises(ModelError, match="cannot be written in the format LiteRT") as caught:
        export_network(estimator, tmp_path / "n", objects(3, inputs)[0], format="litert")
    assert "MaxPool3D" in str(caught.value.received)


def test_damaged_files_are_one_sentence(tmp_path):
    for format in FORMATS:
        folder = tmp_path / format
        export_network(network(), folder, *objects(), format=format)
        path = folder / (FORMATS[format].file or "saved_model.pb")
        path.write_bytes(path.read_bytes()[:200])
        with pytest.raises(ModelError, match="cannot be opened"):
            open_exported(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(ModelError):
        open_exported(folder)


def test_differences():
    a = {"x": np.array([[[0.5, 200.0]]])}
    assert compute_difference(a, {"x": np.array([[0.5, 201.0]])}) == 1 / 200
    assert compute_difference(a, {"x": np.array([[[0.4, 200.0]]])}) == pytest.approx(0.1)
    assert compute_difference(a, {"x": np.array([[np.nan, 200.0]])}) == np.inf
    assert compute_difference(a, {"x": np.array([[0.5]])}) == np.inf
    assert compute_difference({"x": np.array([[[np.nan]]])}, {"x": np.array([[np.nan]])}) == 0


def test_the_weights_are_shared_with_the_twin():
    estimator = network()
    twin, _ = build_twin(estimator)
    assert twin.model_ is estimator.model_ and isinstance(twin.model_.layers[0], layers.InputLayer)
