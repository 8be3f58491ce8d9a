"""The spectra against pyroomacoustics and against their textbook forms in NumPy."""

import numpy as np
import pytest
from keras import ops

from keras_avssan.classical import GCCPHAT, MUSIC, SRPPHAT
from keras_avssan.doa import GRID_DEGREES
from keras_avssan.simulation import azimuth_of, simulate_rirs

RATE, SPACING, SPEED = 16000, 0.2, 343.0
SAMPLES = 8000
BINS = np.arange(32, 257)  # from 500 to 4000 Hz in steps of 15.625 Hz
# Channel 0 is microphone 1, at the positive end of the axis.
PAIR = np.array([[SPACING / 2, -SPACING / 2], [0.0, 0.0]])


@pytest.fixture(scope="module")
def pra():
    return pytest.importorskip("pyroomacoustics")


def frames(localizer, audio):
    """The layer's frames as complex numbers, (microphones, F, T)."""
    parts = ops.convert_to_numpy(localizer.stft(audio[None]))[0].astype("float64")
    return (parts[..., 0::2] + 1j * parts[..., 1::2]).transpose(2, 1, 0)


def reference_spectrum(pra, name, transforms, bins=BINS):
    """Spectrum of pyroomacoustics over the 180 directions."""
    nfft = 2 * (transforms.shape[1] - 1)
    grid = np.deg2rad(GRID_DEGREES.astype("float64"))
    reference = pra.doa.algorithms[name](PAIR, RATE, nfft, c=SPEED, num_src=1, azimuth=grid)
    reference.locate_sources(transforms, freq_bins=bins)
    return reference.grid.values


def anechoic(pra, azimuth, snr, seed):
    """White noise, 3 m from the pair, with noise of the microphones: as pyroomacoustics shows."""
    rng = np.random.default_rng(seed)
    centre = np.array([5.0, 5.0])
    angle = np.deg2rad(azimuth)
    room = pra.AnechoicRoom(dim=2, fs=RATE)
    room.add_source(
        centre + 3 * np.array([np.cos(angle), np.sin(angle)]), signal=rng.normal(size=RATE)
    )
    room.add_microphone_array(pra.MicrophoneArray(centre[:, None] + PAIR, RATE))
    room.simulate()
    return with_noise(room.mic_array.signals.T[4000 : 4000 + SAMPLES], snr, rng)


def with_noise(audio, snr, rng):
    noise = rng.normal(size=audio.shape) * audio.std() * 10 ** (-snr / 20)
    return (audio + noise).astype("float32")


def reverberant(azimuth, t60, snr, seed):
    """White noise in a room of this library, with noise of the microphones."""
    rng = np.random.default_rng(seed)
    centre, angle = np.array([3.1, 2.2, 1.4]), np.deg2rad(azimuth)
    microphones = centre + np.array([[SPACING / 2, 0, 0], [-SPACING / 2, 0, 0]])
    source = centre + 1.5 * np.array([np.cos(angle), np.sin(angle), 0.0])
    assert azimuth_of(source, microphones) == pytest.approx(azimuth)
    rirs = ops.convert_to_numpy(
        simulate_rirs((6.3, 5.1, 2.9), source, microphones, t60=t60, length=int(t60 * RATE))
    )[0]
    dry = rng.normal(size=RATE)
    audio = np.stack([np.convolve(dry, rir)[4000 : 4000 + SAMPLES] for rir in rirs], axis=1)
    return with_noise(audio, snr, rng)


PAIRS = pytest.mark.parametrize(("method", "name"), [(SRPPHAT, "SRP"), (MUSIC, "NormMUSIC")])


@PAIRS
@pytest.mark.parametrize(
    "azimuth",
    [61.3, *(pytest.param(a, marks=pytest.mark.one_backend) for a in (25.0, 90.0, 140.0))],
)
def test_rooms_of_pyroomacoustics(pra, method, name, azimuth):
    audio = anechoic(pra, azimuth, snr=0, seed=int(azimuth))
    localizer = method()
    theta = localizer.localize(audio)[0]
    assert abs(theta - azimuth) <= 2
    # The same frames: the same spectrum.
    expected = reference_spectrum(pra, name, frames(localizer, audio))
    assert theta == GRID_DEGREES[expected.argmax()]
    found = localizer.predict_on_batch({"audio": audio[None]})["doa"][0]
    np.testing.assert_allclose(found, expected / expected.sum(), rtol=2e-3)
    # Its own frames and band: the same direction.
    own = pra.transform.stft.analysis(audio, 1024, 512, win=np.hanning(1024)).transpose(2, 1, 0)
    expected = reference_spectrum(pra, name, own, bins=None)
    assert abs(theta - GRID_DEGREES[expected.argmax()]) <= 1


@PAIRS
@pytest.mark.backend_agnostic
def test_short_frames_as_in_its_examples(pra, method, name):
    audio = anechoic(pra, 61.0, snr=0, seed=3)
    localizer = method(frame_length=256, hop_length=128, frequency_range=(312.5, 3750))
    bins = np.arange(5, 61)
    expected = reference_spectrum(pra, name, frames(localizer, audio), bins)
    found = localizer.predict_on_batch({"audio": audio[None]})["doa"][0]
    np.testing.assert_allclose(found, expected / expected.sum(), rtol=2e-3)


@PAIRS
@pytest.mark.parametrize(
    "azimuth", [37.0, *(pytest.param(a, marks=pytest.mark.one_backend) for a in (90.0, 118.5))]
)
@pytest.mark.parametrize("t60", [0.25, pytest.param(0.5, marks=pytest.mark.one_backend)])
def test_simulated_rooms(pra, method, name, azimuth, t60):
    audio = reverberant(azimuth, t60, snr=10, seed=int(azimuth))
    localizer = method()
    theta = localizer.localize(audio)[0]
    expected = reference_spectrum(pra, name, frames(localizer, audio))
    assert abs(theta - GRID_DEGREES[expected.argmax()]) <= 1
    assert abs(theta - azimuth) <= 10


@PAIRS
@pytest.mark.one_backend
@pytest.mark.parametrize("azimuths", [(40.0, 110.0), (65.0, 140.0), (30.0, 90.0)])
def test_two_sources_are_the_peaks_of_pyroomacoustics(pra, method, name, azimuths):
    """The two highest peaks of the same spectrum, by the peak search of its grid."""
    audio = sum(
        reverberant(azimuth, 0.25, snr=20, seed=seed) for seed, azimuth in enumerate(azimuths)
    )
    localizer = method()
    ((first, second),) = localizer.localize(audio, num_sources=2)
    nfft = localizer.stft.frame_length
    # MUSIC has room for one source in a bin of a pair, so that its spectrum is that of one.
    sources = 2 if name == "SRP" else 1
    reference = pra.doa.algorithms[name](
        PAIR, RATE, nfft, c=SPEED, num_src=sources, azimuth=np.deg2rad(GRID_DEGREES)
    )
    reference.locate_sources(frames(localizer, audio), freq_bins=BINS)
    found = GRID_DEGREES[reference.grid.find_peaks(k=2)]  # the highest last
    np.testing.assert_allclose([second, first], found, atol=1)
    if name == "SRP":
        np.testing.assert_allclose(np.rad2deg(reference.azimuth_recon), found, atol=0.1)
        np.testing.assert_allclose(sorted([first, second]), azimuths, atol=10)


@pytest.mark.parametrize("t60", [0.25, pytest.param(0.5, marks=pytest.mark.one_backend)])
def test_gcc_phat_against_numpy(t60):
    """The inverse transform of the whitened mean cross-spectrum, at lags of 1/64 sample."""
    localizer = GCCPHAT()
    audio = reverberant(118.5, t60, snr=10, seed=1)
    window = np.hanning(1025)[:-1]
    padded = np.pad(audio.astype("float64"), [(512, 512), (0, 0)])
    starts = range(0, len(padded) - 1023, 512)
    x1, x2 = (
        np.array([np.fft.rfft(window * channel[start : start + 1024]) for start in starts])
        for channel in padded.T
    )
    cross = np.mean(x1 * x2.conj(), axis=0)
    whitened = np.zeros(513, complex)
    whitened[BINS] = cross[BINS] / np.abs(cross[BINS])
    curve = np.fft.irfft(whitened, 64 * 1024)  # index n: channel 0 lags by n / 64 samples
    lead = SPACING * np.cos(np.deg2rad(GRID_DEGREES)) / SPEED * RATE
    positions = np.arange(-64 * 16, 64 * 16 + 1)
    expected = np.interp(-lead, positions / 64, curve[positions])
    expected = np.maximum(expected, 0) / np.maximum(expected, 0).sum()
    found = localizer.predict_on_batch({"audio": audio[None]})["doa"][0]
    np.testing.assert_allclose(found, expected, atol=2e-3 * expected.max())


@pytest.mark.one_backend
@pytest.mark.filterwarnings("ignore:.*both channels hold the same")  # 90 degrees, no noise
@pytest.mark.parametrize("azimuth", [40.0, 90.0, 127.0])
def test_gcc_phat_against_the_delay_of_pyroomacoustics(pra, azimuth, pure_delays):
    """Whole recording and whole band there, frames here: the same delay for a clean source."""
    localization = pytest.importorskip("pyroomacoustics.experimental.localization")
    audio = pure_delays([azimuth])[0]
    delay = localization.tdoa(audio[:, 1], audio[:, 0], interp=16, fs=RATE)
    expected = np.rad2deg(np.arccos(delay * SPEED / SPACING))
    assert abs(GCCPHAT(frequency_range=(0, 8000)).localize(audio)[0] - expected) <= 1


@pytest.mark.backend_agnostic
def test_music_against_eigenvectors_in_numpy(pure_delays):
    """Unequal levels and correlated noise, by `np.linalg.eigh` bin by bin."""
    localizer = MUSIC(frame_length=256, hop_length=128)
    audio = pure_delays([50.0])[0] + 0.7 * pure_delays([120.0], seed=1)[0]
    audio = audio * np.array([1.0, 0.4], "float32")
    transforms = frames(localizer, audio)
    expected = np.zeros(180)
    for k in range(8, 65):
        covariance = transforms[:, k] @ transforms[:, k].conj().T
        noise = np.linalg.eigh(covariance)[1][:, 0]
        delay = SPACING * np.cos(np.deg2rad(GRID_DEGREES)) / SPEED
        phase = 2 * np.pi * k * RATE / 256 * delay
        steering = np.stack([np.ones(180), np.exp(-1j * phase)])
        pseudospectrum = 1 / np.abs(noise.conj() @ steering) ** 2
        expected += pseudospectrum / pseudospectrum.max()
    found = localizer.predict_on_batch({"audio": audio[None]})["doa"][0]
    np.testing.assert_allclose(found, expected / expected.sum(), rtol=2e-3)
