"""The figure of a track shows its numbers, and gaps as gaps."""

import numpy as np
import pytest

from keras_avssan.tracking import Track
from keras_avssan.visualization import plot_track

pytestmark = pytest.mark.backend_agnostic


def make_track(presence=True):
    azimuth = np.array([40.0, 50.0, np.nan, 60.0], "float32")
    degrees = np.arange(1, 181)
    centres = np.array([40, 50, 90, 60])
    posteriors = np.exp(-np.abs(degrees - centres[:, None]) / 5.0).astype("float32")
    posteriors /= posteriors.sum(axis=1, keepdims=True)
    shares = np.array([0.9, 0.8, 0.2, 0.7], "float32") if presence else None
    gaps = np.array(["", "", "absent", ""])
    times = 0.5 + 0.25 * np.arange(4)
    spread = np.where(gaps == "", 7.0, np.nan).astype("float32")
    return Track(
        times, azimuth, spread, shares, posteriors, posteriors, shares, gaps, 1.0, 0.25, "online"
    )


def lines_of(axes):
    return {line.get_label(): line for line in axes.lines}


def test_azimuths_posteriors_and_presence():
    track = make_track()
    figure = plot_track(track, title="mix.wav")
    top, below = figure.axes
    line = lines_of(top)["predicted"]
    np.testing.assert_array_equal(line.get_xdata(), track.times)
    np.testing.assert_array_equal(line.get_ydata(), track.azimuth)  # NaN interrupts it
    (image,) = top.images
    np.testing.assert_array_equal(image.get_array(), track.posteriors.T)
    assert image.get_extent() == [0.375, 1.375, 0.5, 180.5] and image.origin == "lower"
    np.testing.assert_array_equal(below.lines[0].get_ydata(), track.presence)
    np.testing.assert_allclose(below.lines[1].get_ydata(), 0.5)
    assert top.get_title(loc="left") == "mix.wav" and below.get_xlabel() == "time (s)"


def test_a_pixel_of_the_posterior_is_at_its_azimuth():
    (image,) = plot_track(make_track()).axes[0].images
    left, right, bottom, top = image.get_extent()
    rows, columns = image.get_array().shape
    row = image.get_array()[:, 1].argmax()
    assert bottom + (row + 0.5) * (top - bottom) / rows == pytest.approx(50.0)
    assert left + 1.5 * (right - left) / columns == pytest.approx(0.75)


def test_a_whole_circle_is_left_at_one_edge_and_entered_at_the_other():
    azimuth = np.array([340.0, 350.0, 2.0, np.nan, 8.0, 355.0], "float32")
    degrees = np.arange(360)
    distance = np.abs((degrees - np.nan_to_num(azimuth)[:, None] + 180) % 360 - 180)
    posteriors = np.exp(-distance / 5.0).astype("float32")
    posteriors /= posteriors.sum(axis=1, keepdims=True)
    gaps = np.array(["", "", "", "silent", "", ""])
    times = 0.5 + 0.25 * np.arange(6)
    track = Track(
        times, azimuth, 0 * azimuth, None, posteriors, posteriors, None, gaps, 1.0, 0.25, None
    )
    (axes,) = plot_track(track, azimuth).axes
    for line in lines_of(axes).values():
        shown = line.get_ydata()
        kept = [340.0, 350.0, np.nan, 2.0, np.nan, 8.0, np.nan, 355.0]
        np.testing.assert_array_equal(shown, kept)
        assert len(line.get_xdata()) == len(kept)
    (image,) = axes.images
    assert image.get_array().shape == (360, 6) and image.get_extent()[2:] == [-0.5, 359.5]
    assert axes.get_ylim() == (-0.5, 359.5) and max(axes.get_yticks()) == 300


def test_networks_without_presence_have_one_panel():
    (axes,) = plot_track(make_track(presence=False)).axes
    assert axes.get_xlabel() == "time (s)"


def test_the_truth_is_drawn_where_it_is_given():
    truth = [38.0, 49.0, np.nan, 61.0]
    figure = plot_track(make_track(), truth)
    np.testing.assert_array_equal(lines_of(figure.axes[0])["target"].get_ydata(), truth)
    names = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert names == ["target", "predicted"]


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"`azimuth` must have shape \(4,\), one a window"):
        plot_track(make_track(), [40.0])
    with pytest.raises(TypeError, match="`track` must be a `Track`"):
        plot_track({"azimuth": [1.0]})
