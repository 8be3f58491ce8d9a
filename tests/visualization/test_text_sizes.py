"""Text of figures can be read where they are shown."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from keras_avssan.simulation import simulate_rirs
from keras_avssan.tracking import Track
from keras_avssan.visualization import (
    plot_attended_energy,
    plot_band_attention,
    plot_decay,
    plot_echogram,
    plot_explanation,
    plot_posterior,
    plot_separation,
    plot_spectrograms,
    plot_track,
    style,
)

pytestmark = pytest.mark.backend_agnostic
# Pixels that a figure has at most: in a notebook on the site in a window of 1280 pixels, and on
# the page of the app in one of 390.
COLUMN, PHONE = 650, 324
LEGIBLE = 9.0


def least_text(figure, pixels):
    """Height in pixels of the smallest text of a figure that is shown `pixels` wide."""
    inches = figure.get_tightbbox(FigureCanvasAgg(figure).get_renderer()).width
    texts = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text()]
    return min(text.get_fontsize() for text in texts) / 72 * pixels / inches


def make_track():
    posteriors, some = np.full((8, 180), 1 / 180, "float32"), np.full(8, 0.5, "float32")
    times, gaps = np.arange(8) / 4, np.full(8, "")
    return Track(times, 90 * some, some, some, posteriors, posteriors, some, gaps, 1.0, 0.25)


@pytest.fixture
def figures(explanation, make_example, target_audio):
    prompt = np.zeros((8, 8, 3))
    rirs = simulate_rirs((6.0, 5.0, 3.0), (2.0, 3.0, 1.5), [(3.0, 2.0, 1.5)], t60=0.2)
    rirs = np.asarray(rirs[0])
    examples = [make_example(target_class="bird", interferer_class="car_engine")]
    return [
        plot_explanation(explanation, 42.0, 120.0, prompt=prompt, target=target_audio),
        plot_spectrograms(explanation, target_audio),
        plot_band_attention(explanation),
        plot_posterior(explanation["posterior"], 42.0, 120.0),
        plot_separation(examples),
        plot_attended_energy(examples),
        plot_decay(rirs, 16000),
        plot_echogram(rirs, 16000),
        plot_track(make_track(), np.full(8, 60.0), title="mix.wav, dog.jpg"),
    ]


def test_in_the_column_of_a_notebook(figures):
    for figure in figures:
        assert least_text(figure, COLUMN) >= LEGIBLE, figure


def test_on_a_phone(explanation, target_audio):
    figure = plot_explanation(
        explanation,
        42.0,
        120.0,
        prompt=np.zeros((8, 8, 3)),
        target=target_audio,
        track=make_track(),
        width=style.PHONE_WIDTH,
    )
    assert least_text(figure, PHONE) >= LEGIBLE
    assert least_text(plot_posterior(explanation["posterior"], 42.0, 120.0), PHONE) >= LEGIBLE
    # Every panel has a row of its own.
    panels = [axes for axes in figure.axes if axes.get_label() != "<colorbar>"]
    boxes = [axes.get_window_extent() for axes in panels]
    edges = sorted((box.y0, box.y1) for box in boxes)
    assert len(panels) == 12
    assert all(upper[0] >= lower[1] for lower, upper in zip(edges, edges[1:], strict=False))


def test_with_candidates(explanation):
    explanation |= {
        "candidate_azimuths": np.array([40.0, 120.0, 75.0]),
        "candidate_weights": np.array([0.72, 0.21, 0.07]),
    }
    for width, pixels in ((style.COLUMN_WIDTH, COLUMN), (style.PHONE_WIDTH, PHONE)):
        figure = plot_explanation(explanation, 42.0, 120.0, prompt=np.zeros((8, 8, 3)), width=width)
        assert "0.72" in {text.get_text() for text in figure.findobj(Text)}
        assert least_text(figure, pixels) >= LEGIBLE
        FigureCanvasAgg(figure).draw()
        half_circle = figure.axes[1]
        legend = half_circle.get_legend().get_window_extent()
        assert legend.x0 >= 0 and legend.x1 <= figure.bbox.x1
        assert half_circle.get_window_extent().width / figure.dpi > 2.0


def test_a_legend_never_squeezes_the_half_circle(explanation):
    figure = Figure(figsize=(9.0, 3.3), layout="constrained")
    part = figure.subfigures(1, 3)[2]
    plot_posterior(explanation["posterior"], 42.0, 120.0, figure=part)
    FigureCanvasAgg(figure).draw()
    assert part.axes[0].get_window_extent().width / figure.dpi > 2.0  # of 3 inches
