from __future__ import annotations

import base64
import io

import matplotlib
import numpy as np
import pytest
from matplotlib import image as reader
from matplotlib.colors import to_rgb

from astrocnn.report import COLORS, COLUMN, STYLE, new_figure, render_png, render_svg, styled


def test_a_styled_function_uses_the_style_and_restores_the_settings():
    before = dict(matplotlib.rcParams)

    @styled
    def get_settings(key, *, suffix=""):
        return matplotlib.rcParams[key], suffix

    assert get_settings("font.family", suffix="!") == ([STYLE["font.family"]], "!")
    assert get_settings.__name__ == "get_settings"
    assert dict(matplotlib.rcParams) == before


def test_settings_are_restored_after_an_error():
    before = dict(matplotlib.rcParams)

    @styled
    def fail():
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        fail()
    assert dict(matplotlib.rcParams) == before


def test_png_has_the_size_and_resolution_of_the_figure():
    figure, _ = new_figure(2.0, 1.5)
    pixels = reader.imread(io.BytesIO(base64.b64decode(render_png(figure, dpi=100))))
    assert pixels.shape[:2] == (150, 200)


def test_svg_has_no_date_and_embeds_glyphs_as_paths():
    figure, axes = new_figure()
    axes.set_xlabel("redshift")
    text = render_svg(figure)
    assert text.startswith("<svg") and "<dc:date>" not in text
    assert "<text" not in text and "font-family" not in text
    assert render_svg(figure) == text
    assert figure.get_size_inches()[0] == COLUMN


def simulate_color_blindness(color):
    """Deuteranopia by the matrix of Machado et al. (2009), on linear RGB."""
    rgb = np.array(to_rgb(color))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    matrix = [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ]
    return np.clip(np.array(matrix) @ linear, 0, 1)


def test_the_first_three_colors_differ_also_for_the_color_blind():
    seen = [simulate_color_blindness(color) for color in COLORS[:3]]
    for i in range(3):
        for j in range(i):
            assert np.abs(seen[i] - seen[j]).max() > 0.1, (COLORS[i], COLORS[j])
