"""Sounds as an extractor extracts them, embedded."""

import numpy as np
import pytest
from keras import ops

from keras_avssan.data import render_scene
from keras_avssan.training import sound_examples
from keras_avssan.training.alignment.extracted_sounds import embed_extracted


def embedding_by_hand(model, audio, azimuth, rival):
    """Mean embedding (d_A,) of what the extractor extracts at an azimuth of one scene."""
    backbone, encoder = model.backbone, model.backbone.audio_encoder
    audio = backbone.level(ops.convert_to_tensor(audio[None]))
    mask = backbone.candidates.extractor(
        backbone.stft(audio),
        ops.convert_to_tensor(np.array([[azimuth]], "float32")),
        rivals=ops.convert_to_tensor(np.array([[[rival]]], "float32")),
    )
    mask = ops.convert_to_numpy(mask)[0, 0, :, ::2]  # 257 of its 513 frequencies
    magnitudes = ops.convert_to_numpy(encoder.spectrogram(ops.mean(audio, axis=-1)))[0]
    step, first = encoder.spectrogram.hop_seconds, encoder.spectrogram.offset_seconds
    frame = (first + step * np.arange(len(magnitudes))) * 16000 / 512
    aligned = np.stack([np.interp(frame, np.arange(len(mask)), bin_) for bin_ in mask.T], axis=1)
    masked = ops.convert_to_tensor((magnitudes * aligned)[None].astype("float32"))
    vectors = ops.convert_to_numpy(encoder.embed_log_mel(encoder.log_mel(masked)))[0]
    ends = encoder.hop_seconds * np.arange(len(vectors)) + 2 * encoder.offset_seconds
    within = ends <= audio.shape[1] / 16000 + 1e-6
    return vectors[within | (np.arange(len(vectors)) == 0)].mean(axis=0)


@pytest.mark.one_backend
def test_target_and_interferer_are_extracted_where_they_are(network, delayed_plan):
    found = embed_extracted(network, delayed_plan, 2, False)
    assert found.shape[0] == 4 and found.dtype == "float32"
    scene = delayed_plan[1]
    true = [source.azimuth for source in scene.sources]
    assert sorted(true) == [50.0, 130.0]
    near = true + delayed_plan.generator(1, "extracted").normal(0.0, 2.0, 2)
    audio = render_scene(delayed_plan, 1)["audio"]
    for row, (azimuth, rival) in enumerate([near, near[::-1]]):
        expected = embedding_by_hand(network, audio, azimuth, rival)
        np.testing.assert_allclose(found[2 + row], expected, atol=1e-4 * expected.max())
    assert np.abs(found[2] - found[3]).max() > 0.01 * found.max() > 0  # the mask matters


@pytest.mark.one_backend
def test_the_same_scenes_give_the_same_embeddings(network, delayed_plan):
    found = embed_extracted(network, delayed_plan, 3, False)
    np.testing.assert_array_equal(embed_extracted(network, delayed_plan, 3, False), found)
    np.testing.assert_allclose(
        embed_extracted(network, delayed_plan, 1, False), found[:2], rtol=1e-5
    )


@pytest.mark.one_backend
def test_examples_of_a_network_with_candidates_are_extracted_sounds(network, delayed_plan):
    sounds, classes = sound_examples(network, delayed_plan, scenes=2, progress=False)
    count = len(delayed_plan.clips)
    expected = embed_extracted(network, delayed_plan, 2, False)
    np.testing.assert_allclose(sounds[count:], expected, rtol=1e-5)
    named = [delayed_plan.classes[number] for number in classes[count:]]
    assert named == [
        source.clip.class_name for index in range(2) for source in delayed_plan[index].sources
    ]
