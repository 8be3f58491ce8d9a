import numpy as np
import pytest

from keras_avssan.visualization import plot_band_attention

pytestmark = pytest.mark.backend_agnostic


def rows(figure):
    """The axes of the patch weights, by band."""
    return {
        axes.get_ylabel().removeprefix("β "): axes
        for axes in figure.axes
        if axes.get_ylabel().startswith("β")
    }


def over_time(figure):
    (axes,) = [axes for axes in figure.axes if axes.get_ylabel() == "α(t)"]
    return axes


def test_one_bar_a_patch_over_its_frequencies(explanation):
    drawn = rows(plot_band_attention(explanation))
    assert list(drawn) == ["fine", "mid", "full"]
    for band, patches in (("fine", 16), ("mid", 4), ("full", 1)):
        bars = drawn[band].patches
        heights = [bar.get_height() for bar in bars]
        np.testing.assert_allclose(heights, explanation["band_attention"][band])
        edges = [bar.get_x() for bar in bars]
        np.testing.assert_allclose(edges, np.arange(patches) * 8.0 / patches)
        assert bars[-1].get_x() + bars[-1].get_width() == pytest.approx(8.0)
        (even,) = drawn[band].lines
        assert even.get_ydata()[0] == pytest.approx(1 / patches)
    assert drawn["full"].get_xlim() == pytest.approx((0.0, 8.0))
    assert drawn["full"].get_xlabel() == "frequency (kHz)"


def test_rows_go_from_fine_to_full_however_they_come(explanation):
    explanation["band_attention"] = dict(sorted(explanation["band_attention"].items()))
    assert list(rows(plot_band_attention(explanation))) == ["fine", "mid", "full"]


def test_one_curve_a_band_over_time(explanation):
    axes = over_time(plot_band_attention(explanation))
    assert [line.get_label() for line in axes.lines] == ["fine", "mid", "full"]
    for line, weights in zip(axes.lines, explanation["band_weights"].T, strict=True):
        np.testing.assert_allclose(line.get_ydata(), weights)
        np.testing.assert_allclose(line.get_xdata(), np.arange(12) * 512 / 16000)
    assert len({line.get_linestyle() for line in axes.lines}) == 3
    assert axes.get_xlabel() == "time (s)"


def test_a_model_with_the_full_band_alone(explanation):
    explanation |= {
        "band_attention": {"full": np.ones(1)},
        "band_weights": np.ones((12, 1)),
        "bands": ("full",),
    }
    figure = plot_band_attention(explanation)
    assert list(rows(figure)) == ["full"]
    assert len(over_time(figure).lines) == 1


@pytest.mark.parametrize("absent", [None, {}])
def test_draws_the_half_that_there_is(explanation, absent):
    figure = plot_band_attention(explanation | {"band_attention": absent})
    assert rows(figure) == {}
    assert len(over_time(figure).lines) == 3
    figure = plot_band_attention(explanation | {"band_weights": None})
    assert len(rows(figure)) == 3
    assert len(figure.axes) == 3


def test_refuses_what_does_not_fit(explanation):
    with pytest.raises(ValueError, match="neither band attention nor a refiner"):
        plot_band_attention(explanation | {"band_attention": {}, "band_weights": None})
    with pytest.raises(ValueError, match=r"`band_weights` must have shape \(None, 2\)"):
        plot_band_attention(explanation | {"bands": ("fine", "mid")})
    with pytest.raises(ValueError, match=r"`band_attention\['fine'\]` must have shape"):
        plot_band_attention(explanation | {"band_attention": {"fine": np.ones((2, 16))}})
