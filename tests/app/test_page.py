"""The page in a headless browser."""

import importlib.util
import os
import pathlib
import re
import socket

import numpy as np
import pytest
import soundfile

pytestmark = [
    pytest.mark.backend_agnostic,
    pytest.mark.skipif(importlib.util.find_spec("gradio") is None, reason="needs Gradio"),
]
DOCS = pathlib.Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def browser_module():
    spec = importlib.util.spec_from_file_location("browser", DOCS / "browser.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if module.find_browser() is None:
        pytest.skip("needs the system package chromium, and playwright")
    return module


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


@pytest.fixture(scope="module")
def address(tiny_model, tmp_path_factory):
    """A page that is served; uploads go to a folder of its own."""
    from keras_avssan.app import build_interface
    from keras_avssan.app.examples import write_examples
    from keras_avssan.cli.app import serve

    folder = tmp_path_factory.mktemp("uploads")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(folder))
        patch.setenv("GRADIO_ANALYTICS_ENABLED", "False")
        examples = folder / "examples"
        examples.mkdir()
        page = build_interface(tiny_model, write_examples(str(examples), count=2, rooms=1))
        yield serve(page, str(examples), "127.0.0.1", free_port(), block=False)
        page.close()


@pytest.fixture(scope="module")
def browser(browser_module):
    with browser_module.open_browser() as browser:
        yield browser


@pytest.fixture
def page(browser, address):
    page = browser.new_page()
    page.requested = []
    page.on("request", lambda request: page.requested.append(request.url))
    page.goto(address)
    page.get_by_role("button", name="Find it").wait_for()
    yield page
    page.close()


def upload(page, element, path):
    page.set_input_files(f"#{element} input[type=file]", str(path))


def width_of_picture(element):
    """Width in pixels of an `img` element's file, once it has been loaded."""
    return element.evaluate("image => image.decode().then(() => image.naturalWidth)")


def test_an_example_is_answered(page, address):
    button = page.locator("button.example").first
    assert width_of_picture(button.locator("img")) == 128  # a thumbnail
    name, other, at = re.fullmatch(
        r"(\w+) beside (\w+)\s+Recording 1, true answer (\d+)°", button.inner_text()
    ).groups()
    second = page.locator("button.example").nth(1).inner_text()
    assert second.startswith(f"{other} beside {name}")  # of the same recording
    button.click()
    direction = page.locator("#direction h2")
    direction.wait_for(timeout=30_000)
    assert re.fullmatch(r"\d{1,3}°", direction.inner_text())
    shown = page.locator("#direction").inner_text()
    for row in ("Probability within 5°", "Second candidate", "Is it there?", "of the middle"):
        assert row in shown or (row == "of the middle" and "far to the" in shown)
    assert f"{name} at {at}°" in shown
    assert width_of_picture(page.locator("#direction .answer img")) == 128
    page.locator("#figure img").wait_for()
    # Sharing would send it to another server.
    assert page.get_by_role("button", name=re.compile("download", re.I)).count()
    assert not page.get_by_role("button", name=re.compile("share", re.I)).count()
    # Nothing is requested from other servers.
    others = [url for url in page.requested if not url.startswith((address, "data:", "blob:"))]
    assert not others


def test_files_of_ones_own(page, files):
    upload(page, "recording", files / "mix.wav")
    upload(page, "picture", files / "dog.png")
    page.get_by_text("dog").first.wait_for()
    page.get_by_role("button", name="Find it").click()
    page.locator("#direction h2").wait_for(timeout=30_000)


def test_a_longer_recording_is_followed_over_time(page, files):
    upload(page, "recording", files / "three.wav")
    upload(page, "picture", files / "dog.png")
    page.get_by_text("dog").first.wait_for()
    page.get_by_role("button", name="Find it").click()
    page.locator("#direction h2").wait_for(timeout=30_000)
    assert re.search(r"Over time\s+(from )?\d+°", page.locator("#direction").inner_text())
    page.locator("#figure img").wait_for()


def test_an_array_by_its_positions(page, files, tmp_path):
    noise = 0.1 * np.random.default_rng(0).standard_normal((16000, 4))
    soundfile.write(tmp_path / "around.wav", noise, 16000)
    (tmp_path / "square.csv").write_text("0.1,0.1\n-0.1,0.1\n-0.1,-0.1\n0.1,-0.1\n")
    upload(page, "positions", tmp_path / "square.csv")
    page.get_by_text("square").first.wait_for()
    upload(page, "recording", tmp_path / "around.wav")
    upload(page, "picture", files / "dog.png")
    page.get_by_text("dog").first.wait_for()
    page.get_by_role("button", name="Find it").click()
    page.locator("#direction h2").wait_for(timeout=30_000)
    assert "where the x axis of the array is in front" in page.locator("#direction").inner_text()
    page.locator("#figure img").wait_for()
    assert not page.locator("#masked").is_visible()


@pytest.mark.parametrize(
    ("recording", "message"),
    [
        ("broken.wav", "cannot be read as audio"),
        ("long.wav", "must last at most 30 s"),
        ("bark.wav", "must have 2 channel"),
        ("dead.wav", "must hold sound in both channels"),
    ],
)
def test_bad_recordings_are_reported(page, files, recording, message):
    upload(page, "recording", files / recording)
    upload(page, "picture", files / "dog.png")
    page.get_by_text("dog").first.wait_for()
    page.get_by_role("button", name="Find it").click()
    error = page.get_by_role("alert").filter(has_text=message)
    error.wait_for(timeout=30_000)
    assert os.sep + "gradio" not in error.inner_text()
    assert not page.locator("#figure img").count()


def test_one_must_ask(page, files):
    upload(page, "recording", files / "mix.wav")
    page.get_by_role("button", name="Find it").click()
    error = page.get_by_role("alert").filter(has_text="Give exactly one prompt")
    error.wait_for(timeout=30_000)
    assert "words" not in page.locator("body").inner_text()  # there is no field for them
    page.wait_for_timeout(1000)
    assert error.is_visible()  # it stays


def test_figures_can_be_read_on_a_phone(browser, address):
    page = browser.new_page(viewport={"width": 390, "height": 844})
    page.goto(address)
    page.locator("button.example").first.click()
    page.locator("#figure img").wait_for(timeout=30_000)
    shown, drawn, wide = page.evaluate("""async () => {
        const image = document.querySelector("#figure img");
        await image.decode();  // it is there before it is loaded
        return [image.clientWidth, image.naturalWidth, document.scrollingElement.scrollWidth];
    }""")
    # Text of 9 points in a picture of 160 pixels an inch.
    assert 9 / 72 * 160 * shown / drawn >= 9 and wide <= 390
    page.close()
