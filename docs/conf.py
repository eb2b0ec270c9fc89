"""Sphinx's configuration; `scripts/docs` builds the site."""

import os
import pathlib
import re
import sys

root = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(root / "docs"), str(root / "python")]
import declarations

project = "SwarmSync"
author = "the SwarmSync developers"
version = re.search(r"project\(.*VERSION ([\d.]+)", (root / "CMakeLists.txt").read_text())[1]
extensions = ["myst_parser", "breathe", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["results/*/*/*"]
html_theme = "furo"
html_title = f"SwarmSync {version}"
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
smartquotes = False  # flags have two dashes
highlight_language = "none"

myst_heading_anchors = 5
breathe_projects = {"swarmsync": str(root / "build/docs/doxygen/xml")}
breathe_default_project = "swarmsync"
DECLARATIONS = declarations.read(root / "build/docs/doxygen/xml")
primary_domain = "cpp"

autodoc_mock_imports = ["torch", "swarmsync._swarmsync"]
autodoc_typehints = "signature"
napoleon_use_keyword = False
autodoc_member_order = "bysource"


docs = root / "docs"
LINK = r"\[([^\]]+)\]\((?![a-z]+:|#)([^)#\s]+)(#[^)\s]*)?\)"


def is_page(file):
    return file.suffix == ".md" and docs in file.parents and file.parent.parent.parent != docs / "results"


def with_links_from(page, text, place):
    """The text of a file in `place` as a part of `page`: its links go on from there, and those to files of the
    repository that are no pages become text."""

    def replaced(match):
        label, target, anchor = match[1], (place / match[2]).resolve(), match[3] or ""
        if target == root / "CONTRIBUTING.md":
            target = docs / "contributing.md"  # which has it
        if not target.exists():
            return match[0]  # which the build complains about
        if is_page(target):
            return f"[{label}]({os.path.relpath(target, page.parent)}{anchor})"
        where = f"`{target.relative_to(root)}`"
        return where if label.strip("`") in where else f"{label} ({where})"

    return re.sub(LINK, replaced, text)


def declarations_of(room):
    for header, directives in sorted(DECLARATIONS.items()):
        if pathlib.Path(header).parent.name == room:
            yield f"## `{header}`\n\n```{{eval-rst}}\n" + "\n".join(directives) + "```\n"


def prepare(app, name, source):
    """Resolves `{room} NAME`, what the headers of a room declare, and `{file} PATH`, a page that lies elsewhere."""
    page = docs / (name + ".md")
    text = with_links_from(page, source[0], page.parent)
    text = re.sub(r"```\{room\} (\w+)\n```", lambda match: "\n".join(declarations_of(match[1])), text)
    text = re.sub(r"```\{file\} (\S+)\n```",
                  lambda match: with_links_from(page, (root / match[1]).read_text(), (root / match[1]).parent), text)
    source[0] = text


def setup(app):
    app.connect("source-read", prepare)
