"""The contract of every architecture: a new file is tested by existing."""

from __future__ import annotations

import ast
import functools
import math
from pathlib import Path

import keras
import numpy as np
import pytest

import astrocnn.models
from astrocnn.errors import ModelError
from astrocnn.models import FamilyLoss
from astrocnn.models.build import ARCHITECTURES, build_model, count_parameters, smallest_size
from astrocnn.models.monte_carlo_dropout import MonteCarloDropout
from astrocnn.models.options import Options
from astrocnn.plugins import load_module, module_names

LISTED = module_names(ARCHITECTURES)
OF_SCALARS = [n for n in LISTED if not getattr(load_module(ARCHITECTURES, n), "IMAGE", True)]
OTHER_SIZES = {
    *("convnext_base", "convnext_nano", "convnext_pico", "convnext_tiny"),
    *("efficientnet_lite1", "efficientnet_lite2"),
}
OF_IMAGES = [
    n
    for n in LISTED
    if getattr(load_module(ARCHITECTURES, n), "IMAGE", True) and n not in OTHER_SIZES
]
QUICK = Options(initializer="constant")
NARROW = Options(width=0.125)
FOLDER = Path(astrocnn.models.__file__).parent


KINDS = {
    "act", "add", "concat", "conv", "crop", "dense", "dropout", "flatten", "gate",
    "global_pool", "norm", "pad", "pool", "reshape", "scale", "squeeze",
}  # fmt: skip
smallest = functools.cache(smallest_size)


def images(n, size, channels, seed=0):
    return np.random.default_rng(seed).normal(size=(n, size, size, channels)).astype("float32")


def test_the_list_holds_what_the_documentation_promises():
    assert set(LISTED) >= {
        "alexnet", "ann", "convnext", "dominguez_sanchez18", "equivariant", "euclid_quality",
        "fovea", "googlenet", "lenet", "pasquet19", "plain8", "resnet18", "resnet34", "resnet50",
        "spectra", "vgg16",
    }  # fmt: skip


@pytest.mark.parametrize("name", LISTED)
def test_parameters_are_those_published(name, published):
    reference = load_module(ARCHITECTURES, name).REFERENCE
    assert count_parameters(published(name)) == reference.parameters


@pytest.fixture(scope="module")
def narrow(two_targets):
    """Build a network of few filters once."""

    @functools.cache
    def build(name, extra, channels, scalars):
        how = {"n_channels": channels, "n_scalars": scalars, "options": NARROW}
        return build_model(name, two_targets, size=smallest(name) + extra, **how)

    return build


@pytest.mark.parametrize("name", OF_IMAGES)
@pytest.mark.parametrize(("extra", "channels", "scalars"), [(0, 1, 0), (7, 5, 2)])
def test_builds_for_many_sizes_and_bands(name, extra, channels, scalars, narrow):
    model = narrow(name, extra, channels, scalars)
    x = {"image": images(3, smallest(name) + extra, channels)}
    if scalars:
        x["scalars"] = np.ones((3, scalars), "float32")
    for layer in model.layers:
        if layer.name not in {"image", "scalars", "morphology", "merger"}:
            assert layer.name.rstrip("0123456789") in KINDS, layer.name
    y = model(x)
    assert set(y) == {"morphology", "merger"}
    assert tuple(y["morphology"].shape) == (3, 3)
    assert tuple(y["merger"].shape) == (3, 1)
    assert all(keras.backend.standardize_dtype(v.dtype) == "float32" for v in y.values())
    if scalars:
        moved = model({**x, "scalars": x["scalars"] + 1})
        assert not np.allclose(y["morphology"], moved["morphology"])


@pytest.mark.parametrize("name", OF_IMAGES)
def test_too_small_an_image_names_the_smallest(name, two_targets):
    least = smallest(name)
    if least > 1:
        with pytest.raises(ModelError, match=f"allowed:  {least} pixels"):
            build_model(name, two_targets, size=least - 1, n_channels=1, options=NARROW)


def losses(model, x, task, steps, rate):
    """The loss before each of some steps of training on twelve objects."""
    loss = {t.name: FamilyLoss(t.family) for t in task.targets}
    model.compile(keras.optimizers.SGD(rate, global_clipnorm=1.0), loss=loss, run_eagerly=True)
    y = {
        "morphology": np.eye(3, dtype="float32")[np.arange(12) // 4],
        "merger": (np.arange(12) > 5).astype("float32")[:, None],
    }
    # One step at a time: `fit` has a cost of its own.
    return [float(np.atleast_1d(model.train_on_batch(x, y))[0]) for _ in range(steps)]


@pytest.mark.parametrize("name", OF_IMAGES)
def test_training_lowers_the_loss(name, two_targets):
    size = max(smallest(name) + 1, 12)
    keras.utils.set_random_seed(2)
    options = Options(dropout=0.0, width=0.125)
    model = build_model(name, two_targets, size=size, n_channels=2, options=options)
    x = images(12, size, 2) + np.linspace(-3, 3, 12, dtype="float32").reshape(12, 1, 1, 1)
    history = losses(model, {"image": x}, two_targets, 4, 0.2)
    assert min(history) < 0.98 * history[0]


@pytest.mark.parametrize("name", OF_IMAGES)
def test_a_saved_model_outputs_the_same(name, narrow, tmp_path):
    model = narrow(name, 7, 5, 2)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    x = {"image": images(4, smallest(name) + 7, 5), "scalars": np.ones((4, 2), "float32")}
    for key, value in model(x).items():
        np.testing.assert_array_equal(value, again(x)[key])


@pytest.mark.parametrize("name", OF_SCALARS)
@pytest.mark.parametrize("length", [1, 2, 37])
def test_scalars_of_any_number_are_learned_from(name, length, two_targets, tmp_path):
    keras.utils.set_random_seed(1)
    options = Options(dropout=0.0, width=4 if length == 1 else 1)
    model = build_model(name, two_targets, size=0, n_channels=0, n_scalars=length, options=options)
    x = {"scalars": np.linspace(-2, 2, 12 * length, dtype="float32").reshape(12, length)}
    history = losses(model, x, two_targets, 4, 0.2)
    assert history[-1] < 0.99 * history[0]
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", compile=False, safe_mode=True)
    for key, value in model(x).items():
        np.testing.assert_array_equal(value, again(x)[key])


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.py")), ids=lambda p: p.stem)
def test_networks_name_no_backend(path):
    for node in ast.walk(ast.parse(path.read_text())):
        found = []
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found = [node.module or ""]
        assert not {f.split(".")[0] for f in found} & {"tensorflow", "jax", "torch"}


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.py")), ids=lambda p: p.stem)
def test_dropout_is_made_in_blocks_only(path):
    made = {
        node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, (ast.Attribute, ast.Name))
    }
    assert "Dropout" not in made or path.name == "blocks.py"


def test_resnet_stem_follows_the_size(task_of):
    large = build_model("resnet18", task_of(t=2), size=112, n_channels=1)
    small = build_model("resnet18", task_of(t=2), size=111, n_channels=1)
    assert large.get_layer("conv1").kernel.shape[:2] == (7, 7)
    assert small.get_layer("conv1").kernel.shape[:2] == (3, 3)
    chosen = build_model(
        "resnet18", task_of(t=2), size=64, n_channels=1, options=Options(stem="large")
    )
    assert chosen.get_layer("conv1").kernel.shape[:2] == (7, 7)


def test_lenet_differs_from_the_original_by_its_table_and_its_poolings(task_of):
    kernels_used = 6 * 3 + 9 * 4 + 1 * 6  # LeCun+98, table 1
    model = build_model("lenet", task_of(digit=10), size=32, n_channels=1)
    original = count_parameters(model) - (6 * 16 - kernels_used) * 25 + 2 * (6 + 16)
    assert original == 60_850
    assert original - 850 == 60_000  # LeCun+98, section II.B: the output layer has fixed weights


def test_pasquet19_has_the_weights_its_paper_counts(published):
    # Pasquet+19, section 3: 27,391,464, which leaves out biases, slopes and the output layer.
    model = published("pasquet19")
    kernels = [math.prod(x.kernel.shape) for x in model.layers if hasattr(x, "kernel")]
    assert sum(kernels) - 1096 * 180 == 27_391_464
    rates = [x.rate for x in model.layers if isinstance(x, keras.layers.Dropout)]
    assert rates == [0.5, 0.5]
    before = {x.name for x in MonteCarloDropout(model, 2)._split.prefix.layers}
    assert {"conv1", "concat5", "dense1"} <= before


def test_pasquet19_listens_to_images_beside_colors(two_targets):
    """At the start, the images of other objects change an output more than other colors do."""

    blurred = images(32, 4, 5).repeat(8, axis=1).repeat(8, axis=2)  # unlike noise, it lasts
    x = {"image": blurred, "scalars": images(32, 1, 6)[:, 0, 0]}

    def changed_by(**options):
        keras.utils.set_random_seed(0)
        how = {"size": 32, "n_channels": 5, "n_scalars": 6}
        model = build_model("pasquet19", two_targets, options=Options(width=0.25, **options), **how)
        # Called, not `predict`: tracing a graph would take longer than the two batches.
        first, *others = (
            np.hstack([np.asarray(raw) for raw in model(values).values()])
            for values in (x, *({**x, name: x[name][::-1]} for name in ("image", "scalars")))
        )
        return [np.std(other - first) for other in others]

    by_image, by_scalars = changed_by()
    assert by_image > 1.5 * by_scalars
    # As the paper has it, with the start of its time, they are drowned.
    by_image, by_scalars = changed_by(initializer="glorot")
    assert by_image < 0.7 * by_scalars


def test_alexnet_differs_from_the_original_by_its_groups():
    # Krizhevsky+12, section 3.5: kernels of 5x5x48, 3x3x192 and 3x3x192 instead of all maps.
    halved = 25 * 48 * 256 + 9 * 192 * 384 + 9 * 192 * 256
    reference = load_module(ARCHITECTURES, "alexnet").REFERENCE
    assert reference.parameters - halved == 60_965_224


def test_googlenet_has_the_modules_of_its_table(published):
    # Szegedy+15, table 1, column "params" in units of 1024: kernels without biases.  The other
    # six modules of that column do not follow from the numbers of filters beside it.
    model = published("googlenet")
    kernels = [math.prod(x.kernel.shape) for x in model.layers if x.name.startswith("conv")]
    modules = [sum(kernels[i : i + 6]) / 1024 for i in range(3, len(kernels), 6)]
    for place, expected in {0: 159, 1: 380, 3: 437}.items():
        assert modules[place] == pytest.approx(expected, abs=1.1)
    assert math.prod(model.get_layer("target").kernel.shape) == 1000 * 1024
    assert model.get_layer("concat9").output.shape[1:] == (7, 7, 1024)


def test_equivariant_parameters_by_formula():
    filters = [8, 8, 16, 16, 32, 32, 64, 64]
    before = [8 * n for n in filters[:-1]]  # eight orientations of each map
    kernels = sum(9 * m * n for m, n in zip([3, *before], filters, strict=True))
    assert (
        kernels + 2 * sum(filters) + 3 * 65
        == load_module(ARCHITECTURES, "equivariant").REFERENCE[4]
    )


@pytest.mark.parametrize("name", ["googlenet", "convnext"])
def test_small_stamps_take_a_small_stem(name, task_of):
    def sides(size, **options):
        model = build_model(
            name, task_of(t=2), size=size, n_channels=1, options=Options(width=0.05, **options)
        )
        return {t.shape[1] for x in model.layers if len((t := x.output).shape) == 4}

    assert min(sides(64)) >= 4
    assert min(sides(64, stem="large")) == 2
    assert min(sides(224)) == 7
