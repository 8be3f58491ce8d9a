"""What stands for different things differs in grey, and for readers who see no green."""

import itertools

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from keras_avssan.benchmark import figure as benchmark_figure
from keras_avssan.simulation import simulate_rirs
from keras_avssan.visualization import plot_decay, plot_posterior, style

pytestmark = pytest.mark.backend_agnostic

# Machado, Oliveira and Fernandes, 2009: complete deuteranopia, in linear RGB.
DEUTERANOPIA = np.array(
    [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]]
)
LUMINANCE = np.array([0.2126, 0.7152, 0.0722])
# In L* of CIE 1976: black is 0, white 100; 2.3 is just seen.
LEAST = 7.0
AS_IT_IS = np.eye(3)

GROUPS = {
    "roles": list(style.ROLES.values()),
    "bands": list(style.BANDS.values()),
    "arrivals": list(style.ARRIVALS.values()),
    "microphones": list(style.MICROPHONES),
    "sources": [style.source_look(number) for number in range(5)],
}


def linear(color):
    rgb = np.array(to_rgb(color))
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def lightness(color, seen=AS_IT_IS):
    """L* of a colour as it is, or as a reader sees it."""
    luminance = LUMINANCE @ np.clip(seen @ linear(color), 0, 1)
    return 116 * np.cbrt(luminance) - 16 if luminance > 0.008856 else 903.3 * luminance


def shape(look):
    return look.get("marker"), look.get("linestyle")


def pairs(looks):
    return list(itertools.combinations(looks, 2))


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("seen", [AS_IT_IS, DEUTERANOPIA], ids=["grey", "deuteranopia"])
def test_colours_of_a_group_differ_in_lightness(group, seen):
    for one, other in pairs([look["color"] for look in GROUPS[group]]):
        assert abs(lightness(one, seen) - lightness(other, seen)) >= LEAST, (one, other)


@pytest.mark.parametrize("group", GROUPS)
def test_and_in_line_or_marker(group):
    assert all(shape(one) != shape(other) for one, other in pairs(GROUPS[group]))


@pytest.mark.parametrize("group", GROUPS)
def test_lines_stand_out_from_white(group):
    assert all(lightness(look["color"], DEUTERANOPIA) < 78 for look in GROUPS[group])


def test_filled_areas_of_bands_have_hatches_of_their_own():
    assert set(style.HATCHES) == set(style.BANDS)
    assert len(set(style.HATCHES.values())) == len(style.HATCHES)


def test_snrs_of_the_benchmark_differ_in_marker():
    markers = [look["marker"] for look in benchmark_figure._LOOKS]
    assert len(set(markers)) == len(markers) > 1


def test_lightness_by_hand():
    assert lightness("white") == pytest.approx(100.0, abs=0.1) and lightness("black") == 0.0
    # To this reader these two are nearly one colour; the check would refuse them.
    assert abs(lightness("#009E73") - lightness("#CC79A7")) < LEAST


def test_curves_of_five_microphones_are_drawn_apart():
    microphones = [(3.0 + 0.1 * number, 2.0, 1.5) for number in range(5)]
    rirs = simulate_rirs((6.0, 5.0, 3.0), (2.0, 3.0, 1.5), microphones, t60=0.2)
    (axes,) = plot_decay(np.asarray(rirs[0]), 16000).axes
    curves = [one for one in axes.lines if one.get_label().startswith("mic")]
    assert len(curves) == 5
    for one, other in pairs(curves):
        assert abs(lightness(one.get_color()) - lightness(other.get_color())) >= LEAST
        assert (one.get_linestyle(), one._dash_pattern) != (
            other.get_linestyle(),
            other._dash_pattern,
        )


def test_directions_are_drawn_apart():
    posterior = np.exp(-np.abs(np.arange(1, 181) - 43) / 5)
    (axes,) = plot_posterior(posterior, azimuth=40.0, interferer_azimuth=120.0).axes
    drawn = [one for one in axes.lines if one.get_label().split()[0] in style.ROLES]
    assert len(drawn) == 3
    for one, other in pairs(drawn):
        assert one.get_marker() != other.get_marker()
        assert abs(lightness(one.get_color()) - lightness(other.get_color())) >= LEAST
