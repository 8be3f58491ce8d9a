"""Read pictures: decode, check, fit into a frame."""

import os

import numpy as np
from PIL import Image, ImageOps

from keras_avssan.files import check_file


def read_image(
    image: str | os.PathLike | np.ndarray, size: int | tuple[int, int] | None = None
) -> np.ndarray:
    """Read a picture as float32 RGB in [0, 1], the whole picture kept.

    A picture of another shape is scaled to fit into `size` (bicubic, antialiased) and centred on
    white; nothing is cropped or distorted. Transparent parts become white.

    Args:
        image: Path of a file that pillow reads (JPEG, PNG, WebP, …), or an array of shape
            `(height, width, 3)`: floats in [0, 1] or `uint8`.
        size: Int, or tuple `(height, width)` in pixels, or `None` for the picture's own size.

    Returns:
        Float32 array of shape `(height, width, 3)`.

    Raises:
        ValueError: The picture is unreadable or truncated, or an array has another rank, dtype
            or range.

    Example:
        >>> read_image(np.zeros((100, 50, 3), "uint8"), size=64).shape
        (64, 64, 3)
    """
    if isinstance(image, (str, os.PathLike)):
        picture = _decode(image)
    else:
        picture = _from_array(image)
    if size is not None:
        height, width = image_size(size)
        if picture.size != (width, height):
            picture = ImageOps.pad(
                picture, (width, height), method=Image.Resampling.BICUBIC, color="white"
            )
    return np.asarray(picture, "float32") / 255.0


def image_size(size: int | tuple[int, int]) -> tuple[int, int]:
    """Bring an image size to the form `(height, width)`.

    Args:
        size: Int, or tuple of two ints, in pixels.

    Returns:
        Tuple of two ints.

    Raises:
        ValueError: `size` is neither.
    """
    sides = np.asarray(size)
    if sides.shape not in ((), (2,)) or sides.dtype.kind not in "iu" or sides.min() < 1:
        raise ValueError(f"`size` must be an int or (height, width) in pixels, got {size!r}.")
    height, width = np.broadcast_to(sides, 2).tolist()
    return height, width


def _decode(path):
    name = f"image file '{os.fspath(path)}'"
    check_file(path, name)
    try:
        with Image.open(path) as file:
            return _on_white(ImageOps.exif_transpose(file))
    except Image.UnidentifiedImageError as error:
        raise ValueError(f"{name} cannot be read as an image.") from error
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise ValueError(f"{name} is truncated or damaged: {error}") from error


def _on_white(picture):
    if picture.mode.startswith("I"):
        full_scale = np.asarray(picture, "float32") / 65535.0
        picture = Image.fromarray((255 * full_scale.clip(0, 1)).astype("uint8"))
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture)
    return picture.convert("RGB")


def _from_array(image):
    pixels = np.asarray(image)
    if pixels.ndim != 3 or pixels.shape[-1] != 3 or 0 in pixels.shape:
        raise ValueError(f"`image` must have shape (height, width, 3), got shape {pixels.shape}.")
    if pixels.dtype == np.uint8:
        return Image.fromarray(pixels)
    if pixels.dtype.kind != "f":
        raise ValueError(f"`image` must hold floats in [0, 1] or uint8, got {pixels.dtype}.")
    if not (np.isfinite(pixels).all() and pixels.min() >= 0 and pixels.max() <= 1):
        raise ValueError(
            f"`image` must be in [0, 1], got values from {pixels.min()} to {pixels.max()}."
        )
    return Image.fromarray(np.rint(255 * pixels).astype("uint8"))
