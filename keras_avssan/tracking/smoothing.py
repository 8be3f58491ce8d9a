"""Smoothing of what a network says of the windows of a recording."""

import numpy as np

from keras_avssan._internal.checks import check_choice
from keras_avssan.data.media.channel_pair import SILENT
from keras_avssan.tracking.azimuth_axis import AzimuthAxis, axis_of
from keras_avssan.tracking.hidden_markov import advance, smooth, viterbi
from keras_avssan.tracking.motion_model import MotionModel
from keras_avssan.tracking.window_scores import WindowScores
from keras_avssan.tracking.windows import WindowGrid

SMOOTHINGS = (None, "online", "offline")
# Presences nearer to 0 or 1 count as these: no network is certain.
_LEAST_PRESENCE = 1e-3
ABSENT = "absent"


def check_smoothing(smoothing: str | None, allowed: tuple[str | None, ...] = SMOOTHINGS) -> None:
    """Refuses an unknown smoothing."""
    check_choice("smoothing", smoothing, allowed)


class OnlineFilter:
    """Posterior of the direction and presence, given all windows of a stream so far.

    Without `motion` those of a window alone.
    """

    def __init__(
        self,
        motion: MotionModel | None,
        grid: WindowGrid,
        with_presence: bool,
        axis: AzimuthAxis,
    ) -> None:
        self._motion, self._grid, self._with_presence = motion, grid, with_presence
        self._axis = axis
        self._belief: np.ndarray | None = None
        self._presence: np.ndarray | None = None
        if motion is not None:
            self._chain = motion.chain(grid.hop, with_presence, circular=axis.is_circle)
            self._presence_chain = motion.presence_chain(grid.hop)

    def skip(self, count: int) -> None:
        """Passes windows that were dropped."""
        if self._motion is not None and self._belief is not None:
            self._belief = self._belief @ np.linalg.matrix_power(self._chain[1], count)
        if self._motion is not None and self._presence is not None:
            self._presence = self._presence @ np.linalg.matrix_power(self._presence_chain[1], count)

    def update(self, scores: WindowScores) -> tuple[np.ndarray, np.ndarray | None]:
        """Posteriors (W, K) and presences (W,) of the next windows."""
        if self._motion is None:
            return scores.posteriors, _own_presence(scores)
        beliefs = []
        for likelihood in _likelihoods(scores, self._motion, self._grid):
            self._belief = advance(self._belief, *self._chain, likelihood)
            beliefs.append(self._belief)
        posteriors = _directions(np.reshape(beliefs, (-1, len(self._chain[0]))), self._axis)
        if not self._with_presence:
            return posteriors, None
        presences = []
        for likelihood in _presence_likelihoods(scores):
            self._presence = advance(self._presence, *self._presence_chain, likelihood)
            presences.append(self._presence[0])
        return posteriors, np.array(presences, "float32")


def smooth_scores(
    scores: WindowScores, grid: WindowGrid, motion: MotionModel, smoothing: str | None
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
    """Posteriors (W, K), presences (W,) or `None`, and azimuths (W,) of a whole recording."""
    with_presence, axis = scores.presence is not None, axis_of(scores.posteriors)
    if smoothing != "offline":
        used = motion if smoothing else None
        posteriors, presence = OnlineFilter(used, grid, with_presence, axis).update(scores)
        return posteriors, presence, axis.degrees[np.argmax(posteriors, axis=-1)]
    initial, transition = motion.chain(grid.hop, with_presence, circular=axis.is_circle)
    likelihoods = _likelihoods(scores, motion, grid)
    posteriors = _directions(smooth(initial, transition, likelihoods), axis)
    presence = None
    if with_presence:
        chain = motion.presence_chain(grid.hop)
        presence = smooth(*chain, _presence_likelihoods(scores))[:, 0].astype("float32")
    path = viterbi(initial, transition, likelihoods)
    # Where the path says that the sound is absent, the posterior has a direction all the same.
    states = np.where(path < len(axis), path, np.argmax(posteriors, axis=-1))
    return posteriors, presence, axis.degrees[states]


def find_directions(
    posteriors: np.ndarray,
    presence: np.ndarray | None,
    azimuth: np.ndarray,
    gaps: tuple[str, ...],
    min_presence: float | None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Azimuths, spreads in degrees (W,), NaN in gaps, and the gaps with those of absent sounds."""
    reasons = np.array(gaps, "U16")
    if presence is not None and min_presence is not None:
        reasons[(reasons == "") & (presence < min_presence)] = ABSENT
    square = axis_of(posteriors).differences(azimuth) ** 2
    spread = np.sqrt(np.sum(posteriors * square, axis=-1, dtype="float64"))
    valid = reasons == ""
    nan = np.float32(np.nan)
    return (
        np.where(valid, azimuth, nan).astype("float32"),
        np.where(valid, spread, nan).astype("float32"),
        reasons,
    )


def _own_presence(scores: WindowScores) -> np.ndarray | None:
    """Presence by the window alone: nothing is present in silence."""
    if scores.presence is None:
        return None
    silent = np.array([gap == SILENT for gap in scores.gaps])
    return np.where(silent, np.float32(0.0), scores.presence)


def _likelihoods(scores: WindowScores, motion: MotionModel, grid: WindowGrid) -> np.ndarray:
    """Likelihoods of the states up to a factor, (W, K), or (W, K + 1) with the absence."""
    # A posterior over a uniform prior is proportional to the likelihood; so is a presence, for
    # networks that were fitted to as many scenes with the sound as without.
    weight = min(1.0, grid.hop / grid.window) if motion.evidence is None else motion.evidence
    usable = np.array([gap == "" for gap in scores.gaps], bool)[:, None]
    directions = scores.posteriors.shape[-1] * scores.posteriors.astype("float64")
    directions = (1.0 - motion.outliers) * directions + motion.outliers
    # Of maximum one, whose powers do not overflow.
    directions = (directions / np.max(directions, axis=-1, keepdims=True)) ** weight
    # Of mean one: the weight must not make the presence of the sound less likely.
    directions /= np.mean(directions, axis=-1, keepdims=True)
    directions = np.where(usable, directions, 1.0)
    if scores.presence is None:
        return directions
    present, absent = np.split(_presence_likelihoods(scores) ** weight, 2, axis=-1)
    return np.concatenate([directions * present, absent], axis=-1)


def _presence_likelihoods(scores: WindowScores) -> np.ndarray:
    """Likelihoods of presence and absence (W, 2), up to a factor."""
    presence = np.asarray(_own_presence(scores), "float64")
    bounded = np.clip(presence, _LEAST_PRESENCE, 1.0 - _LEAST_PRESENCE)
    bounded = np.where(np.isnan(bounded), 0.5, bounded)
    return np.stack([bounded, 1.0 - bounded], axis=-1)


def _directions(beliefs: np.ndarray, axis: AzimuthAxis) -> np.ndarray:
    """Posteriors of the direction (W, K), of beliefs about the states (W, S)."""
    present = beliefs[:, : len(axis)]
    return (present / present.sum(axis=-1, keepdims=True)).astype("float32")
