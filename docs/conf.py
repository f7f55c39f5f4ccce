"""Sphinx with MyST and furo; nothing in the pages comes from another host."""

from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from cadence import Function, __version__, parse
from cadence.catalogue import catalogue
from cadence.plot import svg

project = "Cadence"
author = "The Cadence authors"
copyright = "2026, The Cadence authors"
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]

html_theme = "furo"
html_title = f"Cadence {release}"
html_static_path = ["_static"]
html_theme_options = {"top_of_page_buttons": []}

# Formulas are code, not mathematics, since MathJax would come from another host. The footer's links
# to other hosts are left out here and in the template.
html_show_sphinx = False
templates_path = ["_templates"]

myst_enable_extensions = ["deflist", "fieldlist"]
myst_heading_anchors = 3

default_role = "code"
add_module_names = False
autodoc_member_order = "bysource"
autodoc_typehints = "none"
napoleon_use_rtype = False

exclude_patterns = ["_build", "_templates"]

EXAMPLES = {entry.name: entry for entry in catalogue() if entry.example is not None}


class Plan(SphinxDirective):
    """`.. plan:: TEXT` draws a plan; `.. plan:: NAME` draws the catalogue's example of a shape."""

    required_arguments = 1
    optional_arguments = 1000

    def run(self) -> list[nodes.Node]:
        """Put the picture into the page as inline SVG, below the text of what it shows."""
        text = " ".join(self.arguments)
        if text in EXAMPLES:
            plan, steps = EXAMPLES[text].example, EXAMPLES[text].total_steps
            shown = "" if isinstance(plan, Function) else repr(plan)
        else:
            plan, steps, shown = parse(text), 1000, text
        drawing = nodes.raw("", f"<div>{svg(plan, steps)}</div>", format="html")
        return [nodes.paragraph("", "", nodes.literal("", shown)), drawing] if shown else [drawing]


def draw(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Append its curve to the docstring of each shape and recipe."""
    del app, obj, options
    word = name.rpartition(".")[2]
    if what in ("class", "function") and word in EXAMPLES:
        lines += ["", f".. plan:: {word}", ""]


def setup(app: Sphinx) -> None:
    """Register the directive, and have it used."""
    app.add_directive("plan", Plan)
    app.connect("autodoc-process-docstring", draw)
