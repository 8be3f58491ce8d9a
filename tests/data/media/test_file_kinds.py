"""What is in a file says what it is."""

import io

import numpy as np
import pytest
import soundfile
from PIL import Image

from keras_avssan._internal.atomic_files import is_meant_as_file
from keras_avssan.data import ClassFolders, PictureFolders, check_folders
from keras_avssan.data.media.file_kinds import file_kind
from keras_avssan.models.prompts import split_prompts

pytestmark = pytest.mark.backend_agnostic

NOISE = 0.1 * np.random.default_rng(0).normal(size=(8000, 2))
SOUNDS = {
    ("WAV", None): "wave",
    ("AIFF", None): "aiff",
    ("CAF", None): "caf",
    ("AU", None): "au",
    ("OGG", "OPUS"): "opus",
    ("FLAC", None): "flac",
    ("MP3", None): "mp3",
}


@pytest.mark.parametrize(("format", "subtype"), SOUNDS)
def test_recordings_under_any_name(format, subtype, tmp_path):
    names = [f"bark.{SOUNDS[format, subtype]}", "bark", "bark.jpg", "bark.dat"]
    for name in names:
        with open(tmp_path / name, "wb") as file:
            soundfile.write(file, NOISE, 16000, format=format, subtype=subtype)
        assert file_kind(tmp_path / name) == "audio"
        assert split_prompts(str(tmp_path / name))[1] == ["recording"]
    with open(tmp_path / names[0], "rb") as file:
        assert file_kind(file) == "audio" and file.tell() == 0


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_pictures_under_any_name(format, tmp_path):
    for name in (f"dog.{format}", "dog", "dog.wav"):
        Image.new("RGB", (8, 8)).save(tmp_path / name, format=format)
        assert file_kind(tmp_path / name) == "image"
        assert split_prompts(tmp_path / name)[1] == ["picture"]


@pytest.mark.parametrize(
    "content",
    [b"read me", "path,class\r\n".encode("utf-16") * 50, bytes(4000), b"%PDF-1.4" + bytes(999)],
)
def test_neither(content, tmp_path):
    """UTF-16 begins like a frame of MPEG."""
    assert file_kind(io.BytesIO(content)) is None
    (tmp_path / "notes.txt").write_bytes(content)
    assert file_kind(tmp_path / "notes.txt") is None
    (tmp_path / "damaged.wav").write_bytes(content)
    assert file_kind(tmp_path / "damaged.wav") == "audio"  # what it was meant to be


def test_words_are_told_from_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dog").mkdir()
    (tmp_path / "rain").write_bytes(b"x")
    words = ["a dog", "dog", "It barks. A dog", "St. Bernard", "cat/dog", "3.5", "a dog...", "no.1"]
    files = ["dgo.jpg", "nowhere/bark.aiff", "x.heic", "bark.m4a", "./dog", "../dog", "/dog", "~/a"]
    files += ["C:\\dog", "rain", "my dog.jpge", "bark.wav"]
    assert [text for text in words if is_meant_as_file(text)] == []
    assert [text for text in files if not is_meant_as_file(text)] == []
    assert split_prompts(words)[1] == ["text"] * len(words)


def test_each_trouble_has_its_message(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dog").mkdir()
    (tmp_path / "empty.xyz").touch()
    (tmp_path / "notes.txt").write_text("read me")
    messages = {
        "./dog": "file './dog' as `prompt` must be a file. Received: a directory",
        "empty.xyz": "file 'empty.xyz' as `prompt` is empty",
        "notes.txt": "must be a picture or a recording.*Received: prompt='notes.txt'",
        "dog.jpge": "file 'dog.jpge' as `prompt` does not exist",
    }
    for prompt, message in messages.items():
        with pytest.raises(ValueError, match=message):
            split_prompts(prompt)


def test_folders_go_by_content(tmp_path):
    for name in ("dog", "bell"):
        (tmp_path / name / "more").mkdir(parents=True)
        for number in range(2):
            path = tmp_path / name / f"sound{number}.aiff"
            soundfile.write(path, np.random.default_rng(number).normal(size=8000) / 9, 16000)
            pixels = np.random.default_rng(number).integers(0, 255, (32, 32, 3), "uint8")
            Image.fromarray(pixels).save(tmp_path / name / f"picture{number}.gif")
        (tmp_path / name / "notes.txt").write_text("read me")
    (tmp_path / "dog/sound1.aiff").rename(tmp_path / "dog/sound1.dat")
    Image.new("RGB", (8, 8)).save(tmp_path / "dog/misnamed.wav", format="PNG")
    catalog = ClassFolders(tmp_path)
    assert sorted(clip.id for clip in catalog.clips if clip.class_name == "dog") == [
        "dog/sound0.aiff", "dog/sound1.dat"
    ]  # fmt: skip
    pictures = ["dog/misnamed.wav", "dog/picture0.gif", "dog/picture1.gif"]
    assert sorted(p.id for p in catalog.pictures if p.class_name == "dog") == pictures
    assert len(PictureFolders(tmp_path).pictures) == 5
    (tmp_path / "dog/phone.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(200))
    report = check_folders(tmp_path)
    assert [(file.path, file.kind) for file in report.problems] == [("dog/phone.heic", "image")]
    assert "is HEIC, which pillow does not read" in report.problems[0].problem
    assert report.ignored == ("bell/notes.txt", "dog/notes.txt")
