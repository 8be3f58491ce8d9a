"""Training a localiser on planned scenes and on segments of real rooms."""

from keras_avssan.training.alignment.align_prompts import align_prompts
from keras_avssan.training.alignment.examples import sound_examples
from keras_avssan.training.alignment.fit_prototypes import fit_prototypes
from keras_avssan.training.distributed.data_parallel import data_parallel
from keras_avssan.training.extraction.fit_directions import fit_directions
from keras_avssan.training.extraction.fit_extractor import fit_extractor
from keras_avssan.training.extraction.fit_fusion import fit_fusion
from keras_avssan.training.fit_scenes import fit_scenes
from keras_avssan.training.fit_segments import fit_segments
from keras_avssan.training.gradient_checkpointing import recompute_activations
from keras_avssan.training.replay import load_checkpoint, replay_batch
from keras_avssan.training.saving import save_atomically
from keras_avssan.training.training_progress import NonFiniteLoss

__all__ = [
    "NonFiniteLoss",
    "align_prompts",
    "data_parallel",
    "fit_directions",
    "fit_extractor",
    "fit_fusion",
    "fit_prototypes",
    "fit_scenes",
    "fit_segments",
    "load_checkpoint",
    "recompute_activations",
    "replay_batch",
    "save_atomically",
    "sound_examples",
]
