"""YAMNet, an audio network that scores the classes of AudioSet and embeds what it hears."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_avssan._internal.checks import check_integer, check_shape
from keras_avssan._internal.frozen_layers import KeepsFrozenModel
from keras_avssan._internal.functional_storage import StoredByAttribute
from keras_avssan._internal.start_up.hub import keras_hub
from keras_avssan._internal.types import Shape, Tensor
from keras_avssan._internal.write_once import FixedSettings
from keras_avssan.encoders.examples import UnfoldExamples
from keras_avssan.encoders.presets import LoadsBackbonePresets
from keras_avssan.encoders.yamnet.class_names import audioset_class_names, find_classes
from keras_avssan.encoders.yamnet.yamnet_network import (
    NUM_STAGES,
    YAMNetNetwork,
    check_stage,
    stride_of,
)
from keras_avssan.encoders.yamnet.yamnet_patches import PATCH_FRAMES, CutPatches, FitFrames
from keras_avssan.encoders.yamnet.yamnet_spectrogram import (
    FRAME_LENGTH,
    HOP_LENGTH,
    NUM_MELS,
    SAMPLING_RATE,
    YAMNetLogMel,
    YAMNetSpectrogram,
)


@keras.saving.register_keras_serializable(package="keras_avssan")
class YAMNet(
    LoadsBackbonePresets,
    StoredByAttribute,
    KeepsFrozenModel,
    FixedSettings,
    keras_hub.models.Backbone,
):
    """Encodes audio by the YAMNet network, and scores the 521 classes of AudioSet.

    Magnitudes (`spectrogram`) → log-mel bands (`log_mel`) → convolutions (`network`) → mean →
    class scores (`classifier`). By default an embedding is the mean over the features of a patch
    of 96 frames (0.975 s), one every 0.48 s, as published. With `stage` the convolutions run once
    over the whole recording, and each step of that stage in time is an embedding, every 20 to
    320 ms. Weights come from a published checkpoint, see `keras_avssan.encoders.converters`, or
    from a preset; without them they are random.

    Recordings may have any length; they are continued with silence to whole patches or steps.

    Args:
        width_multiplier: Factor on the number of filters, see `YAMNetNetwork`; 1 as published.
        stage: Stage of the network from which embeddings are taken densely, from 1 to 14. `None`
            embeds by patches.
        average_bands: Whether dense embeddings are means over the frequency bands of their stage;
            otherwise the bands stand one after another.
        patch_hop_frames: Distance between patches in frames of 10 ms; 48 as published. From 1 to
            96, so that patches leave no gap.
        class_names: Names of the classes, in the order of the scores; AudioSet's if not given.
        gain: Factor on the audio. `AVSSAN` scales recordings to a root mean square of one, while
            the published weights were trained on audio within ±1: a gain of 0.1 compensates.
        implementation: `"fft"` or `"conv"`, see `YAMNetSpectrogram`.
        trainable: Whether the layers that the embeddings depend on are trained with the task. A
            frozen network passes no gradient and normalises by its stored statistics.
        dtype: Data type or precision policy. Spectrogram and bands stay in float32.
        **kwargs: Arguments of `keras_hub.models.Backbone`.

    Attributes:
        hop_seconds: Distance between embeddings in seconds.
        offset_seconds: Centre of the first embedding in seconds.
        embedding_dim: Dimension d of an embedding.

    Call arguments:
        audio: Mono audio at 16 kHz, shape (batch, samples).
        training: Whether the network runs in training mode; never while it is frozen.

    Returns:
        Embeddings, shape (batch, t, d).

    Raises:
        ValueError: If an argument is out of its range, or `audio` is not of rank 2.

    Example:
        >>> YAMNet()(keras.ops.ones((1, 32000))).shape
        (1, 4, 1024)
        >>> YAMNet(stage=6)(keras.ops.ones((1, 32000))).shape
        (1, 25, 256)

    Reference:
        Plakal and Ellis, YAMNet, https://github.com/tensorflow/models, 2019. Gemmeke et al., Audio
        Set: An ontology and human-labeled dataset for audio events, ICASSP 2017.
    """

    also_fixed = ("settings", "sampling_rate", "hop_seconds", "offset_seconds", "embedding_dim")

    def __init__(
        self,
        width_multiplier: float = 1.0,
        stage: int | None = None,
        average_bands: bool = True,
        patch_hop_frames: int = 48,
        class_names: Sequence[str] | None = None,
        gain: float = 1.0,
        implementation: str = "fft",
        trainable: bool = False,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        _check_arguments(stage, patch_hop_frames, class_names)
        self.settings: dict[str, Any] = {
            "width_multiplier": width_multiplier,
            "stage": stage,
            "average_bands": average_bands,
            "patch_hop_frames": patch_hop_frames,
            "class_names": list(audioset_class_names() if class_names is None else class_names),
            "gain": gain,
            "implementation": implementation,
        }
        policy = keras.dtype_policies.get(dtype)
        self.sampling_rate = SAMPLING_RATE
        self._set_up_front_end(stage, patch_hop_frames, policy)
        self.network = YAMNetNetwork(width_multiplier, dtype=policy, name="network")
        self.network.build((None, None, NUM_MELS))
        self.embedding_dim = self._embedding_dim(stage, average_bands)
        self.join_bands = keras.layers.Reshape(
            (-1, self.embedding_dim), dtype=policy, name="join_bands"
        )
        self.classifier = keras.layers.Dense(
            len(self.settings["class_names"]), dtype=policy, name="classifier"
        )
        self.classifier.build((None, self.network.filters[-1]))
        audio = keras.Input((None,), name="audio")
        embeddings = self._embed(self.log_mel(self.spectrogram(audio)))
        super().__init__(audio, embeddings, base={"dtype": dtype}, **kwargs)
        self.trainable = trainable
        for layer in [*self.network.layers_beyond(stage or NUM_STAGES), self.classifier]:
            layer.trainable = False

    def _set_up_front_end(
        self, stage: int | None, patch_hop: int, policy: keras.DTypePolicy
    ) -> None:
        """Makes the layers before the network, and the times of its embeddings."""
        shared = {
            "gain": self.settings["gain"],
            "implementation": self.settings["implementation"],
        }
        self.spectrogram = self.patch_spectrogram = YAMNetSpectrogram(
            **shared, least_frames=PATCH_FRAMES, step_frames=patch_hop, name="spectrogram"
        )
        self.log_mel = YAMNetLogMel(name="log_mel")
        float32 = {"dtype": "float32"}
        self.fit_patches = FitFrames(PATCH_FRAMES, patch_hop, **float32, name="fit_patches")
        self.cut_patches = CutPatches(patch_hop, **float32, name="cut_patches")
        self.unfold = UnfoldExamples(dtype=policy, name="unfold")
        hop, centre = patch_hop, 0.5 * (PATCH_FRAMES - 1)
        if stage is not None:
            hop = stride_of(stage)
            self.spectrogram = YAMNetSpectrogram(
                **shared, least_frames=hop, step_frames=hop, name="dense_spectrogram"
            )
            self.fit_steps = FitFrames(hop, hop, **float32, name="fit_steps")
            # Of an even number of frames, TensorFlow's padding takes the odd ones as centres.
            centre = hop - 1
        self.hop_seconds = hop * HOP_LENGTH / SAMPLING_RATE
        self.offset_seconds = (centre * HOP_LENGTH + 0.5 * FRAME_LENGTH) / SAMPLING_RATE

    def _embedding_dim(self, stage: int | None, average_bands: bool) -> int:
        filters = self.network.filters[(stage or NUM_STAGES) - 1]
        if stage is None or average_bands:
            return filters
        return filters * (NUM_MELS // stride_of(stage))

    @property
    def class_names(self) -> list[str]:
        """Names of the classes, in the order of the scores."""
        return list(self.settings["class_names"])

    def _embed(self, log_mel: Tensor, training: bool | None = None) -> Tensor:
        """Embeddings (batch, t, d) of log-mel bands, by patches or densely."""
        stage = self.settings["stage"]
        if stage is None:
            return self._embed_patches(log_mel, training)
        x = self.network(self.fit_steps(log_mel), stage=stage, training=training)
        if self.settings["average_bands"]:
            return ops.mean(x, axis=2)
        return self.join_bands(x)

    def _embed_patches(self, log_mel: Tensor, training: bool | None = None) -> Tensor:
        patches = self.cut_patches(self.fit_patches(log_mel))
        x = ops.reshape(patches, (-1, PATCH_FRAMES, NUM_MELS))
        x = ops.mean(self.network(x, training=training), axis=(1, 2))
        return self.unfold(x, patches)

    def call(
        self, audio: Tensor, training: bool | None = None, mask: Tensor | None = None
    ) -> Tensor:
        _check_audio(audio)
        x = super().call(audio, training=bool(training) and self.trainable)
        return x if self.trainable else ops.stop_gradient(x)

    def embed_log_mel(self, log_mel: Tensor, training: bool | None = None) -> Tensor:
        """Embeds log-mel bands as the model embeds audio.

        Gradients reach the bands, and so a mask on the magnitudes before them, also while the
        network itself is frozen.

        Args:
            log_mel: Log-mel bands, shape (batch, frames, 64), see `YAMNetLogMel`; continued with
                silence to whole patches or steps.
            training: Whether the network runs in training mode; never while it is frozen.

        Returns:
            Embeddings, shape (batch, t, d).

        Example:
            >>> encoder = YAMNet(stage=6)
            >>> magnitudes = encoder.spectrogram(keras.ops.ones((1, 32000)))
            >>> encoder.embed_log_mel(encoder.log_mel(0.5 * magnitudes)).shape
            (1, 25, 256)
        """
        _check_log_mel(log_mel)
        return self._embed(log_mel, training=bool(training) and self.trainable)

    def score_log_mel(self, log_mel: Tensor) -> Tensor:
        """Scores the classes in log-mel bands by patches, whatever the model's `stage` is.

        Gradients reach the bands.

        Args:
            log_mel: Log-mel bands, shape (batch, frames, 64), continued with silence to whole
                patches.

        Returns:
            float32 scores from 0 to 1, shape (batch, patches, classes).

        Example:
            >>> encoder = YAMNet()
            >>> encoder.score_log_mel(keras.ops.ones((1, 144, 64))).shape
            (1, 2, 521)
        """
        _check_log_mel(log_mel)
        logits = self.classifier(self._embed_patches(log_mel, training=False))
        return ops.sigmoid(ops.cast(logits, "float32"))

    def scores(self, audio: Tensor) -> Tensor:
        """Scores the classes in recordings, patch by patch.

        Args:
            audio: Mono audio at 16 kHz, shape (batch, samples).

        Returns:
            float32 scores from 0 to 1, shape (batch, patches, classes). Each class has a score of
            its own: they do not sum to one.

        Raises:
            ValueError: If `audio` is not of rank 2.

        Example:
            >>> YAMNet().scores(keras.ops.ones((1, 32000))).shape
            (1, 4, 521)
        """
        _check_audio(audio)
        return self.score_log_mel(self.log_mel(self.patch_spectrogram(audio)))

    def classify(
        self, audio: Tensor, classes: str | Sequence[str] | None = None, top: int = 5
    ) -> list[dict[str, float]]:
        """Names the classes that recordings are most like.

        Args:
            audio: Mono audio at 16 kHz, shape (batch, samples).
            classes: Names of the only classes that count, or one name; all if not given.
            top: Largest number of classes of a recording.

        Returns:
            For each recording a dict of scores by name, highest first; a score is the mean over
            the patches.

        Raises:
            ValueError: If a name is none of `class_names`; the message has near ones. If `top` is
                not a positive integer, or `audio` is not of rank 2.

        Example:
            >>> encoder = YAMNet()
            >>> (scores,) = encoder.classify(keras.ops.ones((1, 16000)), top=3)
            >>> len(scores)
            3
        """
        top = check_integer("top", top, least=1)
        names = self.class_names
        chosen = list(range(len(names))) if classes is None else find_classes(classes, names)
        scores = ops.convert_to_numpy(ops.mean(self.scores(audio), axis=1))
        return [
            {names[i]: float(row[i]) for i in sorted(chosen, key=lambda i: -row[i])[:top]}
            for row in scores
        ]

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        batch, frames, _ = self.spectrogram.compute_output_shape(input_shape)
        if frames is None:
            return (batch, None, self.embedding_dim)
        if self.settings["stage"] is None:
            return (
                batch,
                self.cut_patches.compute_output_shape((batch, frames, NUM_MELS))[1],
                self.embedding_dim,
            )
        return (batch, frames // stride_of(self.settings["stage"]), self.embedding_dim)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self.settings}


def _check_audio(audio: Tensor) -> None:
    if not hasattr(audio, "shape"):
        raise TypeError(
            "`audio` must be an array or tensor of shape (batch, samples), such as "
            f"`keras_avssan.data.read_audio` returns. Received: audio={audio!r}"
        )
    if len(audio.shape) != 2:
        raise ValueError(
            "`audio` must be mono, of shape (batch, samples). "
            f"Received: audio.shape={tuple(audio.shape)}"
        )


def _check_log_mel(log_mel: Tensor) -> None:
    shape = getattr(log_mel, "shape", None)
    if shape is None:
        raise TypeError(
            f"`log_mel` must be a tensor of log-mel bands. Received: log_mel={log_mel!r}"
        )
    check_shape("log_mel", shape, "batch, frames, 64", (None, None, NUM_MELS))


def _check_arguments(
    stage: int | None, patch_hop_frames: int, class_names: Sequence[str] | None
) -> None:
    if stage is not None:
        check_stage(stage)
    if not (isinstance(patch_hop_frames, int) and 1 <= patch_hop_frames <= PATCH_FRAMES):
        raise ValueError(
            f"`patch_hop_frames` must be an integer from 1 to {PATCH_FRAMES}, so that patches "
            f"leave no gap. Received: patch_hop_frames={patch_hop_frames!r}"
        )
    if class_names is not None and (
        isinstance(class_names, str) or not class_names or len(set(class_names)) < len(class_names)
    ):
        raise ValueError(
            "`class_names` must be a list of different names, at least one. "
            f"Received: class_names={class_names!r}"
        )
