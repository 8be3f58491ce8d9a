"""Figure of all outputs of a model for one scene."""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import FigureBase
from numpy.typing import ArrayLike

from keras_avssan.data.media.contents import Contents, File, as_contents
from keras_avssan.data.media.image_io import read_image
from keras_avssan.tracking import Track
from keras_avssan.visualization import style
from keras_avssan.visualization.band_attention import plot_band_attention
from keras_avssan.visualization.checks import as_array, entry
from keras_avssan.visualization.posterior import plot_posterior
from keras_avssan.visualization.spectrograms import plot_spectrograms
from keras_avssan.visualization.track import plot_track

# Largest side of a drawn prompt in pixels.
_PIXELS = 512
# Inches of the row of a track.
_TRACK_HEIGHT = 3.2


@style.styled
def plot_explanation(
    explanation: Mapping[str, Any],
    azimuth: float | None = None,
    interferer_azimuth: float | None = None,
    *,
    prompt: ArrayLike | File | None = None,
    target: ArrayLike | None = None,
    track: Track | None = None,
    title: str | None = None,
    width: float = style.COLUMN_WIDTH,
    figure: FigureBase | None = None,
) -> FigureBase:
    """Draws prompt, posterior, track, spectrograms and band attention of one scene.

    Args:
        explanation: Result of `model.explain` for one scene; of a network with candidates these are
            drawn too.
        azimuth: True direction of the target in degrees, drawn if given.
        interferer_azimuth: True direction of the interferer in degrees, drawn if given.
        prompt: The picture of the prompt: a file, by its path, its bytes, or opened in binary
            mode; or an array of shape `(H, W, 3)` with values within 0 to 1.
        target: Audio of the target alone at the microphones, shape `(samples, 2)`.
        track: What `model.track` returns, drawn below the posterior if given: with the true
            `azimuth`, as of a source that rests.
        title: Text above everything.
        width: Width of a new figure in inches. Below 6 all panels stand one below another, for
            narrow screens.
        figure: An empty figure or sub-figure to draw into. Default: a new figure.

    Returns:
        The figure.

    Raises:
        ValueError: If a key is missing, shapes do not fit each other, or `prompt` is not a picture.
        TypeError: If `prompt` is a file opened as text, or `track` is not a `Track`.

    Example:
        ```python
        explanation = model.explain(audio, "dog.jpg")
        plot_explanation(explanation, azimuth=42, prompt="dog.jpg").savefig("out.png")
        ```
    """
    attended = _has_band_attention(explanation)
    if figure is not None:
        width = style.width_of(figure)
    heights = _heights(width, attended, prompt is not None, target is not None)
    if track is not None:
        heights.insert(1, _TRACK_HEIGHT)
    figure = style.canvas(figure, (width, sum(heights)))
    first, *rows = style.split(figure, len(heights), 1, height_ratios=heights, hspace=0.02)
    _draw_answer(first, explanation, azimuth, interferer_azimuth, prompt)
    if track is not None:
        truth = None if azimuth is None else np.full(len(track.times), azimuth)
        plot_track(track, truth, figure=rows.pop(0))
    plot_spectrograms(explanation, target, figure=rows[0])
    if attended:
        plot_band_attention(explanation, figure=rows[1])
    if title is not None:
        figure.suptitle(title, fontsize=12)
    return figure


def _heights(width: float, attended: bool, has_prompt: bool, has_target: bool) -> list[float]:
    """Inches of the rows: prompt and posterior, spectrograms, and band attention."""
    if width < style.NARROW:
        heights = [4.4 if has_prompt else 3.1, 1.7 * (4 if has_target else 3), 5.4]
    else:
        heights = [3.4, 2.7, 3.2]
    return heights[: 2 + attended]


def _has_band_attention(explanation: Mapping[str, Any]) -> bool:
    return bool(explanation.get("band_attention")) or explanation.get("band_weights") is not None


def _as_picture(prompt: ArrayLike | File) -> np.ndarray:
    """Pixels (H, W, 3) of a prompt, at most `_PIXELS` high and wide."""
    given = as_contents(prompt, "prompt")
    if not isinstance(given, (str, os.PathLike, Contents)):
        return as_array("prompt", given, (None, None, 3)).clip(0.0, 1.0)
    pixels = read_image(given)
    largest = max(pixels.shape[:2])
    if largest <= _PIXELS:
        return pixels
    height, width = (max(1, round(side * _PIXELS / largest)) for side in pixels.shape[:2])
    return read_image(given, (height, width))


def _draw_answer(
    figure: FigureBase,
    explanation: Mapping[str, Any],
    azimuth: float | None,
    interferer_azimuth: float | None,
    prompt: ArrayLike | File | None,
) -> None:
    predicted = float(entry(explanation, "azimuth"))
    confidence = float(entry(explanation, "confidence"))
    if prompt is not None:
        if style.width_of(figure) < style.NARROW:
            part, figure = style.split(figure, 2, 1, height_ratios=[1.3, 3.1])
        else:
            part, figure = style.split(figure, 1, 2, width_ratios=[1.0, 2.2])
        axes = part.subplots()
        axes.imshow(_as_picture(prompt))
        axes.set_title("prompt", loc="center")
        axes.set_axis_off()
    plot_posterior(
        entry(explanation, "posterior"),
        azimuth,
        interferer_azimuth,
        predicted=predicted,
        candidate_azimuths=explanation.get("candidate_azimuths"),
        candidate_weights=explanation.get("candidate_weights"),
        title=f"answer {predicted:.0f}°, probability within 5°: {confidence:.2f}",
        figure=figure,
    )
