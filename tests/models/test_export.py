"""Exported files give in their own runtime what the model gives in Keras.

One test a format; the table of `benchmarks/export_table.py` is made of their outcomes.
"""

import ast
import importlib.util
import os

import keras
import numpy as np
import pytest

from keras_avssan.encoders import (
    AudioEncoder,
    ConvImageEncoder,
    PictureTextEncoder,
    SoundEffectsCNN,
    VGGish,
    WordTable,
    YAMNet,
)
from keras_avssan.encoders.yamnet.yamnet_patches import CutPatches
from keras_avssan.layers import StereoSTFT
from keras_avssan.models import load_exported
from keras_avssan.models.baselines import FNSSL
from keras_avssan.models.baselines.fn_ssl import SegmentMeans
from keras_avssan.models.export import export as export_module
from keras_avssan.models.export.export import SUFFIXES, convolutional_front_ends

BACKEND = keras.config.backend()
TOLERANCE = 1e-4  # of the posterior
# Which backend writes what, with the package that runs it.
RUNTIMES = {
    "tf_saved_model": "tensorflow",
    "onnx": "onnxruntime",
    "litert": "ai_edge_litert",
    "torch": "torch",
    "openvino": "openvino",
}
WRITES = {
    "tensorflow": ["tf_saved_model", "litert", "openvino"],
    "torch": ["torch", "onnx", "openvino"],
    "jax": ["tf_saved_model"],
}[BACKEND]
# What is exported at every change; to the other runtimes go the extensive tests.
EVERY_TIME = {"tensorflow": "tf_saved_model"}.get(BACKEND)
SCENES = [(1, 8000), (3, 12345)]  # batch, samples
OF_CANDIDATES = (
    *("doa", "mixture_doa", "presence"),
    *("candidate_strengths", "candidate_evidence", "candidate_weights"),
)
FIXED = {"litert": 0.5}  # formats of one shape, with the duration in seconds that the test takes


def need(format):
    """Skips where this backend or this environment cannot write and run a format."""
    if format not in WRITES:
        pytest.skip(f"{BACKEND} does not write {format}")
    if format == "openvino" and "AVSSAN_ALL_EXPORTS" not in os.environ:
        pytest.skip("goes through a format that is tested; AVSSAN_ALL_EXPORTS=1 runs it")
    if importlib.util.find_spec(RUNTIMES[format]) is None:
        pytest.skip(f"{RUNTIMES[format]} is not installed: the extra `export`")


def export(model, folder, format, **arguments):
    """Exports a model; skips where a converter is not installed."""
    file = folder / f"model{SUFFIXES[format]}"
    try:
        model.export(file, format=format, verbose=False, **arguments)
    except ImportError as error:
        pytest.skip(str(error))
    return file


def implementations(model):
    layers = [layer for layer in model._flatten_layers() if isinstance(layer, StereoSTFT)]
    return [layer.implementation for layer in layers]


def largest_difference(model, run_keras, run_exported, inputs):
    expected, outputs = run_keras(model, inputs), run_exported(inputs)
    assert np.ptp(expected["doa"]) > 1e-4  # a flat posterior would agree with anything
    np.testing.assert_allclose(outputs["mask"], expected["mask"], atol=1e-3, rtol=0)
    beta = outputs["band_attention_mid"]
    np.testing.assert_allclose(beta, expected["band_attention_mid"], atol=1e-3, rtol=0)
    return np.abs(outputs["doa"] - expected["doa"]).max()


@pytest.fixture
def peaked(model):
    """A model whose posterior is no nearly flat one, which would hide low precision."""
    sharpness = model.backbone.doa_head.sharpness
    before = float(sharpness.value)
    sharpness.assign(200.0)
    yield model
    sharpness.assign(before)


@pytest.mark.parametrize(
    "format",
    [
        pytest.param(format, marks=() if format == EVERY_TIME else pytest.mark.extensive)
        for format in SUFFIXES
    ],
)
def test_any_batch_and_duration(format, peaked, make_inputs, run, tmp_path, record_property):
    need(format)
    model = peaked
    run_exported = load_exported(export(model, tmp_path, format, duration=FIXED.get(format)))
    scenes = SCENES[:1] if format in FIXED else SCENES
    differences = [
        largest_difference(model, run, run_exported, make_inputs(*scene)) for scene in scenes
    ]
    record_property("difference", f"{max(differences):.1e}")
    assert max(differences) < TOLERANCE
    assert implementations(model) == ["fft", "fft"]


def make_candidates(make_tiny, stage, **arguments):
    """A model with candidates whose sounds have embeddings that differ."""
    keras.utils.set_random_seed(0)
    encoder = YAMNet(0.0625, stage=stage)
    for variable in encoder.weights:
        if "kernel" in variable.name:
            variable.assign(3.0 * variable)
    return make_tiny(audio_encoder=encoder, num_candidates=2, extractor_filters=3, **arguments)


@pytest.fixture(scope="module")
def candidates_model(make_tiny):
    """As the packaged models: patches of a second, a learned search, words from a table."""
    vectors = np.random.default_rng(0).normal(size=(2, 5))
    words = WordTable.from_vectors(["dog", "rain"], vectors, "two words")
    encoder = PictureTextEncoder(ConvImageEncoder(8, (4, 8), (16, 16)), words)
    return make_candidates(make_tiny, None, image_encoder=encoder, candidate_search="learned")


@pytest.fixture(scope="module")
def steered_model(make_tiny):
    """The steered search, and embeddings that are denser than patches."""
    return make_candidates(make_tiny, 6)


def prompts_of(prompt, model, batch):
    """Inputs of the file and of the model, of one prompt: words are embedded before."""
    rng = np.random.default_rng(1)
    if prompt == "images":
        images = rng.uniform(size=(batch, 16, 16, 3)).astype("float32")
        return {"images": images}, {"images": images}
    if prompt == "recording":
        sounds = {"prompt_audio": rng.normal(size=(batch, 8000)).astype("float32")}
        return sounds, sounds
    words = ["rain", "dog", "rain"][:batch]
    tokens = model.backbone.image_encoder.tokenize(words)
    return {"prompt_embedding": model.embed_texts(words)}, {"token_ids": tokens}


@pytest.mark.extensive
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("fixture", "prompt"),
    [
        ("steered_model", "images"),
        ("candidates_model", "embedding"),
        ("candidates_model", "recording"),
    ],
    ids=["steered, pictures", "learned, words", "learned, recordings"],
)
@pytest.mark.parametrize("format", SUFFIXES)
def test_outputs_of_candidates(
    format, fixture, prompt, request, delayed_noise, run, tmp_path, record_property
):
    need(format)
    model, differences = request.getfixturevalue(fixture), []
    # Shorter and longer than the patches of YAMNet, and than what the network is traced with.
    scenes, duration = [(1, 8000), (3, 20345)], None
    if format in FIXED or BACKEND == "jax":  # which does not leave the duration of YAMNet free
        scenes, duration = [(1, 8000)] if format in FIXED else [(1, 8000), (3, 8000)], 0.5
    file = export(model, tmp_path, format, duration=duration, prompt=prompt)
    exported = load_exported(file)
    for batch, samples in scenes:
        audio = {"audio": delayed_noise(np.linspace(40, 120, batch), samples)}
        prompts, own = prompts_of(prompt, model, batch)
        expected, outputs = run(model, {**audio, **own}), exported({**audio, **prompts})
        assert np.ptp(expected["candidate_evidence"]) > 1e-3  # of sounds that differ
        np.testing.assert_array_equal(outputs["candidate_azimuths"], expected["candidate_azimuths"])
        np.testing.assert_allclose(outputs["mask"], expected["mask"], atol=1e-3, rtol=0)
        differences += [np.abs(outputs[name] - expected[name]).max() for name in OF_CANDIDATES]
    record_property("difference", f"{max(differences):.1e}")
    assert max(differences) < TOLERANCE
    asked = prompts_of(prompt, model, 1)[0]
    (asked,) = asked.values()
    audio = delayed_noise([70], 8000)
    theta, presence = exported.localize(audio, list(asked), return_presence=True)
    own = ["rain"] if prompt == "embedding" else list(asked)
    expected = model.localize(audio, own, return_presence=True)
    np.testing.assert_array_equal(theta, expected[0])
    np.testing.assert_allclose(presence, expected[1], atol=TOLERANCE, rtol=0)


@pytest.mark.extensive
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("encoder", "samples"),
    [
        (lambda: VGGish((2, 2, 4, 4), hidden_dim=4, embedding_dim=4), (8000, 20345)),
        (lambda: SoundEffectsCNN((2, 2, 4, 4)), (8000, 56789)),
        (lambda: YAMNet(0.0625), (8000, 20345)),
    ],
    ids=["VGGish", "SoundEffectsCNN", "YAMNet"],
)
def test_audio_encoders_that_cut_examples(encoder, samples, make_tiny, make_inputs, run, tmp_path):
    """Recordings shorter and longer than one example, through one file."""
    format = {"torch": "onnx"}.get(BACKEND, WRITES[0])
    need(format)
    model = make_tiny(audio_encoder=encoder())
    run_exported = load_exported(export(model, tmp_path, format, outputs=["doa", "mask"]))
    for count in samples:
        inputs = make_inputs(2, count)
        outputs, expected = run_exported(inputs), run(model, inputs)
        np.testing.assert_allclose(outputs["mask"], expected["mask"], atol=1e-3, rtol=0)
        np.testing.assert_allclose(outputs["doa"], expected["doa"], atol=TOLERANCE, rtol=0)


@pytest.mark.one_backend
@pytest.mark.parametrize("samples", [1600, 6000])
def test_a_segment_of_fn_ssl_is_no_constant(samples):
    """Two durations through one program of PyTorch."""
    torch = pytest.importorskip("torch")
    if BACKEND != "torch":
        pytest.skip("PyTorch alone traces sizes as numbers of Python")
    layer, frames = SegmentMeans(4), {1: torch.export.Dim.DYNAMIC}
    program = torch.export.export(layer, (torch.ones(2, 10, 3, 2),), dynamic_shapes=((frames,),))
    x = torch.rand(2, samples // 200, 3, 2)
    for output, expected in zip(program.module()(x), layer(x), strict=True):
        np.testing.assert_allclose(output.numpy(), expected.numpy(), atol=1e-6)


@pytest.mark.one_backend
def test_patches_of_any_number_through_one_file(tmp_path):
    """Keras squeezes what it has taken, which ONNX refuses where the size is not one."""
    torch = pytest.importorskip("torch")
    onnxruntime = pytest.importorskip("onnxruntime")
    if BACKEND != "torch":
        pytest.skip("PyTorch alone writes ONNX")
    layer, frames = CutPatches(48), {1: torch.export.Dim.DYNAMIC}
    program = torch.export.export(layer, (torch.ones(2, 144, 64),), dynamic_shapes=((frames,),))
    export_module._drop_idle_operations(program)
    torch.onnx.export(program, dynamo=True, verbose=False).save(str(tmp_path / "patches.onnx"))
    session = onnxruntime.InferenceSession(str(tmp_path / "patches.onnx"))
    for count in (96, 240):
        x = np.random.default_rng(0).normal(size=(2, count, 64)).astype("float32")
        (output,) = session.run(None, {session.get_inputs()[0].name: x})
        np.testing.assert_array_equal(output, layer(torch.as_tensor(x)).numpy())


@pytest.mark.extensive
def test_recurrent_layers(run, tmp_path):
    """Any duration under TensorFlow; PyTorch and JAX run step by step, and need to know it."""
    format = WRITES[0]
    need(format)
    model = FNSSL(hidden_dim=4, num_blocks=1, frequency_stride=64)
    durations = [None] if BACKEND == "tensorflow" else [0.1, 0.2]
    if BACKEND != "tensorflow":
        with pytest.raises(ValueError, match="must be fixed .* recurrent layers .*duration=None"):
            model.export(tmp_path / f"model{SUFFIXES[format]}", format=format)
        assert not list(tmp_path.iterdir())
    audio = np.random.default_rng(0).normal(size=(2, 3200, 2)).astype("float32")
    for duration in durations:
        exported = load_exported(
            export(model, tmp_path, format, duration=duration, outputs=["doa"])
        )
        for samples in (1600, 3200) if duration is None else (round(16000 * duration),):
            inputs = {"audio": audio[:, :samples]}
            outputs, expected = exported(inputs)["doa"], run(model, inputs)["doa"]
            np.testing.assert_allclose(outputs, expected, atol=TOLERANCE, rtol=0)


@pytest.mark.backend_agnostic
def test_a_free_duration_of_yamnet_is_refused_under_jax(candidates_model, monkeypatch, tmp_path):
    pytest.importorskip("tensorflow")
    monkeypatch.setattr(keras.config, "backend", lambda: "jax")
    expected = (
        "must be fixed .* 'jax': give the `duration`.*KERAS_BACKEND=tensorflow.*duration=None"
    )
    with pytest.raises(ValueError, match=expected):
        candidates_model.export(tmp_path / "model")
    assert not list(tmp_path.iterdir())


@pytest.mark.backend_agnostic
@pytest.mark.extensive
def test_signature_of_ones_own(model, make_inputs, tmp_path):
    """Fixed shapes, prompts embedded elsewhere, the microphones' distance as an input."""
    format = WRITES[0]
    need(format)
    inputs = make_inputs(2)
    embedding = model.embed_prompts(inputs["images"])
    spacing = np.array([0.1, 0.3], "float32")
    inputs = {
        "audio": inputs["audio"],
        "prompt_embedding": embedding,
        "microphone_spacing": spacing,
    }
    signature = {
        name: keras.InputSpec("float32", shape=array.shape) for name, array in inputs.items()
    }
    file = export(model, tmp_path, format, input_signature=[signature], outputs=["doa"])
    outputs = load_exported(file)(inputs)
    expected = np.asarray(model.predict_on_batch(inputs)["doa"])
    assert set(outputs) == {"doa"}
    np.testing.assert_allclose(outputs["doa"], expected, atol=TOLERANCE, rtol=0)


@pytest.fixture
def written(monkeypatch):
    """What the writer of SavedModels is asked for; it writes nothing but a stand-in."""
    calls = []

    def write(network, path, signature, options):
        calls.append({name: spec.shape for name, spec in signature.items()})
        path.mkdir()
        (path / "saved_model.pb").write_text(str(network.names))

    monkeypatch.setitem(export_module._WRITERS, (BACKEND, "tf_saved_model"), (write, ()))
    return calls


@pytest.mark.backend_agnostic
@pytest.mark.parametrize(
    ("arguments", "shapes"),
    [
        ({}, {"audio": (None, None, 2), "images": (None, 16, 16, 3)}),
        (
            {"prompt": "embedding", "duration": 0.5},
            {"audio": (None, 8000, 2), "prompt_embedding": (None, 8)},
        ),
    ],
)
def test_inputs_that_are_asked_for(arguments, shapes, model, written, tmp_path):
    model.export(tmp_path / "model", verbose=False, **arguments)
    assert written == [shapes]


@pytest.mark.backend_agnostic
def test_all_outputs_of_candidates_are_asked_for(candidates_model, model, written, tmp_path):
    names = []
    for one in (candidates_model, model):
        one.export(tmp_path / "model", verbose=False, duration=0.5)
        names.append(ast.literal_eval((tmp_path / "model" / "saved_model.pb").read_text()))
    assert set(names[0]) - set(names[1]) == {*OF_CANDIDATES[1:], "candidate_azimuths"}
    assert set(candidates_model.output) - set(names[0]) == {"prompt_semantics", "similarity"}


@pytest.mark.tensorflow
def test_encoder_without_a_rate(make_tiny, make_inputs, run, tmp_path):
    """Embeddings that divide the recording are aligned at any duration."""
    format = WRITES[0]
    need(format)
    encoder = keras.Sequential(
        [keras.Input((None,)), keras.layers.Reshape((-1, 5)), keras.layers.Dense(3)]
    )
    pooled = AudioEncoder(encoder)
    model = make_tiny(audio_encoder=pooled)
    run_exported = load_exported(export(model, tmp_path, format))
    for scene in [(1, 400), (2, 600)]:
        inputs = make_inputs(*scene)
        outputs, expected = run_exported(inputs)["doa"], run(model, inputs)["doa"]
        np.testing.assert_allclose(outputs, expected, atol=TOLERANCE, rtol=0)


@pytest.mark.backend_agnostic
@pytest.mark.parametrize("form", ["spectrogram", "cross_spectrum"])
@pytest.mark.extensive
def test_other_heads(form, make_tiny, make_inputs, run, tmp_path):
    format = WRITES[0]
    need(format)
    model = make_tiny(configuration="paper", doa_form=form)
    run_exported = load_exported(export(model, tmp_path, format))
    inputs = make_inputs(2)
    outputs, expected = run_exported(inputs)["doa"], run(model, inputs)["doa"]
    np.testing.assert_allclose(outputs, expected, atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("format", [name for name in SUFFIXES if name not in WRITES])
def test_refusal_tells_what_to_do(format, model, tmp_path):
    with pytest.raises(ValueError, match=rf"{BACKEND}.*{format}.*KERAS_BACKEND=\w+.*{WRITES[0]}"):
        model.export(tmp_path / f"model{SUFFIXES[format]}", format=format)
    assert not list(tmp_path.iterdir())


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"format": "pickle"}, "`format` must be one of.*'pickle'"),
        ({"format": "litert", "filepath": "model.bin"}, "`filepath` must end in '.tflite'"),
        ({"format": "litert", "filepath": "model.tflite"}, "give the `duration`.*None"),
        ({"filepath": "nowhere/model"}, "`filepath` must lie in a folder that exists"),
        ({"filepath": "."}, "`filepath` must not be a folder that holds something else"),
        ({"prompt": "smell"}, "`prompt` must be one of.*'smell'"),
        ({"duration": 0}, "`duration` must be a positive time in seconds.*0"),
        ({"outputs": ["direction"]}, r"`outputs` must be a list of.*\['direction'\]"),
        ({"outputs": "doa"}, "`outputs` must be a list of.*'doa'"),
        ({"input_signature": 3}, "`input_signature` must be a dict.*3"),
        (
            {"input_signature": {"audio": keras.InputSpec("float32", shape=(None, None, None))}},
            "Only the batch and the samples of `audio` and `prompt_audio` may be None",
        ),
    ],
)
def test_bad_arguments(arguments, message, model, tmp_path):
    (tmp_path / "notes.txt").write_text("kept")
    arguments = {"filepath": "model", **arguments}
    filepath = tmp_path / arguments.pop("filepath")
    with pytest.raises(ValueError, match=message):
        model.export(filepath, **arguments)
    assert [file.name for file in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.tensorflow
def test_prompts_without_an_encoder(make_tiny, tmp_path):
    model = make_tiny(image_encoder=None, prompt_dim=5, compiled=False)
    with pytest.raises(ValueError, match="`prompt` must be 'embedding'.*prompt='images'"):
        model.export(tmp_path / "model", prompt="images")


@pytest.mark.tensorflow
def test_recordings_as_prompts_need_an_audio_encoder(make_tiny, tmp_path):
    model = make_tiny(semantic_audio=False, compiled=False)
    with pytest.raises(ValueError, match="no audio encoder for a recording.*prompt='recording'"):
        model.export(tmp_path / "model", prompt="recording")
    assert not list(tmp_path.iterdir())


@pytest.mark.tensorflow
def test_mixed_precision_is_refused(make_tiny, tmp_path):
    model = make_tiny(dtype="mixed_bfloat16", compiled=False)
    with pytest.raises(ValueError, match="computes in float32.*mixed_bfloat16"):
        model.export(tmp_path / "model")


def test_a_failure_leaves_nothing_behind(model, tmp_path, monkeypatch):
    """The converter fails half way: no file, and the front ends are as before."""

    def fail(*_, **__):
        assert implementations(model) == ["conv", "conv"]
        raise RuntimeError("half way")

    monkeypatch.setattr(type(model.backbone), "call", fail)
    format = WRITES[0]
    need(format)
    with pytest.raises(Exception, match="half way"):
        model.export(tmp_path / f"model{SUFFIXES[format]}", format=format)
    assert not list(tmp_path.iterdir())
    assert implementations(model) == ["fft", "fft"]


@pytest.mark.backend_agnostic
def test_a_new_export_takes_the_place_of_the_old_one(model, written, tmp_path):
    for outputs in (["doa", "mask"], ["doa"]):
        model.export(tmp_path / "model", verbose=False, outputs=outputs)
    assert len(written) == 2
    assert [file.name for file in tmp_path.iterdir()] == ["model"]
    assert (tmp_path / "model" / "saved_model.pb").read_text() == "['doa']"


@pytest.mark.backend_agnostic
def test_front_ends_stay_as_they_were_chosen(make_tiny):
    model = make_tiny(stft_implementation="conv", compiled=False)
    with convolutional_front_ends(model):
        assert implementations(model) == ["conv", "conv"]
    assert sorted(implementations(model)) == ["conv", "fft"]


@pytest.mark.backend_agnostic
@pytest.mark.parametrize("name", ["model.bin", "model.onnx", ""])
def test_loading_what_is_no_export(name, tmp_path):
    with pytest.raises(ValueError, match="`filepath` must be a SavedModel or end in one of"):
        load_exported(tmp_path / name)


@pytest.mark.backend_agnostic
@pytest.mark.parametrize("content", [b"", b"hello world"])
@pytest.mark.parametrize("name", ["model.onnx", "model.tflite"])
def test_loading_damaged_files(name, content, tmp_path):
    pytest.importorskip({".onnx": "onnxruntime", ".tflite": "ai_edge_litert"}[name[5:]])
    (tmp_path / name).write_bytes(content)
    with pytest.raises(
        ValueError, match="(?s)`filepath` must be a whole file.*Received: filepath="
    ):
        load_exported(tmp_path / name)


@pytest.mark.backend_agnostic
def test_loading_with_wrong_arguments(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"")
    with pytest.raises(TypeError, match="`filepath` must be a path. Received: filepath=3"):
        load_exported(3)
    for number in (0, "two"):
        with pytest.raises(ValueError, match="`num_threads` must be an integer of at least 1"):
            load_exported(tmp_path / "model.onnx", num_threads=number)
