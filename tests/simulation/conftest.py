"""What several tests of rooms are compared with."""

import numpy as np
import pytest


@pytest.fixture
def images_of_pyroomacoustics():
    """`images_of_pyroomacoustics(size, source, microphones, absorption, max_order)`.

    Responses at 16 kHz, one array for each microphone, as they come: with an amplitude of 1 / r and
    samples of their own number. Without the lag and without the high-pass.
    """
    pra = pytest.importorskip("pyroomacoustics", reason="the oracle is not installed")
    high_pass = pra.constants.get("rir_hpf_enable")

    def simulate(size, source, microphones, absorption, max_order):
        materials = pra.Material(absorption)
        room = pra.ShoeBox(size, fs=16000, materials=materials, max_order=max_order)
        room.set_sound_speed(343.0)
        room.add_source(source)
        room.add_microphone_array(np.transpose(microphones))
        room.compute_rir()
        lag = pra.constants.get("frac_delay_length") // 2
        return [rir[lag:] for (rir,) in room.rir]

    pra.constants.set("rir_hpf_enable", False)
    yield simulate
    pra.constants.set("rir_hpf_enable", high_pass)


def _as_sofa(path, content, attributes, convention):
    """Writes variables with their attributes, as netCDF-4 stores them, to an HDF5 file."""
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w") as file:
        if convention is not None:
            file.attrs["Conventions"] = np.bytes_("SOFA")
            file.attrs["SOFAConventions"] = np.bytes_(convention)
        for name, values in content.items():
            file[name] = np.asarray(values, "float64")
            for key, text in attributes.get(name, {}).items():
                file[name].attrs[key] = np.bytes_(text)
    return path


@pytest.fixture(scope="session")
def write_sofa():
    """`write_sofa(path, content, convention, spherical=())` writes a SOFA file by its variables."""

    def write(path, content, convention="SingleRoomSRIR", spherical=()):
        kinds = {
            name: {"Type": "spherical" if name in spherical else "cartesian"}
            for name in content
            if name.endswith(("Position", "View"))
        }
        return _as_sofa(path, content, kinds, convention)

    return write


@pytest.fixture(scope="session")
def room_as_sofa(write_sofa):
    """`room_as_sofa(path, bank, row, convention, **changes)` writes a room of a bank.

    The listener is in the middle of the pair, its view along the pair; the responses of the
    microphones are those of receivers 1 and 3 of four. A value of `None` leaves a variable out.
    """

    def write(path, bank, row=0, convention="SingleRoomSRIR", **changes):
        microphones = np.asarray(bank.microphones[row], "float64")
        centre, axis = microphones.mean(axis=0), microphones[0] - microphones[1]
        half = np.linalg.norm(axis) / 2
        responses = np.asarray(bank.rirs[row], "float64")
        other = np.zeros_like(responses[:, 0])
        receivers = [(0, 0.07, 0), (half, 0, 0), (0, 0, 0.05), (-half, 0, 0)]
        content = {
            "Data.IR": np.stack([other, responses[:, 0], other, responses[:, 1]], axis=1),
            "Data.SamplingRate": [bank.sampling_rate],
            "Data.Delay": np.zeros((1, 4)),
            "SourcePosition": bank.sources[row],
            "ListenerPosition": centre[None],
            "ListenerView": axis[None],
            "ListenerUp": [(0, 0, 1)],
            "ReceiverPosition": np.array(receivers)[:, :, None],
            "EmitterPosition": np.zeros((1, 3, 1)),
            "RoomCornerA": [(0, 0, 0)],
            "RoomCornerB": bank.room_sizes[row][None],
        }
        changes = {name.replace("Data_", "Data."): value for name, value in changes.items()}
        content |= changes
        content = {name: value for name, value in content.items() if value is not None}
        return write_sofa(path, content, convention)

    return write
