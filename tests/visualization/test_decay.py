import numpy as np
import pytest
from keras import ops

from keras_avssan.simulation.decay import reverberation_time
from keras_avssan.visualization import plot_decay

pytestmark = pytest.mark.backend_agnostic

RATE = 8000


def decaying(t60, seconds=0.6, seed=0):
    time = np.arange(int(seconds * RATE)) / RATE
    noise = np.random.default_rng(seed).standard_normal(len(time))
    return noise * 10 ** (-3 * time / t60)


@pytest.fixture
def rirs():
    return np.stack([decaying(0.3), decaying(0.5, seed=1)])


def legend_of(figure):
    (axes,) = figure.axes
    return [text.get_text() for text in axes.get_legend().get_texts()]


def line(figure, label):
    (axes,) = figure.axes
    (found,) = [one for one in axes.lines if one.get_label().startswith(label)]
    return found


def level_at(axline, time):
    (x, y), slope = axline.get_xy1(), axline.get_slope()
    return y + slope * (time - x)


def test_names_the_measured_and_the_requested_time(rirs):
    figure = plot_decay(rirs, RATE, t60=0.4, title="hall")
    first, second = reverberation_time(rirs, RATE)
    assert first == pytest.approx(0.3, rel=0.1) and second == pytest.approx(0.5, rel=0.1)
    assert legend_of(figure) == [
        f"mic 1, T60 {first:.2f} s",
        f"mic 2, T60 {second:.2f} s",
        "requested 0.40 s",
    ]
    assert figure.axes[0].get_title(loc="left") == "hall"
    assert legend_of(plot_decay(rirs[0], RATE)) == [f"T60 {first:.2f} s"]


def test_curve_falls_as_the_noise_was_made_to(rirs):
    curve = line(plot_decay(rirs[0], RATE, high_pass=None), "T60")
    assert curve.get_ydata()[0] == 0.0
    assert np.all(np.diff(curve.get_ydata()) <= 0)
    assert np.interp(0.15, *curve.get_data()) == pytest.approx(-30.0, abs=2.0)


def test_fitted_line_lies_on_the_curve(rirs):
    figure = plot_decay(rirs[1], RATE, decay=20.0)
    curve, fit = line(figure, "T60"), line(figure, "_fit")
    assert fit.get_slope() == pytest.approx(-60 / reverberation_time(rirs[1], RATE, decay=20.0))
    seconds, levels = curve.get_data()
    fitted = (levels < -5) & (levels > -25)
    np.testing.assert_allclose(level_at(fit, seconds[fitted]), levels[fitted], atol=1.0)


def test_requested_time_is_a_line_to_60_db(rirs):
    requested = line(plot_decay(rirs[0], RATE, t60=0.4), "requested")
    assert level_at(requested, 0.0) == 0.0
    assert level_at(requested, 0.4) == pytest.approx(-60.0)


def test_filter_takes_away_what_lies_below_it(rirs):
    rumble = rirs[0] + 3.0
    plain = line(plot_decay(rumble, RATE, high_pass=None), "T60").get_ydata()
    filtered = line(plot_decay(rumble, RATE), "T60").get_ydata()
    expected = line(plot_decay(rirs[0], RATE), "T60").get_ydata()
    index = int(0.15 * RATE)
    assert plain[index] > -5.0
    assert filtered[index] == pytest.approx(expected[index], abs=3.0)


def test_a_response_that_ends_too_soon_has_no_line(rirs):
    figure = plot_decay(rirs[1][: RATE // 10], RATE)
    assert legend_of(figure) == ["T60 not measurable"]
    assert len(figure.axes[0].lines) == 1


def test_figure_can_be_saved_and_takes_tensors(rirs, tmp_path):
    figure = plot_decay(ops.convert_to_tensor(rirs, "float32"), RATE, t60=0.4)
    figure.savefig(tmp_path / "out.png")
    assert (tmp_path / "out.png").stat().st_size > 5_000


@pytest.mark.parametrize(
    "changed, message",
    [
        (dict(rirs=np.ones((1, 2, 9))), r"`rirs` must have shape \(length,\) or \(M, length\)"),
        (dict(rirs=[np.inf, 1.0]), "`rirs` must be finite"),
        (dict(rirs=np.zeros(9)), "`rirs` must not be silent"),
        (dict(sampling_rate=0), "`sampling_rate` must be"),
        (dict(t60=0.0), "`t60` must be finite and positive"),
        (dict(decay=-1.0), "`decay` must be"),
        (dict(high_pass=5000.0), "`high_pass` must be below"),
    ],
)
def test_refuses(rirs, changed, message):
    with pytest.raises(ValueError, match=message):
        plot_decay(**(dict(rirs=rirs, sampling_rate=RATE) | changed))
