import numpy as np
import pytest
from keras import ops

from keras_avssan.simulation import simulate_rirs
from keras_avssan.visualization import plot_echogram

pytestmark = pytest.mark.backend_agnostic

RATE = 16000


@pytest.fixture
def rirs():
    """A direct path at 5 and 6 ms, reflections at 10, 20 and 70 ms, the last too late."""
    rirs = np.zeros((2, 1600))
    rirs[0, [80, 160, 320, 1120]] = 1.0, -0.5, 0.25, 0.4
    rirs[1, [96, 160, 320, 1120]] = 0.5, 0.2, -0.3, 0.4
    return rirs


def drawn(axes, label):
    (line,) = [line for line in axes.lines if line.get_label().startswith(label)]
    return line.get_xydata()


def test_marks_direct_path_and_early_reflections(rirs):
    first, second = plot_echogram(rirs, RATE, scale="amplitude").axes
    np.testing.assert_allclose(drawn(first, "direct"), [(5, 1)])
    np.testing.assert_allclose(drawn(first, "early"), [(10, -0.5), (20, 0.25)])
    np.testing.assert_allclose(drawn(second, "direct"), [(6, 0.5)])
    np.testing.assert_allclose(drawn(second, "early"), [(10, 0.2), (20, -0.3)])
    names = [text.get_text() for text in second.get_legend().get_texts()]
    assert names == ["direct path 6.00 ms", "early reflections"]
    (shade,) = first.patches
    assert (shade.get_x(), shade.get_x() + shade.get_width()) == pytest.approx((5, 55))


def test_level_is_relative_to_the_loudest_sample_of_all(rirs):
    first, second = plot_echogram(rirs, RATE, dynamic_range=40.0).axes
    np.testing.assert_allclose(drawn(first, "direct"), [(5, 0)], atol=1e-9)
    np.testing.assert_allclose(drawn(second, "direct"), [(6, 20 * np.log10(0.5))])
    assert first.lines[0].get_ydata().min() == pytest.approx(-40.0)
    assert first.get_ylim()[0] == -40.0
    assert first.get_ylabel() == "mic 1\nlevel (dB)"
    assert (first.get_xlabel(), second.get_xlabel()) == ("", "time (ms)")


def test_marks_the_loudest_reflections_only(rirs):
    (axes,) = plot_echogram(rirs[0], RATE, scale="amplitude", num_reflections=1, title="hall").axes
    np.testing.assert_allclose(drawn(axes, "early"), [(10, -0.5)])
    assert axes.get_title(loc="left") == "hall"
    assert axes.get_ylabel() == "amplitude"
    (axes,) = plot_echogram(rirs[0], RATE, num_reflections=0, duration=0.03).axes
    assert len(axes.lines) == 2
    assert axes.get_xlim() == (0.0, 30.0)


def test_finds_the_direct_path_of_a_simulated_response():
    source, microphone = np.array([1.7, 2.9, 1.6]), np.array([3.1, 1.5, 1.2])
    rirs = simulate_rirs((5.3, 4.1, 2.7), source, [microphone], absorption=0.3, duration=0.1)
    (axes,) = plot_echogram(rirs[0], RATE).axes
    ((found, _),) = drawn(axes, "direct")
    assert found == pytest.approx(np.linalg.norm(source - microphone) / 343 * 1000, abs=0.04)
    floor = np.linalg.norm(source * [1, 1, -1] - microphone) / 343 * 1000
    assert np.min(abs(drawn(axes, "early")[:, 0] - floor)) < 0.04


def test_figure_can_be_saved_and_takes_tensors(rirs, tmp_path):
    figure = plot_echogram(ops.convert_to_tensor(rirs, "float32"), RATE)
    figure.savefig(tmp_path / "out.png")
    assert (tmp_path / "out.png").stat().st_size > 5_000


@pytest.mark.parametrize(
    "changed, message",
    [
        (dict(rirs=np.ones((1, 2, 9))), r"`rirs` must have shape \(length,\) or \(M, length\)"),
        (dict(rirs=np.ones((2, 0))), "`rirs` must have shape"),
        (dict(rirs=[1.0, np.nan]), "`rirs` must be finite"),
        (dict(rirs=[[1.0, 0.0], [0.0, 0.0]]), "`rirs` must not be silent. .*rirs.1. of zeros"),
        (dict(sampling_rate=0), "`sampling_rate` must be finite and positive"),
        (dict(scale="dB"), "`scale` must be 'level' or 'amplitude'"),
        (dict(early=0.0), "`early` must be finite and positive"),
        (dict(dynamic_range=-1.0), "`dynamic_range` must be finite and positive"),
        (dict(duration=np.nan), "`duration` must be finite and positive"),
        (dict(num_reflections=-1), "`num_reflections` must be an integer of at least 0"),
    ],
)
def test_refuses(rirs, changed, message):
    with pytest.raises(ValueError, match=message):
        plot_echogram(**(dict(rirs=rirs, sampling_rate=RATE) | changed))
