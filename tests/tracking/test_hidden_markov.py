"""Filter, smoothing and path against sums over all sequences of states."""

import itertools

import numpy as np
import pytest

from keras_avssan.tracking.hidden_markov import advance, forward_filter, smooth, viterbi

pytestmark = pytest.mark.backend_agnostic

STATES, TIMES = 3, 5


@pytest.fixture(params=[0, 1, 2])
def chain(request):
    rng = np.random.default_rng(request.param)
    initial = rng.dirichlet(np.ones(STATES))
    transition = rng.dirichlet(np.ones(STATES), STATES)
    return initial, transition, rng.uniform(0.01, 3.0, (TIMES, STATES))


def probabilities(initial, transition, likelihoods):
    """Joint probability of every sequence of states with the observations, up to a factor."""
    table = np.zeros((STATES,) * len(likelihoods))
    for path in itertools.product(range(STATES), repeat=len(likelihoods)):
        value = initial[path[0]] * likelihoods[0, path[0]]
        for time in range(1, len(path)):
            value *= transition[path[time - 1], path[time]] * likelihoods[time, path[time]]
        table[path] = value
    return table


def marginal(table, time):
    summed = table.sum(axis=tuple(axis for axis in range(table.ndim) if axis != time))
    return summed / summed.sum()


def test_filter_sums_over_all_pasts(chain):
    initial, transition, likelihoods = chain
    filtered = forward_filter(*chain)
    for time in range(TIMES):
        table = probabilities(initial, transition, likelihoods[: time + 1])
        np.testing.assert_allclose(filtered[time], marginal(table, time), rtol=1e-12)


def test_smoothing_sums_over_all_sequences(chain):
    table = probabilities(*chain)
    expected = [marginal(table, time) for time in range(TIMES)]
    np.testing.assert_allclose(smooth(*chain), expected, rtol=1e-12)


def test_path_is_the_most_probable_sequence(chain):
    table = probabilities(*chain)
    np.testing.assert_array_equal(viterbi(*chain), np.unravel_index(table.argmax(), table.shape))


def test_path_may_differ_from_the_most_probable_states():
    """The states of the middle are impossible one after another."""
    initial = np.array([0.4, 0.6])
    transition = np.array([[1.0, 0.0], [0.45, 0.55]])
    likelihoods = np.ones((3, 2))
    assert viterbi(initial, transition, likelihoods).tolist() == [0, 0, 0]
    assert smooth(initial, transition, likelihoods)[0].argmax() == 1


def test_without_observation_the_chain_goes_its_way(chain):
    initial, transition, likelihoods = chain
    belief = advance(None, initial, transition, likelihoods[0])
    np.testing.assert_allclose(
        advance(belief, initial, transition), belief @ transition, rtol=1e-12
    )
    # As with an observation that all states explain equally.
    np.testing.assert_allclose(
        advance(belief, initial, transition, np.full(STATES, 0.3)), belief @ transition, rtol=1e-12
    )


def test_an_impossible_observation_changes_nothing(chain):
    initial, transition, likelihoods = chain
    likelihoods[2] = 0.0
    filtered = forward_filter(*chain)
    np.testing.assert_allclose(filtered[2], filtered[1] @ transition, rtol=1e-12)
    assert np.isfinite(filtered).all() and np.isfinite(smooth(*chain)).all()


def test_long_recordings_neither_vanish_nor_overflow():
    rng = np.random.default_rng(0)
    transition = rng.dirichlet(np.ones(STATES), STATES)
    likelihoods = 1e-3 * rng.uniform(size=(3000, STATES))
    for result in (
        forward_filter(np.full(STATES, 1 / 3), transition, likelihoods),
        smooth(np.full(STATES, 1 / 3), transition, likelihoods),
    ):
        np.testing.assert_allclose(result.sum(axis=1), 1.0, rtol=1e-9)
