"""What the pages of notebooks need: links to each other, and figures that can be read."""

import base64
import math
import re
import struct

_LINK = re.compile(r'href="(\w+)\.ipynb(#[^"]*)?"')
_FIGURE = re.compile(r'<img([^>]*?)src="data:image/png;base64,([A-Za-z0-9+/]{64})')
# The smallest text of a figure has 9 points at 110 pixels an inch; it is to have 9 pixels at least.
LEAST_SCALE = 9 / (9 / 72 * 110)


def on_post_page(output, page, config):
    """Called by mkdocs with the HTML of every page."""
    if not page.file.src_uri.endswith(".ipynb"):
        return output
    own = page.file.src_uri.rsplit("/", 1)[-1].removesuffix(".ipynb")

    def to_page(link):
        # The page of a notebook offers its own file for download.
        return link[0] if link[1] == own else f'href="../{link[1]}/{link[2] or ""}"'

    return _FIGURE.sub(keep_legible, _LINK.sub(to_page, output))


def keep_legible(figure):
    """A figure that is not made smaller than its text allows: on a phone it scrolls in its box."""
    attributes, data = figure.groups()
    width = struct.unpack(">I", base64.b64decode(data)[16:20])[0]
    least = math.ceil(LEAST_SCALE * width)
    return figure[0].replace(f"<img{attributes}", f'<img{attributes}style="min-width:{least}px" ')
