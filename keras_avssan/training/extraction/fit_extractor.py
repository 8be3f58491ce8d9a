"""Training of the extractor of candidate directions on planned scenes."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_avssan._internal.types import PathLike
from keras_avssan.data.scenes.scene_plan import ScenePlan
from keras_avssan.layers.extraction.source_candidates import SourceCandidates
from keras_avssan.layers.extraction.spatial_extractor import SpatialExtractor
from keras_avssan.layers.stereo_stft import StereoSTFT
from keras_avssan.training.extraction.extractor_batches import ExtractorBatches
from keras_avssan.training.extraction.extractor_model import ExtractorModel
from keras_avssan.training.extraction.fit_part import fit_part


def fit_extractor(
    model_or_extractor: keras.layers.Layer,
    plan: ScenePlan | Sequence[ScenePlan],
    *,
    steps: int = 1800,
    batch_size: int = 8,
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
    """Trains a `SpatialExtractor` on scenes of one or several plans, each used once.

    Neither classes nor prompts take part. The extractor is given the azimuth of the target, that of
    the interferer, both with an error of 2 degrees (standard deviation), and, in a third of the
    scenes, an azimuth at least 12 degrees away from every source, where it is to extract silence.
    With c = √A for the amplitude A of a bin, the root mean square of both microphones, and a mask
    r², the loss of an example is Σ(r c_mixture - c_source)² / (Σ c_source² + 0.2 Σ c_mixture²). In
    plans with several interferers the target's azimuth alone is used. The optimizer is AdamW with
    weight decay 1e-4 and a gradient norm of at most 1; its learning rate follows `warmup_cosine`.

    Only the weights of the extractor change. The logs hold `loss` and `gain`, by how many dB the
    mask at the target's azimuth raises the target above all else. A model gets a record of the
    training, see `fit_scenes`; with `checkpoints` the training can be stopped and resumed as there.

    Args:
        model_or_extractor: A `SpatialExtractor`, a `SourceCandidates`, or an `AVSSAN` or its
            backbone with `num_candidates` above 0.
        plan: `keras_avssan.data.ScenePlan`, or a list of them, from which the steps take their
            scenes in turn.
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
            extractor. By default its own is used, which must be that of the plans' banks.
        stft: Spectrogram of the scenes; by default that of the model, or, for a layer, frames of
            1024 samples with a hop of 512.
        command: Command line of the training, for the training record.
        **kwargs: Further arguments of `fit`, such as `callbacks` and `verbose`.

    Returns:
        The `History` of `fit` with all epochs, including those before a resumption.

    Raises:
        TypeError: If `plan` is neither a plan nor a list of plans, or `stft` not a `StereoSTFT`.
        ValueError: If there is no extractor, it is frozen, an argument is out of range, extractor
            and plans differ in microphone spacing or sampling rate, or `checkpoints` is of another
            training.
        NonFiniteLoss: If a loss or a weight becomes NaN or infinite.
        ImportError: If `tensorboard` is given and not installed.
        KeyboardInterrupt: If the user stops it. With checkpoints, the message states the step;
            without them, the extractor keeps the weights that it has reached.

    Example:
        >>> plan = ScenePlan(catalog, bank, split="train", snr=(-10.0, 10.0), min_separation=8.0)
        >>> fit_extractor(model, plan, steps=1800, checkpoints="extractor.checkpoints")

    Reference:
        Beyond the paper.
    """
    extractor = find_extractor(model_or_extractor)
    return fit_part(
        "extractor",
        model_or_extractor,
        extractor,
        plan,
        lambda stft: _build(extractor, stft, batch_size),
        ExtractorBatches,
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


def find_extractor(model_or_extractor: Any) -> SpatialExtractor:
    """The extractor of a network, or of a layer, or itself; a ValueError without one."""
    layer = find_candidates(model_or_extractor) or model_or_extractor
    extractor = getattr(layer, "extractor", layer)
    if not isinstance(extractor, SpatialExtractor):
        raise ValueError(
            "`model_or_extractor` must be a SpatialExtractor, or have one, as SourceCandidates and "
            "an AVSSAN with `num_candidates` above 0 have. "
            f"Received: model_or_extractor={model_or_extractor!r}"
        )
    return extractor


def find_candidates(model_or_extractor: Any) -> Any:
    """The layer `SourceCandidates` of a network, or itself; `None` without one."""
    backbone = getattr(model_or_extractor, "backbone", model_or_extractor)
    if isinstance(backbone, SourceCandidates):
        return backbone
    return getattr(backbone, "candidates", None)


def _build(extractor: SpatialExtractor, stft: StereoSTFT, batch_size: int) -> ExtractorModel:
    """The model to be trained, with all weights."""
    build_extractor(extractor, stft)
    if not extractor.trainable:
        raise ValueError(
            "`model_or_extractor` must have an extractor that can be trained: set its `trainable`. "
            f"Received: trainable={extractor.trainable}"
        )
    return ExtractorModel(extractor, stft, batch_size)


def build_extractor(extractor: SpatialExtractor, stft: StereoSTFT) -> None:
    """Builds an extractor for a spectrogram; refuses one that was built for another."""
    if not extractor.built:
        extractor.build((None, None, stft.num_bins, 4))
    bins = len(extractor._frequency)
    if bins != stft.num_bins:
        raise ValueError(
            f"`stft` must have the {bins} bins that the extractor was built for. "
            f"Received: stft.num_bins={stft.num_bins}"
        )
