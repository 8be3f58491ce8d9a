import numpy as np
import pytest
from matplotlib.colors import to_hex

from keras_avssan.evaluation import SeparationExample
from keras_avssan.visualization import plot_attended_energy, style

pytestmark = pytest.mark.backend_agnostic


@pytest.fixture
def example(explanation):
    """The target has the lower half of the spectrum, the interferer a tenth of it above."""
    target = np.array(explanation["spectrogram"])
    interferer = np.zeros_like(target)
    interferer[:, 256:] = np.sqrt(0.1) * target[:, 256:]
    target[:, 256:] = 0.0
    explanation["band_attention"]["mid"] = np.array([0.4, 0.3, 0.2, 0.1])
    return SeparationExample(explanation, target, interferer, 42.0, 120.0)


def panels(figure):
    """Levels and weights of each band type, of the first example."""
    upper = [axes for axes in figure.axes if axes.get_title(loc="left")]
    lower = [axes for axes in figure.axes if axes.patches]
    return upper, lower


def test_bars_are_the_weights_and_say_who_is_louder(example, explanation):
    _, (fine, mid) = panels(plot_attended_energy([example]))
    for axes, band, count in ((fine, "fine", 16), (mid, "mid", 4)):
        bars = axes.patches
        np.testing.assert_allclose(
            [bar.get_height() for bar in bars], explanation["band_attention"][band]
        )
        edges = [bar.get_x() for bar in bars]
        np.testing.assert_allclose(edges, np.arange(count) * 8.0 / count)
        filled = [to_hex(bar.get_facecolor()) == style.TARGET.lower() for bar in bars]
        assert filled == [True] * (count // 2) + [False] * (count // 2)
        assert [bool(bar.get_hatch()) for bar in bars] == [not one for one in filled]
        (even,) = axes.lines
        assert even.get_ydata()[0] == pytest.approx(1 / count)


def test_levels_are_below_the_loudest_patch_of_both(example):
    (_, mid), _ = panels(plot_attended_energy([example]))
    target, interferer = mid.lines
    np.testing.assert_allclose(target.get_xdata(), [1.0, 3.0, 5.0, 7.0])
    assert target.get_ydata().max() == 0.0
    np.testing.assert_allclose(target.get_ydata()[2:], -60.0)
    np.testing.assert_allclose(interferer.get_ydata()[:2], -60.0)
    np.testing.assert_allclose(interferer.get_ydata()[2:], -10.0, atol=0.5)
    assert target.get_linestyle() != interferer.get_linestyle()


def test_agreement_of_a_band_stands_above_it(example):
    (fine, mid), _ = panels(plot_attended_energy([example]))
    assert fine.get_title(loc="left").startswith("fine, agreement ")
    # Ranks 4, 3, 2, 1 against 3.5, 3.5, 1.5, 1.5.
    assert mid.get_title(loc="left") == f"mid, agreement +{2 / np.sqrt(5):.2f}"


def test_even_weights_have_no_agreement(example):
    example.explanation["band_attention"]["mid"] = np.full(4, 0.25)
    (axes,), _ = panels(plot_attended_energy([example], bands=["mid"]))
    assert axes.get_title(loc="left") == "mid"


def test_rows_are_named_and_can_be_saved(example, make_example, tmp_path):
    figure = plot_attended_energy([example, make_example(target_class="bird")])
    assert [row.get_supylabel() for row in figure.subfigs] == [
        "H+H\ntarget (H)\nin interferer (H)",
        "H+H\nbird (H)\nin interferer (H)",
    ]
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == [
        "target alone",
        "interferer alone",
        "β, target louder",
        "β, interferer louder",
    ]
    figure.savefig(tmp_path / "out.png")
    assert (tmp_path / "out.png").stat().st_size > 10_000


def test_refuses(example, explanation):
    with pytest.raises(ValueError, match="`bands` must be among those of the model.*'coarse'"):
        plot_attended_energy([example], bands=["coarse"])
    with pytest.raises(ValueError, match="`bands` must name"):
        plot_attended_energy([example], bands=[])
    with pytest.raises(ValueError, match="`examples` must hold at least one"):
        plot_attended_energy([])
    with pytest.raises(TypeError, match="`examples` must hold"):
        plot_attended_energy([explanation])
