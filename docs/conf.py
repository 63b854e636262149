"""Sphinx configuration; the reference pages are generated from the package by `reference_pages`."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import reference_pages  # noqa: E402
from docutils import nodes  # noqa: E402
from latex2mathml.converter import convert  # noqa: E402

import astrocnn  # noqa: E402

project = "astrocnn"
author = "The astrocnn developers"
copyright = "The astrocnn developers, BSD-3-Clause"
version = release = astrocnn.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "numpydoc",
    "myst_nb",
    "sphinx_design",
    "sphinx_copybutton",
]
exclude_patterns = ["_build", "_templates"]
templates_path = ["_templates"]
suppress_warnings = ["mystnb.unknown_mime_type"]

autosummary_generate = True
autodoc_typehints = "none"
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False
default_role = "code"

myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
myst_heading_anchors = 3
# The notebooks are executed by the tests; the pages of the tutorials execute them as well, once.
nb_execution_mode = "cache"
nb_execution_timeout = 900
nb_execution_raise_on_error = True
nb_merge_streams = True

html_math_renderer = "mathml"
html_theme = "pydata_sphinx_theme"
html_title = f"astrocnn {version}"
html_static_path = ["_static"]
html_css_files = ["astrocnn.css"]
html_show_sourcelink = False
# Pages without others below them have nothing to navigate.
html_sidebars = {page: [] for page in ("install", "getting_started", "changelog")}
# Blocks without a language are commands.
highlight_language = "none"
html_theme_options = {
    "show_toc_level": 2,
    "header_links_before_dropdown": 7,
    "navigation_with_keys": False,
    # A field would not fit beside the links.
    "navbar_persistent": ["search-button"],
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": ["theme-version"],
    "icon_links": [
        {
            "name": "Source code",
            "url": "https://github.com/astrocnn/astrocnn",
            "icon": "fa-brands fa-github",
        }
    ],
}


def render_inline(self, node):
    """MathML, which browsers show without scripts and without a network."""
    self.body.append(convert(node.astext()))
    raise nodes.SkipNode


def render_block(self, node):
    """A formula on a line of its own."""
    self.body.append(f'<div class="formula">{convert(node.astext(), display="block")}</div>')
    raise nodes.SkipNode


def setup(app):
    """Copy the notebooks and figures of the repository, and write the generated pages."""
    app.add_html_math_renderer("mathml", (render_inline, None), (render_block, None))
    for notebook in sorted((HERE.parent / "notebooks").glob("*.ipynb")):
        shutil.copyfile(notebook, HERE / "tutorials" / notebook.name)
    shutil.copytree(
        HERE.parent / "data" / "figures", HERE / "_static" / "figures", dirs_exist_ok=True
    )
    # Pages of names that are gone would be errors.
    shutil.rmtree(HERE / "reference" / "generated", ignore_errors=True)
    reference_pages.write_all(HERE / "reference" / "generated")
