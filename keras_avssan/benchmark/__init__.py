"""The tables of the paper: systems, equal training for all, scores, one command."""

from keras_avssan.benchmark.run import run_benchmark
from keras_avssan.benchmark.settings import TRIAL_FACTORS, BenchmarkSettings
from keras_avssan.benchmark.system import Setup, System
from keras_avssan.benchmark.systems import built_in_systems, choose_systems

__all__ = [
    "TRIAL_FACTORS",
    "BenchmarkSettings",
    "Setup",
    "System",
    "built_in_systems",
    "choose_systems",
    "run_benchmark",
]
