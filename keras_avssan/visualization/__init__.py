"""Figures of rooms and of a model's outputs: directions, spectrograms, band attention.

Every function draws with matplotlib and returns the figure without showing it: a notebook displays
the returned figure, `figure.savefig("out.png")` writes it, and an existing figure can be passed as
`figure` (one of `matplotlib.pyplot`, to see it in a window, or a `SubFigure`, to compose). Colours
are safe for colour-blind readers, and markers or line styles repeat their meaning.
"""

from keras_avssan.visualization.attended_energy import plot_attended_energy
from keras_avssan.visualization.band_attention import plot_band_attention
from keras_avssan.visualization.class_band_attention import plot_class_band_attention
from keras_avssan.visualization.decay import plot_decay
from keras_avssan.visualization.echogram import plot_echogram
from keras_avssan.visualization.explanation import plot_explanation
from keras_avssan.visualization.posterior import plot_posterior
from keras_avssan.visualization.scene import plot_scene
from keras_avssan.visualization.separation import plot_separation
from keras_avssan.visualization.spectrograms import plot_spectrograms
from keras_avssan.visualization.track import plot_track

__all__ = [
    "plot_attended_energy",
    "plot_band_attention",
    "plot_class_band_attention",
    "plot_decay",
    "plot_echogram",
    "plot_explanation",
    "plot_posterior",
    "plot_scene",
    "plot_separation",
    "plot_spectrograms",
    "plot_track",
]
