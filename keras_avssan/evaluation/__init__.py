"""Scores of a localiser, with intervals and those of the random-source baseline."""

from keras_avssan.evaluation.absent_targets import evaluate_presence
from keras_avssan.evaluation.class_attention import ClassBandAttention, class_band_attention
from keras_avssan.evaluation.evaluate_extractor import evaluate_extractor
from keras_avssan.evaluation.evaluate_localizer import evaluate_localizer
from keras_avssan.evaluation.evaluate_retrieval import evaluate_retrieval
from keras_avssan.evaluation.evaluate_segments import evaluate_segments
from keras_avssan.evaluation.evaluation_result import Evaluation
from keras_avssan.evaluation.examples import SeparationExample, separation_examples
from keras_avssan.evaluation.paired import paired_difference
from keras_avssan.evaluation.scoring import SceneScores, bootstrap_interval

__all__ = [
    "ClassBandAttention",
    "Evaluation",
    "SceneScores",
    "SeparationExample",
    "bootstrap_interval",
    "class_band_attention",
    "evaluate_extractor",
    "evaluate_localizer",
    "evaluate_presence",
    "evaluate_retrieval",
    "evaluate_segments",
    "paired_difference",
    "separation_examples",
]
