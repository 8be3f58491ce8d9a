"""Hook for the pages of notebooks: links to each other."""

import re

_LINK = re.compile(r'href="(\w+)\.ipynb(#[^"]*)?"')


def on_post_page(output, page, config):
    """Called by mkdocs with the HTML of every page."""
    if not page.file.src_uri.endswith(".ipynb"):
        return output
    own = page.file.src_uri.rsplit("/", 1)[-1].removesuffix(".ipynb")

    def to_page(link):
        # The page of a notebook offers its own file for download.
        return link[0] if link[1] == own else f'href="../{link[1]}/{link[2] or ""}"'

    return _LINK.sub(to_page, output)
