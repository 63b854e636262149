"""Objects in a plane: principal components by numpy, neighbors by t-SNE and UMAP."""

from __future__ import annotations

import importlib.util

import keras
import numpy as np
import pytest
from keras import layers

from astrocnn.errors import InputsError, MissingDependency, ModelError
from astrocnn.explain import embedding
from astrocnn.explain.methods.embedding import embed, layer_vectors
from astrocnn.models.monte_carlo_dropout import build_sampler

from .networks import make_images

UMAP = importlib.util.find_spec("umap") is not None


@pytest.fixture(scope="module")
def conv():
    keras.utils.set_random_seed(1)
    image = layers.Input((9, 9, 2), name="image")
    x = layers.Conv2D(4, 3, activation="relu", name="maps")(image)
    x = layers.Dense(5, name="before")(layers.Flatten(name="flat")(x))
    out = layers.Dense(3, name="shape")(layers.Dropout(0.5)(x))
    return keras.Model({"image": image}, {"shape": out}, name="conv")


@pytest.fixture(scope="module")
def groups():
    """Vectors in three groups far apart, and which group each is of."""
    rng = np.random.default_rng(3)
    of = np.repeat([0, 1, 2], 10)
    return 12 * np.eye(3, 8)[of] + rng.normal(size=(30, 8)), of


@pytest.mark.parametrize("shape", [(40, 7), (6, 30), (5, 2)])
def test_principal_components_are_those_of_numpy(shape):
    x = np.random.default_rng(0).normal(size=shape) * np.arange(1, shape[1] + 1) + 5
    found = embed(x)
    u, s, axes = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)
    signs = np.sign(axes[[0, 1], np.abs(axes[:2]).argmax(axis=1)])
    np.testing.assert_allclose(found.points, (u * s)[:, :2] * signs, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found.explained, s[:2] ** 2 / np.sum(s**2), rtol=1e-9)


def test_permuted_objects_are_permuted_points():
    x = np.random.default_rng(0).normal(size=(50, 6))
    order = np.random.default_rng(1).permutation(50)
    np.testing.assert_allclose(embed(x[order]).points, embed(x).points[order], atol=1e-5)


def test_vectors_with_one_or_no_varying_component():
    line = embed(np.arange(4.0)[:, None])
    np.testing.assert_allclose(line.points, [[-1.5, 0], [-0.5, 0], [0.5, 0], [1.5, 0]])
    assert line.explained.tolist() == [1, 0]
    same = embed(np.ones((4, 3)))
    assert not same.points.any() and not same.explained.any()


@pytest.mark.parametrize(
    "method", ["tsne", pytest.param("umap", marks=pytest.mark.skipif(not UMAP, reason="umap"))]
)
@pytest.mark.filterwarnings("ignore")
def test_neighbors_stay_neighbors_and_results_depend_on_the_seed(groups, method):
    x, of = groups
    found = embed(x, method=method, seed=1)
    assert found.points.shape == (30, 2) and np.isnan(found.explained).all()
    apart = np.linalg.norm(found.points[:, None] - found.points[None], axis=-1)
    np.fill_diagonal(apart, np.inf)
    assert (of[apart.argmin(axis=1)] == of).all()
    np.testing.assert_array_equal(embed(x, method=method, seed=1).points, found.points)


@pytest.mark.skipif(UMAP, reason="umap is installed")
def test_missing_umap_names_the_extra(groups):
    with pytest.raises(MissingDependency, match="'umap' is needed to embed") as caught:
        embed(groups[0], method="umap")
    assert "astrocnn[umap]" in str(caught.value)


def test_vectors_are_of_the_layer_before_the_heads_by_default(conv):
    images = make_images(7)
    cut = keras.Model(conv.input, conv.get_layer("before").output)
    expected = keras.ops.convert_to_numpy(cut({"image": images}))
    np.testing.assert_allclose(layer_vectors(conv, images, batch_size=3), expected, atol=1e-6)


def test_maps_are_averaged(conv):
    images = make_images(4)
    cut = keras.Model(conv.input, conv.get_layer("maps").output)
    maps = keras.ops.convert_to_numpy(cut({"image": images}))
    np.testing.assert_allclose(
        layer_vectors(conv, images, "maps"), maps.mean(axis=(1, 2)), rtol=1e-5, atol=1e-7
    )


def test_embedding_of_a_network_is_that_of_its_vectors(conv):
    images = make_images(8)
    found = embedding(conv, images, layer="maps")
    np.testing.assert_allclose(
        found.points, embed(layer_vectors(conv, images, "maps")).points, atol=1e-6
    )
    assert found.method == "pca" and 0 < found.explained.sum() <= 1


def test_invalid_arguments_are_refused(conv):
    images = make_images(4)
    with pytest.raises(ModelError, match="Unknown embedding `method`") as caught:
        embedding(conv, images, method="tnse")
    assert "did you mean 'tsne'" in str(caught.value)
    with pytest.raises(ModelError, match="no layer 'map'") as caught:
        embedding(conv, images, layer="map")
    assert "maps (7, 7, 4)" in str(caught.value)
    with pytest.raises(InputsError, match="Too few objects"):
        embedding(conv, images[:1])
    with pytest.raises(InputsError, match="must be finite"):
        embed([[1.0, np.nan], [0.0, 1.0]])


def test_several_layers_before_the_heads_are_refused(conv):
    images = make_images(4)
    np.testing.assert_allclose(
        layer_vectors(build_sampler(conv, 2), images), layer_vectors(conv, images), atol=1e-6
    )
    flat = layers.Flatten()(conv.input["image"])
    parts = [layers.Dense(3)(flat), layers.Dense(3)(flat)]
    sums = keras.Model(conv.input, {"shape": layers.Add(name="sum")(parts)})
    with pytest.raises(ModelError, match="no single layer before its outputs"):
        layer_vectors(sums, images)
