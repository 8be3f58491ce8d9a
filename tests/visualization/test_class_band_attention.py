import dataclasses

import numpy as np
import pytest

from keras_avssan.evaluation import ClassBandAttention
from keras_avssan.visualization import plot_class_band_attention

pytestmark = pytest.mark.backend_agnostic

PATCHES = {"fine": 16, "mid": 4, "full": 1}


@pytest.fixture
def result():
    rng = np.random.default_rng(0)
    shares = {band: rng.dirichlet(np.ones(n), size=3) for band, n in PATCHES.items()}
    energy = {band: rng.dirichlet(np.ones(n), size=3) for band, n in PATCHES.items()}
    agreement = {"fine": np.array([0.5, -0.25, np.nan]), "mid": np.array([1.0, 0.0, -1.0])}
    return ClassBandAttention(
        classes=("bird", "car_engine", "drum"),
        num_scenes=np.array([5, 6, 7]),
        attention=shares,
        energy=energy,
        agreement={**agreement, "full": np.full(3, np.nan)},
        band_weights=rng.dirichlet(np.ones(3), size=3),
        bands=("fine", "mid", "full"),
        sampling_rate=16000,
    )


def panels(figure):
    return {axes.get_title(loc="left"): axes for axes in figure.axes if axes.get_title(loc="left")}


def values(axes):
    (mesh,) = axes.collections
    return mesh.get_array()


def test_weights_are_multiples_of_the_even_weight(result):
    drawn = panels(plot_class_band_attention(result))
    assert list(drawn) == [
        "fine: weight β",
        "fine: energy of the class",
        "mid: weight β",
        "mid: energy of the class",
        "weight α of bands",
    ]
    for band in ("fine", "mid"):
        np.testing.assert_allclose(
            values(drawn[f"{band}: weight β"]), result.attention[band] * PATCHES[band]
        )
    limits = {drawn[f"{band}: weight β"].collections[0].get_clim() for band in ("fine", "mid")}
    assert len(limits) == 1


def test_energy_is_below_the_loudest_patch_of_the_class(result):
    drawn = panels(plot_class_band_attention(result))
    level = values(drawn["mid: energy of the class"])
    np.testing.assert_allclose(level.max(axis=1), 0.0)
    energy = result.energy["mid"]
    np.testing.assert_allclose(
        level, 10 * np.log10(energy / energy.max(axis=1, keepdims=True)), atol=1e-9
    )


def test_axes_are_kilohertz_and_classes(result):
    axes = panels(plot_class_band_attention(result))["mid: weight β"]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["bird", "car engine", "drum"]
    assert axes.get_xlim() == pytest.approx((0.0, 8.0))
    assert axes.get_xlabel() == "frequency (kHz)"
    top, bottom = axes.transData.transform([(0, 0), (0, 2)])[:, 1]
    assert top > bottom  # the first class is at the top


def test_agreement_stands_behind_its_row(result):
    drawn = panels(plot_class_band_attention(result))
    texts = [text.get_text() for text in drawn["fine: energy of the class"].texts]
    assert texts == ["agreement", "+0.50", "−0.25", "–"]
    unknown = {band: np.full(3, np.nan) for band in PATCHES}
    even = dataclasses.replace(result, agreement=unknown)
    drawn = panels(plot_class_band_attention(even))
    assert not drawn["fine: energy of the class"].texts


def test_bars_of_a_class_add_up_and_differ_in_grey(result):
    figure = plot_class_band_attention(result)
    bars = panels(figure)["weight α of bands"].containers
    widths = np.array([[bar.get_width() for bar in group] for group in bars])
    np.testing.assert_allclose(widths.T, result.band_weights)
    ends = [bar.get_x() + bar.get_width() for bar in bars[-1]]
    np.testing.assert_allclose(ends, 1.0)
    assert len({group[0].get_hatch() for group in bars}) == 3


def test_the_full_band_alone_has_bars_only(result, tmp_path):
    alone = dataclasses.replace(result, bands=("full",), band_weights=np.ones((3, 1)))
    figure = plot_class_band_attention(alone)
    assert list(panels(figure)) == ["weight α of bands"]
    plot_class_band_attention(result).savefig(tmp_path / "out.png")
    assert (tmp_path / "out.png").stat().st_size > 10_000


def test_refuses_something_else(explanation):
    with pytest.raises(TypeError, match="`result` must be what `class_band_attention` returns"):
        plot_class_band_attention(explanation)
