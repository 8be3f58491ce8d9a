"""Figure of the spectrograms of mixture, mask and masked mixture."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from matplotlib.figure import FigureBase
from numpy.typing import ArrayLike

from keras_avssan._internal.checks import check_positive_number
from keras_avssan.layers import StereoSTFT
from keras_avssan.visualization import style
from keras_avssan.visualization.checks import as_array, entry, frame_times
from keras_avssan.visualization.panels import (
    draw_image,
    draw_level,
    loudest_power,
    panel_extent,
)


@style.styled
def plot_spectrograms(
    explanation: Mapping[str, Any],
    target: ArrayLike | None = None,
    *,
    dynamic_range: float = 60.0,
    figure: FigureBase | None = None,
) -> FigureBase:
    """Draws the spectrograms of the mixture, of the mask and of the masked mixture.

    The power is the mean over both channels. Mixture and masked mixture are in decibels below the
    loudest bin of the mixture, so that the effect of the mask is visible; the target alone is in
    decibels below its own loudest bin.

    Args:
        explanation: Result of `model.explain`; used are `spectrogram` `(T, F, 4)`, `mask`
            `(T, F)`, `masked_spectrogram` `(T, F, 4)`, `sampling_rate` and `hop_length`.
        target: Audio of the target alone at the microphones, shape `(samples, 2)`, as long as the
            mixture; drawn as a fourth panel if given.
        dynamic_range: Range of the colours in decibels.
        figure: An empty figure or sub-figure to draw into. Default: a new figure.

    Returns:
        The figure, with one panel a spectrogram; one below another in less than 6 inches.

    Raises:
        ValueError: If a key is missing, the shapes do not fit each other, or `dynamic_range` is
            not positive.

    Example:
        ```python
        explanation = model.explain(audio, "dog.jpg")
        plot_spectrograms(explanation).savefig("mask.png")
        ```

    Reference:
        Equations (9) and (10) of the AV-SSAN paper.
    """
    check_positive_number("dynamic_range", dynamic_range, "number of decibels")
    mix = as_array("spectrogram", entry(explanation, "spectrogram"), (None, None, 4))
    mask = as_array("mask", entry(explanation, "mask"), mix.shape[:2])
    masked = as_array("masked_spectrogram", entry(explanation, "masked_spectrogram"), mix.shape)
    panels = {"mix": mix, "mask": mask, "masked mix": masked}
    if target is not None:
        panels["target alone"] = _transform(target, mix.shape, explanation)

    times = frame_times(explanation, len(mix))
    extent = panel_extent(explanation, len(mix))
    loudest = dict.fromkeys(panels, loudest_power(mix))
    if target is not None:
        loudest["target alone"] = loudest_power(panels["target alone"])

    figure = style.canvas(figure, (min(3.1 * len(panels), style.COLUMN_WIDTH), 2.7))
    narrow = style.width_of(figure) < style.NARROW
    shape = (len(panels), 1) if narrow else (1, len(panels))
    all_axes = figure.subplots(*shape, sharex=True, sharey=True)
    for axes, (name, values) in zip(all_axes, panels.items(), strict=True):
        if name == "mask":
            image = draw_image(axes, values, extent, style.MASK_COLORS, (0.0, 1.0))
            figure.colorbar(image, ax=axes, label="mask", pad=0.02)
        else:
            loudness = draw_level(axes, values, extent, loudest[name], dynamic_range)
        axes.set_title(name)
        style.show_time(axes, times)
        if narrow:
            axes.label_outer()
    all_axes[len(panels) // 2 if narrow else 0].set_ylabel("frequency (kHz)")
    figure.colorbar(loudness, ax=all_axes[-1], label="level (dB)", pad=0.02)
    return figure


def _transform(
    target: ArrayLike, shape: tuple[int, ...], explanation: Mapping[str, Any]
) -> np.ndarray:
    """Spectrogram of the audio `target`, which must have this shape."""
    audio = as_array("target", target, (None, 2))
    stft = StereoSTFT(2 * (shape[1] - 1), entry(explanation, "hop_length"))
    spectrogram = keras.ops.convert_to_numpy(stft(audio[None].astype("float32")))[0]
    if spectrogram.shape != shape:
        raise ValueError(
            f"`target` must be as long as the mixture of {shape[0]} frames. "
            f"Received: target of {len(audio)} samples, {len(spectrogram)} frames"
        )
    return spectrogram
