import io

import matplotlib.pyplot as plt
import numpy as np
import pytest

from keras_avssan.visualization import plot_posterior

pytestmark = pytest.mark.backend_agnostic


def peaked(degrees):
    return np.exp(-np.abs(np.arange(1, 181) - degrees) / 5)


def line(figure, role):
    (axes,) = figure.axes
    (found,) = [one for one in axes.lines if one.get_label().startswith(role)]
    return found


def end_angle(drawn):
    x, y = drawn.get_xydata()[-1]
    return np.degrees(np.arctan2(y, x))


def test_directions_are_drawn_at_their_angles():
    figure = plot_posterior(peaked(43), azimuth=40.0, interferer_azimuth=120.0)
    assert end_angle(line(figure, "predicted")) == pytest.approx(43.0)
    assert end_angle(line(figure, "target")) == pytest.approx(40.0)
    assert end_angle(line(figure, "interferer")) == pytest.approx(120.0)


def test_zero_degrees_and_microphone_1_are_on_the_right():
    figure = plot_posterior(peaked(1), azimuth=0.0)
    (axes,) = figure.axes
    texts = {text.get_text(): text.get_position() for text in axes.texts}
    assert texts["0°"][0] > 1.0 and texts["180°"][0] < -1.0
    assert texts["mic 1"][0] > 0.0 > texts["mic 2"][0]
    x, y = line(figure, "target").get_xydata()[-1]
    assert (x, y) == pytest.approx((1.0, 0.0))


@pytest.mark.parametrize("degrees", [1, 90, 180])
def test_hill_is_highest_at_the_peak(degrees):
    (axes,) = plot_posterior(peaked(degrees)).axes
    (hill,) = [patch for patch in axes.patches if patch.get_label() == "_posterior"]
    outline = hill.get_xy()
    radius = np.hypot(*outline.T)
    x, y = outline[np.argmax(radius)]
    assert np.degrees(np.arccos(x / radius.max())) == pytest.approx(degrees, abs=0.1)
    assert radius.max() < 1.0


def test_legend_names_the_directions_that_were_given():
    (axes,) = plot_posterior(peaked(43), predicted=44.4).axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["predicted 44°"]
    (axes,) = plot_posterior(peaked(43), 40.0, 120.0, title="dog").axes
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    assert names == ["predicted 43°", "target 40°", "interferer 120°"]
    assert axes.get_title() == "dog"


def test_roles_differ_in_line_and_marker_not_in_colour_alone():
    figure = plot_posterior(peaked(43), 40.0, 120.0)
    drawn = [line(figure, role) for role in ("predicted", "target", "interferer")]
    assert len({one.get_linestyle() for one in drawn}) == 3
    assert len({str(one.get_marker()) for one in drawn}) == 3


def test_candidates_are_marks_with_their_weights():
    directions, weights = [120.0, 43.0, 60.0], [0.25, 0.7, 0.05]
    figure = plot_posterior(
        peaked(43), candidate_azimuths=directions, candidate_weights=weights, predicted=43
    )
    (axes,) = figure.axes
    marks = [one for one in axes.lines if one.get_marker() == "D"]
    np.testing.assert_allclose(sorted(end_angle(one) for one in marks), sorted(directions))
    numbers = {text.get_text(): text.get_position() for text in axes.texts}
    for degrees, weight in zip(directions, weights, strict=True):
        x, y = numbers[f"{weight:.2f}"]
        assert np.degrees(np.arctan2(y, x)) == pytest.approx(degrees)
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    assert names == ["predicted 43°", "candidates"]


@pytest.mark.parametrize("degrees", [(1.0, 13.0, 25.0), (155.0, 167.0, 180.0), (84.0, 90.0, 102.0)])
def test_weights_of_neighbours_do_not_overlap(degrees):
    figure = plot_posterior(peaked(43), candidate_azimuths=degrees, candidate_weights=[1 / 3] * 3)
    figure.draw_without_rendering()
    (axes,) = figure.axes
    boxes = [text.get_window_extent() for text in axes.texts if text.get_text() == "0.33"]
    others = [text.get_window_extent() for text in axes.texts if text.get_text() != "0.33"]
    assert len(boxes) == 3
    for place, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[place + 1 :] + others)


def test_candidates_without_a_weight_each_are_refused():
    for weights in (None, [0.5], [0.5, 0.3, 0.2]):
        with pytest.raises(ValueError, match=r"`candidate_weights` must have shape \(2,\)"):
            plot_posterior(peaked(43), candidate_azimuths=[40.0, 120.0], candidate_weights=weights)
    with pytest.raises(ValueError, match="`candidate_azimuths` must lie within 0 to 180"):
        plot_posterior(peaked(43), candidate_azimuths=[181.0], candidate_weights=[1.0])


def test_draws_into_a_given_figure_and_leaves_pyplot_alone():
    before = plt.get_fignums()
    settings = dict(plt.rcParams)
    own = plt.Figure()
    assert plot_posterior(peaked(43), figure=own) is own
    assert plot_posterior(peaked(43)) is not own
    assert plt.get_fignums() == before
    assert dict(plt.rcParams) == settings


def test_a_notebook_displays_the_figure_without_pyplot():
    picture = plt.imread(io.BytesIO(plot_posterior(peaked(43))._repr_png_()))
    assert picture.shape[1] > 400 and picture.std() > 0.0


def test_figure_can_be_saved(tmp_path):
    plot_posterior(peaked(43), 40.0, 120.0).savefig(tmp_path / "out.png")
    assert plt.imread(tmp_path / "out.png").std() > 0.0


@pytest.mark.parametrize(
    ("posterior", "message"),
    [
        (np.ones(179), r"`posterior` must have shape \(180,\).*\(179,\)"),
        (np.ones((1, 180)), r"`posterior` must have shape"),
        (np.full(180, np.nan), r"`posterior` must be finite"),
        (-np.ones(180), r"`posterior` must hold non-negative"),
        (np.zeros(180), r"`posterior` must hold non-negative .* positive sum"),
    ],
)
def test_refuses_a_posterior_that_is_none(posterior, message):
    with pytest.raises(ValueError, match=message):
        plot_posterior(posterior)


@pytest.mark.parametrize("name", ["azimuth", "interferer_azimuth", "predicted"])
@pytest.mark.parametrize("degrees", [-1.0, 181.0, np.nan])
def test_refuses_a_direction_outside_the_half_circle(name, degrees):
    with pytest.raises(ValueError, match=f"`{name}` must lie within 0 to 180"):
        plot_posterior(peaked(43), **{name: degrees})
