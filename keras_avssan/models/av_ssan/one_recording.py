"""What AV-SSAN's network computes once for all prompts of a recording."""

from typing import Any

from keras import ops

from keras_avssan._internal.types import Tensor
from keras_avssan.models.av_ssan.bridge_prompt import bridge_prompt
from keras_avssan.models.prompting import PROJECTED


class OneRecording:
    """Adds to `AVSSANBackbone` what serves several prompts, or none, for one recording."""

    # Layers and settings of the network, to which this is a mixin.
    level: Any
    stft: Any
    bridge: Any
    candidates: Any
    evidence: Any
    visual_prompt: bool

    @property
    def shares_recordings(self) -> bool:
        """Whether prompts for one recording can share what is computed of it."""
        # The `connect` of a subclass knows nothing of projected prompts.
        own = type(self).connect.__qualname__ == "AVSSANBackbone.connect"  # type: ignore[attr-defined]
        return self.visual_prompt and own

    def project_prompts(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Projects prompts as the semantic bridge does, without a recording to localise them in.

        Args:
            inputs: Dict of prompts as in a call, without `audio`.

        Returns:
            Dict with `projected_prompts`, float32 (batch, D).

        Raises:
            ValueError: If there is no prompt, or one that does not fit the network.
        """
        self._check_prompt(inputs)  # type: ignore[attr-defined]
        recording = inputs.get("prompt_audio")
        audio = None if recording is None else recording[..., None]
        arguments = bridge_prompt(self, inputs, audio)  # type: ignore[arg-type]
        # A call of the bridge would cast them.
        dtype = self.bridge.compute_dtype
        arguments = {name: ops.cast(value, dtype) for name, value in arguments.items()}
        return {PROJECTED: ops.cast(self.bridge.project_prompt(**arguments), "float32")}

    def list_candidates(self, inputs: dict[str, Tensor], scored: bool = False) -> dict[str, Tensor]:
        """Finds the candidates of a network with `num_candidates`, and what their masks keep.

        Args:
            inputs: Dict with `audio` (batch, samples, 2), and optionally `microphone_spacing`
                (batch,) in metres.
            scored: Whether the audio encoder scores its classes too, as `YAMNet` can.

        Returns:
            Dict of float32 tensors: `azimuths` in degrees and `power`, the share of the mixture's
            power that the mask of a candidate keeps, times the probability of a learned search that
            there is a source, both (batch, K); with `scored`, `scores` of the sounds that are
            extracted at them, (batch, K, classes).
        """
        audio = self.level(inputs["audio"])
        spectrogram = self.stft(audio)
        spacing = inputs.get("microphone_spacing")
        azimuths, masks, _, strengths = self.candidates(spectrogram, spacing)
        power = ops.sum(ops.square(spectrogram), axis=-1)
        kept = ops.sum(ops.square(masks) * power[:, None], axis=(2, 3))
        found = {
            "azimuths": azimuths,
            "power": ops.exp(strengths) * kept / (ops.sum(power, axis=(1, 2))[:, None] + 1e-9),
        }
        return {**found, "scores": self.evidence.score(audio, masks)} if scored else found
