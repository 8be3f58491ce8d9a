import numpy as np
import pytest
from matplotlib.colors import to_hex

from keras_avssan.simulation import Room
from keras_avssan.visualization import plot_scene, style

pytestmark = pytest.mark.once


@pytest.fixture
def room():
    return Room(
        size=(6.0, 4.0, 3.0),
        t60=0.4,
        microphones=[(3.1, 2.0, 1.5), (2.9, 2.0, 1.5)],
        sources=[(4.0, 3.0, 1.5), (3.0, 1.0, 1.5)],
    )


def legend_of(figure):
    (legend,) = figure.legends
    return [text.get_text() for text in legend.get_texts()]


def test_walls_pair_and_sources_are_where_they_are(room):
    (axes,) = plot_scene(room).axes
    walls = axes.patches[0]
    assert (walls.get_width(), walls.get_height()) == (6.0, 4.0)
    ends = {line.get_label(): tuple(line.get_xydata()[-1]) for line in axes.lines}
    assert ends == {
        "mic 1": (3.1, 2.0),
        "mic 2": (2.9, 2.0),
        "target 45°": (4.0, 3.0),
        "interferer 90°": (3.0, 1.0),
    }
    assert axes.get_aspect() == 1.0
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("x (m)", "y (m)")


def test_arcs_span_the_angle_from_the_axis(room):
    (axes,) = plot_scene(room).axes
    arcs = axes.patches[1:]
    spans = [arc.theta2 - arc.theta1 for arc in arcs]
    np.testing.assert_allclose(spans, room.azimuths, atol=1e-6)
    assert to_hex(arcs[0].get_edgecolor()) == style.TARGET.lower()


def test_names_and_title(room):
    figure = plot_scene(room, ["dog", "violin"])
    assert legend_of(figure) == ["mic 1", "mic 2", "dog 45°", "violin 90°"]
    assert figure.axes[0].get_title(loc="left") == "6.0 × 4.0 × 3.0 m, T60 0.40 s"
    assert plot_scene(room, title="kitchen").axes[0].get_title(loc="left") == "kitchen"


def test_refuses_a_wrong_number_of_names(room):
    with pytest.raises(ValueError, match="`names` must name 2 sources"):
        plot_scene(room, ["dog"])
