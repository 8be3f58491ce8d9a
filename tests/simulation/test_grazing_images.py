import numpy as np
import pytest

from keras_avssan.simulation import grazing_images

SPEED = 343.0
SIDE = 2.5

pytestmark = pytest.mark.backend_agnostic


def energy_of_images(distance, frequency, loss, num_pairs=4000):
    """Mean energy of the sum of the images between two walls, seen from along the walls."""
    rng = np.random.default_rng(0)
    source, receiver = rng.uniform(0, SIDE, (2, num_pairs, 1))
    cells = np.arange(-150, 151)
    offset = cells * SIDE + np.where(cells % 2, SIDE - source, source) - receiver
    path = np.hypot(distance, offset)
    phasors = np.exp(-loss * abs(cells) + 2j * np.pi * frequency * path / SPEED)
    return np.mean(abs(phasors.sum(axis=1)) ** 2)


@pytest.mark.parametrize("distance", [60.0, 200.0])
@pytest.mark.parametrize("frequency", [120.0, 700.0])
@pytest.mark.parametrize("loss", [0.08, 0.2])
def test_weight_is_what_images_in_phase_add(distance, frequency, loss):
    weight = grazing_images._weights(SIDE, loss, np.array(distance), np.array(frequency), SPEED)
    alone = 1 / np.tanh(loss)  # each image by itself
    found = 2 * distance / SIDE * weight + alone
    assert found == pytest.approx(energy_of_images(distance, frequency, loss), rel=0.1)


def test_rigid_walls_have_the_surface_term_of_the_number_of_modes():
    distances, frequency = np.linspace(10, 50, 5), 500.0
    found = grazing_images._weights(SIDE, 1e-6, distances, np.array(frequency), SPEED)
    np.testing.assert_allclose(found, SPEED / (4 * frequency * SIDE), rtol=0.02)


def test_close_walls_weigh_most_and_nothing_is_negative():
    distances = np.linspace(1, 200, 50)
    walls, axes = grazing_images.grazing_weights(np.array([8.0, 4.0, 2.5]), 0.8, distances, SPEED)
    assert walls.shape == axes.shape == (3, 50)
    assert (walls > 0).all() and (axes > 0).all()
    assert (walls[2] > walls[1]).all() and (walls[1] > walls[0]).all()
    assert (axes[0] > axes[1]).all() and (axes[1] > axes[2]).all()
