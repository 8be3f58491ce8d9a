"""FN-SSL learns one source; each of its layers sees one frame, or one band, and nothing else."""

import numpy as np
import pytest
from keras import ops

from keras_avssan.models.baselines import FNSSL
from keras_avssan.models.baselines.fn_ssl import FNSSLBackbone, FullNarrowBlock, SegmentMeans, along

SMALL = {"hidden_dim": 16, "num_blocks": 2, "frequency_stride": 32}


@pytest.fixture
def model():
    return FNSSL(**SMALL)


@pytest.fixture
def x():
    return np.random.default_rng(1).normal(size=(2, 5, 6, 8)).astype("float32")


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def run_lstm(x, kernel, recurrent_kernel, bias):
    """A long short-term memory over (steps, features): input, forget, cell and output gate."""
    state = memory = np.zeros(len(recurrent_kernel))
    states = []
    for step in x:
        gates = np.split(step @ kernel + state @ recurrent_kernel + bias, 4)
        memory = sigmoid(gates[1]) * memory + sigmoid(gates[0]) * np.tanh(gates[2])
        state = sigmoid(gates[3]) * np.tanh(memory)
        states.append(state)
    return np.array(states)


def run_block(x, skip, block):
    """A block over one scene (T, F, channels): its narrow-band and its full-band output."""
    full_weights = block.full_band.get_weights()
    read = x if block.first else x + skip
    forward = np.stack([run_lstm(frame, *full_weights[:3]) for frame in read])
    backward = np.stack([run_lstm(frame[::-1], *full_weights[3:])[::-1] for frame in read])
    full = np.concatenate([forward, backward], axis=-1)
    read = np.concatenate([full, x], axis=-1) if block.first else full + x
    weights = block.narrow_band.get_weights()
    bands = [run_lstm(read[:, band], *weights) for band in range(x.shape[1])]
    return np.stack(bands, axis=1), full


def disturbed(function, x, index):
    """Where (T, F) outputs of a function change when the input does at one frame and band."""
    changed = x.copy()
    changed[0, index[0], index[1]] += 1.0
    before, after = (ops.convert_to_numpy(function(ops.convert_to_tensor(v))) for v in (x, changed))
    assert np.array_equal(before[1], after[1])  # the other scene
    return np.any(before[0] != after[0], axis=-1)


@pytest.mark.one_backend
def test_learns_eight_scenes_of_one_source(model, make_scenes, overfit):
    assert overfit(model, make_scenes(two_sources=False), learning_rate=1e-2) <= 3.0


@pytest.mark.one_backend
def test_full_band_sees_one_frame_and_all_its_bands(x):
    block = FullNarrowBlock(8)
    block.build(x.shape)
    expected = np.zeros((5, 6), bool)
    expected[2] = True
    changes = disturbed(lambda x: along(block.full_band, x), x, (2, 3))
    np.testing.assert_array_equal(changes, expected)


@pytest.mark.one_backend
@pytest.mark.parametrize("causal", [True, False])
def test_narrow_band_sees_one_band_and_its_past(x, causal):
    block = FullNarrowBlock(8, causal=causal)
    block.build(x.shape)
    expected = np.zeros((5, 6), bool)
    expected[2 if causal else 0 :, 3] = True

    def narrow_band(x):
        y = along(block.narrow_band, ops.transpose(x, (0, 2, 1, 3)))
        return ops.transpose(y, (0, 2, 1, 3))

    np.testing.assert_array_equal(disturbed(narrow_band, x, (2, 3)), expected)


@pytest.mark.one_backend
def test_a_block_sees_all_bands_of_the_past(x):
    block = FullNarrowBlock(8, first=True)
    expected = np.zeros((5, 6), bool)
    expected[2:] = True
    np.testing.assert_array_equal(disturbed(lambda x: block(x)[0], x, (2, 3)), expected)


@pytest.mark.parametrize("first", [True, False])
def test_a_block_is_what_numpy_computes(x, first):
    block = FullNarrowBlock(8, first=first)
    skip = np.random.default_rng(2).normal(size=x.shape).astype("float32")
    outputs = block(x) if first else block(x, skip)
    expected = run_block(x[1], skip[1], block)
    assert block.compute_output_shape(x.shape) == ((2, 5, 6, 8), (2, 5, 6, 8))
    for output, reference in zip(outputs, expected, strict=True):
        np.testing.assert_allclose(ops.convert_to_numpy(output)[1], reference, atol=1e-5)


@pytest.mark.one_backend
@pytest.mark.parametrize("frames", [3, 8, 10])
def test_segments_hold_what_is_left(frames):
    x = np.random.default_rng(3).normal(size=(2, frames, 3, 2)).astype("float32")
    means, shares = SegmentMeans(4)(ops.convert_to_tensor(x))
    parts = [x[:, start : start + 4] for start in range(0, frames, 4)]
    expected = np.stack([part.mean(axis=1) for part in parts], axis=1)
    np.testing.assert_allclose(ops.convert_to_numpy(means), expected, atol=1e-6)
    lengths = np.array([part.shape[1] for part in parts]) / frames
    np.testing.assert_allclose(ops.convert_to_numpy(shares)[0, :, 0], lengths, atol=1e-6)


@pytest.mark.one_backend
def test_a_repeated_segment_changes_nothing():
    # Without recurrence along time to tell them apart, equal segments give equal logits.
    x = np.random.default_rng(4).normal(size=(1, 4, 3, 2)).astype("float32")
    means, shares = SegmentMeans(4)(ops.convert_to_tensor(np.tile(x, (1, 3, 1, 1))))
    mixed = ops.sum(means * shares[..., None], axis=1)
    np.testing.assert_allclose(ops.convert_to_numpy(mixed), x.mean(axis=1), atol=1e-6)


@pytest.mark.one_backend
def test_recordings_of_any_duration(model):
    audio = np.random.default_rng(5).normal(size=(2, 6000, 2)).astype("float32")
    for samples in (1600, 6000):
        posterior = model.predict_on_batch({"audio": audio[:, :samples]})["doa"]
        assert posterior.shape == (2, 180)
        np.testing.assert_allclose(posterior.sum(axis=-1), 1.0, atol=1e-5)


@pytest.mark.one_backend
def test_comes_back_from_a_preset(model, make_scenes, comes_back):
    comes_back(model, make_scenes()[0])


@pytest.mark.one_backend
def test_prompts_have_no_influence(model, make_scenes):
    inputs, _ = make_scenes()
    alone = model.predict_on_batch({"audio": inputs["audio"]})["doa"]
    np.testing.assert_array_equal(model.predict_on_batch(inputs)["doa"], alone)


@pytest.mark.one_backend
def test_half_precision_stays_near():
    audio = np.random.default_rng(6).normal(size=(2, 1600, 2)).astype("float32")
    whole, half = FNSSL(**SMALL), FNSSL(**SMALL, dtype="mixed_bfloat16")
    half.set_weights(whole.get_weights())
    posteriors = [net.predict_on_batch({"audio": audio})["doa"] for net in (whole, half)]
    assert posteriors[1].dtype == "float32"
    np.testing.assert_allclose(posteriors[1], posteriors[0], atol=1e-3)


@pytest.mark.backend_agnostic
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"frequency_stride": 3}, "`frequency_stride` must divide the 256 bins"),
        ({"frequency_stride": 0}, "`frequency_stride` must divide the 256 bins"),
        ({"num_blocks": 0}, "`num_blocks` must be an integer of at least 1"),
        ({"segment_length": 0}, "`segment_length` must be an integer of at least 1"),
        ({"hidden_dim": 7}, "`hidden_dim` must be a positive even number"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        FNSSLBackbone(**{**SMALL, **arguments})


@pytest.mark.backend_agnostic
def test_later_blocks_want_the_width_of_the_one_before():
    with pytest.raises(ValueError, match="must have 8 channels"):
        FullNarrowBlock(8).build((None, None, None, 4))


@pytest.mark.backend_agnostic
def test_sizes_as_published():
    backbone = FNSSL.from_preset("fnssl", load_weights=False).backbone
    full = [tuple(b.full_band.forward_layer.cell.kernel.shape) for b in backbone.blocks]
    narrow = [tuple(b.narrow_band.cell.kernel.shape) for b in backbone.blocks]
    assert full == [(4, 4 * 128), (256, 4 * 128), (256, 4 * 128)]
    assert narrow == [(260, 4 * 256), (256, 4 * 256), (256, 4 * 256)]
    assert backbone.direct_path.kernel.shape == (256, 2)
    assert backbone.logits.kernel.shape == (512, 180)


@pytest.mark.backend_agnostic
def test_the_small_preset_keeps_all_bins():
    backbone = FNSSL.from_preset("fnssl_small", load_weights=False).backbone
    assert backbone.logits.kernel.shape == (512, 180)
    assert backbone.count_params() < 250_000
