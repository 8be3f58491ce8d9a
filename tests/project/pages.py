"""The commands that README, the pages and the notebooks name."""

import json
import pathlib
import re
import shlex

ROOT = pathlib.Path(__file__).parents[2]
PAGES = ["README.md", *sorted(str(page.relative_to(ROOT)) for page in ROOT.glob("docs/**/*.md"))]
PAGES += sorted(str(page.relative_to(ROOT)) for page in ROOT.glob("notebooks/*.ipynb"))


def text_of(page):
    """A page as it is, or the text of a notebook."""
    text = (ROOT / page).read_text(encoding="utf-8")
    if page.endswith(".ipynb"):
        cells = json.loads(text)["cells"]
        text = "\n\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")
    return text


def shell_blocks(page):
    """Blocks for a shell in a page, or in the text of a notebook."""
    for language, block in re.findall(
        r"^```(\w*)[^\n]*\n(.*?)^```", text_of(page), re.DOTALL | re.M
    ):
        if language == "bash" or (not language and re.search("^keras-avssan ", block, re.M)):
            yield block


def commands_of(page):
    """Commands of a page, one string each; a quoted text may have several lines."""
    for block in shell_blocks(page):
        command = ""
        for line in block.replace("\\\n", " ").splitlines():
            command = f"{command}\n{line}" if command else line
            try:
                words = shlex.split(command, comments=True)
            except ValueError:
                continue  # within a quotation
            if words:
                yield re.sub(r"^\s*(([A-Z_]+=\w+|taskset -c \S+) )*(?=\S+ )", "", command).strip()
            command = ""


def with_option(words, option, *values):
    """Arguments with an option in place of all that it was, or added to them.

    Values with spaces between stand behind one option, several values behind one each; `None`
    takes the option away.
    """
    kept, skipping = [], False
    for word in words:
        if word.startswith("--"):
            skipping = word == option
        if not skipping:
            kept.append(word)
    for value in values:
        if value is not None:
            kept += [option, *(value if isinstance(value, list) else value.split())]
    return kept
