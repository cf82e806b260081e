"""How Sphinx builds the site: ``make docs``."""

from __future__ import annotations

import sys
from importlib.resources import files
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# the package and paper_figs as they stand here, and the small extensions beside this file
sys.path[:0] = [str(ROOT), str(ROOT / "docs")]

import noiseaug  # noqa: E402

project = "noiseaug"
author = "The noiseaug developers"
copyright = author
release = version = noiseaug.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "_mathml", "_site"]
exclude_patterns = ["conf.py", "_*.py"]
suppress_warnings = [
    # a widget is shown as the picture or text that the notebook holds beside it
    "mystnb.unknown_mime_type",
    # the cells of a sweep and those of a grid of networks have one name
    "ref.python",
]

# Markdown as GitHub reads it: $…$ is mathematics, headings have GitHub's anchors
myst_enable_extensions = ["dollarmath"]
myst_dmath_double_inline = True
myst_heading_anchors = 4
nb_execution_mode = "off"  # notebooks are committed with their outputs, and executed by the tests

# docstrings: Google's sections; roles such as :func: must find what they name
napoleon_numpy_docstring = False
napoleon_use_ivar = True
autodoc_default_options = {"no-value": True}  # registries are long
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
autodoc_type_aliases = {"ArrayLike": "ArrayLike", "FloatArray": "FloatArray"}
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 100
add_module_names = False
smartquotes = False  # x' is x prime, and --out an option
nitpicky = True
nitpick_ignore_regex = [
    # types of other packages in signatures; their documentation is not linked, so that the build needs no network
    ("py:(class|obj|data|exc)", r"(?!noiseaug)[\w.]+\.[\w.]+"),
    ("py:(class|obj)", r"[A-Z]\w*|list\[.*"),
    # private bases and helpers that a signature shows
    ("py:.*", r"noiseaug\.(.*\.)?_.*"),
    # type variables, and protocols that no package hands out
    ("py:class", r"noiseaug\.(.*\.)?(Result|Piece|Classifier|T|Value|Header|Union|Options)"),
    ("py:exc", "CancelledError"),
]

html_theme = "furo"
html_title = "noiseaug"
html_math_renderer = "mathml"  # of _mathml.py
# with the font for it, which ziamath brings; few systems have one with brackets of every size
html_static_path = ["_static", str(files("ziamath") / "fonts" / "STIXTwoMath-Regular.ttf")]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
