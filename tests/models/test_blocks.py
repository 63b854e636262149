"""Layer arithmetic, and options reaching the layers."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from astrocnn.errors import ModelError
from astrocnn.models.blocks import Block
from astrocnn.models.custom_layers import compute_extent
from astrocnn.models.options import Options


def test_a_5x5_convolution_of_three_bands_has_2432_parameters():
    image = keras.Input((32, 32, 3))
    model = keras.Model(image, Block().conv(image, 32, 5))
    assert model.count_params() == (5 * 5 * 3 + 1) * 32 == 2432


@pytest.mark.parametrize("size", [7, 12, 33])
@pytest.mark.parametrize("window", [1, 2, 3, 6])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_extent_is_what_keras_makes(size, window, stride):
    image = keras.Input((size, size, 1))
    after = Block().conv(image, 1, window, strides=stride, padding="valid")
    assert after.shape[1] == compute_extent(size, window, stride=stride)
    padded = keras.layers.ZeroPadding2D(2)(image)
    after = Block().pool(padded, window, strides=stride)
    assert after.shape[1] == compute_extent(size, window, stride=stride, padding=2)


@pytest.mark.parametrize("kind", ["batch", "layer", "group"])
def test_normalization_replaces_the_bias(kind):
    image = keras.Input((9, 9, 2))
    model = keras.Model(image, Block(Options(normalization=kind)).conv(image, 6, 3))
    assert [layer.name for layer in model.layers[1:]] == ["conv1", "norm1", "act1"]
    assert not model.get_layer("conv1").use_bias
    trainable = sum(w.shape.num_elements() for w in model.trainable_weights)
    assert trainable == 3 * 3 * 2 * 6 + 2 * 6


def test_options_override_an_architecture():
    options = Options(
        activation="elu", initializer="orthogonal", pooling="average", padding="valid", l2=1e-3
    )
    image = keras.Input((16, 16, 1))
    block = Block(options)
    x = block.dense(block.flatten(block.pool(block.conv(image, 4, 3))), 5)
    model = keras.Model(image, x)
    conv, pool, dense = (model.get_layer(n) for n in ("conv1", "pool1", "dense1"))
    assert conv.activation is dense.activation is keras.activations.elu
    assert isinstance(conv.kernel_initializer, keras.initializers.Orthogonal)
    assert isinstance(pool, keras.layers.AveragePooling2D)
    assert pool.output.shape[1] == 7
    weights = [float(keras.ops.sum(w**2)) for w in (conv.kernel, dense.kernel)]
    assert float(sum(model.losses)) == pytest.approx(1e-3 * sum(weights), rel=1e-5)


@pytest.mark.parametrize(("side", "size"), [(9, 5), (8, 4), (8, 5), (4, 5)])
def test_a_crop_is_the_middle_of_the_image(side, size):
    pixels = np.arange(side * side, dtype="float32").reshape(1, side, side, 1)
    first = max(0, side - size) // 2
    middle = pixels[:, first : first + size, first : first + size]
    np.testing.assert_array_equal(Block().crop(pixels, size), middle)


def test_branches_that_do_not_fit_are_refused():
    image = keras.Input((9, 9, 2))
    block = Block()
    with pytest.raises(ModelError, match="differ in shape"):
        block.add(image, block.conv(image, 2, 3, padding="valid"))
    with pytest.raises(ModelError, match=r"differ in shape[\s\S]*padding unset"):
        block.concatenate(image, block.conv(image, 2, 3, padding="valid"))
