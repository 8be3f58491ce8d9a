"""Hidden Markov models with few states: filter, smoothing and the most probable path.

All functions take the probabilities of the first state (S,), those of the next state (S, S), row
by present state, and the likelihoods of the observations (T, S), up to a factor per row.
"""

import numpy as np


def advance(
    belief: np.ndarray | None,
    initial: np.ndarray,
    transition: np.ndarray,
    likelihood: np.ndarray | None = None,
) -> np.ndarray:
    """One step of the filter: from p(state | before), `None` at first, to p(state | up to now).

    Without a likelihood, nothing was observed.
    """
    belief = initial if belief is None else belief @ transition
    if likelihood is None:
        return belief
    joint = belief * likelihood
    total = joint.sum()
    # What all states exclude says nothing.
    return joint / total if total > 0.0 else belief


def forward_filter(
    initial: np.ndarray, transition: np.ndarray, likelihoods: np.ndarray
) -> np.ndarray:
    """Returns p(state_t | observations up to t), shape (T, S)."""
    filtered = np.empty_like(likelihoods)
    belief = None
    for time, likelihood in enumerate(likelihoods):
        belief = filtered[time] = advance(belief, initial, transition, likelihood)
    return filtered


def smooth(initial: np.ndarray, transition: np.ndarray, likelihoods: np.ndarray) -> np.ndarray:
    """Returns p(state_t | all observations), shape (T, S): the forward-backward algorithm."""
    smoothed = forward_filter(initial, transition, likelihoods)
    message = np.ones(len(initial))
    for time in range(len(likelihoods) - 2, -1, -1):
        message = transition @ (likelihoods[time + 1] * message)
        message /= max(message.max(), np.finfo("float64").tiny)
        joint = smoothed[time] * message
        total = joint.sum()
        smoothed[time] = joint / total if total > 0.0 else smoothed[time]
    return smoothed


def viterbi(initial: np.ndarray, transition: np.ndarray, likelihoods: np.ndarray) -> np.ndarray:
    """Returns the most probable sequence of states given all observations, int64 (T,)."""
    with np.errstate(divide="ignore"):
        begin, move, observed = np.log(initial), np.log(transition), np.log(likelihoods)
    back = np.empty(likelihoods.shape, "int16")
    score = begin + observed[0]
    for time in range(1, len(likelihoods)):
        reached = score[:, None] + move
        back[time] = np.argmax(reached, axis=0)
        score = reached[back[time], np.arange(len(score))] + observed[time]
    path = np.empty(len(likelihoods), "int64")
    path[-1] = np.argmax(score)
    for time in range(len(path) - 1, 0, -1):
        path[time - 1] = back[time, path[time]]
    return path
