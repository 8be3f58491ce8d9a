"""Semantic bridge between prompt and audio, equation (1)."""

from typing import Any

import keras
from keras import ops

from keras_avssan._internal.checks import known_size
from keras_avssan._internal.types import Shape, Tensor
from keras_avssan._internal.unit_length import unit_length
from keras_avssan._internal.write_once import FixedSettings
from keras_avssan.layers.transformer_block import TransformerBlock


@keras.saving.register_keras_serializable(package="keras_avssan")
class SemanticBridge(FixedSettings, keras.layers.Layer):
    """Fuses prompt and audio embeddings into a semantic query per time step, the SBF.

    SBF = Transformer(LP(F'_V ⊛ F'_A)): prompt and audio embeddings are projected to one space,
    the prompt is repeated over the audio's time steps, both are concatenated along the features,
    projected by LP and passed through Transformer blocks.

    Args:
        dim: Feature dimension D.
        num_layers: Number of Transformer blocks.
        num_heads: Number of attention heads per block.
        mlp_dim: Hidden width of the MLP in each block.
        dropout: Dropout in the blocks.
        interaction: If `True`, the product of both projections is concatenated too, which lets
            one linear layer compare them. The paper concatenates the projections alone.
        scale_prompt: If `True`, prompt embeddings are scaled to a root mean square of one before
            they are projected: those of unit length, as CLIP's are, come out √d_V times smaller
            than the audio's. The paper does not scale.
        use_prompt: If `False`, the prompt has no influence (column V of Table 4).
        use_audio: If `False`, the semantic audio has no influence (column A of Table 4); the
            audio embeddings then only give the number of time steps.
        return_similarity: Whether the projected prompt and its cosine similarity with the audio
            are returned too; needs `use_prompt` and `use_audio`.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        prompt: Prompt embedding, shape (batch, d_V).
        audio: Audio embeddings, shape (batch, t, d_A).
        reference: Audio embeddings of a recording as a prompt, shape (batch, r, d_A); needs
            `use_audio`, because it passes the projection of the audio.
        reference_weight: Weight of the recording in the prompt, from 0 to 1, shape (batch,);
            `prompt` has the rest. Without it the recording is the only prompt.
        training: Whether dropout is active.
        shared: Whether all prompts are for one recording: `prompt` holds projections (prompts, D),
            as `project_prompt` returns them, and `audio` (1, t, d_A) serves all of them.

    Returns:
        Tensor of shape (batch, t, D). With `return_similarity`, a tuple of it, the projected
        prompt (batch, D) and its cosine similarity with the audio's mean projection (batch,),
        both float32.

    Raises:
        ValueError: If both `use_prompt` and `use_audio` are `False`, or one of them is with
            `return_similarity`.

    Example:
        >>> SemanticBridge()(keras.ops.ones((2, 512)), keras.ops.ones((2, 10, 128))).shape
        (2, 10, 64)

    Reference:
        AV-SSAN, equation (1), Table 4.
    """

    def __init__(
        self,
        dim: int = 64,
        num_layers: int = 2,
        num_heads: int = 4,
        mlp_dim: int = 256,
        dropout: float = 0.0,
        interaction: bool = False,
        scale_prompt: bool = False,
        use_prompt: bool = True,
        use_audio: bool = True,
        return_similarity: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not (use_prompt or use_audio):
            raise ValueError(
                "`use_prompt` or `use_audio` must be `True`. "
                "Received: use_prompt=False, use_audio=False"
            )
        if return_similarity and not (use_prompt and use_audio):
            raise ValueError(
                "`return_similarity` must be `False` without `use_prompt` and `use_audio`. "
                f"Received: return_similarity=True, use_prompt={use_prompt}, use_audio={use_audio}"
            )
        self.dim = dim
        self.num_layers = num_layers
        self.num_heads = num_heads
        self.mlp_dim = mlp_dim
        self.dropout = dropout
        self.interaction = interaction
        self.scale_prompt = scale_prompt
        self.use_prompt = use_prompt
        self.use_audio = use_audio
        self.return_similarity = return_similarity

    def build(self, prompt_shape: Shape, audio_shape: Shape) -> None:
        dtype = self.dtype_policy
        sequence_shape = (*audio_shape[:2], self.dim)
        parts = 0
        if self.use_prompt:
            known_size("prompt_shape", prompt_shape, -1, "features")
            self.prompt_projection = keras.layers.Dense(self.dim, dtype=dtype, name="prompt")
            self.prompt_projection.build(prompt_shape)
            parts += 1
        if self.use_audio:
            known_size("audio_shape", audio_shape, -1, "features")
            self.audio_projection = keras.layers.Dense(self.dim, dtype=dtype, name="audio")
            self.audio_projection.build(audio_shape)
            parts += 1
        if self.interaction and self.use_prompt and self.use_audio:
            parts += 1
        self.linear_projection = keras.layers.Dense(self.dim, dtype=dtype, name="lp")
        self.linear_projection.build((*audio_shape[:2], parts * self.dim))
        self.blocks = [
            TransformerBlock(
                self.num_heads, self.mlp_dim, self.dropout, dtype=dtype, name=f"block_{i}"
            )
            for i in range(self.num_layers)
        ]
        for block in self.blocks:
            block.build(sequence_shape)
        self.norm = keras.layers.LayerNormalization(dtype=dtype, name="norm")
        self.norm.build(sequence_shape)
        self.built = True

    def call(
        self,
        prompt: Tensor,
        audio: Tensor,
        reference: Tensor | None = None,
        reference_weight: Tensor | None = None,
        training: bool | None = None,
        shared: bool = False,
    ) -> Tensor:
        parts = []
        if self.use_prompt:
            steps = ops.ones_like(audio[:, :, :1])
            projected = prompt
            if not shared:
                projected = self.project_prompt(prompt, reference, reference_weight)
            parts.append(projected[:, None, :] * steps)  # F'_V, repeated over time
        if self.use_audio:
            sounds = self.audio_projection(audio)  # F'_A
            parts.append(repeated(sounds, prompt) if shared else sounds)
        if self.interaction and len(parts) == 2:
            parts.append(parts[0] * parts[1])
        x = self.linear_projection(ops.concatenate(parts, axis=-1))  # LP of (1)
        for block in self.blocks:  # Transformer of (1)
            x = block(x, training=training)
        if not self.return_similarity:
            return self.norm(x)
        semantics = ops.cast(projected, "float32")
        mixture = ops.cast(self.project_audio(audio), "float32")
        similarity = ops.sum(unit_length(semantics) * unit_length(mixture), axis=-1)
        return self.norm(x), semantics, similarity

    def project_prompt(
        self,
        prompt: Tensor,
        reference: Tensor | None = None,
        reference_weight: Tensor | None = None,
    ) -> Tensor:
        """Projects prompts to the common space of prompts and audio.

        Args:
            prompt: Prompt embeddings, shape (batch, d_V).
            reference: Audio embeddings of a recording as a prompt, see the call arguments.
            reference_weight: Weight of the recording, see the call arguments.

        Returns:
            Tensor of shape (batch, D).
        """
        if reference is None:
            return self._project_embedding(prompt)
        recording = self.project_audio(reference)
        if reference_weight is None:
            return recording
        weight = ops.cast(reference_weight, recording.dtype)[:, None]
        return weight * recording + (1.0 - weight) * self._project_embedding(prompt)

    def project_audio(self, audio: Tensor) -> Tensor:
        """Projects audio embeddings to the common space and averages them over time.

        Args:
            audio: Audio embeddings, shape (batch, t, d_A).

        Returns:
            Tensor of shape (batch, D).
        """
        return ops.mean(self.audio_projection(audio), axis=1)

    def _project_embedding(self, prompt: Tensor) -> Tensor:
        if self.scale_prompt:
            power = ops.mean(ops.square(ops.cast(prompt, "float32")), axis=-1, keepdims=True)
            prompt = prompt * ops.cast(ops.rsqrt(power + 1e-8), prompt.dtype)
        return self.prompt_projection(prompt)

    def compute_output_spec(
        self,
        prompt: Tensor,
        audio: Tensor,
        reference: Tensor | None = None,
        reference_weight: Tensor | None = None,
        training: bool | None = None,
        shared: bool = False,
    ) -> Any:
        cue = keras.KerasTensor((*audio.shape[:2], self.dim), self.compute_dtype)
        if not self.return_similarity:
            return cue
        batch = prompt.shape[0]
        return cue, keras.KerasTensor((batch, self.dim)), keras.KerasTensor((batch,))

    def compute_output_shape(
        self, prompt_shape: Shape, audio_shape: Shape, *reference_shapes: Shape
    ) -> Shape | tuple[Shape, Shape, Shape]:
        cue = (*audio_shape[:2], self.dim)
        if not self.return_similarity:
            return cue
        return cue, (prompt_shape[0], self.dim), (prompt_shape[0],)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "dim": self.dim,
            "num_layers": self.num_layers,
            "num_heads": self.num_heads,
            "mlp_dim": self.mlp_dim,
            "dropout": self.dropout,
            "interaction": self.interaction,
            "scale_prompt": self.scale_prompt,
            "use_prompt": self.use_prompt,
            "use_audio": self.use_audio,
            "return_similarity": self.return_similarity,
        }


def repeated(recording: Tensor, prompts: Tensor) -> Tensor:
    """What is computed of one recording, (1, ...), once for each prompt."""
    return ops.broadcast_to(recording, (ops.shape(prompts)[0], *ops.shape(recording)[1:]))
