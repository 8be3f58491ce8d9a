"""The built dataset: what is in it, what was left out, which pictures were chosen."""

import csv
import hashlib
import io
import json
import tarfile

import keras_hub
import numpy as np
import pytest
import soundfile
from PIL import Image

from keras_avssan.data import VGGSoundSSL, build_vggsound_ssl
from keras_avssan.data.media.image_io import read_image
from keras_avssan.data.media.video_io import read_video_audio, read_video_frames, write_video
from keras_avssan.encoders import CLIPEncoder, CLIPTextTokenizer

SMALL = {"min_instances": 2, "rows_per_part": 7, "clips_per_shard": 4, "progress": False}


def build(out, material, **changed):
    settings = {"clip": None, **SMALL, **changed}
    return build_vggsound_ssl(out, material.csv, material.videos, **settings)


@pytest.fixture(scope="module")
def built(tmp_path_factory, material):
    """A dataset that nothing disturbed, and its manifest."""
    out = tmp_path_factory.mktemp("built") / "ssl"
    return out, build(out, material)


def members(path):
    with tarfile.open(path) as tar:
        return [(member, tar.extractfile(member).read()) for member in tar]


@pytest.mark.backend_agnostic
def test_only_the_dataset_is_left(built):
    out, manifest = built
    names = {path.name for path in out.iterdir()}
    shards = {f"{s['name']}{suffix}" for s in manifest["shards"] for suffix in (".tar", ".json")}
    assert names == {"README.md", "build.json", "dropped.csv", "manifest.json"} | shards
    assert json.loads((out / "manifest.json").read_text()) == manifest


@pytest.mark.backend_agnostic
def test_unusable_videos_are_left_out_with_a_reason(built, material, reasons):
    out, manifest = built
    with open(out / "dropped.csv", newline="") as table:
        rows = {row["youtube_id"]: row for row in csv.DictReader(table)}
    assert {name: reasons[fault] for name, fault in material.faults.items()} == {
        name: row["reason"] for name, row in rows.items()
    }
    assert all(row["detail"] for row in rows.values())
    assert manifest["dropped"]["unreadable"] == 3
    assert sum(manifest["dropped"].values()) == len(material.faults)
    assert sum(manifest["clips"].values()) == 15


@pytest.mark.backend_agnostic
def test_shards_are_in_the_form_of_webdataset(built):
    out, manifest = built
    for shard in manifest["shards"]:
        found = members(out / f"{shard['name']}.tar")
        assert len(found) == 3 * shard["clips"]
        for start in range(0, len(found), 3):
            (flac, sound), (jpg, picture), (_, about) = found[start : start + 3]
            key = flac.name.removesuffix(".flac")
            assert [m.name for m, _ in found[start : start + 3]] == [
                f"{key}.{suffix}" for suffix in ("flac", "jpg", "json")
            ]
            about = json.loads(about)
            assert about["split"] == shard["split"]
            samples, rate = soundfile.read(io.BytesIO(sound))
            assert (len(samples), rate) == (about["num_samples"], 16000)
            assert Image.open(io.BytesIO(picture)).size == (64, 48)
            assert (flac.mtime, flac.uid, jpg.gid, flac.mode) == (0, 0, 0, 0o644)


@pytest.mark.backend_agnostic
def test_checksums_are_those_of_the_files(built):
    out, manifest = built
    for shard in manifest["shards"]:
        for suffix, name in ((".tar", "sha256"), (".json", "index_sha256")):
            content = (out / f"{shard['name']}{suffix}").read_bytes()
            assert hashlib.sha256(content).hexdigest() == shard[name]
        assert shard["bytes"] == (out / f"{shard['name']}.tar").stat().st_size


@pytest.mark.backend_agnostic
def test_the_data_card_counts(built):
    out, manifest = built
    card = (out / "README.md").read_text()
    clips = manifest["clips"]
    seconds = sum(manifest["seconds"].values())
    assert f"| all | 15 | 3 | {seconds / 3600:.2f} |" in card
    assert f"| people eating, crisps | {' | '.join(['2', '2', '1'])} |" in card
    assert "| unreadable | 3 |" in card and "| seed | 0 |" in card
    assert clips == {"train": 6, "val": 6, "test": 3}
    for package, versions in manifest["versions"].items():
        assert f"| {package} | {versions[0]} |" in card


@pytest.mark.backend_agnostic
def test_sounds_and_pictures_are_those_of_the_videos(built, material):
    catalog = VGGSoundSSL(built[0])
    for clip, picture in zip(catalog.clips, catalog.pictures, strict=True):
        (path,) = material.videos.glob(f"{clip.instance}*")
        samples = read_video_audio(path, duration=10.0)
        np.testing.assert_allclose(catalog.load_audio(clip), samples, atol=1e-4)
        (middle,) = read_video_frames(path, [len(samples) / 2 / 16000])
        shown = catalog.load_image(picture, (48, 64))
        # JPEG.
        np.testing.assert_allclose(shown, read_image(middle.pixels), atol=0.1)
        assert abs(shown.mean() - read_image(middle.pixels).mean()) < 0.01


@pytest.mark.backend_agnostic
def test_long_clips_are_cut_and_large_pictures_scaled(tmp_path, material, built):
    out = tmp_path / "ssl"
    manifest = build(out, material, duration=1.0, picture_size=32, sampling_rate=8000)
    catalog = VGGSoundSSL(out)
    assert {clip.num_samples for clip in catalog.clips} == {8000}
    assert catalog.sampling_rate == 8000
    assert manifest["seconds"]["train"] == 6.0
    content = catalog.read_bytes(catalog.pictures[0])
    assert Image.open(io.BytesIO(content)).size == (32, 24)


@pytest.mark.backend_agnostic
def test_some_classes_and_the_splits_of_the_table(tmp_path, material):
    manifest = build(tmp_path / "ssl", material, classes=["violin", "dog barking"], csv_splits=True)
    assert list(manifest["classes"]) == ["dog barking", "violin"]
    catalog = VGGSoundSSL(tmp_path / "ssl")
    with open(material.csv, newline="") as table:
        in_test = {row[0] for row in csv.reader(table) if row[3] == "test"}
    assert {c.instance for c in catalog.select(split="test").clips} == in_test & {
        clip.instance for clip in catalog.clips
    }


@pytest.mark.backend_agnostic
@pytest.mark.extensive
def test_the_same_bytes_in_two_processes(tmp_path, material, built, contents):
    build(tmp_path / "ssl", material, workers=2)
    assert contents(tmp_path / "ssl") == contents(built[0])


@pytest.mark.backend_agnostic
def test_repeated_rows_are_counted(tmp_path, material):
    again = material.copy(tmp_path)
    first = again.csv.read_text().splitlines()[0]
    again.csv.write_text(again.csv.read_text() + first + "\n")
    assert build(tmp_path / "ssl", again)["dropped"]["repeated row"] == 1


@pytest.mark.backend_agnostic
@pytest.mark.extensive
def test_hundreds_of_videos(tmp_path, make_material, reasons):
    """36 usable videos under 220 names, and 54 that cannot be used."""
    faults = list(reasons) * 6
    few = make_material(tmp_path / "few", 12, list(reasons))
    rows = list(csv.reader(io.StringIO(few.csv.read_text())))
    usable = [row for row in rows if row[0] not in few.faults]
    by_fault = {fault: row for row in rows for fault in [few.faults.get(row[0])] if fault}
    many = [(usable[k % len(usable)], f"good{k:07d}") for k in range(220)]
    many += [(by_fault[fault], f"fault{k:06d}") for k, fault in enumerate(faults)]
    (tmp_path / "videos").mkdir()
    for row, name in many:
        source = few.videos / f"{row[0]}_{int(row[1]):06d}.mp4"
        if source.exists():
            (tmp_path / "videos" / f"{name}_000000.mp4").hardlink_to(source)
    with open(tmp_path / "table.csv", "w", newline="") as table:
        csv.writer(table).writerows([name, 0, *row[2:]] for row, name in many)
    manifest = build_vggsound_ssl(
        tmp_path / "ssl", tmp_path / "table.csv", tmp_path / "videos", clip=None, progress=False
    )
    assert sum(manifest["clips"].values()) == 220
    assert manifest["clips"]["train"] == 154
    expected = {reason: 6 * list(reasons.values()).count(reason) for reason in reasons.values()}
    assert manifest["dropped"] == expected


@pytest.mark.backend_agnostic
def test_real_recordings(tmp_path, real_data):
    pytest.importorskip("av")
    names = ("bell", "dog", "horse")
    (tmp_path / "videos").mkdir()
    rows, originals = [], {}
    for name in names:
        sounds = sorted(path for path in (real_data / name).iterdir() if path.suffix == ".wav")
        sounds = sounds or sorted((real_data / name).glob("*.ogg"))
        photos = sorted((real_data / name).glob("*.jpg")) or sorted(
            (real_data / name).glob("*.png")
        )
        for number, (sound, photo) in enumerate(zip(sounds[:3], photos, strict=False)):
            samples, rate = soundfile.read(sound, dtype="float32", always_2d=True, frames=88200)
            if len(samples) < rate:
                continue
            shown = np.uint8(255 * read_image(photo, (96, 128)))
            path = tmp_path / "videos" / f"{name}{number}_000000.mp4"
            rate_known = rate in (8000, 16000, 22050, 32000, 44100, 48000)
            write_video(
                path,
                samples.mean(axis=1),
                np.stack([shown] * 4),
                sampling_rate=rate if rate_known else 44100,
            )
            rows.append((f"{name}{number}", 0, name, "train"))
            originals[f"{name}{number}"] = shown / 255.0
    assert len({row[2] for row in rows}) >= 2
    with open(tmp_path / "table.csv", "w", newline="") as table:
        csv.writer(table).writerows(rows)
    build_vggsound_ssl(
        tmp_path / "ssl",
        tmp_path / "table.csv",
        tmp_path / "videos",
        clip=None,
        min_instances=1,
        progress=False,
    )
    catalog = VGGSoundSSL(tmp_path / "ssl")
    assert len(catalog.clips) >= 4
    for picture in catalog.pictures:
        shown = catalog.load_image(picture, (96, 128))
        assert np.abs(shown - originals[picture.instance]).mean() < 0.05


# --- CLIP chooses --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def clip_preset(tmp_path_factory):
    """A CLIP of one block a side, with weights large enough to distinguish pictures."""
    tokenizer = CLIPTextTokenizer(["d o", "do g</w>"], sequence_length=40)
    backbone = keras_hub.models.CLIPBackbone(
        keras_hub.models.CLIPVisionEncoder(8, 8, 1, 2, 16, image_shape=(16, 16, 3)),
        keras_hub.models.CLIPTextEncoder(
            len(tokenizer.vocabulary), 8, 8, 1, 2, 16, max_sequence_length=40
        ),
        projection_dim=6,
    )
    rng = np.random.default_rng(0)
    for weight in backbone.weights:
        if weight.name == "position_ids":
            weight.assign(np.arange(weight.shape[-1])[None])
        else:
            weight.assign(rng.normal(size=weight.shape).astype("float32"))
    folder = tmp_path_factory.mktemp("clip") / "preset"
    CLIPEncoder(backbone, tokenizer).save_to_preset(folder)
    return folder


@pytest.mark.one_backend
def test_the_picture_is_the_one_most_similar_to_the_class(tmp_path, material, clip_preset):
    build(tmp_path / "ssl", material, clip=clip_preset, frames=4, template="the sound of {}")
    encoder = CLIPEncoder.from_preset(clip_preset)
    compared = 0
    for path in sorted((tmp_path / "ssl").glob("*-*.json")):
        for clip in json.loads(path.read_text())["clips"]:
            (video,) = material.videos.glob(f"{clip['youtube_id']}*")
            seconds = clip["num_samples"] / 16000
            frames = read_video_frames(video, [seconds * (k + 0.5) / 4 for k in range(4)])
            images = np.stack([read_image(frame.pixels, 16) for frame in frames])
            name = encoder.embed_text(clip["class"], template="the sound of {}")[0]
            similarities = np.asarray(encoder(images)) @ name
            shown = [frame.seconds for frame in frames].index(clip["frame_second"])
            assert similarities[shown] >= similarities.max() - 1e-5
            assert abs(clip["similarity"] - similarities.max()) < 1e-3
            compared += 1
    assert compared == 15


@pytest.mark.backend_agnostic
def test_another_clip_is_another_setting(tmp_path, material, clip_preset):
    build(tmp_path / "ssl", material, clip=clip_preset, classes=["violin"], frames=2)
    with pytest.raises(ValueError, match="`clip` is 'sha256:.*' there, but None.*`backend`"):
        build(tmp_path / "ssl", material, classes=["violin"], frames=2)


# --- bad input -----------------------------------------------------------------------------


@pytest.mark.backend_agnostic
@pytest.mark.parametrize(
    "changed, message",
    [
        ({"frames": 0}, "`frames`"),
        ({"classes": ["whistling"]}, r"Received: classes=\('whistling',\)"),
        (
            {"min_instances": 50},
            "`min_instances` must be at most 13.*'dog barking'.*min_instances=50",
        ),
        ({"clip": "no/such/preset"}, "`preset` must be.*'no/such/preset'"),
        ({"engine": "steam"}, "`engine` must be one of"),
        ({"workers": 0}, "`workers`"),
    ],
)
def test_bad_arguments_leave_no_folder(tmp_path, material, changed, message):
    with pytest.raises(ValueError, match=message):
        build(tmp_path / "ssl", material, **changed)
    assert not (tmp_path / "ssl").exists()


@pytest.mark.backend_agnostic
def test_unknown_settings_are_refused(tmp_path, material):
    with pytest.raises(TypeError, match="colour"):
        build(tmp_path / "ssl", material, colour="red")


@pytest.mark.backend_agnostic
def test_a_folder_without_the_videos_is_refused(tmp_path, material):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="`videos` must hold videos of the table.*none of 24"):
        build_vggsound_ssl(tmp_path / "ssl", material.csv, tmp_path / "empty", clip=None)
    assert not (tmp_path / "ssl").exists()
