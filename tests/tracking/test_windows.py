"""Windows of a stream are those of the whole, at any rate and in blocks of any size."""

import numpy as np
import pytest
import soxr

from keras_avssan.tracking.windows import WindowBuffer, WindowGrid, prepare

pytestmark = pytest.mark.backend_agnostic


@pytest.mark.parametrize(
    ("window", "hop", "rate"),
    [
        (1.0, 0.25, 16000),
        (0.5, 0.1, 44100),
        (0.3, 0.7, 11025),
        (0.01, 1 / 3, 999),
        (0.2, 0.2, 8000),
    ],
)
def test_windows_are_counted_as_they_fit(window, hop, rate):
    grid = WindowGrid(window, hop, rate, 16000)
    for num_samples in np.random.default_rng(0).integers(0, 5 * rate, 50):
        fitting = 0
        while grid.start(fitting) + grid.length <= num_samples:
            fitting += 1
        assert grid.count(num_samples) == fitting
    exact = grid.start(7) + grid.length
    assert grid.count(exact) == 8 and grid.count(exact - 1) == 7


def test_times_do_not_drift():
    """A hop that is no whole number of samples, after a day."""
    grid = WindowGrid(1.0, 0.1, 11025, 16000)
    assert grid.centre(864_000) == pytest.approx(86400.5, abs=1e-4)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("window", "hop"), [(0.1, 0.03), (0.05, 0.12)])
def test_blocks_of_any_size(seed, window, hop):
    rng = np.random.default_rng(seed)
    audio = rng.normal(size=(6000, 2)).astype("float32")
    grid = WindowGrid(window, hop, 4000, 16000)
    buffer, found, start = WindowBuffer(grid), {}, 0
    while start < len(audio):
        size = int(rng.choice([0, 1, 7, 100, 1500]))
        indices, stretches = buffer.push(audio[start : start + size])
        found.update(zip(indices, stretches, strict=True))
        start += size
        assert buffer.received == min(start, len(audio))
        assert len(buffer._kept) < grid.length + hop * 4000  # no more than the next one needs
    assert list(found) == list(range(grid.count(len(audio))))
    for index, stretch in found.items():
        first = grid.start(index)
        np.testing.assert_array_equal(stretch, audio[first : first + grid.length])


def test_skipped_windows_are_not_kept():
    audio = np.arange(8000, dtype="float32").reshape(4000, 2)
    grid = WindowGrid(0.1, 0.05, 4000, 4000)
    buffer = WindowBuffer(grid)
    buffer.push(audio[:700])
    buffer.skip_to(12)
    indices, stretches = buffer.push(audio[700:3000])
    assert indices[0] == 12 and indices[-1] == grid.count(3000) - 1
    np.testing.assert_array_equal(stretches[0], audio[grid.start(12) :][:400])


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000])
def test_a_resampled_window_is_that_of_the_resampled_recording(rate):
    seconds = np.arange(2 * rate) / rate
    audio = np.stack([np.sin(2 * np.pi * 440 * seconds), np.cos(2 * np.pi * 1000 * seconds)], -1)
    grid = WindowGrid(0.5, 0.25, rate, 16000)
    window = grid.resample(audio[grid.start(2) :][: grid.length].astype("float32"))
    assert window.shape == (8000, 2)
    whole = soxr.resample(audio, rate, 16000)
    first = round(grid.start(2) * 16000 / rate)
    np.testing.assert_allclose(window[80:-80], whole[first:][80:7920], atol=1e-3)


def test_an_offset_makes_no_click_at_the_ends():
    rng = np.random.default_rng(0)
    audio = (0.5 + 1e-3 * rng.normal(size=(24000, 2))).astype("float32")
    window = WindowGrid(0.5, 0.25, 48000, 16000).resample(audio)
    assert np.abs(window - 0.5).max() < 0.01
    assert np.abs(soxr.resample(audio, 48000, 16000) - 0.5).max() > 0.1  # as it would be


def test_why_a_window_has_no_direction():
    grid = WindowGrid(0.5, 0.25, 8000, 16000)
    sound = 0.1 * np.random.default_rng(0).normal(size=(4000, 2)).astype("float32")
    window, gap = prepare(sound, grid)
    assert window.shape == (8000, 2) and gap == ""
    broken, dead, copied = sound.copy(), sound.copy(), sound.copy()
    broken[17, 1] = np.nan
    dead[:, 0] *= 1e-3
    copied[:, 1] = -0.5 * copied[:, 0]
    cases = {"not finite": broken, "dead channel": dead, "copied channel": copied}
    cases["silent"] = np.full_like(sound, 0.25)
    for reason, samples in cases.items():
        assert prepare(samples, grid) == (None, reason)
    broken[17, 1] = -np.inf
    assert prepare(broken, grid) == (None, "not finite")


def test_levels_beyond_float32_powers_are_scaled():
    grid = WindowGrid(0.5, 0.25, 16000, 16000)
    sound = np.random.default_rng(0).normal(size=(8000, 2)).astype("float32")
    for scale in (2.0**-80, 2.0**80):
        window, gap = prepare(np.float32(scale) * sound, grid)
        assert gap == "" and 0.1 < np.abs(window).max() <= 1.0


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ({"window": 0.0}, "`window` must be a positive duration"),
        ({"hop": -1.0}, "`hop` must be a positive duration"),
        ({"hop": 1e-6}, "`hop` must last for one sample"),
        ({"source_rate": 0}, "`sampling_rate` must be an integer of at least 1"),
    ],
)
def test_arguments_out_of_range(argument, message):
    arguments = {"window": 1.0, "hop": 0.25, "source_rate": 16000, "sampling_rate": 16000}
    with pytest.raises(ValueError, match=message):
        WindowGrid(**{**arguments, **argument})
