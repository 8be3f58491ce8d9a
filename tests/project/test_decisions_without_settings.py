"""What `docs/design-decisions.md` says of decisions without a setting is what the code does."""

import pathlib
import re

import keras
import numpy as np
import pytest
from keras import ops
from PIL import Image

from keras_avssan import AVSSAN
from keras_avssan.data import ScenePlan, SyntheticClasses, read_image
from keras_avssan.encoders import ConvImageEncoder, LogMelEncoder
from keras_avssan.simulation import RIRBank, RoomRanges

pytestmark = pytest.mark.backend_agnostic

ROOT = pathlib.Path(__file__).parents[2]
PAGE = ROOT / "docs/design-decisions.md"
# Rows that a test elsewhere holds.
ELSEWHERE = {
    "encoders": "tests/models/test_configurations.py",
    "image encoder and its width": "tests/encoders/test_clip_encoder.py",
    "the bridge has t time steps": "tests/layers/test_frame_alignment.py",
    "X_gt of (12)": "tests/models/test_training.py",
    "losses over a batch": "tests/doa/test_losses.py",
    "140,000 steps": "tests/models/test_fit_scenes.py",
    "level of 0 dB": "tests/data/scenes/test_rendering.py",
    "GPU-RIR": "tests/simulation/test_accuracy.py",
    "prompt images": "tests/data/vggsound_ssl",
    "which two microphones": "tests/data/starss23/test_starss23.py",
    "Table 3": "tests/data/starss23/test_benchmark.py",
}


@pytest.fixture(scope="module")
def backbone():
    parts = {"dim": 4, "bridge_layers": 1, "num_heads": 1, "mlp_dim": 4}
    image_encoder = ConvImageEncoder(8, (4,), (16, 16))
    return AVSSAN(image_encoder=image_encoder, audio_encoder=LogMelEncoder(8), **parts).backbone


@pytest.fixture
def inputs():
    rng = np.random.default_rng(0)
    return {
        "audio": rng.normal(size=(1, 8000, 2)).astype("float32"),
        "images": rng.uniform(size=(1, 16, 16, 3)).astype("float32"),
    }


def check_pictures(backbone, inputs):
    """A wide picture keeps its ends and has white above and below."""
    picture = np.zeros((20, 60, 3), "uint8")
    picture[:, :20, 0] = picture[:, -20:, 2] = 255
    square = np.asarray(read_image(Image.fromarray(picture), (30, 30)), "float32")
    square = square / square.max()
    assert np.all(square[0] == 1) and np.all(square[-1] == 1)
    np.testing.assert_allclose(square[15, 2], (1, 0, 0), atol=0.1)
    np.testing.assert_allclose(square[15, -3], (0, 0, 1), atol=0.1)


def check_what_the_audio_encoder_is_given(backbone, inputs):
    layer = backbone.get_layer(backbone.audio_encoder.name)
    given = keras.Model(backbone.input, layer.input)(inputs)
    level = backbone.level(inputs["audio"])
    expected = ops.convert_to_numpy(level).mean(axis=-1)
    np.testing.assert_allclose(ops.convert_to_numpy(given), expected, atol=1e-6)


def check_bands(backbone, inputs):
    features = backbone.spatial_features(backbone.stft(inputs["audio"]))
    shapes = {band: tuple(features[band].shape) for band in features}
    assert shapes["full"][1] == 1 and shapes["full"][3] == 513
    assert [shapes[band][1] * shapes[band][3] for band in ("fine", "mid")] == [512, 512]


def check_mask(backbone, inputs):
    outputs = backbone(inputs)
    mask, masked = (ops.convert_to_numpy(outputs[name]) for name in ("mask", "masked_spectrogram"))
    spectrogram = ops.convert_to_numpy(backbone.stft(backbone.level(inputs["audio"])))
    assert mask.shape == spectrogram.shape[:3] and 0 <= mask.min() and mask.max() <= 1
    np.testing.assert_allclose(masked, spectrogram * mask[..., None], atol=1e-4)


def check_one_room(backbone, inputs):
    bank = RIRBank.build(3, seed=0, sources_per_room=3, progress=False)
    plan = ScenePlan(SyntheticClasses(["dog", "rain"]), bank, split=None, seed=0)
    for scene in (plan[index] for index in range(5)):
        slots = [source.slot for source in scene.sources]
        azimuths = [source.azimuth for source in scene.sources]
        assert len(set(slots)) == 2
        np.testing.assert_allclose(bank.azimuths[scene.room][slots], azimuths, atol=1e-4)


def check_ranges(backbone, inputs):
    ranges, text = RoomRanges(), row("room ranges")
    for value in (ranges.length, ranges.width, ranges.height, ranges.t60, ranges.distance):
        low, high = (f"{number:g}" for number in value)
        assert f"{low}–{high}" in text
    low, high = ranges.array_height
    assert f"{low:.1f}–{high:.1f} m high" in text and f"{ranges.spacing:.2f} m apart" in text


CHECKS = {
    "pictures in CLIP's square input": check_pictures,
    "what VGGish hears of two channels": check_what_the_audio_encoder_is_given,
    "the full band has shape F × 1": check_bands,
    "513 bins are not 16 · 32": check_bands,
    "range of the mask": check_mask,
    "two sources, each with": check_one_room,
    "room ranges": check_ranges,
}


def rows():
    page = PAGE.read_text(encoding="utf-8")
    table = page[page.index("## What has no setting") :].split("\n\n")[1]
    cells = re.findall(r"(?m)^\| (.+?) \| (.+) \|$", table)
    return {name: text for name, text in cells if name != "Open"}


def row(start):
    """What a row says, by how its name begins."""
    return next(text for name, text in rows().items() if name.startswith(start))


@pytest.mark.parametrize("name", sorted(rows()))
def test_a_decision_is_that_of_the_code(name, backbone, inputs):
    held = [start for start in (*CHECKS, *ELSEWHERE) if name.startswith(start)]
    assert len(held) == 1, name
    if held[0] in CHECKS:
        CHECKS[held[0]](backbone, inputs)
    else:
        assert (ROOT / ELSEWHERE[held[0]]).exists()
