"""Reproduction of the paper's tables: systems, equal training for all, and scores."""

from keras_avssan.benchmark.run import run_benchmark
from keras_avssan.benchmark.segment_training import SegmentTraining
from keras_avssan.benchmark.settings import BenchmarkSettings
from keras_avssan.benchmark.system import System
from keras_avssan.benchmark.systems import built_in_systems, choose_systems

__all__ = [
    "BenchmarkSettings",
    "SegmentTraining",
    "System",
    "built_in_systems",
    "choose_systems",
    "run_benchmark",
]
