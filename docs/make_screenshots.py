r"""Takes the picture of the app for its page.

    KERAS_BACKEND=tensorflow python docs/make_screenshots.py

Shows the demo model, which is trained where it is not there yet; `--demo` names another folder of
it. Needs the extra `app`, playwright, and the system's Chromium.
"""

import argparse
import os
import pathlib
import tempfile

from browser import open_browser
from PIL import Image

IMAGES = pathlib.Path(__file__).parent / "images"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--demo", help="folder of the small model")
    parser.add_argument("--port", type=int, default=7861)
    options = parser.parse_args()
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    with tempfile.TemporaryDirectory() as folder:
        os.environ["GRADIO_TEMP_DIR"] = folder
        take(options, folder)


def take(options, folder):
    """Serves the app, runs its first example, and keeps what is seen."""
    from keras_avssan.app import build_interface, demo_model
    from keras_avssan.app.examples import write_examples
    from keras_avssan.cli_app import serve

    examples = pathlib.Path(folder, "examples")
    examples.mkdir()
    page = build_interface(demo_model(options.demo, progress=True), write_examples(str(examples)))
    address = serve(page, str(examples), "127.0.0.1", options.port, block=False)
    with open_browser() as browser:
        # Shown 690 pixels wide on the site, its text is to have 9 pixels and more.
        view = browser.new_page(viewport={"width": 1100, "height": 1180}, device_scale_factor=1.5)
        view.goto(address)
        view.locator("button.example").first.click()
        view.locator("#direction h2").wait_for(timeout=60_000)
        view.locator("#figure img").wait_for()
        view.evaluate("window.scrollTo(0, 0)")
        view.wait_for_timeout(1500)  # wave forms are drawn
        target = IMAGES / "app.png"
        view.screenshot(path=target)
    page.close()
    with Image.open(target) as picture:
        picture.convert("P", palette=Image.Palette.ADAPTIVE, colors=96).save(target, optimize=True)
    print(f"{target}: {target.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
