import numpy as np
import pytest

from keras_avssan.visualization import plot_spectrograms

pytestmark = pytest.mark.backend_agnostic


def panels(figure):
    return {axes.get_title(loc="left"): axes for axes in figure.axes if axes.images}


def picture(axes):
    (image,) = axes.images
    return image


def test_panels_in_their_order(explanation, target_audio):
    assert list(panels(plot_spectrograms(explanation))) == ["mix", "mask", "masked mix"]
    drawn = panels(plot_spectrograms(explanation, target_audio))
    assert list(drawn) == ["mix", "mask", "masked mix", "target alone"]


def test_axes_are_seconds_and_kilohertz(explanation):
    for axes in panels(plot_spectrograms(explanation)).values():
        assert axes.get_xlim() == pytest.approx((0.0, 11 * 512 / 16000))
        assert axes.get_ylim() == pytest.approx((0.0, 8.0))
        assert axes.get_xlabel() == "time (s)"
        left, right, bottom, top = picture(axes).get_extent()
        assert (left, right) == pytest.approx((-256 / 16000, (11 * 512 + 256) / 16000))
        assert (bottom, top) == pytest.approx((0.0, 8.0))
        assert picture(axes).origin == "lower"
    (left,) = [
        axes for axes in panels(plot_spectrograms(explanation)).values() if axes.get_ylabel()
    ]
    assert left.get_ylabel() == "frequency (kHz)"


def test_mask_is_shown_as_it_is(explanation):
    image = picture(panels(plot_spectrograms(explanation))["mask"])
    np.testing.assert_array_equal(image.get_array(), explanation["mask"].T)
    assert image.get_clim() == (0.0, 1.0)


def test_mix_and_masked_mix_share_one_scale(explanation):
    explanation["masked_spectrogram"] = explanation["spectrogram"] * 0.1
    drawn = panels(plot_spectrograms(explanation, dynamic_range=50.0))
    mix, masked = (picture(drawn[name]) for name in ("mix", "masked mix"))
    assert mix.get_array().max() == pytest.approx(0.0)
    np.testing.assert_allclose(masked.get_array(), mix.get_array() - 20.0, atol=1e-4)
    assert mix.get_clim() == masked.get_clim() == (-50.0, 0.0)


def test_target_is_transformed_like_the_mix(explanation):
    time = np.arange(11 * 512) / 16000
    tone = np.stack([np.sin(2 * np.pi * 2000 * time)] * 2, axis=-1)
    level = picture(panels(plot_spectrograms(explanation, tone))["target alone"]).get_array()
    assert level.shape == (513, 12)
    assert level.max() == pytest.approx(0.0)
    assert (level[:, 3:9].argmax(axis=0) == 128).all()  # 2 kHz of 8 kHz


def test_silence_stays_finite(explanation):
    silence = np.zeros_like(explanation["spectrogram"])
    explanation |= {"spectrogram": silence, "masked_spectrogram": silence}
    for axes in panels(plot_spectrograms(explanation)).values():
        assert np.isfinite(picture(axes).get_array()).all()


@pytest.mark.parametrize("key", ["spectrogram", "mask", "masked_spectrogram", "hop_length"])
def test_names_a_missing_key(explanation, key):
    del explanation[key]
    with pytest.raises(ValueError, match=f"`explanation` must hold '{key}'"):
        plot_spectrograms(explanation)


def test_refuses_what_does_not_fit(explanation, target_audio):
    with pytest.raises(ValueError, match="`dynamic_range` must be a positive number of decibels"):
        plot_spectrograms(explanation, dynamic_range=0.0)
    with pytest.raises(ValueError, match="`target` must be as long as the mixture of 12 frames"):
        plot_spectrograms(explanation, target_audio[: 5 * 512])
    with pytest.raises(ValueError, match="`target` must have shape"):
        plot_spectrograms(explanation, target_audio[:, 0])
    with pytest.raises(ValueError, match=r"`mask` must have shape \(12, 513\)"):
        plot_spectrograms(explanation | {"mask": explanation["mask"][:-1]})
    with pytest.raises(TypeError, match="`explanation` must be the dictionary"):
        plot_spectrograms(explanation["mask"])
