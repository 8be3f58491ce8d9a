"""What a layer was made with cannot be set once it is built: it would not follow."""

import copy
import importlib
import inspect
import pkgutil

import keras
import keras_hub
import numpy as np
import pytest

import keras_avssan
from keras_avssan import encoders, layers
from keras_avssan._internal.write_once import FixedSettings
from keras_avssan.models import baselines

pytestmark = pytest.mark.backend_agnostic

ALWAYS = {"self", "name", "dtype", "trainable", "args", "kwargs"}
# Read in every call, and meant to be switched.
SETTABLE = {
    name: {"implementation"}
    for name in (
        "SoundEffectsSpectrogram",
        "StereoSTFT",
        "VGGishSpectrogram",
        "YAMNetSpectrogram",
    )
}


def sounds():
    return keras.Sequential([keras.Input((16000,)), keras.layers.Reshape((16, 1000))])


def pictures():
    return keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(2, 3)])


def clip():
    pytest.importorskip("keras_hub")
    vision = keras_hub.models.CLIPVisionEncoder(8, 4, 1, 1, 4, image_shape=(8, 8, 3))
    text = keras_hub.models.CLIPTextEncoder(16, 4, 4, 1, 1, 4, max_sequence_length=8)
    return keras_hub.models.CLIPBackbone(vision, text, projection_dim=4)


def bert():
    return keras_hub.models.BertBackbone(4, 1, 1, 4, 4, max_sequence_length=8)


def word_pieces():
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    return encoders.WordPieceTokenizer(words, sequence_length=8)


ARGUMENTS = {
    "AudioEncoder": lambda: {"model": sounds(), "hop_seconds": 0.5},
    "CLIPEncoder": lambda: {"backbone": clip()},
    "ClassPrototypes": lambda: {"num_prototypes": 2},
    "ConvPoolBlock": lambda: {"filters": 2, "pool_size": (2, 2)},
    "ExtractedEvidence": lambda: {
        "audio_encoder": encoders.YAMNet(0.0625),
        "bridge": layers.SemanticBridge(8),
        "frames_per_second": 31.25,
    },
    "FrameAlignment": lambda: {"hop_length": 512, "sampling_rate": 16000},
    "GeneralizedCrossCorrelation": lambda: {"lags": [-1, 0, 1]},
    "ImageEncoder": lambda: {"model": pictures()},
    "MLP": lambda: {"widths": (4,)},
    "PictureTextEncoder": lambda: {
        "image_encoder": encoders.ConvImageEncoder(4, (2,), (8, 8)),
        "text_encoder": encoders.WordTable(["dog"], 4),
    },
    "PromptProjection": lambda: {"dim": 4},
    "Resampler": lambda: {"source_rate": 16000, "target_rate": 8000},
    "ResidualConvBlock": lambda: {"filters": 2},
    "SegmentMeans": lambda: {"segment": 4},
    "SentenceEncoder": lambda: {"backbone": bert(), "tokenizer": word_pieces()},
    "SoundEffectsCNN": lambda: {"filters": (2, 2, 2, 2)},
    "VGGish": lambda: {"filters": (2, 2, 2, 2), "hidden_dim": 4, "embedding_dim": 4},
    "YAMNet": lambda: {"width_multiplier": 0.0625, "stage": 6},
    "WordTable": lambda: {"names": ["dog"], "dim": 4},
    "FitFrames": lambda: {"least": 4, "step": 4},
    "CutPatches": lambda: {"hop": 48},
    "AVSSANBackbone": lambda: {
        "image_encoder": encoders.ConvImageEncoder(4, (2,), (8, 8)),
        "audio_encoder": encoders.LogMelEncoder(4, (2,)),
        "dim": 8,
        "mlp_dim": 8,
    },
}


def every_class():
    """All layers, encoders and networks of the library that can be made."""
    found, packages = {}, tuple(f"keras_avssan.{n}" for n in ("layers", "encoders", "models"))
    for _, name, _ in pkgutil.walk_packages(keras_avssan.__path__, "keras_avssan."):
        if name.startswith(packages):
            found |= vars(importlib.import_module(name))
    left_out = (keras_hub.models.Task, keras_hub.models.Preprocessor)
    abstract = {"PromptedBackbone", "BaselineBackbone", "PromptedCorrelationBackbone"}
    abstract |= {"NetworkPart"}  # of a task, which makes it
    return {
        name: one
        for name, one in found.items()
        if inspect.isclass(one) and issubclass(one, keras.Layer) and not issubclass(one, left_out)
        if one.__module__.startswith(packages) and not name.startswith("_")
        if name not in abstract
    }


CLASSES = every_class()


def make(name):
    """One of a class; a built one, as far as settings go."""
    arguments = ARGUMENTS.get(name, dict)()
    if name.endswith("Backbone") and name not in ARGUMENTS:
        arguments = {"prompt_dim": 4}
    layer = CLASSES[name](**arguments)
    layer.built = True
    return layer


def constructor_arguments(one):
    """Names of all arguments that a class of the library's own takes."""
    of_keras = [base for base in one.__mro__ if issubclass(base, keras.Layer)]
    own = [base for base in of_keras if base.__module__.startswith("keras_avssan.")]
    made = [vars(base)["__init__"] for base in own if "__init__" in vars(base)]
    return set().union(*(inspect.signature(function).parameters for function in made)) - ALWAYS


def test_public_layers_and_encoders_are_among_them():
    public = {*layers.__all__, *encoders.__all__}
    kinds = {
        name
        for module in (layers, encoders, baselines)
        for name in public & set(vars(module))
        if inspect.isclass(getattr(module, name)) and issubclass(getattr(module, name), keras.Layer)
    }
    assert kinds <= set(CLASSES) and set(ARGUMENTS) <= set(CLASSES) and len(CLASSES) > 35


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_what_was_kept_of_the_constructor_is_fixed(name):
    layer = make(name)
    settings = getattr(layer, "settings", {})
    settable = set(getattr(layer, "settable", ()))
    assert settable == SETTABLE.get(name, set())
    for argument in sorted(constructor_arguments(type(layer)) - settable):
        if not hasattr(layer, argument) and argument not in settings:
            continue
        with pytest.raises(AttributeError, match=f"`{argument}` is decided when {name} is made"):
            setattr(layer, argument, "another")
    for argument in settable:
        setattr(layer, argument, "conv")
        assert getattr(layer, argument) == "conv"
    layer.trainable = False


def test_the_same_value_and_other_attributes_pass():
    layer = layers.TriBandSpatialFeatures(bands=("full",))
    layer.bands = ["full"]
    layer.note = "my own"
    lags = layers.GeneralizedCrossCorrelation([-1.0, 0.0, 1.0])
    lags.built = True
    with pytest.raises(AttributeError, match="`lags` is decided"):
        lags.lags = np.arange(3)


def test_before_a_layer_is_built_all_can_be_set():
    encoder = encoders.LogMelEncoder(8, (4,))
    encoder.dropout = 0.5
    encoder.build((None, 16000))
    assert encoder.drop.rate == 0.5
    with pytest.raises(AttributeError, match="`dropout` is decided when LogMelEncoder is made"):
        encoder.dropout = 0.1
    assert encoder.dropout == 0.5


def test_copies_and_restored_layers_are_built_and_fixed():
    encoder = encoders.LogMelEncoder(8, (4,))
    encoder.build((None, 16000))
    restored = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(encoder))
    for one in (copy.deepcopy(encoder), restored):
        assert one.get_config() == encoder.get_config()
        with pytest.raises(AttributeError, match="`num_mels` is decided"):
            one.num_mels = 20


def test_subclasses_keep_settings_of_their_own():
    class Louder(layers.StereoSTFT):
        settable = ("gain",)

        def __init__(self, gain=2.0, shift=1.0, **kwargs):
            super().__init__(**kwargs)  # is built now
            self.gain = gain
            self.shift = shift

    layer = Louder()
    layer.gain, layer.implementation = 3.0, "conv"
    for name in ("shift", "hop_length"):
        with pytest.raises(AttributeError, match=f"`{name}` is decided when Louder is made"):
            setattr(layer, name, 64)


def test_settings_are_listed_once_a_class():
    assert "num_mels" in encoders.LogMelEncoder._fixed_settings
    assert isinstance(encoders.LogMelEncoder._fixed_settings, frozenset)
    assert not {"name", "trainable", "dtype", "self"} & encoders.LogMelEncoder._fixed_settings
    assert all(issubclass(one, FixedSettings) for one in CLASSES.values())
