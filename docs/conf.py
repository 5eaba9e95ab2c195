"""How the documents are built: `.ci/docs` makes docs/build/html of them, and takes a warning for an error.

The source folder is the whole checkout, so that a page stands where its links say on every site that shows the files.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "extensions"))

from graphrun import __version__  # noqa: E402 (after the path, as the extensions)

project = "graphrun"
author = "the authors of graphrun"
copyright = author  # noqa: A001 (Sphinx's name)
version = release = __version__

root_doc = "docs/index"
include_patterns = [
    "docs/*.md", "docs/generated/**.md", "graphs/README.md", "graphs/data/README.md", "plugins/README.md",
    "ARCHITECTURE.md", "CHANGELOG.md", "CODE_OF_CONDUCT.md", "CONTRIBUTING.md", "SECURITY.md",
]  # fmt: skip
exclude_patterns = [".*", "build", "dist", "docs/build", "graphrun", "tests"]
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_click",
    "examples",
    "links",
    "node_types",
]

myst_heading_anchors = 4
suppress_warnings = ["myst.header"]  # a generated part begins where its page says
smartquotes = False  # two hyphens begin an option
default_role = "literal"  # of docstrings, which write `names` as Markdown does
napoleon_use_ivar = True  # attributes of a docstring that are properties too stand there once
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autodoc_type_aliases = {"ArrayLike": "ArrayLike", "Point": "Point"}
python_use_unqualified_type_names = True

html_theme = "furo"
html_title = f"graphrun {__version__}"
html_static_path = ["static"]
html_css_files = ["pages.css"]
html_copy_source = False
html_show_sphinx = False
pygments_style = "friendly"


def setup(app: Any) -> None:
    """Write signatures of dataclasses so that they can be parsed, and types in them be shortened."""

    def with_dots(*told: Any) -> tuple[Any, Any]:
        *_, signature, returned = told
        return signature and signature.replace("<factory>", "..."), returned

    app.connect("autodoc-process-signature", with_dots)
