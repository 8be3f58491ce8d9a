import numpy as np
import pytest
from matplotlib.colors import to_hex

from keras_avssan.simulation import Room, Trajectory, arc_trajectory
from keras_avssan.visualization import plot_scene, style

pytestmark = pytest.mark.backend_agnostic


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


def test_sources_differ_by_colour_and_by_marker(room):
    azimuths = np.deg2rad(np.arange(5) * 30)
    places = [(3 + np.cos(at), 2 + np.sin(at), 1.5) for at in azimuths]
    many = Room(room.size, room.t60, room.microphones, places)
    plan, side = plot_scene(many, list("01234"), side_view=True).axes
    lines = [line for line in plan.lines if not line.get_label().startswith("mic")]
    for drawn in (lines, side.lines[2:]):
        assert len(drawn) == 5
        assert len({to_hex(line.get_color()) for line in drawn}) == 5
        assert len({line.get_marker() for line in drawn}) == 5
    assert len({tuple(style.source_look(number).items()) for number in range(35)}) == 35


def test_refuses_a_wrong_number_of_names(room):
    with pytest.raises(ValueError, match="`names` must name 2 sources"):
        plot_scene(room, ["dog"])


@pytest.fixture
def arc(room):
    return arc_trajectory(room.microphones, 1.0, (30, 120), duration=2.0, num_positions=10)


def moving(axes, label):
    (line,) = [line for line in axes.lines if line.get_label() == label]
    return line.get_xydata()


def test_trajectory_is_drawn_where_it_leads(room, arc):
    figure = plot_scene(room, trajectory=arc)
    (axes,) = figure.axes
    np.testing.assert_allclose(moving(axes, "moving 30° to 120°"), arc.positions[:, :2])
    assert legend_of(figure)[-1] == "moving 30° to 120°"
    heads = [tuple(text.xy) for text in axes.texts if getattr(text, "arrow_patch", None)]
    assert tuple(arc.positions[-1, :2]) in heads


def test_side_view_shows_the_heights(room, arc):
    plan, side = plot_scene(room, trajectory=arc, side_view=True).axes
    assert (plan.get_ylabel(), side.get_ylabel()) == ("y (m)", "z (m)")
    walls = side.patches[0]
    assert (walls.get_width(), walls.get_height()) == (6.0, 3.0)
    np.testing.assert_allclose(moving(side, "_moving"), arc.positions[:, [0, 2]])
    points = [tuple(line.get_xydata()[0]) for line in side.lines[:4]]
    assert points == [(3.1, 1.5), (2.9, 1.5), (4.0, 1.5), (3.0, 1.5)]
    assert side.get_aspect() == 1.0


def test_a_resting_trajectory_has_no_arrow(room):
    (axes,) = plot_scene(room, trajectory=Trajectory([(4.0, 3.0, 1.5)], [0.0])).axes
    assert (
        len([text for text in axes.texts if getattr(text, "arrow_patch", None)]) == 1
    )  # that of the pair's axis
