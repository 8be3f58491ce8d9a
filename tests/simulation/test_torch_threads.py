import threading

import keras
import numpy as np
import pytest

from keras_avssan.simulation import RIRBank, RoomRanges, simulate_rirs
from keras_avssan.simulation.bank.bank_settings import check_workers
from keras_avssan.simulation.image_source import image_source
from keras_avssan.simulation.torch_threads import one_thread

pytestmark = pytest.mark.skipif(keras.config.backend() != "torch", reason="PyTorch's threads")

ROOM = {"room_size": (4.0, 3.0, 2.5), "source": (1.0, 1.0, 1.2), "t60": 0.2}
MICROPHONES = [(2.0, 1.5, 1.2), (2.2, 1.5, 1.2)]


@pytest.fixture
def torch():
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield torch
    torch.set_num_threads(before)


def test_a_room_is_simulated_with_one_thread(torch, monkeypatch):
    seen = []

    def sum_images(*arguments):
        seen.append(torch.get_num_threads())
        raise RuntimeError("enough")

    monkeypatch.setattr(image_source, "sum_images", sum_images)
    with pytest.raises(RuntimeError, match="enough"):
        simulate_rirs(microphones=MICROPHONES, **ROOM)
    assert seen == [1]
    assert torch.get_num_threads() == 3


def test_threads_that_overlap_leave_the_number_as_it_was(torch):
    inside, leave = threading.Barrier(3), threading.Event()

    def simulate():
        with one_thread():
            inside.wait()
            leave.wait()

    workers = [threading.Thread(target=simulate) for _ in range(2)]
    for worker in workers:
        worker.start()
    inside.wait()
    leave.set()
    for worker in workers:
        worker.join()
    found = []
    later = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    later.start()
    later.join()
    assert found == [3]
    assert torch.get_num_threads() == 3


def test_as_many_rooms_at_a_time_as_threads(torch):
    assert check_workers(None) == 3
    assert check_workers(2) == 2


def test_the_number_of_rooms_at_a_time_changes_nothing(torch):
    options = {"ranges": RoomRanges(t60=(0.2, 0.25)), "sources_per_room": 2, "progress": False}
    banks = [
        RIRBank.build(5, workers=workers, tail=True, image_attenuation=20.0, **options)
        for workers in (None, 1)
    ]
    np.testing.assert_array_equal(banks[0].rirs, banks[1].rirs)
