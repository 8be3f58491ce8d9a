"""Room simulators behind one interface, for `benchmarks/rooms.py`.

Each takes rooms with their sources and gives a response of shape `(S, M, length)` for each, from
time 0 to the T60, with an amplitude of 1 / (4 pi r) for a direct path. All use the same absorption
on all walls, a speed of sound of 343 m/s, and no air absorption. A simulator is imported when it is
used.
"""

import concurrent.futures
import dataclasses
import itertools
import math

import numpy as np

SAMPLING_RATE = 16_000  # hertz
SPEED_OF_SOUND = 343.0  # metres per second
TAIL_ATTENUATION = 20.0  # decibels of decay after which a diffuse tail takes over from images
HYBRID_ORDER = 3  # of the images that pyroomacoustics adds to traced rays


@dataclasses.dataclass(frozen=True)
class Room:
    """Input of a simulator.

    Args:
        size: lengths in metres, shape `(3,)`.
        t60: in seconds.
        absorption: of all walls.
        sources: positions in metres, shape `(S, 3)`.
        microphones: positions in metres, shape `(M, 3)`.
    """

    size: np.ndarray
    t60: float
    absorption: float
    sources: np.ndarray
    microphones: np.ndarray

    @classmethod
    def of(cls, size, t60, absorption, sources, microphones):
        """A room from anything that can become arrays, as lists from JSON."""
        arrays = (np.asarray(value, dtype="float64") for value in (size, sources, microphones))
        size, sources, microphones = arrays
        return cls(size, float(t60), float(absorption), sources, microphones)

    def to_dict(self):
        """Its fields as numbers and lists."""
        return {name: np.asarray(value).tolist() for name, value in vars(self).items()}

    @property
    def expected_images(self):
        """About how many images of a source arrive within the T60."""
        return 4 / 3 * math.pi * (SPEED_OF_SOUND * self.t60) ** 3 / float(np.prod(self.size))


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of the tables: a simulator and its settings.

    Args:
        simulator: the package.
        backend: of Keras, where it is the library's.
        tail: whether images end early, and something cheaper follows.
        process_per_core: whether the rooms are shared among processes of one thread each; else
            one process has all cores.
    """

    simulator: str
    backend: str = ""
    tail: bool = False
    process_per_core: bool = False


# The first row is what the others are compared with. What can be spread over processes is: each of
# these packages leaves a core idle for some of the time where one process has all of them.
ROWS = {
    "pyroomacoustics, images": Row("pyroomacoustics", process_per_core=True),
    "pyroomacoustics, images and rays": Row("pyroomacoustics", tail=True, process_per_core=True),
    "rir-generator, images": Row("rir_generator", process_per_core=True),
    "torchrir, images": Row("torchrir", process_per_core=True),
    "torchrir, images to 20 dB and tail": Row("torchrir", tail=True, process_per_core=True),
    "keras-avssan, PyTorch, images": Row("keras_avssan", "torch"),
    "keras-avssan, PyTorch, a process per core, images": Row(
        "keras_avssan", "torch", process_per_core=True
    ),
    "keras-avssan, TensorFlow, images": Row("keras_avssan", "tensorflow"),
    "keras-avssan, JAX, images": Row("keras_avssan", "jax"),
    "keras-avssan, PyTorch, images to 20 dB and tail": Row("keras_avssan", "torch", tail=True),
    "keras-avssan, PyTorch, a process per core, images to 20 dB and tail": Row(
        "keras_avssan", "torch", tail=True, process_per_core=True
    ),
    "keras-avssan, TensorFlow, images to 20 dB and tail": Row(
        "keras_avssan", "tensorflow", tail=True
    ),
    "keras-avssan, JAX, images to 20 dB and tail": Row("keras_avssan", "jax", tail=True),
}


def simulate(simulator, rooms, tail=False, threads=1):
    """Responses of the rooms, a list of arrays of shape `(S, M, length)`.

    An empty list only loads the simulator.

    Raises:
        ImportError: If the simulator is not installed.
        NotImplementedError: If it does not support the settings.
    """
    return _SIMULATORS[simulator](rooms, tail, threads)


def image_count(simulator, room, tail=False):
    """How many images of one source a simulator adds up; those in reach, unless it adds others."""
    share = TAIL_ATTENUATION / 60 if tail else 1.0
    if simulator == "pyroomacoustics":
        return _diamond(HYBRID_ORDER if tail else _pyroomacoustics_order(room))
    if simulator == "torchrir":
        limit = _torchrir_limit(room, SPEED_OF_SOUND * room.t60 * share)
        if "max_order" in limit:
            return _diamond(limit["max_order"])
        return math.prod(2 * reach + 1 for reach in limit["nb_img"])
    return round(room.expected_images * (share**3 if simulator == "keras_avssan" else 1))


def _length(room):
    return math.ceil(round(room.t60 * SAMPLING_RATE, 6))


def _diamond(order):
    """Number of images of up to so many reflections."""
    return (2 * order + 1) * (2 * order**2 + 2 * order + 3) // 3


def _keras_avssan(rooms, tail, threads):
    """All rooms in one call; under PyTorch in one for each thread."""
    import keras

    if keras.config.backend() != "torch" or threads == 1 or len(rooms) < threads:
        return _keras_avssan_rooms(rooms, tail)
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        shares = [rooms[first::threads] for first in range(threads)]
        done = list(pool.map(lambda share: _keras_avssan_rooms(share, tail), shares))
    return [done[row % threads][row // threads] for row in range(len(rooms))]


def _keras_avssan_rooms(rooms, tail):
    from keras import ops

    from keras_avssan.simulation import simulate_rirs

    if not rooms:
        return []
    arguments = {"image_attenuation": TAIL_ATTENUATION, "tail": True} if tail else {}
    size, sources, microphones = (
        np.stack([getattr(room, name) for room in rooms])
        for name in ("size", "sources", "microphones")
    )
    t60 = np.array([room.t60 for room in rooms])
    rirs = ops.convert_to_numpy(
        simulate_rirs(size, sources, microphones, t60=t60, sampling_rate=SAMPLING_RATE, **arguments)
    )
    return [rir[..., : _length(room)] for rir, room in zip(rirs, rooms, strict=True)]


def _pyroomacoustics(rooms, tail, threads):
    """Images up to the order that its own `inverse_sabine` returns; or few images and rays."""
    import pyroomacoustics as pra

    pra.constants.set("rir_hpf_enable", False)
    pra.constants.set("num_threads", threads)
    return [_pyroomacoustics_room(pra, room, tail) for room in rooms]


def _pyroomacoustics_room(pra, room, tail):
    # No scattering by default, as with images.
    shoebox = pra.ShoeBox(
        room.size,
        fs=SAMPLING_RATE,
        materials=pra.Material(room.absorption),
        max_order=HYBRID_ORDER if tail else _pyroomacoustics_order(room),
    )
    shoebox.set_sound_speed(SPEED_OF_SOUND)
    if tail:
        # Rays are traced for the length of the response, and to 60 dB.
        shoebox.set_ray_tracing(time_thres=room.t60, energy_thres=1e-6)
    for source in room.sources:
        shoebox.add_source(source)
    shoebox.add_microphone_array(room.microphones.T)
    shoebox.compute_rir()
    lag = pra.constants.get("frac_delay_length") // 2
    rirs = np.zeros((len(room.sources), len(room.microphones), _length(room)), dtype="float32")
    for microphone, source in itertools.product(*map(range, rirs.shape[1::-1])):
        part = shoebox.rir[microphone][source][lag : lag + rirs.shape[-1]]
        rirs[source, microphone, : len(part)] = part / (4 * np.pi)  # its amplitude is 1 / r
    return rirs


def _pyroomacoustics_order(room):
    import pyroomacoustics as pra

    return pra.inverse_sabine(room.t60, room.size, c=SPEED_OF_SOUND)[1]


def _rir_generator(rooms, tail, threads):
    """Images that arrive within the T60; it has nothing else."""
    import rir_generator

    return [
        np.stack(
            [
                rir_generator.generate(
                    c=SPEED_OF_SOUND,
                    fs=SAMPLING_RATE,
                    r=room.microphones,
                    s=source,
                    L=room.size,
                    beta=[math.sqrt(1 - room.absorption)] * 6,
                    nsample=_length(room),
                    hp_filter=False,
                ).T
                for source in room.sources
            ]
        )
        for room in rooms
    ]


def _torchrir(rooms, tail, threads):
    """Images that can arrive within the T60, or within a part of it before its diffuse tail."""
    import torch
    import torchrir  # noqa: F401  A missing package shows before the first room.

    torch.set_num_threads(threads)
    return [_torchrir_room(room, tail) for room in rooms]


def _torchrir_room(room, tail):
    from torchrir import MicrophoneArray, Room, Source, StaticScene
    from torchrir.config import SimulationConfig
    from torchrir.sim import simulate as simulate_scene

    share = TAIL_ATTENUATION / 60 if tail else 1.0
    scene = StaticScene(
        room=Room.shoebox(
            size=room.size.tolist(),
            fs=SAMPLING_RATE,
            c=SPEED_OF_SOUND,
            beta=[math.sqrt(1 - room.absorption)] * 6,
        ),
        sources=Source.from_positions(room.sources.tolist()),
        mics=MicrophoneArray.from_positions(room.microphones.tolist()),
    )
    config = SimulationConfig(
        nsample=_length(room),
        tdiff=share * room.t60 if tail else None,
        device="cpu",
        seed=0,
        **_torchrir_limit(room, SPEED_OF_SOUND * share * room.t60),
    )
    return simulate_scene(scene, config).rirs.numpy() / (4 * np.pi)  # its amplitude is 1 / r


def _torchrir_limit(room, radius):
    """The smaller of the two sets of images that it supports: a diamond or a box."""
    order = math.ceil(radius * math.sqrt(np.sum(1.0 / room.size**2)))
    box = tuple(math.ceil(radius / side) for side in room.size)
    if _diamond(order) <= math.prod(2 * reach + 1 for reach in box):
        return {"max_order": order}
    return {"nb_img": box}


_SIMULATORS = {
    "keras_avssan": _keras_avssan,
    "pyroomacoustics": _pyroomacoustics,
    "rir_generator": _rir_generator,
    "torchrir": _torchrir,
}
