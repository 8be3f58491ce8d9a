r"""Takes the pictures of the app for its page: the answer, and the figure that explains it.

    KERAS_BACKEND=tensorflow python docs/make_screenshots.py

Uses the model and the examples that the page has by default; `--model` names another. Needs the
extra `app`, playwright, and the system's Chromium.
"""

import argparse
import os
import pathlib
import tempfile

from browser import open_browser
from legible_pictures import write_resolution
from PIL import Image

from keras_avssan._internal.saved_files import DEFAULT_MODEL

IMAGES = pathlib.Path(__file__).parent / "images"
SCALE = 1.5  # pixels of a picture for each of the page


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=DEFAULT_MODEL, help="name or folder of the model")
    parser.add_argument("--port", type=int, default=7861)
    options = parser.parse_args()
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    with tempfile.TemporaryDirectory() as folder:
        os.environ["GRADIO_TEMP_DIR"] = folder
        take(options)


def take(options):
    """Serves the app, runs its first example, and keeps what is seen."""
    from keras_avssan import AVSSAN
    from keras_avssan.app import build_interface
    from keras_avssan.app.examples import real_examples
    from keras_avssan.cli.app import serve
    from keras_avssan.data.media.example_file import EXAMPLES
    from keras_avssan.visualization.style import COLUMN_WIDTH, PHONE_WIDTH

    page = build_interface(AVSSAN.from_preset(options.model), real_examples())
    address = serve(page, str(EXAMPLES), "127.0.0.1", options.port, block=False)
    with open_browser() as browser:
        # Shown 688 pixels wide on the site, its text has 9 pixels and more; down to the posterior.
        view = ask(browser, address, {"width": 770, "height": 1112})
        keep(view, IMAGES / "app.png", figure_of(view), PHONE_WIDTH)
        # In a wide window the panels of the figure stand side by side.
        view = ask(browser, address, {"width": 1100, "height": 1180})
        keep(figure_of(view), IMAGES / "app_figure.png", figure_of(view), COLUMN_WIDTH)
    page.close()


def ask(browser, address, size):
    """The page in a window, with the answer to the first example."""
    view = browser.new_page(viewport=size, device_scale_factor=SCALE)
    view.goto(address)
    view.locator("button.example").first.click()
    view.locator("#direction h2").wait_for(timeout=60_000)
    figure_of(view).wait_for()
    # Buttons that lie over the figure.
    view.add_style_tag(content="#figure .icon-button-wrapper { display: none !important }")
    view.evaluate("window.scrollTo(0, 0)")
    view.wait_for_timeout(1500)  # wave forms are drawn
    return view


def figure_of(view):
    return view.locator("#figure img")


def keep(part, target, figure, inches):
    """Keeps what is seen of a part, whose smallest text is that of a figure of so many inches."""
    part.screenshot(path=target)
    with Image.open(target) as picture:
        picture.convert("RGB").save(target, optimize=True)
    write_resolution(target, SCALE * figure.bounding_box()["width"] / inches)
    print(f"{target}: {target.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
