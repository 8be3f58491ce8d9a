"""Reading of pictures: decode, check, fit into a frame."""

import os
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image, ImageOps, UnidentifiedImageError

from keras_avssan._internal.atomic_files import check_file
from keras_avssan._internal.types import PathLike
from keras_avssan.data.media.contents import Contents, File, as_contents, whole_content
from keras_avssan.data.media.file_kinds import is_heif

# By what pillow scales the pixels of grey pictures of 2 and 4 bits, but not their transparency.
_DEPTHS = {"L;2": 85, "L;4": 17}


def read_image(image: File | np.ndarray, size: int | tuple[int, int] | None = None) -> np.ndarray:
    """Reads a picture as float32 RGB in [0, 1], without cropping.

    A picture of another shape is scaled to fit into `size` (bicubic, antialiased) and centred on
    white; nothing is cropped or distorted, and no side becomes less than a pixel. Transparent
    parts become white. Of an animation the first picture is taken, and the orientation that a
    camera noted is followed.

    Args:
        image: File that pillow reads (JPEG, PNG, WebP, …): its path, its bytes, or the file opened
            in binary mode; or an array of shape `(height, width, 3)`: floats in [0, 1] or `uint8`.
        size: Side of a square or `(height, width)`, in pixels; `None` for the picture's own size.

    Returns:
        Float32 array of shape `(height, width, 3)`.

    Raises:
        ValueError: The picture is missing, unreadable, truncated or too large, of one channel of
            values beyond 16 bits (integers) or beyond 0 to 1 (floats), or an array has another
            rank, dtype or range.

    Example:
        >>> read_image(np.zeros((100, 50, 3), "uint8"), size=64).shape
        (64, 64, 3)
    """
    content = as_contents(image, "image")
    if isinstance(content, (str, os.PathLike, Contents)):
        picture = _decode(content)
    else:
        picture = _from_array(content)
    if size is not None:
        height, width = image_size(size)
        picture = _fit(picture, width, height)
    return np.asarray(picture, "float32") / 255.0


def image_size(size: int | tuple[int, int]) -> tuple[int, int]:
    """Returns an image size as `(height, width)`; an int is the side of a square."""
    sides = np.asarray(size)
    if sides.shape not in ((), (2,)) or sides.dtype.kind not in "iu" or sides.min() < 1:
        raise ValueError(
            f"`size` must be an int or (height, width) in pixels. Received: size={size!r}"
        )
    height, width = np.broadcast_to(sides, 2).tolist()
    return height, width


def _decode(path: PathLike | Contents) -> Image.Image:
    name = path.label if isinstance(path, Contents) else f"image file '{os.fspath(path)}'"
    if isinstance(path, Contents):
        path.seek(0)
    else:
        check_file(path, name)
    try:
        with Image.open(path) as file:
            _match_transparency(file)
            picture = ImageOps.exif_transpose(file)
            picture.load()
    except UnidentifiedImageError as error:
        start = whole_content(path)[:12]
        if is_heif(start):
            raise ValueError(
                f"{name} is HEIC, which pillow does not read: convert it to JPEG or PNG, or call "
                "`pillow_heif.register_heif_opener()` of the package pillow-heif first."
            ) from error
        raise ValueError(
            f"{name} cannot be read as an image. Received: a file that begins with {start!r}"
        ) from error
    except Image.DecompressionBombError as error:
        raise ValueError(f"{name} has more pixels than pillow's limit: {error}") from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise ValueError(f"{name} is truncated or damaged: {error}") from error
    return _on_white(picture, name)


def _match_transparency(file: Any) -> None:
    """Brings the colour that counts as transparent to the depth at which pillow gives pixels."""
    clear, stored = file.info.get("transparency"), file.tile[0][3] if file.tile else None
    if stored in _DEPTHS and isinstance(clear, int):
        file.info["transparency"] = clear * _DEPTHS[stored]
    elif stored == "RGB;16B" and isinstance(clear, tuple):
        file.info["transparency"] = tuple(value >> 8 for value in clear)


def _on_white(picture: Image.Image, name: str) -> Image.Image:
    if picture.mode.startswith("I") or picture.mode == "F":
        return _from_deep(picture, name)
    try:
        if picture.has_transparency_data:
            picture = picture.convert("RGBA")
            white = Image.new("RGBA", picture.size, "white")
            picture = Image.alpha_composite(white, picture)
        return picture.convert("RGB")
    except ValueError as error:
        raise ValueError(f"{name} has colours that cannot be converted to RGB: {error}") from error


def _from_deep(picture: Image.Image, name: str) -> Image.Image:
    """RGB of one channel of 16-bit integers, or of floats from 0 to 1."""
    greatest = 1 if picture.mode == "F" else 65535
    pixels = np.array(picture, "float32")
    if not (np.isfinite(pixels).all() and pixels.min() >= 0 and pixels.max() <= greatest):
        raise ValueError(
            f"{name} must hold values from 0 to {greatest}. "
            f"Received: from {pixels.min():g} to {pixels.max():g}"
        )
    clear = picture.info.get("transparency")
    if isinstance(clear, int):
        pixels[pixels == clear] = greatest
    return Image.fromarray(np.rint(255 / greatest * pixels).astype("uint8")).convert("RGB")


def _fit(picture: Image.Image, width: int, height: int) -> Image.Image:
    """Scales a picture into a frame without cropping, centred on white."""
    if picture.size == (width, height):
        return picture
    scale = min(width / picture.width, height / picture.height)
    fitted = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    if 1 in fitted:  # one side may round to zero, which `pad` does not handle
        line = picture.resize(fitted, Image.Resampling.BICUBIC)
        frame = Image.new("RGB", (width, height), "white")
        frame.paste(line, (round((width - fitted[0]) / 2), round((height - fitted[1]) / 2)))
        return frame
    return ImageOps.pad(picture, (width, height), method=Image.Resampling.BICUBIC, color="white")


def _from_array(image: ArrayLike) -> Image.Image:
    pixels = np.asarray(image)
    if pixels.ndim != 3 or pixels.shape[-1] != 3 or 0 in pixels.shape:
        raise ValueError(
            f"`image` must have shape (height, width, 3). Received: image of shape {pixels.shape}"
        )
    if pixels.dtype == np.uint8:
        return Image.fromarray(pixels)
    if pixels.dtype.kind != "f":
        raise ValueError(
            f"`image` must hold floats in [0, 1] or uint8. Received: image of dtype {pixels.dtype}"
        )
    if not (np.isfinite(pixels).all() and pixels.min() >= 0 and pixels.max() <= 1):
        raise ValueError(
            f"`image` must be in [0, 1]. Received: values from {pixels.min()} to {pixels.max()}"
        )
    return Image.fromarray(np.rint(255 * pixels).astype("uint8"))
