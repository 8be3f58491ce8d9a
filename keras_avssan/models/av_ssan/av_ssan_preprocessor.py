"""From files and arrays to what AV-SSAN takes."""

import keras

from keras_avssan.models.av_ssan.av_ssan_backbone import AVSSANBackbone
from keras_avssan.models.localizer_preprocessor import LocalizerPreprocessor


@keras.saving.register_keras_serializable(package="keras_avssan")
class AVSSANPreprocessor(LocalizerPreprocessor):
    """Reads and checks recordings and prompts, and brings them to AV-SSAN's form.

    Arguments, call arguments, what is returned and what is raised are those of
    `LocalizerPreprocessor`.

    Example:
        >>> preprocessor = AVSSANPreprocessor()
        >>> rng = np.random.default_rng(0)
        >>> x = preprocessor({"audio": rng.normal(size=(16000, 2)),
        ...                   "prompt": np.zeros((32, 32, 3), "uint8")})
        >>> x["audio"].shape, x["images"].shape
        ((1, 16000, 2), (1, 64, 64, 3))
    """

    backbone_cls = AVSSANBackbone
