import dataclasses

import numpy as np
import pytest

from keras_avssan.visualization import plot_separation

pytestmark = pytest.mark.backend_agnostic


@pytest.fixture
def examples(make_example):
    return [
        make_example(target_class="bird", interferer_class="car_engine"),
        make_example(azimuth=130.0, interferer_azimuth=35.0),
    ]


def rows(figure):
    """The panels, five a row; colour bars come after them."""
    panels = [axes for axes in figure.axes if axes.get_label() != "<colorbar>"]
    assert len(panels) % 5 == 0
    return [panels[start : start + 5] for start in range(0, len(panels), 5)]


def picture(axes):
    (image,) = axes.images
    return image


def test_one_row_an_example_and_one_panel_a_column(examples):
    drawn = rows(plot_separation(examples))
    assert len(drawn) == 2
    names = [text.get_text() for axes in drawn[0] for text in axes.texts]
    assert names == ["mix", "target alone", "mask", "masked mix", "posterior"]
    assert not any(axes.texts for axes in drawn[1])
    assert [axes.get_xlabel() for axes in drawn[0]] == [""] * 5
    assert [axes.get_xlabel() for axes in drawn[1]] == ["time (s)"] * 4 + ["direction (°)"]


def test_a_row_is_named_and_a_failure_is_marked(examples):
    first, second = (row[0].get_ylabel() for row in rows(plot_separation(examples)))
    assert first == "H+H\nbird (H)\nin car engine (H)\n\nfrequency (kHz)"
    assert second == "failure, H+H\ntarget (H)\nin interferer (H)\n\nfrequency (kHz)"


def test_levels_of_a_row_share_one_scale(examples, explanation):
    mix, target, mask, masked, _ = rows(plot_separation(examples, dynamic_range=50.0))[0]
    assert picture(mix).get_array().max() == pytest.approx(0.0)
    lower = 20 * np.log10(0.75)
    np.testing.assert_allclose(
        picture(target).get_array(), picture(mix).get_array() + lower, atol=1e-4
    )
    assert {picture(axes).get_clim() for axes in (mix, target, masked)} == {(-50.0, 0.0)}
    np.testing.assert_allclose(picture(mask).get_array(), explanation["mask"].T)
    assert picture(mask).get_clim() == (0.0, 1.0)
    assert mix.get_xlim() == pytest.approx((0.0, 11 * 512 / 16000))
    assert mix.get_ylim() == pytest.approx((0.0, 8.0))


def test_what_the_mask_leaves_stands_over_the_masked_mix(examples, explanation):
    spectrogram, mask = explanation["spectrogram"], explanation["mask"]
    power = np.square(spectrogram).sum(axis=-1)
    left = 10 * np.log10(np.sum(mask**2 * power) / np.sum(power))
    title = rows(plot_separation(examples))[0][3].get_title(loc="left")
    assert title == f"target −{-left:.1f} dB\ninterferer −{-left:.1f} dB"


def test_posterior_has_truth_interferer_and_estimate(examples, explanation):
    figure = plot_separation(examples)
    row, other = (row[4] for row in rows(figure))
    at = {line.get_label(): line.get_xdata()[0] for line in row.lines[1:]}
    assert at == {"target": 42.0, "interferer": 120.0, "predicted": 40.0}
    np.testing.assert_allclose(row.lines[0].get_ydata(), explanation["posterior"])
    np.testing.assert_allclose(row.lines[0].get_xdata(), np.arange(1, 181))
    assert row.get_title(loc="left") == "estimate 40°\nerror 2°"
    assert other.get_title(loc="left") == "estimate 40°\nerror 90°"
    looks = {(line.get_linestyle(), line.get_marker()) for line in row.lines[1:]}
    assert len(looks) == 3
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["target", "interferer", "predicted"]


def test_figure_can_be_saved_and_one_example_is_enough(examples, tmp_path):
    figure = plot_separation(examples[0])
    assert len(rows(figure)) == 1
    figure.savefig(tmp_path / "out.png")
    assert (tmp_path / "out.png").stat().st_size > 10_000


def test_refuses(examples, explanation):
    with pytest.raises(ValueError, match="`examples` must hold at least one"):
        plot_separation([])
    with pytest.raises(TypeError, match="`examples` must hold `SeparationExample`s.*dict"):
        plot_separation([explanation])
    with pytest.raises(ValueError, match="`dynamic_range` must be a positive number of decibels"):
        plot_separation(examples, dynamic_range=0.0)
    silent = dataclasses.replace(
        examples[0], explanation={**explanation, "posterior": np.ones(179)}
    )
    with pytest.raises(ValueError, match=r"`posterior` must have shape \(180,\)"):
        plot_separation([silent])
