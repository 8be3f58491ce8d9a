import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from keras_avssan.data import read_image

pytestmark = pytest.mark.backend_agnostic


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


@pytest.mark.parametrize("shape", [(1, 200), (200, 1), (3, 1000), (1, 5000)])
def test_a_line_keeps_a_pixel(shape, tmp_path):
    red = np.tile(np.uint8([255, 0, 0]), (*shape, 1))
    Image.fromarray(red).save(tmp_path / "line.png")
    for image in (red, tmp_path / "line.png"):
        pixels = read_image(image, (64, 48))
        is_red = np.abs(pixels - [1, 0, 0]).max(axis=2) < 0.01
        assert is_red.sum() == (64 if shape[1] == 1 else 48)
        np.testing.assert_array_equal(pixels[~is_red], 1.0)
        assert is_red[32].any() and is_red[:, 24].any()


def png(depth, colour, row, clear, palette=None):
    """A PNG file of 8 by 8 pixels, written by hand: pillow does not write all of them."""

    def chunk(kind, data):
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    head = struct.pack(">IIBBBBB", 8, 8, depth, colour, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"PLTE", palette), (b"tRNS", clear)]
    chunks += [(b"IDAT", zlib.compress((b"\0" + row) * 8)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(k, d) for k, d in chunks if d is not None)


# Depth, kind of colour, the left and the right half of a row, and the colour of the left half as
# the one that is transparent; then what the right half looks like.
GREY, RGB, PALETTE = 0, 2, 3
TRANSPARENT = {
    "grey of 1 bit": (1, GREY, b"\xf0", struct.pack(">H", 1), 0.0),
    "grey of 2 bits": (2, GREY, b"\x55\xaa", struct.pack(">H", 1), 2 / 3),
    "grey of 4 bits": (4, GREY, b"\x55\x55\xcc\xcc", struct.pack(">H", 5), 0.8),
    "grey of 8 bits": (8, GREY, b"\x0a" * 4 + b"\x33" * 4, struct.pack(">H", 10), 0.2),
    "grey of 16 bits": (16, GREY, b"\3\xe8" * 4 + b"\x33\x33" * 4, struct.pack(">H", 1000), 0.2),
    "RGB of 8 bits": (8, RGB, b"\1\2\3" * 4 + b"\x33\0\x66" * 4, b"\0\1\0\2\0\3", (0.2, 0, 0.4)),
    "RGB of 16 bits": (
        *(16, RGB, b"\1\4\2\5\3\6" * 4 + b"\x33\0\0\0\x66\0" * 4),
        *(b"\1\4\2\5\3\6", (0.2, 0, 0.4)),
    ),
}


@pytest.mark.parametrize("kind", TRANSPARENT)
def test_one_transparent_colour_becomes_white(kind, tmp_path):
    *parts, expected = TRANSPARENT[kind]
    (tmp_path / "t.png").write_bytes(png(*parts))
    pixels = read_image(tmp_path / "t.png")
    np.testing.assert_array_equal(pixels[:, :4], 1.0)
    np.testing.assert_allclose(pixels[:, 4:], np.broadcast_to(expected, (8, 4, 3)), atol=2e-3)


def test_a_palette_may_be_partly_transparent(tmp_path):
    row = b"\0\0\0\0\1\1\1\1"
    palette, clear = b"\0\0\0\x33\0\x66", b"\0\x80"
    (tmp_path / "p.png").write_bytes(png(8, PALETTE, row, clear, palette))
    pixels = read_image(tmp_path / "p.png")
    np.testing.assert_array_equal(pixels[:, :4], 1.0)
    np.testing.assert_allclose(pixels[0, 4], [0.6, 0.5, 0.7], atol=5e-3)


def test_every_mode_has_its_colours(tmp_path):
    orange = (1.0, 0.6, 0.2)
    pictures = {
        "float.tif": (Image.fromarray(np.full((8, 8), 0.5, "float32")), 0.5),
        "int.tif": (Image.fromarray(np.full((8, 8), 26214, "int32")), 0.4),
        "cmyk.tif": (Image.new("CMYK", (8, 8), (0, 102, 204, 0)), orange),
        "cmyk.jpg": (Image.new("CMYK", (8, 8), (0, 102, 204, 0)), orange),
        "alpha.png": (Image.new("LA", (8, 8), (51, 128)), 0.6),
        "bit.png": (Image.new("1", (8, 8), 1), 1.0),
        "bilevel.tif": (Image.new("1", (8, 8), 0), 0.0),
        "palette.gif": (Image.new("RGB", (8, 8), (255, 153, 51)).quantize(4), orange),
        "camera.bmp": (Image.new("RGB", (8, 8), (255, 153, 51)), orange),
    }
    for name, (picture, expected) in pictures.items():
        picture.save(tmp_path / name)
        pixels = read_image(tmp_path / name)
        assert pixels.shape == (8, 8, 3), name
        np.testing.assert_allclose(
            pixels, np.broadcast_to(expected, pixels.shape), atol=0.01, err_msg=name
        )


def test_the_first_picture_of_an_animation(tmp_path):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    for name in ("a.gif", "a.webp", "a.png"):
        options = {"lossless": True} if name == "a.webp" else {}
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], **options)
        np.testing.assert_allclose(read_image(tmp_path / name)[4, 4], [1, 0, 0], atol=0.01)


def test_the_orientation_of_the_camera_is_followed(tmp_path):
    picture = Image.new("RGB", (16, 8), "red")
    picture.paste("blue", (8, 0, 16, 8))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera stood on its right side
    picture.save(tmp_path / "upright.png", exif=exif)
    pixels = read_image(tmp_path / "upright.png")
    assert pixels.shape == (16, 8, 3)
    assert pixels[0, 0].tolist() == [1, 0, 0] and pixels[-1, 0].tolist() == [0, 0, 1]


def test_what_cannot_be_read_is_named_with_its_reason(tmp_path, monkeypatch):
    Image.fromarray(np.full((8, 8), 200.0, "float32")).save(tmp_path / "range.tif")
    Image.fromarray(np.full((8, 8), -1, "int32")).save(tmp_path / "negative.tif")
    Image.new("1", (40, 40)).save(tmp_path / "vast.png")
    (tmp_path / "phone.jpg").write_bytes(b"\0\0\0\x18ftypheic" + bytes(200))
    (tmp_path / "empty.png").touch()
    (tmp_path / "folder.png").mkdir()
    reasons = {
        "range.tif": "must hold values from 0 to 1. Received: from 200",
        "negative.tif": "must hold values from 0 to 65535. Received: from -1",
        "vast.png": "has more pixels than pillow's limit",
        "phone.jpg": "is HEIC, which pillow does not read: convert it to JPEG or PNG",
        "empty.png": "is empty. Received: 0 bytes",
        "folder.png": "must be a file. Received: a directory",
        "none.png": "does not exist",
    }
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 500)
    for name, reason in reasons.items():
        with pytest.raises(ValueError, match=f"image file '.*{name}' {reason}"):
            read_image(tmp_path / name, 16)
