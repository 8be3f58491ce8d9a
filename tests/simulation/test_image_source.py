import itertools

import keras
import numpy as np
import pytest
from keras import ops
from scipy import signal

from keras_avssan.simulation import reverberation_time, simulate_rirs
from keras_avssan.simulation.absorption import sabine_absorption

SIZE = (5.3, 4.1, 2.7)
SOURCE = (1.7, 2.9, 1.6)
MICROPHONES = ((3.13, 1.52, 1.2), (2.95, 1.44, 1.21))
RATE = 16000
SPEED = 343.0


def images(size, source, microphone, reflection, max_order):
    """Yields distance and amplitude of every image of up to `max_order` reflections."""
    cells = range(-max_order, max_order + 1)
    for cell in itertools.product(cells, cells, cells):
        order = sum(abs(number) for number in cell)
        if order > max_order:
            continue
        mirrored = [
            number * side + (side - place if number % 2 else place)
            for number, side, place in zip(cell, size, source, strict=True)
        ]
        distance = np.linalg.norm(np.subtract(mirrored, microphone))
        yield distance, reflection**order / (4 * np.pi * distance)


def frequency_response(distances, amplitudes, frequencies):
    """Exact response of the images at frequencies in hertz."""
    delays = np.asarray(distances) / SPEED
    return np.exp(-2j * np.pi * np.outer(frequencies, delays)) @ np.asarray(amplitudes)


def simulate(*args, **kwargs):
    return ops.convert_to_numpy(simulate_rirs(*args, **kwargs))


def below_7_khz(responses):
    """Spectrum from 100 Hz to 7 kHz and its frequencies."""
    frequencies = np.fft.rfftfreq(responses.shape[-1], 1 / RATE)
    kept = (frequencies >= 100) & (frequencies <= 7000)
    return np.fft.rfft(responses)[..., kept], frequencies[kept]


def relative_error(found, expected):
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)


def direct_path(source, microphones, **kwargs):
    return simulate(SIZE, source, microphones, absorption=0.5, max_order=0, duration=0.1, **kwargs)


def test_matches_the_exact_frequency_response():
    found, frequencies = below_7_khz(
        simulate(SIZE, SOURCE, MICROPHONES, absorption=0.3, max_order=5, duration=0.3)[0]
    )
    for spectrum, microphone in zip(found, MICROPHONES, strict=True):
        distances, gains = zip(*images(SIZE, SOURCE, microphone, 0.7**0.5, 5), strict=True)
        assert relative_error(spectrum, frequency_response(distances, gains, frequencies)) < 2e-3


def test_matches_pyroomacoustics(images_of_pyroomacoustics):
    oracles = images_of_pyroomacoustics(SIZE, SOURCE, MICROPHONES, 0.3, max_order=8)
    found = simulate(SIZE, SOURCE, MICROPHONES, absorption=0.3, max_order=8, duration=0.3)[0]
    for response, oracle in zip(found, oracles, strict=True):
        expected = np.zeros(len(response))
        length = min(len(oracle), len(response))
        expected[:length] = oracle[:length]
        spectrum, _ = below_7_khz(response)
        oracle_spectrum, _ = below_7_khz(expected / (4 * np.pi))  # its amplitude is 1 / r
        assert relative_error(spectrum, oracle_spectrum) <= 0.02


def test_direct_path_has_exact_delay_and_amplitude():
    spectra, frequencies = below_7_khz(direct_path(SOURCE, MICROPHONES)[0])
    for spectrum, microphone in zip(spectra, MICROPHONES, strict=True):
        distance = np.linalg.norm(np.subtract(SOURCE, microphone))
        np.testing.assert_allclose(abs(spectrum), 1 / (4 * np.pi * distance), rtol=0.01)
        delay = -np.polyfit(frequencies, np.unwrap(np.angle(spectrum)), 1)[0] / (2 * np.pi)
        assert delay * RATE == pytest.approx(distance / SPEED * RATE, abs=0.02)


@pytest.mark.parametrize("azimuth", [0, 20, 90, 133, 180])
def test_delay_between_channels_follows_geometry(azimuth):
    centre, axis, across = np.array([2.5, 2.0, 1.3]), np.array([1.0, 0, 0]), np.array([0, 1.0, 0])
    direction = np.cos(np.radians(azimuth)) * axis + np.sin(np.radians(azimuth)) * across
    source, microphones = centre + 1.7 * direction, centre + np.outer([0.1, -0.1], axis)
    spectra, frequencies = below_7_khz(direct_path(source, microphones)[0])
    phase = np.unwrap(np.angle(spectra[0] * spectra[1].conj()))
    lead = np.polyfit(frequencies, phase, 1)[0] / (2 * np.pi) * RATE
    near, far = np.linalg.norm(source - microphones, axis=-1)
    assert lead == pytest.approx((far - near) / SPEED * RATE, abs=0.05)


def test_channel_0_leads_at_azimuth_0():
    first, second = direct_path((4.0, 2.0, 1.3), [(2.6, 2.0, 1.3), (2.4, 2.0, 1.3)])[0]
    assert np.argmax(first) < np.argmax(second)


def test_nothing_wraps_around():
    source = np.array([1.0, 1.0, 1.0])
    near, far = direct_path(source, source + [[0.05, 0, 0], [1.5, 1.5, 1.0]], sampling_rate=8000)[0]
    assert np.argmax(near) <= 2
    for response in (near, far):
        assert abs(response[-300:]).max() < 1e-5 * abs(response).max()
    assert abs(far[:20]).max() < 0.01 * abs(far).max()


def test_default_duration_is_the_longest_t60():
    responses = simulate([SIZE, SIZE], SOURCE, MICROPHONES, t60=[0.25, 0.3])
    assert responses.shape == (2, 2, 4800)
    assert np.all(responses[0, :, 4000:] == 0)
    assert np.all(np.any(responses[1, :, 4700:] != 0, axis=-1))
    assert simulate(SIZE, SOURCE, MICROPHONES, absorption=0.9).shape[-1] < 1600


def test_length_cuts_or_pads():
    whole = simulate(SIZE, SOURCE, MICROPHONES, t60=0.25)
    longer = simulate(SIZE, SOURCE, MICROPHONES, t60=0.25, length=7000)
    np.testing.assert_allclose(longer[..., :4000], whole, atol=1e-6 * whole.max())
    assert longer.shape == (1, 2, 7000) and np.all(longer[..., 4000:] == 0)
    shorter = simulate(SIZE, SOURCE, MICROPHONES, t60=0.25, length=1000)
    assert shorter.shape == (1, 2, 1000)
    np.testing.assert_allclose(shorter[..., :950], whole[..., :950], atol=1e-3 * whole.max())


def test_t60_is_turned_into_absorption():
    by_t60 = simulate(SIZE, SOURCE, MICROPHONES, t60=0.3)
    by_absorption = simulate(
        SIZE, SOURCE, MICROPHONES, absorption=sabine_absorption(SIZE, 0.3), duration=0.3
    )
    np.testing.assert_array_equal(by_t60, by_absorption)
    by_eyring = simulate(SIZE, SOURCE, MICROPHONES, t60=0.3, formula="eyring")
    assert np.sum(by_eyring**2) > np.sum(by_t60**2)


def schroeder_t60(response):
    """Time of a decay by 60 dB, from the slope between -5 and -25 dB."""
    decay = np.cumsum(response[::-1] ** 2)[::-1]
    level = 10 * np.log10(np.maximum(decay / decay[0], 1e-12))
    fitted = np.flatnonzero((level < -5) & (level > -25))
    return -60 / np.polyfit(fitted / RATE, level[fitted], 1)[0]


@pytest.mark.one_backend
@pytest.mark.parametrize("t60", [0.25, 0.35])
def test_measured_t60_follows_the_requested_one(t60):
    for response in simulate(SIZE, SOURCE, MICROPHONES, t60=t60)[0]:
        assert 0.75 * t60 < schroeder_t60(response) < 1.5 * t60


@pytest.mark.one_backend
def test_batch_equals_single_calls():
    rng = np.random.default_rng(1)
    sizes = np.array([SIZE, (4.0, 6.0, 3.0), SIZE])
    sources = sizes * rng.uniform(0.2, 0.8, (3, 3))
    microphones = sizes[:, None] * rng.uniform(0.2, 0.8, (3, 2, 3))
    absorptions = np.array([0.3, 0.4, 0.5])
    batched = simulate(sizes, sources, microphones, absorption=absorptions, duration=0.1)
    assert batched.shape == (3, 2, 1600)
    for row in range(3):
        single = simulate(
            sizes[row],
            sources[row],
            microphones[row],
            absorption=absorptions[row],
            duration=0.1,
        )[0]
        np.testing.assert_allclose(batched[row], single, atol=1e-6 * abs(single).max())


@pytest.mark.one_backend
@pytest.mark.parametrize("bound", ["_MAX_PAIRS", "_MAX_BINS"])
def test_work_in_small_pieces_gives_the_same(bound, monkeypatch):
    """One room in pieces, and rooms alone that were computed together."""
    sizes = np.array([SIZE, (4.0, 6.0, 3.0), SIZE, SIZE])
    sources = np.linspace((1, 1, 1), (2, 3, 2), 20).reshape(4, 5, 3)
    settings = dict(absorption=[0.3, 0.4, 0.3, 0.5], duration=[0.1, 0.1, 0.05, 0.1])
    whole = simulate(sizes, sources, MICROPHONES, **settings)
    assert whole.shape == (4, 5, 2, 1600)
    monkeypatch.setattr(f"keras_avssan.simulation.image_source.image_sum.{bound}", 2**13)
    pieces = simulate(sizes, sources, MICROPHONES, **settings)
    np.testing.assert_allclose(pieces, whole, atol=1e-6 * abs(whole).max())


def test_full_absorption_leaves_the_direct_path():
    absorbed = simulate(SIZE, SOURCE, MICROPHONES, absorption=1.0, duration=0.1)
    np.testing.assert_allclose(absorbed, direct_path(SOURCE, MICROPHONES), atol=1e-7)


def test_result_is_a_float32_tensor():
    responses = simulate_rirs(SIZE, SOURCE, MICROPHONES, absorption=0.5, duration=0.02)
    assert ops.is_tensor(responses)
    assert keras.backend.standardize_dtype(responses.dtype) == "float32"


def gradient_of(function, value):
    """Gradient of a scalar function of an array, by the backend's own means."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        variable = tf.Variable(value)
        with tf.GradientTape() as tape:
            result = function(variable)
        return tape.gradient(result, variable).numpy()
    if keras.backend.backend() == "torch":
        import torch

        variable = torch.tensor(value, requires_grad=True)
        function(variable).backward()
        return variable.grad.numpy()
    import jax

    return np.asarray(jax.grad(function)(value))


ORIENTATION = (0.3, -0.8, 0.2)
DIFFERENTIATED = {
    "source": (SOURCE, 0.01),
    "microphones": (MICROPHONES, 0.01),
    "room_size": (SIZE, 0.003),
    "absorption": ((0.4, 0.3, 0.5, 0.2, 0.35, 0.6), 0.02),
    "reflection": ((0.5, -0.3, 0.7, 0.2, -0.6, 0.4), 0.02),
    "source_orientation": (ORIENTATION, 0.02),
    "microphone_orientation": (ORIENTATION, 0.02),
}


# Every number is moved on its own: under every backend of each kind the quickest.
QUICK = ("source", "room_size", "reflection", "source_orientation")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in QUICK else pytest.mark.one_backend)
        for name in DIFFERENTIATED
    ],
)
def test_gradients_are_finite_and_right(name):
    value, step = DIFFERENTIATED[name]
    value = np.array(value, dtype="float32")
    value = value[None] if value.shape == (6,) else value
    arguments = dict(room_size=SIZE, source=SOURCE, microphones=MICROPHONES, duration=0.03)
    if name.endswith("orientation"):
        arguments[name.replace("orientation", "pattern")] = "cardioid"
    if name != "reflection":
        arguments["absorption"] = 0.4
    weights = np.random.default_rng(0).standard_normal(480).astype("float32")
    smooth = ops.convert_to_tensor(np.convolve(weights, np.hanning(32), mode="same"), "float32")
    smooth = smooth * ops.convert_to_tensor(np.arange(480) < 400, "float32")

    def loss(value):
        return ops.sum(simulate_rirs(**(arguments | {name: value})) * smooth)

    gradient = gradient_of(loss, value)
    assert np.all(np.isfinite(gradient)) and np.any(gradient != 0)
    for index in np.ndindex(value.shape):
        moved = np.zeros_like(value)
        moved[index] = step
        change = ops.convert_to_numpy(loss(value + moved) - loss(value - moved)) / (2 * step)
        assert gradient[index] == pytest.approx(
            float(change), rel=0.05, abs=0.02 * float(abs(gradient).max())
        )


@pytest.mark.parametrize("reflection", [0.0, -0.99, 0.99])
def test_gradients_are_finite_at_the_ends(reflection):
    def loss(value):
        rirs = simulate_rirs(SIZE, SOURCE, MICROPHONES, reflection=value, duration=0.03)
        return ops.sum(ops.square(rirs))

    assert np.isfinite(gradient_of(loss, np.float32(reflection)))


@pytest.mark.skipif(keras.backend.backend() != "jax", reason="a compiled function of JAX")
def test_compiled_functions_of_positions():
    import jax

    def response(source):
        return simulate_rirs(SIZE, source, MICROPHONES, absorption=0.4, duration=0.03)

    found = jax.jit(response)(np.array(SOURCE, "float32"))
    np.testing.assert_allclose(found, response(SOURCE), atol=1e-6)
    with pytest.raises(ValueError, match="`room_size` chooses the images and must have known"):
        jax.jit(lambda size: simulate_rirs(size, SOURCE, MICROPHONES, t60=0.3))(np.array(SIZE))


def exact_images(size, source, microphone, reflections, max_order, gain=lambda *_: 1.0):
    """Distances and amplitudes of all images; six walls, and a gain by directions.

    Follows each path back: every reflection mirrors the image at one wall and costs its
    coefficient. `gain` is called with the directions of departure and of arrival.
    """
    found = {}
    walls = [(axis, place) for axis in range(3) for place in (0.0, size[axis])]
    paths = [(tuple(source), 1.0, (1, 1, 1))]
    for _ in range(max_order + 1):
        following = []
        for image, amplitude, mirrored in paths:
            key = tuple(np.round(image, 6))
            if key in found:
                continue
            way = np.subtract(microphone, image)
            distance = np.linalg.norm(way)
            departure, arrival = way * mirrored / distance, -way / distance
            factor = gain(departure, arrival)
            found[key] = (distance, factor * amplitude / (4 * np.pi * distance))
            for number, (axis, place) in enumerate(walls):
                following.append(
                    (
                        tuple(2 * place - x if i == axis else x for i, x in enumerate(image)),
                        amplitude * reflections[number],
                        tuple(-m if i == axis else m for i, m in enumerate(mirrored)),
                    )
                )
        paths = following
    return zip(*found.values(), strict=True)


@pytest.mark.one_backend
@pytest.mark.parametrize("sign", [1, -1])
def test_six_walls(sign):
    reflection = sign * np.array([0.9, 0.3, 0.6, 0.8, 0.5, 0.7])
    rirs = simulate(
        SIZE, SOURCE, MICROPHONES, reflection=reflection[None], max_order=3, duration=0.2
    )
    found, frequencies = below_7_khz(rirs[0])
    for spectrum, microphone in zip(found, MICROPHONES, strict=True):
        images = exact_images(SIZE, SOURCE, microphone, reflection, 3)
        assert relative_error(spectrum, frequency_response(*images, frequencies)) < 1e-3
    absorption = simulate(
        SIZE, SOURCE, MICROPHONES, absorption=1 - reflection[None] ** 2, max_order=3, duration=0.2
    )
    assert np.allclose(absorption, rirs, atol=1e-6) == (sign == 1)
    assert simulate([SIZE] * 2, SOURCE, MICROPHONES, reflection=reflection[None]).shape[0] == 2


@pytest.mark.parametrize(
    ("source_pattern", "microphone_pattern"),
    [
        ("hypercardioid", "figure_eight"),
        *(
            pytest.param(*pair, marks=pytest.mark.one_backend)
            for pair in [
                ("omni", "cardioid"),
                ("subcardioid", "omni"),
                ("figure_eight", "subcardioid"),
            ]
        ),
    ],
)
def test_directional_sources_and_microphones(source_pattern, microphone_pattern):
    orientations = np.array([(1.0, 0.4, -0.2), (-0.3, 2.0, 0.5)])
    towards = np.array((0.2, -0.9, 0.3))
    share = {"omni": 1, "subcardioid": 0.75, "cardioid": 0.5, "hypercardioid": 0.25}
    settings = dict(reflection=0.7, max_order=2, duration=0.2)
    found, frequencies = below_7_khz(
        simulate(
            SIZE,
            SOURCE,
            MICROPHONES,
            source_pattern=source_pattern,
            source_orientation=towards,
            microphone_pattern=microphone_pattern,
            microphone_orientation=orientations,
            **settings,
        )[0]
    )
    for number, microphone in enumerate(MICROPHONES):

        def gain(departure, arrival, axis=orientations[number]):
            factor = 1.0
            for pattern, way, to in (
                (source_pattern, departure, towards),
                (microphone_pattern, arrival, axis),
            ):
                p = share.get(pattern, 0.0)
                factor *= p + (1 - p) * way @ to / np.linalg.norm(to)
            return factor

        images = exact_images(SIZE, SOURCE, microphone, [0.7] * 6, 2, gain)
        expected = frequency_response(*images, frequencies)
        assert relative_error(found[number], expected) < 1e-3


@pytest.mark.one_backend
def test_sources_are_an_axis_of_their_own():
    sizes = np.array([SIZE, (4.0, 6.0, 3.0)])
    sources = np.array([(1, 1, 1), (2, 3, 2), (3, 2, 1.5)], "float32")
    both = simulate(sizes, np.stack([sources, sources]), MICROPHONES, t60=[0.25, 0.3])
    assert both.shape == (2, 3, 2, 4800)
    for row, t60 in enumerate((0.25, 0.3)):
        each = simulate(sizes[row], sources, MICROPHONES, t60=t60, length=4800)
        assert each.shape == (3, 2, 4800)
        np.testing.assert_allclose(both[row], each, atol=1e-6 * abs(each).max())
    one = simulate(SIZE, sources[None, :1], MICROPHONES, t60=0.25)
    assert one.shape == (1, 1, 2, 4000)


def test_images_end_at_the_given_time():
    whole = simulate(SIZE, SOURCE, MICROPHONES, t60=0.3)
    by_time = simulate(SIZE, SOURCE, MICROPHONES, t60=0.3, image_duration=0.1)
    by_attenuation = simulate(SIZE, SOURCE, MICROPHONES, t60=0.3, image_attenuation=20)
    np.testing.assert_array_equal(by_time, by_attenuation)
    assert by_time.shape == whole.shape
    assert np.all(by_time[..., 1600:] == 0)
    # The last images of all reach a little ahead, through the low-pass.
    np.testing.assert_allclose(by_time[..., :1570], whole[..., :1570], atol=1e-6 * whole.max())


def high_passed_power(responses, start, stop):
    """Mean square between two times in seconds, without what lies below 100 Hz."""
    sections = signal.butter(4, 100, btype="highpass", fs=RATE, output="sos")
    part = signal.sosfilt(sections, responses, axis=-1)[
        ..., round(start * RATE) : round(stop * RATE)
    ]
    return np.mean(np.square(part))


@pytest.mark.one_backend
def test_tail_continues_the_images():
    settings = dict(absorption=0.2, duration=0.4)
    images = simulate(SIZE, SOURCE, MICROPHONES, **settings)
    both = simulate(SIZE, SOURCE, MICROPHONES, image_duration=0.1, tail=True, **settings)
    # Ahead of the first sample of the tail all is images, except within the reach of its low-pass.
    np.testing.assert_allclose(both[..., :1570], images[..., :1570], atol=1e-6 * images.max())
    for start, stop in ((0.1, 0.2), (0.2, 0.3), (0.3, 0.4)):
        ratio = high_passed_power(both, start, stop) / high_passed_power(images, start, stop)
        assert abs(10 * np.log10(ratio)) < 1.5
    assert not np.allclose(both[..., 2000:], images[..., 2000:], atol=0.1 * abs(images).max())


@pytest.mark.one_backend
def test_tail_is_a_function_of_its_seed():
    settings = dict(absorption=0.3, duration=0.1, image_duration=0.03, tail=True)
    sizes = np.array([SIZE, SIZE, (4.0, 6.0, 3.0)])
    seeds = [5, 6, 7]
    rooms = simulate(sizes, SOURCE, MICROPHONES, seed=seeds, **settings)
    again = simulate(sizes[::-1], SOURCE, MICROPHONES, seed=seeds[::-1], **settings)
    np.testing.assert_allclose(again[::-1], rooms, atol=1e-6 * abs(rooms).max())
    late = rooms[:, 0, 700:]
    assert abs(np.corrcoef(late[0], late[1])[0, 1]) < 0.2
    common = simulate(sizes, SOURCE, MICROPHONES, seed=5, **settings)
    assert abs(np.corrcoef(common[0, 0, 700:], common[1, 0, 700:])[0, 1]) < 0.2
    np.testing.assert_array_equal(common, simulate(sizes, SOURCE, MICROPHONES, seed=5, **settings))


@pytest.mark.one_backend
def test_tail_ends_with_each_room_and_knows_patterns():
    settings = dict(
        absorption=0.3, image_duration=0.02, tail=True, microphone_orientation=(0, 0, 1)
    )
    rooms = simulate([SIZE, SIZE], SOURCE, MICROPHONES, duration=[0.1, 0.2], **settings)
    assert rooms.shape == (2, 2, 3200) and np.all(rooms[0, :, 1600:] == 0)
    assert np.all(np.any(rooms[1, :, 3100:] != 0, axis=-1))
    figure_eight = simulate(
        [SIZE, SIZE],
        SOURCE,
        MICROPHONES,
        duration=[0.1, 0.2],
        microphone_pattern="figure_eight",
        **settings,
    )
    late = slice(400, 1600)
    np.testing.assert_allclose(figure_eight[..., late], rooms[..., late] / 3**0.5, rtol=1e-4)


@pytest.mark.one_backend
def test_calibrated_walls_have_the_measured_t60():
    rirs = simulate(SIZE, SOURCE, MICROPHONES, t60=0.4, calibrate=True, duration=0.6)
    assert reverberation_time(rirs, RATE) == pytest.approx(0.4, rel=0.05)
    by_formula = simulate(SIZE, SOURCE, MICROPHONES, t60=0.4, duration=0.8)
    assert np.all(reverberation_time(by_formula, RATE) > 0.42)


BAD_INPUT = {
    "negative t60": (dict(t60=-0.3), "`t60` must be finite and positive"),
    "t60 is nan": (dict(t60=np.nan), "`t60` must be finite and positive"),
    "unreachable t60": (dict(t60=0.05), r"`t60` of 0.05 s cannot be reached in a room of 5.3 x"),
    "no absorption": (dict(t60=None), "Exactly one of `t60`, `absorption` and `reflection`"),
    "both": (dict(absorption=0.5), "Exactly one of `t60`, `absorption` and `reflection`"),
    "formula": (dict(formula="fitzroy"), "`formula` must be"),
    "absorption": (dict(t60=None, absorption=1.2), r"`absorption` must be in \(0, 1\]"),
    "rigid walls": (dict(t60=None, absorption=0.0), r"`absorption` must be in \(0, 1\]"),
    "source outside": (dict(source=(6.0, 1, 1)), "`source` must lie inside the room"),
    "source on a wall": (dict(source=(0.0, 1, 1)), "`source` must lie inside the room"),
    "source is nan": (dict(source=(np.nan, 1, 1)), "`source` must be finite"),
    "microphone outside": (dict(microphones=[(1, 1, 3)]), "`microphones` must lie inside"),
    "one point": (dict(microphones=[(1, 1, 1), (1, 1, 1)]), "`microphones` must be distinct"),
    "source at microphone": (dict(source=MICROPHONES[1]), "`source` must not share a point"),
    "room rank": (dict(room_size=4.0), "`room_size` must end in three lengths"),
    "flat room": (dict(room_size=(5, 4, 0)), "`room_size` must be finite and positive"),
    "source shape": (dict(source=(1, 1)), "`source` must have shape"),
    "microphone shape": (dict(microphones=(1, 1, 1)), "`microphones` must have shape"),
    "no microphone": (dict(microphones=np.zeros((0, 3))), "`microphones` must have shape"),
    "batches differ": (
        dict(source=[SOURCE] * 2, t60=[0.3] * 3),
        "arguments must have the same batch size",
    ),
    "sampling rate": (dict(sampling_rate=0), "`sampling_rate` must be finite and positive"),
    "speed of sound": (dict(speed_of_sound=-1.0), "`speed_of_sound` must be finite"),
    "duration": (dict(duration=0.0), "`duration` must be finite and positive"),
    "length": (dict(length=0), "`length` must be an integer of at least 1"),
    "order": (dict(max_order=-1), "`max_order` must be an integer of at least 0"),
    "reflection": (
        dict(t60=None, reflection=[0.5, 1.0]),
        r"`reflection` must .*=1.0 at index \[1\]",
    ),
    "walls": (dict(t60=None, absorption=np.full((1, 5), 0.5)), r"`absorption` .* \(batch, 6\)"),
    "one of many rooms": (dict(room_size=[SIZE, (5, 4, -3)]), r"`room_size` .* at index \[1\]"),
    "one of many sources": (
        dict(source=[[SOURCE, SOURCE], [SOURCE, (9, 1, 1)]]),
        r"`source` must lie inside the room .*=\[9.0, 1.0, 1.0\] at index \[1, 1\]",
    ),
    "one of many t60": (dict(t60=[0.3, 0.01]), r"`t60` of 0.01 s .* \(index 1\)"),
    "pattern": (dict(source_pattern="dipole"), "`source_pattern` must be one of .*='dipole'"),
    "no orientation": (dict(microphone_pattern="cardioid"), "`microphone_orientation` must be"),
    "no direction": (
        dict(source_pattern="cardioid", source_orientation=(0, 0, 0)),
        "`source_orientation` must be finite and other than zero",
    ),
    "orientations": (
        dict(microphone_pattern="cardioid", microphone_orientation=[(1, 0, 0)] * 3),
        "`microphone_orientation` must hold one direction, or 2",
    ),
    "too short": (dict(duration=[1.0, 0.004]), "direct path.* in room 1 of the batch"),
    "image duration": (dict(image_duration=-1), "`image_duration` must be finite and positive"),
    "attenuation": (dict(image_attenuation=0), "`image_attenuation` must be finite and positive"),
    "two ends": (
        dict(image_attenuation=20, image_duration=0.1),
        "At most one of `image_duration` and `image_attenuation`",
    ),
    "tail of few images": (dict(tail=True, max_order=3), "`tail` must be `False` with `max_order`"),
    "nothing to calibrate": (dict(t60=None, absorption=0.3, calibrate=True), "`calibrate` needs"),
    "not to be calibrated": (
        dict(t60=0.05, calibrate=True),
        "`t60` of 0.05 s cannot .* by images",
    ),
    "seed": (dict(seed=-1), "`seed` must be an integer of zero or more"),
}


@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input(case):
    changed, message = BAD_INPUT[case]
    arguments = dict(room_size=SIZE, source=SOURCE, microphones=MICROPHONES, t60=0.3)
    with pytest.raises(ValueError, match=message):
        simulate_rirs(**(arguments | changed))
