"""Gives pictures of the site a minimal width for legible text; on a phone they scroll.

A PNG contains its resolution in pixels per inch, at which the smallest text of our pictures has 9
points. For resized pictures and screenshots, whose resolution differs from that of the drawing,
`write_resolution` sets it.
"""

import base64
import math
import pathlib
import posixpath
import re
import struct
import urllib.parse
import zlib

# Points in the picture, and pixels on the screen.
LEAST_TEXT = 9
# Of figures of notebooks that do not say it.
NOTEBOOK_DPI = 110
_INCH = 0.0254  # metres
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_IMAGE = re.compile(r'<img([^>]*?)src="([^"]+)"')
_EMBEDDED = "data:image/png;base64,"


def on_post_page(output, page, config):
    """Called by mkdocs with the HTML of every page."""
    folder = posixpath.dirname(page.file.dest_uri)

    def read(source):
        path = posixpath.normpath(posixpath.join(folder, urllib.parse.unquote(source)))
        file = pathlib.Path(config["docs_dir"], path)
        return file.read_bytes() if file.is_file() else b""

    return keep_legible(output, read)


def keep_legible(html, read):
    """A page whose pictures have a least width, and scroll in their box where that is wider.

    `read` gives the bytes of a picture by its address on the page; none where it is not ours.
    """

    def widen(image):
        attributes, source = image.groups()
        least = least_width(*read_embedded(source)) or least_width(read(source))
        style = f'style="min-width:{least}px" ' if least else ""
        return f'<img{attributes}{style}src="{source}"'

    return _IMAGE.sub(widen, html).replace("<p><img", '<p class="picture"><img')


def read_embedded(source):
    """The first bytes of a picture that is part of its page, and its pixels an inch by default."""
    if not source.startswith(_EMBEDDED):
        return b"", None
    text = "".join(source[len(_EMBEDDED) :][:2000].split())
    return base64.b64decode(text[: len(text) // 4 * 4]), NOTEBOOK_DPI


def least_width(png, dpi=None):
    """Pixels of the screen in which a picture's text has 9; `None` where that is not known.

    `dpi` are the picture's pixels an inch if it does not say them.
    """
    chunks = dict(_chunks(png))
    if b"IHDR" not in chunks:
        return None
    if b"pHYs" in chunks:
        a_metre, _, unit = struct.unpack(">IIB", chunks[b"pHYs"])
        dpi = a_metre * _INCH if unit == 1 else dpi
    width = struct.unpack(">I", chunks[b"IHDR"][:4])[0]
    # Pixels of the picture for each of the screen: 9 points are 9 / 72 inches.
    return math.ceil(width / (LEAST_TEXT / 72 * dpi / LEAST_TEXT)) if dpi else None


def write_resolution(path, dpi):
    """Makes a PNG say that `dpi` of its pixels make an inch; its pixels stay."""
    png = pathlib.Path(path).read_bytes()
    a_metre = round(dpi / _INCH)
    chunks = [(name, body) for name, body in _chunks(png) if name != b"pHYs"]
    chunks.insert(1, (b"pHYs", struct.pack(">IIB", a_metre, a_metre, 1)))
    written = (
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )
    pathlib.Path(path).write_bytes(_SIGNATURE + b"".join(written))


def _chunks(png):
    """Name and content of the parts of a PNG, as far as its bytes go."""
    place = len(_SIGNATURE)
    while png.startswith(_SIGNATURE) and place + 8 <= len(png):
        length, name = struct.unpack(">I4s", png[place : place + 8])
        body = png[place + 8 : place + 8 + length]
        if len(body) == length:
            yield name, body
        place += 12 + length
