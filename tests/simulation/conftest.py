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
