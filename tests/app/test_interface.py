"""What the page is made of."""

import os
from types import SimpleNamespace

import pytest
from matplotlib.figure import Figure

pytestmark = pytest.mark.backend_agnostic
gradio = pytest.importorskip("gradio", reason="needs Gradio")


def components(page):
    return {block.elem_id: block for block in page.blocks.values() if block.elem_id}


@pytest.fixture
def page(tiny_model, files, tmp_path, monkeypatch):
    from keras_avssan.app import build_interface

    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    monkeypatch.chdir(files)  # what lies below the working directory may be an example
    return build_interface(tiny_model, [("mix.wav", "dog.png")])


def test_what_can_be_given_and_what_is_shown(page):
    assert set(components(page)) == {
        "introduction", "array", "positions", "recording", "picture", "preview", "sound", "find",
        "direction", "why", "figure", "masked"
    }  # fmt: skip
    # A browser's microphone gives one channel, or one twice: no direction.
    assert {components(page)[name].sources[0] for name in ("recording", "sound")} == {"upload"}
    assert all(len(components(page)[name].sources) == 1 for name in ("recording", "sound"))
    assert components(page)["picture"].file_types == [".jpg", ".jpeg", ".png", ".webp"]


def test_words_where_the_model_reads_them(tiny_model, monkeypatch):
    from keras_avssan.app import build_interface

    encoder = tiny_model.backbone.image_encoder
    monkeypatch.setattr(type(encoder), "tokenize", lambda self, texts: texts, raising=False)
    page = components(build_interface(tiny_model))
    assert "words" in page and "or words" in page["introduction"].value


def test_an_upload_is_shown_at_once_or_refused(files):
    from keras_avssan.app.interface import _preview

    assert "data:image/png;base64," in _preview(str(files / "dog.png"))
    assert 'role="alert"' in _preview(str(files / "renamed.png")) and not _preview(None)


@pytest.mark.parametrize(("window", "width"), [(None, 9.0), (1280, 9.0), (800, 4.4), (390, 4.4)])
def test_the_figure_has_the_picture_and_fits_the_window(
    tiny_model, files, monkeypatch, window, width
):
    from keras_avssan.app import interface

    drawn = []

    def plot(*truth, **options):
        drawn.append((truth, options))
        return Figure(figsize=(1, 1))

    monkeypatch.setattr(interface, "plot_explanation", plot)
    example = interface.Example("mix.wav", "dog.png", "dog", 43.0, "bell", 122.0)
    found = SimpleNamespace(explanation={}, track="track", array=None)
    interface._draw(found, "dog.png", window, example)
    options = {"track": "track", "prompt": "dog.png", "width": width}
    assert drawn == [(({}, 43.0, 122.0), options)]


def test_it_is_no_interface_for_programs_and_reports_nothing(page):
    functions = [function for function in page.fns.values() if function.inputs]
    assert functions and not [one for one in functions if one.api_visibility == "public"]
    assert not page.analytics_enabled


def test_old_uploads_are_deleted_and_examples_stay(page, tmp_path):
    from gradio.route_utils import delete_files_created_by_app

    def kept():
        return {name for *_, names in os.walk(tmp_path) for name in names}

    assert page.delete_cache == (600, 3600)
    upload = tmp_path / "upload.wav"
    upload.write_bytes(b"RIFF")
    page.upload_file_set.add(str(upload))
    before = kept()
    delete_files_created_by_app(page, age=None)
    assert kept() == before - {"upload.wav"}
