"""Base classes of the baselines' networks."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_avssan._internal.checks import check_positive_number
from keras_avssan._internal.types import Tensor
from keras_avssan.doa.grid import NUM_DIRECTIONS
from keras_avssan.layers.generalized_cross_correlation import GeneralizedCrossCorrelation
from keras_avssan.layers.level_normalization import LevelNormalization
from keras_avssan.layers.stereo_stft import StereoSTFT
from keras_avssan.models.baselines.shared_layers import MLP, PromptProjection, unit_power
from keras_avssan.models.prompted_backbone import PromptedBackbone
from keras_avssan.models.prompting import embed_inputs


class BaselineBackbone(PromptedBackbone):
    """Base of the networks that AV-SSAN is compared with.

    Inputs and the output `doa` are those of `AVSSANBackbone`. The constructor of a subclass calls
    `set_up` with its own arguments as settings, makes its layers, and ends with `super().__init__`;
    `compute_outputs` returns a dict that holds `logits` (batch, 180). Mixtures are normalised to
    unit power, and the spectrogram is that of AV-SSAN unless the subclass sets another one.

    Args:
        **kwargs: What `set_up` returned.

    Call arguments:
        inputs: Dict with `audio` (batch, samples, 2) and, where the network takes one, a prompt:
            `images` (batch, H, W, 3) in [0, 1], `token_ids` (batch, tokens) or
            `prompt_embedding` (batch, d_V).
        training: Whether dropout and batch normalisation run in training mode.

    Returns:
        Dict of float32 tensors with `doa` (batch, 180).

    Raises:
        ValueError: If the spacing is not positive, `prompt_dim` is missing, or inputs have a
            wrong shape.

    Example:
        >>> backbone = GCCMLP().backbone  # a BaselineBackbone
        >>> backbone({"audio": keras.ops.ones((1, 16000, 2))})["doa"].shape
        (1, 180)
    """

    # Whether the network takes a prompt.
    takes_prompt = True
    # Whether the last layer is a linear one, from features to logits.
    projects_logits = True

    def set_up(  # type: ignore[override]  # of the front end too; returns what `Backbone` takes
        self,
        settings: Mapping[str, Any],
        *,
        image_encoder: keras.Layer | None = None,
        prompt_dim: int | None = None,
        sampling_rate: int = 16000,
        microphone_spacing: float = 0.2,
        frame_length: int = 1024,
        hop_length: int = 512,
        dtype: Any = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Sets the configuration and the image encoder, and makes the front end.

        Args:
            settings: Dict of the subclass's own constructor arguments.
            image_encoder: Encoder of pictures, see `PromptedBackbone.set_up`.
            prompt_dim: Dimension d_V of prompt embeddings, likewise. Networks that take no prompt
                ignore both.
            sampling_rate: Sampling rate in hertz.
            microphone_spacing: Distance between the microphones in metres.
            frame_length: Frame length of the spectrogram in samples.
            hop_length: Hop of the spectrogram in samples.
            dtype: Data type or precision policy. Front end and posterior stay in float32.
            **kwargs: Arguments of `keras_hub.models.Backbone`.

        Returns:
            Dict of the arguments for `super().__init__`.

        Raises:
            ValueError: If the spacing is not positive or `prompt_dim` is missing.
        """
        check_positive_number("microphone_spacing", microphone_spacing, "distance in metres")
        settings = {
            **settings,
            "sampling_rate": sampling_rate,
            "microphone_spacing": microphone_spacing,
            "frame_length": frame_length,
            "hop_length": hop_length,
        }
        super().set_up(
            settings,
            image_encoder=image_encoder if self.takes_prompt else None,
            prompt_dim=prompt_dim,
            visual_prompt=self.takes_prompt,
            dtype=dtype,
        )
        self.level = LevelNormalization(name="level")
        self.stft = StereoSTFT(frame_length, hop_length, name="stft")
        if self.projects_logits:
            self.logits: keras.Layer = keras.layers.Dense(
                NUM_DIRECTIONS, dtype="float32", name="logits"
            )
        return {"dtype": dtype, **kwargs}

    def compute_outputs(self, audio: Tensor, prompt: Tensor) -> dict[str, Tensor]:
        """Computes the logits of the directions from recording and prompt.

        Args:
            audio: float32 recordings of unit power, shape (batch, samples, 2).
            prompt: Prompt embeddings (batch, d_V), or `None` where the network takes none.

        Returns:
            Dict with `logits` (batch, 180) and further outputs that the network's loss needs.
        """
        raise NotImplementedError

    def connect(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        audio = self.level(inputs["audio"])
        prompt = None
        if self.takes_prompt:
            prompt = ops.cast(embed_inputs(self, inputs), self.policy.compute_dtype)
        outputs = dict(self.compute_outputs(audio, prompt))
        logits = ops.cast(outputs.pop("logits"), "float32")
        return {"doa": ops.softmax(logits, axis=-1), **outputs}

    def _check_prompt(self, inputs: Mapping[str, Tensor]) -> None:
        super()._check_prompt(inputs)
        if "prompt_audio" in inputs:
            raise ValueError(
                f"The prompt of {type(self).__name__} must be a picture, words or an embedding, "
                f"and not `prompt_audio`. Received: inputs with keys {sorted(inputs)}"
            )


class PromptedCorrelationBackbone(BaselineBackbone):
    """Base of `MLPAVCBackbone` and `AVMLPBackbone`.

    The correlation of the pair, averaged over the frames and scaled to a root mean square of one,
    and as many features of the prompt are concatenated; only the multilayer perceptron that
    follows combines the two. A subclass calls `make_layers` after `set_up`.

    Args:
        settings: Dict of the subclass's own constructor arguments.
        **kwargs: Arguments of `BaselineBackbone`.

    Example:
        >>> backbone = MLPAVCBackbone(prompt_dim=512)  # a PromptedCorrelationBackbone
    """

    def make_layers(
        self,
        lags: Sequence[float] | np.ndarray,
        hidden_dim: int,
        num_layers: int,
        dropout: float,
    ) -> None:
        """Makes the layers and their weights, for lags of the correlation in samples."""
        dtype = self.policy
        self.correlation = GeneralizedCrossCorrelation(lags, name="correlation")
        self.projection = PromptProjection(len(lags), dtype=dtype, name="prompt")
        self.mlp = MLP([hidden_dim] * num_layers, dropout, dtype=dtype, name="mlp")
        self.correlation.build((None, None, self.stft.num_bins, 4))
        self.projection.build((None, self.prompt_dim))
        self.mlp.build((None, 2 * len(lags)))
        self.logits.build((None, hidden_dim))

    def compute_outputs(self, audio: Tensor, prompt: Tensor) -> dict[str, Tensor]:
        x = self.features(audio, prompt)
        return {"logits": self.logits(self.mlp(x))}

    def features(self, audio: Tensor, prompt: Tensor) -> Tensor:
        """Correlation and features of the prompt, (batch, 2 * lags), as input of the perceptron."""
        correlation = unit_power(ops.mean(self.correlation(self.stft(audio)), axis=1))
        prompt = self.projection(prompt)
        return ops.concatenate([ops.cast(correlation, prompt.dtype), prompt], axis=-1)
