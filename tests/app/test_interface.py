"""What the page is made of."""

import os

import pytest

pytestmark = pytest.mark.once
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
        "recording", "picture", "sound", "find", "direction", "figure", "masked"
    }  # fmt: skip
    # A browser's microphone gives one channel, which holds no direction; it may ask.
    assert components(page)["recording"].sources == ["upload"]
    assert components(page)["picture"].file_types == [".jpg", ".jpeg", ".png", ".webp"]


def test_words_where_the_model_reads_them(tiny_model, monkeypatch):
    from keras_avssan.app import build_interface

    monkeypatch.setattr(tiny_model.preprocessor, "tokenize", lambda texts: texts)
    assert "words" in components(build_interface(tiny_model))


def test_it_is_no_interface_for_programs_and_reports_nothing(page):
    asked = [function for function in page.fns.values() if function.inputs]
    assert asked and not [one for one in asked if one.api_visibility == "public"]
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
