"""Settings of Sphinx for the documentation site: `make docs`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ["LOCUST_SKIP_MONKEY_PATCH"] = "1"  # the API is only described here
sys.path.insert(0, str(Path(__file__).parent.parent))

project = "Stampede"
author = "the Stampede developers"
project_copyright = author
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "docs.extension"]
exclude_patterns = ["extension"]

myst_heading_anchors = 4  # the anchors that GitHub gives to headings
smartquotes = False  # they would change the dashes of options
highlight_language = "none"

napoleon_use_ivar = True
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True

html_theme = "furo"
html_title = "Stampede"
html_copy_source = False
html_show_copyright = False
html_show_sphinx = False
html_static_path = ["static"]
html_css_files = ["site.css"]
