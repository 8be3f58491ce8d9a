"""Hook for the page `reproduce.md`: a table of all measured numbers, pictures and notebooks.

`python docs/figures_list.py` prints the table. Its rows come from the marks that
`docs/figures_age.py` describes; `time="…"` in a mark is how long the command took.
"""

import re
import unicodedata

import figures_age

PAGE = "reproduce.md"
PLACE = "<!-- table of all figures -->"
# Pages that are parts of others.
_PART_OF = {"docs/export-table.md": "export.md"}
_HEADING = re.compile(r"^#{1,4} (.+)$", re.MULTILINE)
_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def on_page_markdown(markdown, page, config, files):
    """Called by mkdocs with the text of every page."""
    return markdown.replace(PLACE, table()) if page.file.src_uri == PAGE else markdown


def table():
    """All measurements in Markdown, in the order of the pages."""
    lines = ["| Where | Command | Time | Date | Commit |", "|---|---|---|---|---|"]
    for page in [*figures_age.pages(), *figures_age.notebooks()]:
        for found in figures_age.read_measurements(page):
            command, commit = f"`{found.command}`", f"`{found.commit}`"
            cells = [place(found), command, found.time, found.date, commit]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def place(found):
    """Page and section of a measurement, as a link where it is a page of the site."""
    folder, _, name = found.page.rpartition("/")
    if found.page.endswith(".ipynb"):
        return f"[{name}](notebooks/{name})"
    if found.page in _PART_OF:
        return f"[{name}]({_PART_OF[found.page]})"
    title = section(found)
    if not folder:
        return f"{name}, {title}"
    return f"[{title}]({found.page.removeprefix('docs/')}#{anchor(title)})"


def section(found):
    """The heading above a measurement; none of a block of code, where `#` begins a comment."""
    lines = (figures_age.ROOT / found.page).read_text(encoding="utf-8").splitlines(keepends=True)
    before = _FENCE.sub("", "".join(lines[: found.line]))
    return _HEADING.findall(before)[-1]


def anchor(title):
    """The anchor that Python-Markdown gives a heading."""
    text = unicodedata.normalize("NFKD", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title))
    text = re.sub(r"[^\w\s-]", "", text.encode("ascii", "ignore").decode()).strip().lower()
    return re.sub(r"[-\s]+", "-", text)


if __name__ == "__main__":
    print(table())
