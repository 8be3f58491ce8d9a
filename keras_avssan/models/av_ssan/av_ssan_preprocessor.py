"""From files and arrays to what the model takes."""

import os

import keras
import keras_hub
import numpy as np

from keras_avssan.data.audio_io import read_audio
from keras_avssan.data.image_io import read_image
from keras_avssan.models.av_ssan.av_ssan_backbone import AVSSANBackbone


@keras.saving.register_keras_serializable(package="keras_avssan")
class AVSSANPreprocessor(keras_hub.models.Preprocessor):
    """Reads and checks recordings and prompts, and brings them to the model's form.

    Runs on the host in NumPy. Recordings are resampled, pictures are scaled as a whole onto
    white. One prompt may serve several recordings, and one recording several prompts.

    Args:
        sampling_rate: Sampling rate of the model in hertz.
        image_size: Height and width of the model's pictures in pixels; `None` for a model that
            takes prompt embeddings only.
        prompt_dim: Dimension of the model's prompt embeddings; `None` skips that check.
        min_duration: Shortest recording in seconds.
        max_duration: Longest recording in seconds.
        resample: Whether recordings at another rate are resampled; `False` refuses them.
        **kwargs: Arguments of `keras_hub.models.Preprocessor`.

    Call arguments:
        x: Dict with
            `audio`: path of a two-channel recording, array (samples, 2) or (batch, samples, 2),
            or a list of paths or arrays of equal duration;
            `prompt`: path of a picture, RGB array (H, W, 3) of `uint8` or floats in [0, 1], an
            embedding (d_V,), a batch of either, or a list of any;
            `sampling_rate`: optional, sampling rate of `audio` arrays in hertz.
        y: Labels, passed through.
        sample_weight: Weights, passed through.

    Returns:
        Dict with `audio` float32 (batch, samples, 2) and `images` float32 (batch, H, W, 3) or
        `prompt_embedding` float32 (batch, d_V); with `y`, a tuple as Keras packs it.

    Raises:
        ValueError: If a recording or prompt is unreadable or has a wrong shape, range, duration
            or sampling rate, or if the recording is silent or not finite.
        TypeError: If a recording or prompt is of another kind.

    Example:
        >>> preprocessor = AVSSANPreprocessor()
        >>> rng = np.random.default_rng(0)
        >>> x = preprocessor({"audio": rng.normal(size=(16000, 2)),
        ...                   "prompt": np.zeros((32, 32, 3), "uint8")})
        >>> x["audio"].shape, x["images"].shape
        ((1, 16000, 2), (1, 64, 64, 3))
    """

    backbone_cls = AVSSANBackbone

    def __init__(
        self,
        sampling_rate=16000,
        image_size=(64, 64),
        prompt_dim=None,
        min_duration=0.5,
        max_duration=60.0,
        resample=True,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.sampling_rate = sampling_rate
        self.picture_size = None if image_size is None else tuple(image_size)
        self.prompt_dim = prompt_dim
        self.min_duration = min_duration
        self.max_duration = max_duration
        self.resample = resample
        self.built = True  # no weights: a whole model need not be run to build it

    def call(self, x, y=None, sample_weight=None):
        if not isinstance(x, dict) or not {"audio", "prompt"} <= set(x):
            found = sorted(x) if isinstance(x, dict) else type(x).__name__
            raise TypeError(f"`x` must be a dict with `audio` and `prompt`. Received: {found}")
        audio = self._read_recordings(x["audio"], x.get("sampling_rate"))
        key, prompts = self._read_prompts(x["prompt"])
        audio, prompts = _match(audio, prompts)
        return keras.utils.pack_x_y_sample_weight({"audio": audio, key: prompts}, y, sample_weight)

    def _read_recordings(self, audio, sampling_rate):
        if not isinstance(audio, (str, os.PathLike, list, tuple)):
            audio = _to_numpy(audio, "audio")
            if audio.ndim not in (2, 3):
                raise ValueError(
                    "`audio` must have shape (samples, 2) or (batch, samples, 2). "
                    f"Received: shape {audio.shape}"
                )
        is_batch = isinstance(audio, (list, tuple)) or getattr(audio, "ndim", 0) == 3
        recordings = [
            self._read_recording(recording, sampling_rate)
            for recording in (audio if is_batch else [audio])
        ]
        if not recordings:
            raise ValueError("`audio` must hold at least one recording. Received: none")
        if len({len(recording) for recording in recordings}) > 1:
            raise ValueError(
                "Recordings of one batch must have the same duration. "
                f"Received: {[len(recording) for recording in recordings]} samples"
            )
        return np.stack(recordings)

    def _read_recording(self, recording, sampling_rate):
        recording = read_audio(
            recording,
            self.sampling_rate,
            channels=2,
            source_rate=sampling_rate,
            resample=self.resample,
        )
        duration = len(recording) / self.sampling_rate
        if not self.min_duration <= duration <= self.max_duration:
            raise ValueError(
                f"`audio` must last from {self.min_duration:g} to {self.max_duration:g} seconds. "
                f"Received: {duration:.3f} s"
            )
        if not np.any(recording):
            raise ValueError("`audio` must not be silent. Received: all samples are zero")
        return recording

    def _read_prompts(self, prompt):
        """Returns the name of the model's input and the batch of prompts."""
        if isinstance(prompt, (str, os.PathLike)):
            prompts = [prompt]
        elif isinstance(prompt, (list, tuple)):
            prompts = list(prompt)
        else:
            prompt = _to_numpy(prompt, "prompt")
            prompts = list(prompt) if prompt.ndim in (2, 4) else [prompt]
        if not prompts:
            raise ValueError("`prompt` must hold at least one prompt. Received: none")
        prompts = [
            p if isinstance(p, (str, os.PathLike)) else _to_numpy(p, "prompt") for p in prompts
        ]
        are_embeddings = {getattr(p, "ndim", None) == 1 for p in prompts}
        if are_embeddings == {True}:
            return "prompt_embedding", self._check_embeddings(prompts)
        if are_embeddings == {True, False}:
            raise TypeError("`prompt` must hold either pictures or embeddings, not both.")
        if self.picture_size is None:
            raise ValueError(
                "This model takes prompt embeddings only, it has no image encoder. "
                "Received: a picture as `prompt`"
            )
        return "images", np.stack([read_image(p, self.picture_size) for p in prompts])

    def _check_embeddings(self, embeddings):
        shapes = {embedding.shape for embedding in embeddings}
        expected = (self.prompt_dim,) if self.prompt_dim else next(iter(shapes))
        if shapes != {expected}:
            raise ValueError(
                f"Prompt embeddings must have shape {expected}. Received: {sorted(shapes)}"
            )
        embeddings = np.stack(embeddings).astype("float32")
        if not np.isfinite(embeddings).all():
            raise ValueError("`prompt` embeddings must be finite. Received: NaN or infinity")
        return embeddings

    def get_config(self):
        return {
            **super().get_config(),
            "sampling_rate": self.sampling_rate,
            "image_size": self.picture_size,
            "prompt_dim": self.prompt_dim,
            "min_duration": self.min_duration,
            "max_duration": self.max_duration,
            "resample": self.resample,
        }


def _to_numpy(value, name):
    """Brings an array or a tensor of any backend to NumPy."""
    try:
        array = keras.ops.convert_to_numpy(value)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"`{name}` must be a path or an array. Received: {type(value).__name__}"
        ) from error
    if array.dtype.kind not in "fiub":
        raise TypeError(
            f"`{name}` must be a path or an array of numbers. Received: {type(value).__name__}"
        )
    return array


def _match(audio, prompts):
    """Lets one prompt serve several recordings, or one recording several prompts."""
    if len(audio) == 1:
        audio = np.repeat(audio, len(prompts), axis=0)
    elif len(prompts) == 1:
        prompts = np.repeat(prompts, len(audio), axis=0)
    if len(audio) != len(prompts):
        raise ValueError(
            "There must be one prompt a recording, or a single one of either. "
            f"Received: {len(audio)} recordings and {len(prompts)} prompts"
        )
    return audio, prompts
