"""`AVSSANPreprocessor`, from files and arrays to the inputs of AV-SSAN."""

import keras

from keras_avssan.models.av_ssan.av_ssan_backbone import AVSSANBackbone
from keras_avssan.models.localizer_preprocessor import LocalizerPreprocessor


@keras.saving.register_keras_serializable(package="keras_avssan")
class AVSSANPreprocessor(LocalizerPreprocessor):
    """Reads and checks recordings and prompts, and brings them to AV-SSAN's form.

    Call arguments, return values and errors are those of `LocalizerPreprocessor`.

    Args:
        sampling_rate: Sampling rate of the model in hertz.
        image_size: Height and width of the model's pictures in pixels; `None` for a model that
            takes prompt embeddings only.
        prompt_dim: Dimension of the model's prompt embeddings; `None` skips that check.
        min_duration: Shortest recording in seconds.
        max_duration: Longest recording in seconds.
        resample: Whether recordings at another rate are resampled; `False` refuses them.
        **kwargs: Arguments of `keras_hub.models.Preprocessor`.

    Example:
        >>> preprocessor = AVSSANPreprocessor()
        >>> rng = np.random.default_rng(0)
        >>> x = preprocessor({"audio": rng.normal(size=(16000, 2)),
        ...                   "prompt": np.zeros((32, 32, 3), "uint8")})
        >>> x["audio"].shape, x["images"].shape
        ((1, 16000, 2), (1, 64, 64, 3))
    """

    backbone_cls = AVSSANBackbone
