"""How ``make docs`` builds the site: strictly, into build/docs, with nothing remote.

Read by Sphinx. Why Sphinx: docs/adr/0014-documentation.md.
"""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))

project = "fedask"
author = "The fedask authors"
project_copyright = "The fedask authors, Apache-2.0"

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "generated",
    "offline",
]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_*"]
myst_heading_anchors = 3
smartquotes = False  # "--set" must stay what people type
myst_enable_extensions = ["deflist"]

napoleon_google_docstring = False
napoleon_attr_annotations = False
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}
# Types are written short: the page of a class says where it comes from.
python_use_unqualified_type_names = True
autodoc_preserve_defaults = True

html_theme = "furo"
html_title = "fedask"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
