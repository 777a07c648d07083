"""How Sphinx makes the site of the documentation; `make docs` runs it.

Settings stand here. How formulas of docstrings are written in TeX is in `formulas.py`, what the
pages look like beyond the theme in `_static/site.css`.
"""

from pathlib import Path

from docutils import nodes
from formulas import with_math
from sphinx.application import Sphinx

import logitkit

project = "logitkit"
version = release = logitkit.__version__
copyright = "the logitkit contributors"  # noqa: A001 - the name of Sphinx's setting

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
    "sphinx-mathjax-offline",  # its MathJax lies beside the pages
]
nitpicky = True

# Markdown: $formulas$, and anchors that the repository's own viewers give to headings, too.
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
myst_dmath_double_inline = True

# Docstrings have their types in words, which lead nowhere.
napoleon_use_param = False
napoleon_use_rtype = False
napoleon_custom_sections = ["Special values", "Accuracy"]
autodoc_typehints = "none"
autosummary_generate = True
templates_path = ["_templates"]
# What is defined elsewhere: no other project's index is fetched.
nitpick_ignore = [
    ("py:exc", name)
    for name in ("IndexError", "TypeError", "ValueError", "numpy.exceptions.AxisError")
]

html_theme = "pydata_sphinx_theme"
html_title = "logitkit"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
# Only the API has pages below it, to be listed at the side.
html_sidebars: dict[str, list[str]] = {
    page.stem: [] for page in Path(__file__).parent.glob("*.md") if page.stem != "api"
}
html_theme_options = {
    "header_links_before_dropdown": 5,
    "navbar_align": "left",
    "show_toc_level": 2,
    "footer_start": ["copyright"],
    "footer_end": [],
}


def docstring_formulas(
    _app: Sphinx, _what: str, _name: str, _item: object, _options: object, lines: list[str]
) -> None:
    """Set the formulas of a docstring, which are literal blocks."""
    lines[:] = with_math(lines)


def trim_code(_app: Sphinx, doctree: nodes.document) -> None:
    """Drop the empty line that ends the last output of a page's examples, for doctest's sake."""
    for block in doctree.findall(nodes.literal_block):
        block.rawsource = block.astext().rstrip()
        block.children = [nodes.Text(block.rawsource)]


def setup(app: Sphinx) -> None:
    """Change what is read, before Napoleon reads the sections of docstrings."""
    app.connect("autodoc-process-docstring", docstring_formulas, priority=400)
    app.connect("doctree-read", trim_code)
