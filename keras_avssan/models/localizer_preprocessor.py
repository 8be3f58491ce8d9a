"""`LocalizerPreprocessor`, from files and arrays to the inputs of a model."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, cast

import keras
import numpy as np

from keras_avssan._internal.start_up.hub import keras_hub
from keras_avssan._internal.write_once import WriteOnce
from keras_avssan.data.media.image_io import read_image
from keras_avssan.data.media.recordings import read_recordings, read_reference
from keras_avssan.models.prompting import EMBEDDED, REFERENCE, read_prompts
from keras_avssan.models.prompts import MIN_RECORDING, stack_repeated
from keras_avssan.models.storage.named_presets import FindsPackaged

# Inputs of the networks besides the prompt, in the form of datasets.
_RECORDED = ("audio", "dry_audio", "rirs", "snr", "microphone_spacing")


@keras.saving.register_keras_serializable(package="keras_avssan")
class LocalizerPreprocessor(FindsPackaged, keras_hub.models.Preprocessor):
    """Reads and checks recordings and prompts, and brings them to the model's form.

    Runs on the host in NumPy. Recordings are resampled; pictures are scaled to fit and padded with
    white. One prompt may serve several recordings, and one recording several prompts. Inputs that
    have the model's form already, such as those of `make_dataset`, pass unchanged, also as symbolic
    tensors in `Dataset.map`.

    Args:
        sampling_rate: Sampling rate of the model in hertz.
        image_size: Height and width of the model's pictures in pixels; `None` for a model that
            takes prompt embeddings only.
        prompt_dim: Dimension of the model's prompt embeddings; `None` skips that check. Without
            it and `image_size`, the preprocessor is that of a promptless model.
        min_duration: Shortest recording in seconds.
        max_duration: Longest recording in seconds.
        resample: Whether recordings at another rate are resampled; `False` refuses them.
        **kwargs: Arguments of `keras_hub.models.Preprocessor`.

    Call arguments:
        x: Dict with
            `audio`: file of a two-channel recording (its path, its bytes, or opened in binary
            mode), array (samples, 2) or (batch, samples, 2), or a list of files or arrays of equal
            duration;
            `prompt`: file of a picture, RGB array (H, W, 3) of `uint8` or floats in [0, 1], words,
            file of a recording, array (samples,) or (samples, channels) of one, or an embedding
            (d_V,); a batch or a list of one kind of them; or a dict of arrays in the model's form;
            `sampling_rate`: optional, sampling rate of `audio` and `prompt` arrays in hertz;
            `channels`: optional, the two channels of `audio` that are microphone 1 and
            microphone 2, counted from 0, where it has more than two;
            `model`: the `Localizer`, whose image encoder reads words and embeds prompts to be
            averaged; optional for other prompts;
            or a dict of arrays or tensors in the model's form: `audio` and one of the entries of a
            prompt below; `audio` alone where the model is promptless.
        y: Labels, passed through.
        sample_weight: Weights, passed through.

    Returns:
        Dict with `audio` float32 (batch, samples, 2) and `images` float32 (batch, H, W, 3),
        `prompt_embedding` float32 (batch, d_V), `token_ids` int32 (batch, tokens) or
        `prompt_audio` float32 (batch, samples); with `y`, a tuple as Keras packs it. Inputs in
        the model's form are returned as they are.

    Raises:
        ValueError: If a recording or prompt is unreadable or has a wrong shape, range, duration
            or sampling rate, or if the recording is silent or not finite.
        TypeError: If a recording or prompt is of another kind.

    Example:
        >>> preprocessor = LocalizerPreprocessor()
        >>> rng = np.random.default_rng(0)
        >>> x = preprocessor({"audio": rng.normal(size=(16000, 2)),
        ...                   "prompt": np.zeros((32, 32, 3), "uint8")})
        >>> x["audio"].shape, x["images"].shape
        ((1, 16000, 2), (1, 64, 64, 3))
    """

    preset_file = "preprocessor.json"
    sampling_rate = WriteOnce()

    def __init__(
        self,
        sampling_rate: int = 16000,
        image_size: tuple[int, int] | None = (64, 64),
        prompt_dim: int | None = None,
        min_duration: float = 0.5,
        max_duration: float = 60.0,
        resample: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.sampling_rate = sampling_rate
        # A list where it comes from a stored configuration.
        self.picture_size = cast(
            tuple[int, int] | None, None if image_size is None else tuple(image_size)
        )
        self.prompt_dim = prompt_dim
        self.min_duration = min_duration
        self.max_duration = max_duration
        self.resample = resample
        self.built = True  # no weights: a whole model need not be run to build it

    def call(self, x: Mapping[str, Any], y: Any = None, sample_weight: Any = None) -> Any:
        if self._is_prepared(x):
            return keras.utils.pack_x_y_sample_weight(x, y, sample_weight)
        if not isinstance(x, dict) or not {"audio", "prompt"} <= set(x):
            found = f"x with keys {sorted(x)}" if isinstance(x, dict) else f"x={x!r}"
            raise TypeError(f"`x` must be a dict with `audio` and `prompt`. Received: {found}")
        audio = self._read_recordings(x["audio"], x.get("sampling_rate"), x.get("channels"))
        prompts = read_prompts(x["prompt"], self, x.get("sampling_rate"), x.get("model"))
        return keras.utils.pack_x_y_sample_weight(pair_prompts(audio, prompts), y, sample_weight)

    def _is_prepared(self, x: Any) -> bool:
        """Whether inputs have the model's form: tensors by the names of the network's inputs."""
        if not isinstance(x, dict) or not {"audio", "dry_audio"} & set(x):
            return False
        prompts = {*EMBEDDED, *REFERENCE} & set(x)
        promptless = self.picture_size is None and self.prompt_dim is None
        return (
            set(x) <= {*_RECORDED, *prompts}
            and (promptless or bool(prompts))
            and all(hasattr(value, "shape") for value in x.values())
        )

    def without_prompt(
        self,
        audio: Any,
        sampling_rate: int | None = None,
        channels: tuple[int, int] | None = None,
    ) -> dict[str, np.ndarray]:
        """Reads recordings for a promptless network.

        Args:
            audio: Recordings as in a call.
            sampling_rate: Sampling rate of arrays in hertz; the model's if not given.
            channels: The two channels that are the microphones; see a call.

        Returns:
            Dict with `audio` float32 (batch, samples, 2).

        Raises:
            ValueError: If a recording is unusable.
            TypeError: If it is of another kind.
        """
        return {"audio": self._read_recordings(audio, sampling_rate, channels)}

    def _read_recordings(
        self, audio: Any, sampling_rate: int | None, channels: tuple[int, int] | None
    ) -> np.ndarray:
        return read_recordings(
            audio,
            self.sampling_rate,
            channels=channels,
            source_rate=sampling_rate,
            resample=self.resample,
            min_duration=self.min_duration,
            max_duration=self.max_duration,
        )

    def read_picture(self, picture: Any) -> np.ndarray:
        """Reads a picture that serves as a prompt.

        Args:
            picture: Path, or RGB array (H, W, 3) of `uint8` or floats in [0, 1].

        Returns:
            float32 array of the model's picture size, in [0, 1].

        Raises:
            ValueError: If the picture is unusable or the model has no image encoder.
        """
        if self.picture_size is None:
            raise ValueError(
                "`prompt` must be an embedding: this model has no image encoder. "
                "Received: a picture as `prompt`"
            )
        return read_image(picture, self.picture_size)

    def read_references(
        self, recordings: Sequence[Any], sampling_rate: int | None = None
    ) -> np.ndarray:
        """Reads recordings that serve as prompts, each repeated to the length of the longest.

        Args:
            recordings: List of paths or arrays (samples,) or (samples, channels); channels are
                averaged.
            sampling_rate: Sampling rate of arrays in hertz; the model's if not given.

        Returns:
            float32 array of shape (recordings, samples).

        Raises:
            ValueError: If a recording is unusable.
        """
        read = partial(
            read_reference,
            sampling_rate=self.sampling_rate,
            source_rate=sampling_rate,
            resample=self.resample,
            min_duration=MIN_RECORDING / self.sampling_rate,
            max_duration=self.max_duration,
        )
        return stack_repeated(list(map(read, recordings)))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "sampling_rate": self.sampling_rate,
            "image_size": self.picture_size,
            "prompt_dim": self.prompt_dim,
            "min_duration": self.min_duration,
            "max_duration": self.max_duration,
            "resample": self.resample,
        }


def pair_prompts(audio: np.ndarray, prompts: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Repeats a single prompt for several recordings, or a single recording for several prompts."""
    count = len(next(iter(prompts.values())))
    scenes = count_scenes(len(audio), count)
    if len(audio) == 1:
        audio = np.repeat(audio, scenes, axis=0)
    elif count == 1:
        prompts = {key: np.repeat(value, scenes, axis=0) for key, value in prompts.items()}
    return {"audio": audio, **prompts}


def count_scenes(recordings: int, prompts: int) -> int:
    """Number of scenes of recordings and prompts, one each or a single one of either."""
    if recordings != prompts and 1 not in (recordings, prompts):
        raise ValueError(
            "`audio` and `prompt` must hold one prompt a recording, or a single one of either. "
            f"Received: {recordings} recordings and {prompts} prompts"
        )
    return max(recordings, prompts)
