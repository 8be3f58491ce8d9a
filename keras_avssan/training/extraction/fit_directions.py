"""Training of the layer that finds the directions of sources, on planned scenes."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_avssan._internal.types import PathLike
from keras_avssan.data.scenes.scene_plan import ScenePlan
from keras_avssan.layers.extraction.source_directions import SourceDirections
from keras_avssan.layers.stereo_stft import StereoSTFT
from keras_avssan.training.extraction.direction_batches import DirectionBatches
from keras_avssan.training.extraction.directions_model import DirectionsModel
from keras_avssan.training.extraction.fit_part import fit_part


def fit_directions(
    model_or_layer: keras.layers.Layer,
    plan: ScenePlan | Sequence[ScenePlan],
    *,
    steps: int = 3000,
    batch_size: int = 16,
    epochs: int = 4,
    learning_rate: float = 2e-3,
    loader: str | None = None,
    checkpoints: PathLike | None = None,
    checkpoint_every: int = 100,
    tensorboard: PathLike | None = None,
    microphone_spacing: float | None = None,
    stft: StereoSTFT | None = None,
    command: str | None = None,
    **kwargs: Any,
) -> keras.callbacks.History:
    """Trains a `SourceDirections` on scenes of one or several plans, each used once.

    Neither classes nor prompts take part. The logits are to be those of the probability
    exp(-½ (Δ/2.5°)²), Δ being the distance of a direction from the nearest source; the loss of a
    scene is the sum of their binary cross-entropies. The optimizer is AdamW with weight decay 1e-4
    and a gradient norm of at most 1; its learning rate follows `warmup_cosine`.

    Only the weights of this layer change. The logs hold `loss` and `found`, the share of the
    sources within 5 degrees of as many directions as there are sources. A model gets a record of
    the training, see `fit_scenes`; with `checkpoints` the training can be stopped and resumed as
    there.

    Args:
        model_or_layer: A `SourceDirections`, a `SourceCandidates` with `search="learned"`, or an
            `AVSSAN` or its backbone with `candidate_search="learned"`.
        plan: `keras_avssan.data.ScenePlan`, or a list of them, from which the steps take their
            scenes in turn, for example of several durations or numbers of sources.
        steps: Number of steps.
        batch_size: Scenes per step.
        epochs: Number of equal parts into which the steps are divided, for the log.
        learning_rate: Highest learning rate.
        loader: `"tf"` or `"grain"`; by default the one that fits the backend.
        checkpoints: Folder of the checkpoints: a new one, in a folder that exists, or that of the
            same training.
        checkpoint_every: Steps between two checkpoints; there is one after every epoch, too.
        tensorboard: Folder of a log for TensorBoard.
        microphone_spacing: Distance between the microphones in metres that is passed to the
            layer. By default its own is used, which must be that of the plans' banks.
        stft: Spectrogram of the scenes; by default that of the model, or, for a layer, frames of
            1024 samples with a hop of 512.
        command: Command line of the training, for the training record.
        **kwargs: Further arguments of `fit`, such as `callbacks` and `verbose`.

    Returns:
        The `History` of `fit` with all epochs, including those before a resumption.

    Raises:
        TypeError: If `plan` is neither a plan nor a list of plans, or `stft` not a `StereoSTFT`.
        ValueError: If there is no such layer, it is frozen, an argument is out of range, layer and
            plans differ in microphone spacing or sampling rate, or `checkpoints` is of another
            training.
        NonFiniteLoss: If a loss or a weight becomes NaN or infinite.
        ImportError: If `tensorboard` is given and not installed.
        KeyboardInterrupt: If the user stops it. With checkpoints, the message states the step;
            without them, the layer keeps the weights that it has reached.

    Example:
        >>> plan = ScenePlan(catalog, bank, split="train", snr=(-10.0, 10.0), min_separation=8.0)
        >>> fit_directions(model, plan, steps=3000, checkpoints="directions.checkpoints")

    Reference:
        Beyond the paper.
    """
    layer = _find_directions(model_or_layer)
    return fit_part(
        "directions",
        model_or_layer,
        layer,
        plan,
        lambda stft: _build(layer, stft),
        DirectionBatches,
        steps=steps,
        batch_size=batch_size,
        epochs=epochs,
        learning_rate=learning_rate,
        loader=loader,
        checkpoints=checkpoints,
        checkpoint_every=checkpoint_every,
        tensorboard=tensorboard,
        microphone_spacing=microphone_spacing,
        stft=stft,
        command=command,
        **kwargs,
    )


def _find_directions(model_or_layer: Any) -> SourceDirections:
    """The layer of a network or of its candidates, or itself; a ValueError without one."""
    backbone = getattr(model_or_layer, "backbone", model_or_layer)
    candidates = getattr(backbone, "candidates", backbone)
    layer = getattr(candidates, "directions", candidates)
    if not isinstance(layer, SourceDirections):
        raise ValueError(
            "`model_or_layer` must be a SourceDirections, or have one, as an AVSSAN with "
            '`candidate_search="learned"` has. '
            f"Received: model_or_layer={model_or_layer!r}"
        )
    return layer


def _build(layer: SourceDirections, stft: StereoSTFT) -> DirectionsModel:
    """The model to be trained, with all weights."""
    if not layer.built:
        layer.build((None, None, stft.num_bins, 4))
    if len(layer._phase) != stft.num_bins:
        raise ValueError(
            f"`stft` must have the {len(layer._phase)} bins that the layer was built for. "
            f"Received: stft.num_bins={stft.num_bins}"
        )
    if not layer.trainable:
        raise ValueError(
            "`model_or_layer` must have a layer that can be trained: set its `trainable`. "
            f"Received: trainable={layer.trainable}"
        )
    return DirectionsModel(layer, stft)
