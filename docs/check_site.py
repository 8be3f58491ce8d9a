r"""Checks the built site: links, anchors, pictures, unrendered markup, layout on screens.

    python docs/check_site.py site

Prints one line for each problem, with exit code 1. Pages are rendered in Chromium with playwright,
if both are installed; otherwise only the files are checked.
"""

import argparse
import contextlib
import functools
import http.server
import pathlib
import re
import sys
import threading
import urllib.parse
from html.parser import HTMLParser

from browser import find_browser, open_browser
from legible_pictures import least_width, read_embedded

DESKTOP, PHONE = (1280, 800), (390, 844)
# All pages are looked at in light; these in dark too.
SAMPLE = re.compile(
    r"^(index|concepts/|benchmarks/|robustness/|tables/|performance/|encoders/|troubleshooting/"
    r"|several-devices/|api/(data|models|visualization)/|notebooks/0[12]\w*/).*html$"
)
# Signs of a formula, link or heading that was not rendered.
UNRENDERED = {
    "formula": re.compile(r"\$\$|\\\(|\\frac|\\mathbf"),
    "link": re.compile(r"\]\("),
    "heading": re.compile(r"^#{2,} ", re.MULTILINE),
    "code": re.compile(r"```"),
    "cross-reference": re.compile(r"^::: ", re.MULTILINE),
}
# The page as a whole does not scroll sideways, pictures are there and large enough for their text,
# and wide tables and pictures, which scroll on a phone, do so in a box of their own.
LOOK = """() => ({
  wide: document.scrollingElement.scrollWidth - innerWidth,
  broken: [...document.images].filter(i => i.complete && !i.naturalWidth).map(i => i.src),
  loose: [...document.querySelectorAll("article table, article img")].filter(part => {
    if (part.getBoundingClientRect().right <= innerWidth + 1) return false;
    for (let box = part.parentElement; box; box = box.parentElement)
      if (["auto", "scroll"].includes(getComputedStyle(box).overflowX)) return false;
    return true;
  }).length,
  pictures: [...document.querySelectorAll("article img")].map(
    image => [image.src.slice(0, 4000), image.getBoundingClientRect().width]),
  hidden: [...document.querySelectorAll("article table, .jp-InputArea pre")].filter(part => {
    for (let box = part; box && box.tagName != "ARTICLE"; box = box.parentElement)
      if (["auto", "scroll"].includes(getComputedStyle(box).overflowX)
          && box.scrollWidth > box.clientWidth + 1) return true;
    return false;
  }).map(part => part.innerText.trim().split("\\n")[0]),
})"""


class Page(HTMLParser):
    """What a page links to, what can be linked to, and its text outside of code."""

    VERBATIM = ("code", "pre", "script", "style", "textarea", "title")

    def __init__(self, text):
        super().__init__()
        self.anchors, self.links, self.images, self.words = set(), [], [], []
        self._verbatim = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.anchors.update(filter(None, (attributes.get("id"), attributes.get("name"))))
        if tag == "a" and attributes.get("href"):
            self.links.append(attributes["href"])
        if tag == "img" and attributes.get("src"):
            self.images.append(attributes["src"])
        if tag in ("link", "script"):
            self.images.extend(filter(None, (attributes.get("src"),)))
        if tag in self.VERBATIM:
            self._verbatim.append(tag)

    def handle_endtag(self, tag):
        if self._verbatim and tag == self._verbatim[-1]:
            self._verbatim.pop()

    def handle_data(self, data):
        if not self._verbatim:
            self.words.append(data)


def read_pages(site):
    return {
        path.relative_to(site).as_posix(): Page(path.read_text(encoding="utf-8"))
        for path in sorted(site.rglob("*.html"))
    }


def find_file(site, page, path):
    """File that a relative or absolute path on a page leads to, relative to the site."""
    base = site if path.startswith("/") else (site / page).parent
    target = (base / urllib.parse.unquote(path).lstrip("/")).resolve()
    if target.is_dir():
        target = target / "index.html"
    return target


def check_link(site, pages, page, link):
    """Problem of a link, or `None`."""
    parts = urllib.parse.urlsplit(link)
    if parts.scheme or parts.netloc:
        return None
    target = find_file(site, page, parts.path) if parts.path else site / page
    if not target.is_file():
        return f"{page}: leads nowhere: {link}"
    name = target.relative_to(site.resolve() if parts.path else site).as_posix()
    anchor = urllib.parse.unquote(parts.fragment)
    if anchor and name in pages and anchor not in pages[name].anchors:
        return f"{page}: no such anchor: {link}"
    return None


def check_files(site):
    """Problems of the files, one line each."""
    pages = read_pages(site)
    wrong = []
    for name, page in pages.items():
        # A page of errors is shown at any address, and its links are from the root.
        links = [] if name == "404.html" else {*page.links, *page.images}
        wrong += filter(None, (check_link(site, pages, name, link) for link in sorted(links)))
        text = "".join(page.words)
        for kind, pattern in UNRENDERED.items():
            for found in pattern.finditer(text):
                around = " ".join(text[max(found.start() - 30, 0) : found.end() + 30].split())
                wrong.append(f"{name}: {kind} not rendered: {around}")
    return wrong


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@contextlib.contextmanager
def serve(site):
    """Serves the site on this machine; yields its address."""
    handler = functools.partial(_Quiet, directory=str(site))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()


def check_width(site, source, width):
    """Problem of the displayed width of a picture in pixels, or `None`."""
    least = least_width(*read_embedded(source))
    name = "picture"
    if least is None:
        path = urllib.parse.unquote(urllib.parse.urlsplit(source).path).lstrip("/")
        name, file = path[:80], site / path
        least = least_width(file.read_bytes()) if file.is_file() else None
    if least is None:
        return f"{name}: not a PNG that says its pixels an inch"
    return f"{name}: {width:.0f} pixels, not {least}" if width < 0.99 * least else None


def look_at(site, page, looks):
    """Layout problems of the open page, one line each, in several sizes and colours."""
    # Pictures further down are not waited for by themselves.
    page.evaluate("""() => Promise.all([...document.images].map(image => {
        image.loading = "eager";
        return image.decode().catch(() => {});
    }))""")
    # What slides into place after a change of size is there at once.
    page.add_style_tag(content="* { transition: none !important; animation: none !important }")
    for size, scheme in looks:
        page.set_viewport_size(dict(zip(("width", "height"), size, strict=True)))
        page.emulate_media(color_scheme=scheme)
        seen = page.evaluate(LOOK)
        if seen["wide"] > 0:
            yield f"{size[0]} pixels, {scheme}: {seen['wide']} pixels too wide"
        if seen["loose"]:
            yield f"{size[0]} pixels, {scheme}: {seen['loose']} part(s) in no box that scrolls"
        yield from (f"{size[0]} pixels, {scheme}: not shown: {name}" for name in seen["broken"])
        for source, width in seen["pictures"]:
            wrong = check_width(site, source, width)
            if wrong:
                yield f"{size[0]} pixels, {scheme}: {wrong}"
        if size == DESKTOP:
            yield from (f"{size[0]} pixels, {scheme}: wider: {part}" for part in seen["hidden"])


def check_look(site):
    """Problems of the rendered pages, one line each."""
    names = [path.relative_to(site).as_posix() for path in sorted(site.rglob("*.html"))]
    light, dark = [[(size, scheme) for size in (DESKTOP, PHONE)] for scheme in ("light", "dark")]
    wrong = []
    with serve(site) as address, open_browser() as browser:
        page = browser.new_context().new_page()
        # The site must be complete without the internet.
        page.route(lambda url: not url.startswith(address), lambda route: route.abort())
        for name in names:
            page.goto(f"{address}/{name}", wait_until="domcontentloaded")
            looks = light + dark if SAMPLE.match(name) else light
            wrong += [f"{name}: {line}" for line in look_at(site, page, looks)]
    return wrong


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("site", type=pathlib.Path, help="folder that mkdocs has built")
    site = parser.parse_args(arguments).site
    if not (site / "index.html").is_file():
        parser.error(f"`site` must be a folder with an index.html. Received: {site}")
    wrong = check_files(site)
    if find_browser() is None:
        print("no Chromium with playwright: how pages look is not checked", file=sys.stderr)
    else:
        wrong += check_look(site)
    print("\n".join(wrong) or "links, pictures and pages are in order")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
