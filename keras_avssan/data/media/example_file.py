"""Recordings and pictures that are installed with the library."""

from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples"


def example_file(name: str) -> str:
    """Returns the path of an example that is installed with the library.

    There are mixtures of two real recordings in simulated rooms, 4 seconds of two channels at
    16 kHz (`"dog_and_rain.flac"`), and, of each class in them, a picture (`"dog.jpg"`) and another
    recording (`"dog.ogg"`) as prompts. `"examples.json"` holds the true azimuths in degrees,
    `"CREDITS.md"` the authors and licences, `"sources/dog.ogg"` the sound that is in the mixtures.

    Args:
        name: Name of the file; a file in a folder has a slash in its name.

    Returns:
        The path as a string.

    Raises:
        ValueError: If there is no such example; the message lists the names.

    Example:
        >>> read_audio(example_file("dog_and_rain.flac"), channels=2).shape
        (64000, 2)
    """
    names = sorted(
        path.relative_to(EXAMPLES).as_posix() for path in EXAMPLES.rglob("*") if path.is_file()
    )
    if name not in names:
        raise ValueError(f"`name` must be one of {', '.join(names)}. Received: name={name!r}")
    return str(EXAMPLES / name)
