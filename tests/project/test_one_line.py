"""Every public class of the library's own says in one line what a user wants to know of it."""

import dataclasses
import functools
import importlib
import inspect
import pathlib
import re

import keras
import keras_hub
import numpy as np
import pytest

from keras_avssan import (
    Prompt,
    benchmark,
    classical,
    data,
    doa,
    evaluation,
    simulation,
    tracking,
)
from keras_avssan._internal.one_line import count, names, one_line, span
from keras_avssan.app import Answer
from keras_avssan.arrays import DirectionGrid, MicrophoneArray
from keras_avssan.benchmark.system import Setup
from keras_avssan.data.curation.folder_report import FileReport, FolderReport
from keras_avssan.data.curation.split_leaks import Leak
from keras_avssan.data.media.video_io import VideoFrame
from keras_avssan.data.scenes.augmentation import Augmentation
from keras_avssan.data.starss23.annotations import Events
from keras_avssan.data.starss23.microphone_pair import MicrophonePair
from keras_avssan.data.starss23.segments import Segment, SegmentSource
from keras_avssan.encoders import CLIPTextTokenizer, WordPieceTokenizer
from keras_avssan.models import ArrayAnswer, ExportedLocalizer, Source, TrainingRecord
from keras_avssan.models.baselines.dgb_loss import DGBLoss
from keras_avssan.training import data_parallel

pytestmark = pytest.mark.backend_agnostic

FROZEN = pathlib.Path(__file__).with_name("public_api.txt")
FURTHER = pathlib.Path(__file__).parents[2] / "docs/api/further.md"
OF_KERAS = (
    keras.Layer,
    keras.Loss,
    keras.Metric,
    keras_hub.models.Backbone,
    keras_hub.models.Task,
    keras_hub.models.Preprocessor,
)
# Each has files of its own, or a model, and is asked for its line by its own tests.
ELSEWHERE = {
    "ArrayLocalizer", "ClassFolders", "LocalizerStream", "PictureFolders", "STARSS23",
    "SegmentBatches", "SegmentPrompts", "SegmentTraining", "SpatialClips", "VGGSound",
    "VGGSoundSSL",
}  # fmt: skip


def public_classes():
    """All public classes but errors, those that are imported from their modules among them."""
    found = {}
    further = re.findall(r"(?m)^::: (\S+)$", FURTHER.read_text("utf-8"))
    for line in [*FROZEN.read_text().splitlines(), *further]:
        package, _, name = line.split("(")[0].split(": ")[0].rpartition(".")
        if not name[:1].isupper():
            continue
        thing = getattr(importlib.import_module(package), name, None)
        if inspect.isclass(thing) and not issubclass(thing, BaseException):
            found[name] = thing
    return found


def own_classes():
    """Those that are none of Keras's kinds of thing."""
    return {name: one for name, one in public_classes().items() if not issubclass(one, OF_KERAS)}


class Bells(data.Catalog):
    """A catalog without files, with names as long as those of real ones."""

    def __init__(self):
        kinds = ("church bell ringing", "dog barking")
        clips = [
            data.Clip(kind, f"{kind}/recording {n:04d}.wav", f"{kind} {n}", "train", 16000)
            for kind in kinds
            for n in range(2)
        ]
        pictures = [data.Picture(kind, f"{kind}.jpg", kind, "train") for kind in kinds]
        super().__init__(clips, pictures)

    def read_clip(self, clip):
        return np.zeros(clip.num_samples, "float32")

    def read_picture(self, picture, size):
        return np.zeros((*size, 3), "float32")


@functools.cache
def make_bank():
    microphones = np.tile([[2.1, 2.0, 1.5], [1.9, 2.0, 1.5]], (300, 1, 1))
    t60 = np.linspace(0.2, 0.8, 300)
    sources = np.tile([[2.0, 3.0, 1.5], [3.0, 2.0, 1.5]], (300, 1, 1))
    azimuths = np.tile([90.0, 0.0], (300, 1))
    sizes = np.tile([5.0, 4.0, 3.0], (300, 1))
    rirs = np.zeros((300, 2, 2, 8), "float32")
    return simulation.RIRBank(rirs, azimuths, t60, sizes, microphones, sources, 16000, 7)


@functools.cache
def make_plan():
    return data.ScenePlan(Bells(), make_bank(), rooms=(0, 270), snr=(-5.0, 5.0))


def make_scene():
    scene = make_plan()[0]
    pairs = zip(scene.sources, (90.0, 0.0), strict=True)
    sources = tuple(dataclasses.replace(source, azimuth=azimuth) for source, azimuth in pairs)
    return dataclasses.replace(scene, sources=sources, snr=2.0)


@functools.cache
def make_evaluation():
    scores = evaluation.SceneScores([90.0, 20.0], [30.0, 80.0], [92.0, 78.0])
    return evaluation.Evaluation(scores, ("bell", "dog"), ("dog", "bell"), {"split": "test"})


def make_array_answer():
    pairs, angles = MicrophoneArray.from_preset("respeaker_4").pairs(), np.ones((1, 6, 180)) / 180
    ones, posterior = np.ones(1), np.ones((1, 360)) / 360
    found = np.array([271.0])
    return ArrayAnswer(found, ones, ones, posterior, angles, None, pairs, DirectionGrid())


def make_report():
    files = tuple(FileReport(f"bell/{n}.wav", "bell", "audio", seconds=1.0) for n in range(40))
    return FolderReport("sounds", files, (), ())


def make_workers():
    with data_parallel() as workers:
        return workers


def make_attention():
    maps = {"fine": np.ones((1, 16))}
    return evaluation.ClassBandAttention(
        ("bell",),
        np.array([5]),
        maps,
        maps,
        {"fine": np.ones(1)},
        np.ones((1, 1)),
        ("fine",),
        16000,
    )


def make_separation():
    explanation = {
        "spectrogram": np.zeros((3, 513, 4)), "mask": np.zeros((3, 513)), "azimuth": 32.0
    }  # fmt: skip
    sound = np.zeros((3, 513, 4))
    return evaluation.SeparationExample(explanation, sound, sound, 30.0, 90.0, "bell", "dog", 12)


def make_track():
    gaps, azimuth = np.array(["", "absent", ""]), np.array([40.0, np.nan, 62.0], "float32")
    posteriors = np.full((3, 180), 1 / 180, "float32")
    presence = np.array([0.9, 0.2, 0.8], "float32")
    times, spread = np.array([0.5, 0.75, 1.0]), np.array([3.0, np.nan, 5.0], "float32")
    raw = (posteriors, presence)
    return tracking.Track(times, azimuth, spread, presence, posteriors, *raw, gaps, 1.0, 0.25)


def clip():
    return Bells().clips[0]


def source():
    return SegmentSource("bell", 0, azimuth=30.0, motion=0.0, activity=8.5)


EXAMPLES = {
    "Answer": (
        lambda: Answer(93.0, 0.876, {}, None, 16000, seconds=0.5),
        "<Answer: 93°, confidence 0.88, 0.50 s at 16000 Hz>",
    ),
    "ArrayAnswer": (
        make_array_answer,
        "<ArrayAnswer: 1 direction, 271°, from 6 pairs>",
    ),
    "Augmentation": (
        lambda: Augmentation(1.1, (-3.0, 0.0, 1.0, 2.0, 0.0, 1.0, 4.5, 0.0)),
        "<Augmentation: speed 1.1, equaliser −3 to 4.5 dB>",
    ),
    "BenchmarkSettings": (
        benchmark.BenchmarkSettings,
        "<BenchmarkSettings: full size, 2000 steps of 16 scenes, 3 learning rates, "
        "1000 test scenes at 0, −5, −10 dB, seed 0>",
    ),
    "CLIPTextTokenizer": (
        lambda: CLIPTextTokenizer(["d o"], sequence_length=12),
        "<CLIPTextTokenizer: 515 tokens, sequences of 12>",
    ),
    "WordPieceTokenizer": (
        lambda: WordPieceTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]"], sequence_length=8),
        "<WordPieceTokenizer: 4 tokens, sequences of up to 8>",
    ),
    "Catalog": (Bells, "<Bells: 2 classes, 4 clips, 2 pictures, train, 16000 Hz>"),
    "ClassBandAttention": (
        make_attention,
        "<ClassBandAttention: 1 class (bell), 5 scenes, bands fine>",
    ),
    "Clip": (
        clip,
        "<Clip: 'church bell ringing/recording 0000.wav' of church bell ringing, train, "
        "16000 samples>",
    ),
    "Evaluation": (
        make_evaluation,
        "<Evaluation: 2 scenes, split test, selection 50.0 %, MAE 30.0°, ACC@5° 50.0 %>",
    ),
    "DirectionGrid": (DirectionGrid, "<DirectionGrid: 360 azimuths 0–359°, level>"),
    "Estimate": (
        lambda: tracking.Estimate("dog", 1.25, 63.0, 4.4, 0.875, np.full(180, 1 / 180)),
        "<Estimate: 'dog' at 1.25 s, 63°, spread 4°, presence 0.88>",
    ),
    "Events": (
        lambda: Events(*np.array([[0, 1], [0, 6], [0, 0]]), *np.zeros((3, 2))),
        "<Events: 2 entries in 2 frames, female speech, footsteps>",
    ),
    "ExportedLocalizer": (
        lambda: ExportedLocalizer(
            dict, {"inputs": {"audio": [1, 8000, 2], "images": [1, 64, 64, 3]}, "outputs": ["doa"]}
        ),
        "<ExportedLocalizer: audio (1, 8000, 2), images (1, 64, 64, 3), doa>",
    ),
    "FolderReport": (
        make_report,
        "<FolderReport: sounds: 1 classes, 0 with both recordings and pictures; 40 recordings "
        "(0.7 min) and 0 pictures; 0 fil…>",
    ),
    "Leak": (
        lambda: Leak("clip", clip(), clip(), "identical", 1.0),
        "<Leak: clip identical 1.00 train: church bell ringing/recording 0000.wav train: church "
        "bell ringing/recording 0000.w…>",
    ),
    "MicrophoneArray": (
        lambda: MicrophoneArray.from_preset("starss23"),
        "<MicrophoneArray: starss23, 4 microphones, 0.0685–0.0688 m apart, on a rigid sphere>",
    ),
    "MicrophonePair": (MicrophonePair, "MicrophonePair(name='M1-M4', baffle='rigid')"),
    "MotionModel": (
        tracking.MotionModel,
        "<MotionModel: 20° in a second, 0.05 jumps per second, 1 s present, 1 s absent>",
    ),
    "Picture": (
        lambda: Bells().pictures[1],
        "<Picture: 'dog barking.jpg' of dog barking, train>",
    ),
    "Prompt": (
        lambda: Prompt(pictures=[np.zeros((64, 64, 3))], texts=["a dog", "barking"]),
        "<Prompt: 1 picture, 2 texts>",
    ),
    "RIRBank": (
        make_bank,
        "<RIRBank: 300 rooms of 2 sources, T60 0.2–0.8 s, microphones 0.2 m apart, 0.0005 s at "
        "16000 Hz, seed 7 from room 0>",
    ),
    "Room": (
        lambda: simulation.Room((6, 5, 3), 0.4, [(3.1, 2, 1.5), (2.9, 2, 1.5)], [(3, 4, 1.5)]),
        "<Room: 6.00 x 5.00 x 3.00 m, T60 0.40 s, 1 source at 90°>",
    ),
    "RoomRanges": (
        simulation.RoomRanges,
        "<RoomRanges: 3–10 x 3–8 x 2.5–4 m, T60 0.2–0.8 s, sources 0.5–3 m away at 0.5–180°, "
        "microphones 0.2 m apart>",
    ),
    "Scene": (
        make_scene,
        "<Scene: 0: {0} at 90.0° among {1} at 0.0°, 2 dB, room {2}, prompt: picture>",
    ),
    "SceneBatches": (
        lambda: data.SceneBatches(make_plan(), 64, start=32, shuffle=True),
        "<SceneBatches: 2 batches of 32 scenes, scenes 32 to 95, prompt: image, shuffled>",
    ),
    "ScenePlan": (
        make_plan,
        "<ScenePlan: train split of 2 classes, rooms 0 to 269, 1 s, −5 to 5 dB, prompts: picture, "
        "seed 0>",
    ),
    "SceneScores": (
        lambda: make_evaluation().scores,
        "<SceneScores: 2 scenes, MAE 30.0°, selection 50.0%>",
    ),
    "SceneSource": (
        lambda: data.SceneSource(clip(), 120, 0, 90.0),
        "<SceneSource: church bell ringing at 90.0°, 'church bell ringing/recording 0000.wav' "
        "from sample 120>",
    ),
    "Segment": (
        lambda: Segment("dev-test-sony/fold4_room23_mix001", 10.0, 5.0, source(), ()),
        "<Segment: bell at 30.0°, 0 interferers, 5 s of dev-test-sony/fold4_room23_mix001@10>",
    ),
    "SegmentSource": (source, "<SegmentSource: bell 0 at 30.0°, active for 8.5 s>"),
    "SeparationExample": (
        make_separation,
        "<SeparationExample: bell at 30.0°, estimate 32.0°, dog at 90.0°, scene 12>",
    ),
    "Setup": (
        lambda: Setup(512),
        "<Setup: full size, prompts of 512 numbers, 16000 Hz, 0.2 m apart, 1 s>",
    ),
    "SyntheticClasses": (
        data.SyntheticClasses,
        "<SyntheticClasses: 8 classes, 1600 clips, 1600 pictures, test / train / val, 16000 Hz>",
    ),
    "System": (
        lambda: benchmark.System("mine", "My network", "audio", make_bank),
        "<System: 'mine' (My network), audio, prompt: picture, tables 2 and 3>",
    ),
    "Track": (
        make_track,
        "<Track: 3 windows of 1 s, 0.5–1 s, 2 with a direction, 40–62°>",
    ),
    "Source": (
        lambda: Source(50.0, 1.0, "dog", 0.934),
        "<Source: 50°, strength 1.00, dog, presence 0.93>",
    ),
    "TrainingRecord": (
        lambda: TrainingRecord(({"split": "train"},), frozenset("ab"), frozenset("c")),
        "<TrainingRecord: 1 training, 2 clips, 1 picture, 0 rooms>",
    ),
    "Trajectory": (
        lambda: simulation.Trajectory([(1, 1, 1), (1, 2, 1), (3, 2, 1)], [0.0, 0.5, 1.5]),
        "<Trajectory: 3 positions, 3.00 m, from 0 to 1.5 s>",
    ),
    "VideoFrame": (
        lambda: VideoFrame(2.5, np.zeros((48, 64, 3), "uint8")),
        "<VideoFrame: 64 x 48 pixels at 2.500 s>",
    ),
    "Workers": (make_workers, "<Workers: 1 replica, process 0 of 1>"),
}


def test_every_class_of_our_own_is_here_or_has_its_own_test():
    assert set(own_classes()) == set(EXAMPLES) | ELSEWHERE


@pytest.mark.parametrize("name", EXAMPLES)
def test_one_line_with_the_facts(name):
    make, expected = EXAMPLES[name]
    thing = make()
    line = repr(thing)
    if name == "Scene":
        kinds = (thing.target.class_name, thing.interferer.class_name, thing.room)
        expected = expected.format(*kinds)
    assert line == expected
    assert len(line) <= 118 and "\n" not in line


def test_classes_with_files_have_a_line_of_their_own():
    for name in ELSEWHERE:
        assert own_classes()[name].__repr__ is not object.__repr__


LOSSES = {
    "AlignmentLoss": (doa.AlignmentLoss, "<AlignmentLoss: temperature 0.1>"),
    "DGBLoss": (
        DGBLoss,
        "<DGBLoss: 1 x direction (cross_entropy), 1 x reconstruction, 0.001 x divergence, "
        "laplacian label of 5°>",
    ),
    "DoALoss": (
        lambda: doa.DoALoss("mse", 2.5, "gaussian", reduction="none"),
        "<DoALoss: mse, gaussian label of 2.5°, reduction 'none'>",
    ),
    "JointLoss": (
        lambda: doa.JointLoss(reconstruction="compressed", alignment_weight=0.1),
        "<JointLoss: 1 x direction (cross_entropy), 1 x reconstruction (compressed), 0.1 x "
        "alignment, laplacian label of 5°>",
    ),
    "ReconstructionLoss": (doa.ReconstructionLoss, "<ReconstructionLoss: mse>"),
}


@pytest.mark.parametrize("name", LOSSES)
def test_losses_tell_their_settings(name):
    make, expected = LOSSES[name]
    assert repr(make()) == expected
    assert len(expected) <= 118


def test_terms_without_weight_are_left_out():
    line = repr(doa.JointLoss(reconstruction_weight=0.0))
    assert line == "<JointLoss: 1 x direction (cross_entropy), laplacian label of 5°>"


def test_no_public_class_says_its_address():
    classes = public_classes()
    losses = {name for name, one in classes.items() if issubclass(one, keras.Loss)}
    assert losses | {"DGBLoss"} == set(LOSSES)  # that of one baseline, imported from its module
    assert [name for name, one in classes.items() if one.__repr__ is object.__repr__] == []


@pytest.mark.parametrize("name", ["GCCPHAT", "MUSIC", "SRPPHAT"])
def test_methods_without_training(name):
    assert repr(getattr(classical, name)()) == (
        f"<{name}: microphones 0.2 m apart, 16000 Hz, frequencies 500–4000 Hz>"
    )


def test_facts():
    assert one_line(3, "a  b\nc", "", None, 4) == "<int: a b c, 4>"
    assert len(one_line(3, "x" * 500)) == 118 and one_line(3, "x" * 500).endswith("x…>")
    assert (count(1, "class", "classes"), count(2, "class", "classes")) == ("1 class", "2 classes")
    assert count(0, "room") == "0 rooms"
    assert (span([3, 1], " s"), span([2.0], "°"), span([], " s")) == ("1–3 s", "2°", "")
    assert names("abcd") == "a, b, c, …" and names("ab") == "a, b"
