"""Scores of a localiser on scenes, with intervals and with the blind choice beside it."""

from keras_avssan.evaluation.breakdown import breakdowns
from keras_avssan.evaluation.evaluate import evaluate_localizer
from keras_avssan.evaluation.evaluate_segments import evaluate_segments
from keras_avssan.evaluation.evaluation import Evaluation
from keras_avssan.evaluation.paired import paired_difference
from keras_avssan.evaluation.scoring import SceneScores, bootstrap_interval

__all__ = [
    "Evaluation",
    "SceneScores",
    "bootstrap_interval",
    "breakdowns",
    "evaluate_localizer",
    "evaluate_segments",
    "paired_difference",
]
