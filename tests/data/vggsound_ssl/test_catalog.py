"""The built dataset as a catalog: scenes, datasets, two-channel clips."""

import hashlib
import json
import pickle
import shutil

import numpy as np
import pytest

from keras_avssan.data import (
    ScenePlan,
    SpatialClips,
    VGGSoundSSL,
    build_vggsound_ssl,
    make_dataset,
    spatialise_clips,
)
from keras_avssan.data.vggsound_ssl import spatialise_clips as spatial
from keras_avssan.data.vggsound_ssl import stage3_shard as shards
from keras_avssan.data.vggsound_ssl.catalog import is_vggsound_ssl
from keras_avssan.simulation import RIRBank, RoomRanges

pytestmark = pytest.mark.backend_agnostic


@pytest.fixture(scope="module")
def root(tmp_path_factory, material):
    root = tmp_path_factory.mktemp("catalog") / "ssl"
    build_vggsound_ssl(
        root,
        material.csv,
        material.videos,
        clip=None,
        min_instances=2,
        clips_per_shard=4,
        progress=False,
    )
    return root


@pytest.fixture(scope="module")
def bank_path(tmp_path_factory):
    """Rooms so short that a backend's NumPy can simulate them at once."""
    path = tmp_path_factory.mktemp("bank") / "bank.npz"
    RIRBank.build(
        9, sources_per_room=3, ranges=RoomRanges(t60=(0.2, 0.21)), max_duration=0.05, progress=False
    ).save(path)
    return path


@pytest.fixture
def copy(root, tmp_path):
    """A copy of the dataset, to be damaged or added to."""
    return shutil.copytree(root, tmp_path / "ssl")


def test_clips_and_pictures_of_a_video_are_one_instance(root):
    catalog = VGGSoundSSL(root)
    assert len(catalog.clips) == len(catalog.pictures) == 15
    assert catalog.classes == ("dog barking", "people eating, crisps", "violin")
    assert catalog.splits == ("test", "train", "val")
    assert [clip.instance for clip in catalog.clips] == [p.instance for p in catalog.pictures]
    for clip in catalog.clips:
        assert catalog.load_audio(clip).shape == (clip.num_samples,)
        assert np.sqrt(np.mean(catalog.load_audio(clip) ** 2)) > 0.01
    for split in catalog.splits:
        view = catalog.select(split=split)
        assert {clip.id.removesuffix("flac") for clip in view.clips} == {
            picture.id.removesuffix("jpg") for picture in view.pictures
        }


def test_scenes_are_made_of_it(root, bank_path):
    plan = ScenePlan(VGGSoundSSL(root), RIRBank.load(bank_path), split="train", duration=0.5)
    assert plan.classes == ("dog barking", "people eating, crisps", "violin")
    inputs, labels = next(iter(make_dataset(plan, 4, 4, loader="grain", image_size=16)))
    assert inputs["audio"].shape == (4, 8000, 2) and inputs["images"].shape == (4, 16, 16, 3)
    assert np.isfinite(labels["azimuth"]).all()
    assert all(plan[k].picture.instance != plan[k].target.instance for k in range(50))


def test_a_copy_in_another_process_reads_the_same(root):
    catalog = VGGSoundSSL(root, classes=["violin"])
    copy = pickle.loads(pickle.dumps(catalog))
    assert copy.classes == ("violin",)
    np.testing.assert_array_equal(
        copy.load_audio(copy.clips[0]), catalog.load_audio(catalog.clips[0])
    )


def test_fingerprints_are_those_of_the_pictures(root):
    catalog = VGGSoundSSL(root)
    contents = [catalog.read_bytes(picture) for picture in catalog.pictures]
    assert all(content[:2] == b"\xff\xd8" for content in contents)
    expected = [hashlib.sha256(content).hexdigest() for content in contents]
    assert [catalog.fingerprint(picture) for picture in catalog.pictures] == expected
    assert catalog.store == str(root / ".embeddings")


def test_what_is_no_dataset_is_refused(root, copy, tmp_path):
    assert is_vggsound_ssl(root) and not is_vggsound_ssl(tmp_path)
    with pytest.raises(ValueError, match="must hold a complete VGGSound-SSL"):
        VGGSoundSSL(tmp_path)
    with pytest.raises(ValueError, match=r"Received: classes=\('whistling',\)"):
        VGGSoundSSL(root, classes=["whistling"])
    for text in ("", "[]", "{}", '{"format": "another"}'):
        (copy / "manifest.json").write_text(text)
        assert not is_vggsound_ssl(copy)
        with pytest.raises(ValueError, match="must hold a complete VGGSound-SSL"):
            VGGSoundSSL(copy)


def test_damage_is_named_when_it_is_met(copy):
    catalog = VGGSoundSSL(copy)
    path = copy / f"{catalog.manifest['shards'][0]['name']}.tar"
    content = path.read_bytes()
    path.write_bytes(b"\x00" * len(content))
    with pytest.raises(ValueError, match=f"The clip '{catalog.clips[0].id}' is damaged"):
        catalog.load_audio(catalog.clips[0])
    with pytest.raises(ValueError, match=f"The picture '{catalog.pictures[0].id}' is damaged"):
        catalog.load_image(catalog.pictures[0], 16)
    path.write_bytes(content[:600])
    with pytest.raises(ValueError, match="is truncated"):
        catalog.load_audio(catalog.clips[0])
    path.unlink()
    with pytest.raises(ValueError, match="is missing"):
        catalog.load_audio(catalog.clips[0])
    path.with_suffix(".json").write_text("[]")
    with pytest.raises(ValueError, match="The index of shard"):
        VGGSoundSSL(copy)


# --- two channels --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def spatialised(root, bank_path, tmp_path_factory):
    copy = shutil.copytree(root, tmp_path_factory.mktemp("spatial") / "ssl")
    spatialise_clips(copy, bank_path, 2, seed=3, progress=False)
    return copy


def test_every_clip_is_heard_in_rooms_of_its_split(spatialised, bank_path):
    bank = RIRBank.load(bank_path)
    clips = SpatialClips(spatialised)
    assert len(clips) == 2 * 15
    rooms = {split: set() for split in ("train", "val", "test")}
    for clip in clips:
        assert clip["audio"].shape == (clip["num_samples"], 2)
        assert clip["azimuth"] == pytest.approx(
            bank.azimuths[clip["room"], clip["place"]], abs=1e-3
        )
        centre = bank.microphones[clip["room"]].mean(axis=0)
        distance = np.linalg.norm(bank.sources[clip["room"], clip["place"]] - centre)
        assert clip["distance"] == pytest.approx(distance, abs=1e-3)
        level = np.sqrt(np.mean(clip["audio"] ** 2))
        assert level == pytest.approx(0.1, rel=0.01) or np.abs(clip["audio"]).max() > 0.99
        rooms[clip["split"]].add(clip["room"])
    assert not rooms["train"] & rooms["val"] and not rooms["train"] & rooms["test"]
    assert not rooms["val"] & rooms["test"]
    keys = [clip["key"] for clip in clips]
    assert len(set(keys)) == 30
    assert len(SpatialClips(spatialised, split="test")) == 2 * 3


def test_a_spatial_clip_is_the_clip_in_the_room(spatialised, bank_path):
    bank, catalog = RIRBank.load(bank_path), VGGSoundSSL(spatialised)
    dry = {clip.id: catalog.load_audio(clip) for clip in catalog.clips}
    for clip in list(SpatialClips(spatialised))[:4]:
        responses = bank.rirs[clip["room"], clip["place"]]
        for channel, response in zip(clip["audio"].T, responses, strict=True):
            expected = np.convolve(dry[f"{clip['clip']}.flac"], response)[: len(channel)]
            np.testing.assert_allclose(channel, clip["gain"] * expected, atol=1e-4)


def test_spatial_clips_resume_with_the_same_bytes(
    copy, spatialised, bank_path, monkeypatch, contents
):
    with monkeypatch.context() as patch:
        calls = iter(range(5))

        def read(path, place):
            if next(calls, None) is None:
                raise KeyboardInterrupt
            return shards.read_member(path, place)

        patch.setattr(spatial, "read_member", read)
        with pytest.raises(KeyboardInterrupt, match="1 of 5 spatial shards whole in .*spatial"):
            spatialise_clips(copy, bank_path, 2, seed=3, progress=False)
        with pytest.raises(ValueError, match="must have spatial clips"):
            SpatialClips(copy)
    spatialise_clips(copy, bank_path, 2, seed=3, progress=False)
    assert contents(copy) == contents(spatialised)
    with pytest.raises(ValueError, match="`seed` is 3 there, but 4"):
        spatialise_clips(copy, bank_path, 2, seed=4, progress=False)
    assert json.loads((copy / "spatial" / "manifest.json").read_text())["rooms"].keys() == {
        "train",
        "val",
        "test",
    }


def test_other_banks_are_refused(copy, bank_path, tmp_path):
    with pytest.raises(ValueError, match="`rooms_per_clip`"):
        spatialise_clips(copy, bank_path, 0)
    with pytest.raises(FileNotFoundError):
        spatialise_clips(copy, tmp_path / "nothing.npz")
    slow = dict(sources_per_room=1, max_duration=0.02, progress=False)
    RIRBank.build(3, sampling_rate=8000, **slow).save(tmp_path / "slow.npz")
    with pytest.raises(ValueError, match="must be at 16000 Hz.* at 8000 Hz"):
        spatialise_clips(copy, tmp_path / "slow.npz")
    RIRBank.build(2, **slow).save(tmp_path / "few.npz")
    with pytest.raises(
        ValueError, match=r"a room for each of the splits .* Received: bank with 2 room"
    ):
        spatialise_clips(copy, tmp_path / "few.npz")
    assert not (copy / "spatial").exists()
    with pytest.raises(ValueError, match="`split` must be one of .* Received: split='dev'"):
        spatialise_clips(copy, bank_path, progress=False)
        SpatialClips(copy, split="dev")
