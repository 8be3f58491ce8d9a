"""AV-SELD finds the sound that is asked for; pooling and front end compute what they say."""

import inspect

import numpy as np
import pytest
from keras import ops

from keras_avssan.models.baselines import AVSELD
from keras_avssan.models.baselines.av_seld import AVSELDBackbone, ResidualConvBlock
from keras_avssan.models.baselines.shared_layers import StereoLogMel

SIZES = {
    "num_mels": 32,
    "filters": [8, 16],
    "time_pools": [2, 2],
    "visual_dim": 16,
    "num_layers": 1,
    "num_heads": 2,
    "ffn_dim": 32,
    "kernel_size": 5,
    "dropout": 0.0,
}


@pytest.fixture
def model():
    return AVSELD(prompt_dim=4, **SIZES)


@pytest.mark.one_backend
def test_learns_eight_scenes_and_whom_to_find(model, make_scenes, overfit):
    scenes = make_scenes(two_sources=True)
    assert overfit(model, scenes, learning_rate=3e-3) <= 3.0
    # The halves are the same mixes, asked for the other sound.
    inputs, labels = scenes
    other = {**inputs, "prompt_embedding": inputs["prompt_embedding"][::-1]}
    estimate = np.argmax(model.predict_on_batch(other)["doa"], axis=-1) + 1.0
    assert np.mean(np.abs(estimate - labels["interferer_azimuth"])) <= 3.0


@pytest.mark.one_backend
def test_comes_back_from_a_preset(model, make_scenes, comes_back):
    comes_back(model, make_scenes()[0])


@pytest.mark.parametrize("frames", [6, 7])
def test_residual_block_averages_groups_and_takes_their_first(frames):
    block = ResidualConvBlock(3, pool_size=(2, 2))
    x = np.random.default_rng(0).normal(size=(2, frames, 4, 5)).astype("float32")
    answer = ops.convert_to_numpy(block(x))
    y = ops.convert_to_tensor(x)
    for convolution, norm in zip(block.convolutions, block.norms, strict=True):
        y = ops.relu(norm(convolution(y)))
    y = ops.convert_to_numpy(y)
    shortcut = x[:, :6:2, ::2] @ ops.convert_to_numpy(block.shortcut.kernel) / np.sqrt(1 + 1e-3)
    for t in range(3):
        for f in range(2):
            pooled = np.mean(y[:, 2 * t : 2 * t + 2, 2 * f : 2 * f + 2], axis=(1, 2))
            np.testing.assert_allclose(answer[:, t, f], pooled + shortcut[:, t, f], atol=1e-5)
    assert answer.shape == (2, 3, 2, 3)


def test_log_mel_and_phase_of_a_delayed_tone():
    bin_, delay = 40, 3.0  # a tone of 625 Hz that microphone 2 hears three samples later
    turn = 2 * np.pi * bin_ * delay / 1024
    spectrogram = np.zeros((1, 1, 513, 4), "float32")
    spectrogram[0, 0, bin_] = [20.0, 0.0, 20.0 * np.cos(turn), -20.0 * np.sin(turn)]
    maps = ops.convert_to_numpy(StereoLogMel(64)(spectrogram))[0, 0]
    heard = maps[:, 0] > 0.0
    assert 1 <= np.sum(heard) <= 2
    np.testing.assert_allclose(maps[:, 0], maps[:, 1], atol=1e-5)
    np.testing.assert_allclose(maps[heard, 2], np.cos(turn), atol=1e-3)
    np.testing.assert_allclose(maps[heard, 3], np.sin(turn), atol=1e-3)
    np.testing.assert_allclose(maps[~heard, 2:], 0.0, atol=1e-3)
    np.testing.assert_allclose(maps[~heard, 0], np.log(1e-3), atol=1e-3)


@pytest.mark.one_backend
def test_any_duration_and_half_precision(make_scenes):
    inputs, _ = make_scenes(samples=9000)
    model = AVSELD(prompt_dim=4, dtype="mixed_bfloat16", **SIZES)
    count = model.count_params()
    for samples in (1536, 9000):
        scenes = {**inputs, "audio": inputs["audio"][:, :samples]}
        doa = model.predict_on_batch(scenes)["doa"]
        assert doa.dtype == "float32"
        np.testing.assert_allclose(np.sum(doa, axis=-1), 1.0, atol=1e-4)
    assert model.count_params() == count
    with pytest.raises(ValueError, match="at least 1536 samples"):
        model.backbone({**inputs, "audio": inputs["audio"][:, :1535]})


@pytest.mark.backend_agnostic
def test_blocks_must_fit_together():
    with pytest.raises(ValueError, match="`time_pools`"):
        AVSELDBackbone(prompt_dim=4, filters=(8, 8), time_pools=(2,))
    with pytest.raises(ValueError, match="num_mels=8"):
        AVSELDBackbone(prompt_dim=4, num_mels=8)


@pytest.mark.backend_agnostic
def test_sizes_as_published():
    # One block in place of four, which takes a quarter of the time.
    defaults = inspect.signature(AVSELDBackbone).parameters
    assert defaults["num_layers"].default == 4
    backbone = AVSELD.from_preset("avseld", load_weights=False, num_layers=1).backbone
    shapes = [tuple(block.convolutions[1].kernel.shape) for block in backbone.convolutions]
    assert shapes == [(3, 3, width, width) for width in (64, 128, 256, 512)]
    for blocks, dim in ((backbone.audio_blocks, 512), (backbone.joint_blocks, 1024)):
        assert {block.attention.num_heads for block in blocks} == {8}
        assert {tuple(block.first_ffn[1].kernel.shape) for block in blocks} == {(dim, 1024)}
        kernels = {tuple(block.convolution.depthwise.kernel.shape) for block in blocks}
        assert kernels == {(51, dim, 1)}
    assert backbone.logits.kernel.shape == (1024, 180)
    assert AVSELD.learning_rate == 5e-5


@pytest.mark.backend_agnostic
def test_small_preset_is_small():
    assert AVSELD.from_preset("avseld_small", load_weights=False).count_params() < 3e6
