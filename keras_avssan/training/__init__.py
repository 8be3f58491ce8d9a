"""Training a localiser on planned scenes: the recipe behind the command line."""

from keras_avssan.training.fit_scenes import fit_scenes
from keras_avssan.training.saving import save_whole
from keras_avssan.training.schedules import warmup_cosine

__all__ = ["fit_scenes", "save_whole", "warmup_cosine"]
