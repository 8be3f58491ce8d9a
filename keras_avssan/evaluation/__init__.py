"""Scores of a localiser on scenes, with intervals and with the blind choice beside it."""

from keras_avssan.evaluation.evaluate import Evaluation, evaluate_localizer
from keras_avssan.evaluation.evaluate_segments import evaluate_segments
from keras_avssan.evaluation.scoring import SceneScores, bootstrap_interval

__all__ = [
    "Evaluation",
    "SceneScores",
    "bootstrap_interval",
    "evaluate_localizer",
    "evaluate_segments",
]
