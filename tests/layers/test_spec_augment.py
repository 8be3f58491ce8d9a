"""Masks over frequency and time."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_avssan.layers.spec_augment import SpecAugment


def hidden(layer, shape=(200, 20, 30)):
    return ops.convert_to_numpy(layer(np.ones(shape, "float32"), training=True)) == 0


def runs(line):
    """Number of separate runs of `True` in a line."""
    return int(np.sum(np.diff(np.concatenate([[0], line.astype(int)])) == 1))


def test_one_band_and_one_span_of_all_widths():
    masks = hidden(SpecAugment(frequency=6, time=4, seed=1))
    bands, spans = masks.all(axis=1), masks.all(axis=2)
    np.testing.assert_array_equal(masks, bands[:, None, :] | spans[:, :, None])
    for lines, greatest in ((bands, 6), (spans, 4)):
        assert max(runs(line) for line in lines) == 1
        widths = np.bincount(lines.sum(axis=1))
        assert len(widths) == greatest + 1 and widths.min() > 200 / (greatest + 1) / 3
        assert lines.any(axis=0).all()  # every place is hidden in one of them


def test_each_kind_can_be_left_out():
    assert not hidden(SpecAugment(frequency=0, time=0)).any()
    masks = hidden(SpecAugment(frequency=5, time=0))
    np.testing.assert_array_equal(masks.any(axis=1), masks.all(axis=1))


def test_masks_change_from_call_to_call_and_follow_the_seed():
    first, second = SpecAugment(seed=3), SpecAugment(seed=3)
    one = hidden(first)
    np.testing.assert_array_equal(one, hidden(second))
    assert (one != hidden(first)).any()


def test_nothing_is_hidden_outside_of_training():
    spectrogram = np.random.default_rng(0).normal(size=(2, 8, 9)).astype("float32")
    for training in (None, False):
        output = SpecAugment(9, 8)(spectrogram, training=training)
        np.testing.assert_array_equal(ops.convert_to_numpy(output), spectrogram)


def test_masks_may_be_wider_than_the_spectrogram():
    masks = hidden(SpecAugment(frequency=90, time=70), (100, 3, 4))
    assert masks.all(axis=(1, 2)).any() and masks.shape == (100, 3, 4)


def test_config_round_trip():
    layer = SpecAugment(3, 2, seed=7, name="masks")
    restored = keras.layers.deserialize(keras.layers.serialize(layer))
    assert restored.get_config() == layer.get_config()
    np.testing.assert_array_equal(hidden(restored), hidden(layer))


@pytest.mark.backend_agnostic
@pytest.mark.parametrize("arguments", [{"frequency": -1}, {"time": 2.5}, {"time": True}])
def test_wrong_widths_are_refused(arguments):
    name = next(iter(arguments))
    with pytest.raises(ValueError, match=f"`{name}`.*Received"):
        SpecAugment(**arguments)
