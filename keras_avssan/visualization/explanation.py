"""Everything a model can tell about one answer, on one page."""

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import FigureBase
from numpy.typing import ArrayLike

from keras_avssan.visualization import style
from keras_avssan.visualization.band_attention import plot_band_attention
from keras_avssan.visualization.checks import as_array, entry
from keras_avssan.visualization.posterior import plot_posterior
from keras_avssan.visualization.spectrograms import plot_spectrograms


@style.styled
def plot_explanation(
    explanation: Mapping[str, Any],
    azimuth: float | None = None,
    interferer_azimuth: float | None = None,
    *,
    prompt: ArrayLike | None = None,
    target: ArrayLike | None = None,
    title: str | None = None,
    figure: FigureBase | None = None,
) -> FigureBase:
    """Draws prompt, posterior, spectrograms and band attention of one answer.

    Args:
        explanation: What `model.explain` returns for one scene.
        azimuth: True direction of the target in degrees, drawn where given.
        interferer_azimuth: True direction of the interferer in degrees, drawn where given.
        prompt: The picture that was asked with, shape `(H, W, 3)`, values within 0 to 1.
        target: Audio of the target alone at the microphones, shape `(samples, 2)`.
        title: Text above everything.
        figure: An empty figure or sub-figure to draw into. Default: a new figure.

    Returns:
        The figure.

    Raises:
        ValueError: If a key is missing or shapes do not fit each other.

    Example:
        ```python
        explanation = model.explain(audio, "dog.jpg")
        plot_explanation(explanation, azimuth=42, interferer_azimuth=120).savefig("out.png")
        ```
    """
    attended = _has_band_attention(explanation)
    heights = [1.25, 1.0, 1.15] if attended else [1.25, 1.0]
    figure = style.canvas(figure, (10.5, 2.9 * sum(heights)))
    rows = style.split(figure, len(heights), 1, height_ratios=heights, hspace=0.02)
    _draw_answer(rows[0], explanation, azimuth, interferer_azimuth, prompt)
    plot_spectrograms(explanation, target, figure=rows[1])
    if attended:
        plot_band_attention(explanation, figure=rows[2])
    if title is not None:
        figure.suptitle(title, fontsize=12)
    return figure


def _has_band_attention(explanation: Mapping[str, Any]) -> bool:
    return bool(explanation.get("band_attention")) or explanation.get("band_weights") is not None


def _draw_answer(
    figure: FigureBase,
    explanation: Mapping[str, Any],
    azimuth: float | None,
    interferer_azimuth: float | None,
    prompt: ArrayLike | None,
) -> None:
    predicted = float(entry(explanation, "azimuth"))
    confidence = float(entry(explanation, "confidence"))
    if prompt is not None:
        left, figure = style.split(figure, 1, 2, width_ratios=[1.0, 2.2])
        axes = left.subplots()
        axes.imshow(as_array("prompt", prompt, (None, None, 3)).clip(0.0, 1.0))
        axes.set_title("prompt", loc="center")
        axes.set_axis_off()
    plot_posterior(
        entry(explanation, "posterior"),
        azimuth,
        interferer_azimuth,
        predicted=predicted,
        title=f"heard at {predicted:.0f}°, confidence {confidence:.2f}",
        figure=figure,
    )
