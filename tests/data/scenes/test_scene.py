"""Scenes that were written down once: a plan of the same seed draws them for ever."""

import dataclasses
import zlib

import pytest

pytestmark = pytest.mark.backend_agnostic

# Everything that says what a scene is, in the order in which it is written down.
BASIC_NAMES = (
    "index",
    "target",
    "interferer",
    "target_offset",
    "interferer_offset",
    "prompt_kind",
    "picture",
    "reference",
    "reference_offset",
    "room",
    "target_slot",
    "interferer_slot",
    "azimuth",
    "interferer_azimuth",
    "snr",
    "num_samples",
)
NAMES = (
    *BASIC_NAMES,
    "swapped",
    "augmentations",
    "sensor_noise",
    "sources",
    "interferer_azimuths",
    "nearest_interferer_azimuth",
)
KINDS = ("picture", "text", "recording")
SAME_CLASS = {"same_class_interferer": 0.5, "reference_split": "val", "prompt_kinds": KINDS}
ABSENT = {"absent": True, "num_interferers": 2, "swap_channels": True, "prompt_kinds": KINDS}
AUGMENTED = {"swap_channels": True, "speed": (0.85, 1.15), "equalise": 6.0}


def spelt(value):
    """A value with every field of its data classes, without the last digits of floats."""
    if isinstance(value, float):
        return f"{value:.9g}"
    if isinstance(value, tuple):
        return f"({', '.join(map(spelt, value))})"
    if not dataclasses.is_dataclass(value):
        return repr(value)
    fields = (f"{f.name}={spelt(getattr(value, f.name))}" for f in dataclasses.fields(value))
    return f"{type(value).__name__}({', '.join(fields)})"


def checksum(scenes, names):
    rows = (f"[{', '.join(spelt(getattr(scene, name)) for name in names)}]" for scene in scenes)
    return zlib.crc32("\n".join(rows).encode())


def test_scenes_without_options_are_those_of_the_first_version(plan):
    """The sum of what 40 scenes are made of, written down before there were any options."""
    assert checksum([plan[index] for index in range(40)], BASIC_NAMES) == 225792600


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, 2263114310),
        (AUGMENTED, 859492168),
        ({**AUGMENTED, "num_interferers": 2, "sensor_noise": (10.0, 30.0)}, 448446792),
        ({"num_interferers": 2, "min_separation": 25.0, "prompt_kinds": KINDS}, 526644421),
        (
            {"same_class_interferer": 0.5, "reference_split": "val", "prompt_kinds": KINDS},
            1198343880,
        ),
        (
            {"absent": True, "num_interferers": 2, "swap_channels": True, "prompt_kinds": KINDS},
            220271008,
        ),
    ],
)
def test_scenes_of_every_option_are_those_of_earlier_versions(plan, options, expected):
    plan = dataclasses.replace(plan, **options)
    assert checksum([plan[index] for index in range(40)], NAMES) == expected


def test_a_scene_as_it_was_written_down(plan):
    scene = dataclasses.replace(plan, **AUGMENTED, num_interferers=2, sensor_noise=20.0)[3]
    sources = [(s.clip.id, s.offset, s.slot, s.azimuth) for s in scene.sources]
    assert sources == [
        ("drum/sound-00002", 5021, 3, 69.8880844116211),
        ("dog/sound-00002", 16228, 0, 19.237743377685547),
        ("bell/sound-00004", 6497, 2, 165.3132781982422),
    ]
    assert (scene.picture.id, scene.room, scene.num_samples) == ("drum/picture-00003", 0, 8000)
    assert (scene.snr, scene.sensor_noise, scene.swapped) == (-2.6687143424075543, 20.0, False)


def test_a_scene_shows_its_sources_by_name(plan):
    scene = dataclasses.replace(plan, **AUGMENTED, num_interferers=3)[5]
    target, interferer, *further = scene.sources
    shown = (scene.target, scene.target_offset, scene.target_slot, scene.azimuth)
    assert shown == (target.clip, target.offset, target.slot, target.azimuth)
    shown = (scene.interferer, scene.interferer_offset, scene.interferer_slot)
    assert shown == (interferer.clip, interferer.offset, interferer.slot)
    assert scene.interferer_azimuth == interferer.azimuth
    assert scene.further_interferers == tuple(further) and len(further) == 2
    assert scene.augmentations == tuple(source.augmentation for source in scene.sources)
    assert plan[5].augmentations == () == plan[5].further_interferers


def test_a_scene_needs_two_sources(plan):
    scene = plan[0]
    for sources in (scene.sources[:1], (), list(scene.sources)):
        with pytest.raises(ValueError, match="`sources` must be a tuple.*Received: sources="):
            dataclasses.replace(scene, sources=sources)
