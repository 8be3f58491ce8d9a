"""KerasHub: every module of this package imports it from here."""

from collections.abc import Callable, Container

import keras

from keras_avssan._internal.start_up.deferred_tensorflow import deferred_tensorflow
from keras_avssan._internal.start_up.keras_tensorflow import serialize_without_tensorflow


class _Schemes(Container[object]):
    """Schemes of TensorFlow's file systems, read from it only where KerasHub has none such."""

    def __init__(self, registered: Callable[[], Container[object]], others: frozenset[object]):
        self._registered, self._others = registered, others

    def __contains__(self, scheme: object) -> bool:
        return scheme not in self._others and scheme in self._registered()


# Where TensorFlow is installed, KerasHub imports it under any backend, which takes seconds and
# half a gigabyte, and which nothing here needs under PyTorch and JAX.
if keras.backend.backend() == "tensorflow":
    import keras_hub as keras_hub
else:
    with deferred_tensorflow("keras_hub"):
        import keras_hub as keras_hub
    from keras_hub.src.utils import preset_utils

    # It imports TensorFlow for each file of a folder, to see whether `None` is a scheme of it.
    # Versions of KerasHub that do not are left as they are.
    _registered = getattr(preset_utils, "tf_registered_schemes", None)
    if _registered is not None:
        _own = {getattr(preset_utils, f"{host}_SCHEME", None) for host in ("HF", "MODELSCOPE")}
        preset_utils.tf_registered_schemes = lambda: _Schemes(_registered, frozenset(_own | {None}))
    serialize_without_tensorflow()
