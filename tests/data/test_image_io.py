import numpy as np
import pytest
from PIL import Image

from keras_avssan.data import read_image

pytestmark = pytest.mark.once


@pytest.mark.parametrize("extension", ["png", "jpg", "webp"])
def test_the_whole_picture_is_kept_on_white(tmp_path, extension):
    path = tmp_path / f"wide.{extension}"
    Image.new("RGB", (80, 40), (255, 0, 0)).save(path)
    pixels = read_image(path, 64)
    assert pixels.shape == (64, 64, 3)
    assert pixels.dtype == np.float32
    assert pixels.min() >= 0 and pixels.max() <= 1
    np.testing.assert_allclose(pixels[:14], 1.0)
    np.testing.assert_allclose(pixels[-14:], 1.0)
    np.testing.assert_allclose(pixels[20:44].mean((0, 1)), [1, 0, 0], atol=0.02)


def test_size_may_be_a_pair_or_the_pictures_own(tmp_path):
    Image.new("RGB", (80, 40)).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png").shape == (40, 80, 3)
    assert read_image(tmp_path / "a.png", (30, 50)).shape == (30, 50, 3)


def test_transparency_becomes_white_and_grey_becomes_rgb(tmp_path):
    Image.new("RGBA", (8, 8), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    np.testing.assert_allclose(read_image(tmp_path / "clear.png"), 1.0)
    Image.new("L", (8, 8), 51).save(tmp_path / "grey.png")
    np.testing.assert_allclose(read_image(tmp_path / "grey.png"), 0.2, atol=1e-6)
    Image.fromarray(np.full((8, 8), 13107, "uint16")).save(tmp_path / "deep.png")
    np.testing.assert_allclose(read_image(tmp_path / "deep.png"), 0.2, atol=1e-6)


def test_arrays_of_floats_and_bytes_agree():
    pixels = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype="uint8")
    np.testing.assert_allclose(read_image(pixels, 16), read_image(pixels / 255.0, 16))


@pytest.mark.parametrize("extension", ["png", "jpg", "webp"])
def test_a_truncated_file_is_refused(tmp_path, extension):
    path = tmp_path / f"cut.{extension}"
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype="uint8")
    Image.fromarray(noise).save(path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=rf"cut\.{extension}.*(truncated|cannot be read)"):
        read_image(path)


def test_unreadable_and_missing_files_are_refused(tmp_path):
    (tmp_path / "bad.jpg").write_bytes(b"not a picture")
    with pytest.raises(ValueError, match=r"bad\.jpg.*cannot be read"):
        read_image(tmp_path / "bad.jpg")
    with pytest.raises(ValueError, match=r"none\.jpg.*does not exist"):
        read_image(tmp_path / "none.jpg")


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((8, 8)), "shape"),
        (np.zeros((8, 8, 4)), "shape"),
        (np.zeros((1, 8, 8, 3)), "shape"),
        (np.full((8, 8, 3), 200.0), r"\[0, 1\]"),
        (np.full((8, 8, 3), -0.5), r"\[0, 1\]"),
        (np.full((8, 8, 3), np.nan), r"\[0, 1\]"),
        (np.zeros((8, 8, 3), "int32"), "int32"),
    ],
)
def test_wrong_arrays_are_refused(image, message):
    with pytest.raises(ValueError, match=message):
        read_image(image)


@pytest.mark.parametrize("size", [0, -4, (4, 5, 6), 3.5, "large"])
def test_wrong_sizes_are_refused(size):
    with pytest.raises(ValueError, match="size"):
        read_image(np.zeros((8, 8, 3)), size)
