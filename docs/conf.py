"""How Sphinx builds these pages: `make docs`; nothing is fetched, neither while building nor while reading."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from docutils.utils.math import latex2mathml

from trajvae import __version__

project = "trajvae"
author = "The trajvae authors"
copyright = "The trajvae authors, MIT licence"
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "numpydoc"]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"trajvae {release}"
html_copy_source = False
templates_path: list[str] = []

default_role = "code"  # in docstrings `name` is a name
nitpicky = True
smartquotes = False
nitpick_ignore_regex = [("py:class", ".*")]  # types in docstrings are words, such as `ndarray, shape (T,)`
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # types stand in the numpydoc sections
numpydoc_show_class_members = False


def _inline(translator: Any, node: nodes.math) -> None:
    translator.body.append(latex2mathml.tex2mathml(node.astext(), as_block=False))
    raise nodes.SkipNode


def _block(translator: Any, node: nodes.math_block) -> None:
    translator.body.append(f'<div class="math">{latex2mathml.tex2mathml(node.astext(), as_block=True)}</div>\n')
    raise nodes.SkipNode


def setup(app: Any) -> None:
    """Formulas as MathML, which browsers draw by themselves: no script from elsewhere."""
    app.add_html_math_renderer("mathml", inline_renderers=(_inline, None), block_renderers=(_block, None))
    app.config.html_math_renderer = "mathml"
