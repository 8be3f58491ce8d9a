"""Speed and memory of building VGGSound-SSL, on generated videos in VGGSound's format.

    KERAS_BACKEND=torch OMP_NUM_THREADS=1 python benchmarks/builder.py
    KERAS_BACKEND=torch OMP_NUM_THREADS=1 python benchmarks/builder.py --chooser --clips 40

Times are CPU times, so that other work on the machine matters little. The videos are 10 s of
340 x 256 pixels at 25 pictures per second (H.264) with two channels at 44.1 kHz (AAC); a few are
made, and linked under as many names as there are clips.
"""

import argparse
import csv
import multiprocessing
import pathlib
import tempfile
import time

import numpy as np
from machine import processor
from tqdm import tqdm

from keras_avssan.data import SyntheticClasses, build_vggsound_ssl
from keras_avssan.data.media.video_io import read_video_audio, read_video_frames, write_video
from keras_avssan.data.vggsound_ssl import build

DURATION = 10.0
RATE = 44100
FRAME_RATE = 25
SIZE = (256, 340)
DISTINCT = 16
ROWS_PER_PART = 50
CLASSES = ("bird", "drum", "rain", "siren")
# CLIP of the size of ViT-B/32: patch, width, layers, heads and hidden width of the pictures' half;
# embedding, width, layers, heads and hidden width of that of the words.
VISION = (32, 768, 12, 12, 3072)
TEXT = (512, 512, 12, 8, 2048)


def make_videos(folder, num_clips):
    """A table and a folder of videos."""
    catalog = SyntheticClasses(CLASSES, instances_per_class=DISTINCT, duration=DURATION)
    videos = folder / "videos"
    videos.mkdir()
    rows = []
    for number in range(num_clips):
        name = CLASSES[number % len(CLASSES)]
        source = folder / f"source{number % DISTINCT}.mp4"
        if not source.exists():
            write_source(source, catalog, name, number)
        (videos / f"clip{number:07d}_000010.mp4").hardlink_to(source)
        rows.append((f"clip{number:07d}", 10, name, "train"))
    with open(folder / "table.csv", "w", newline="") as table:
        csv.writer(table).writerows(rows)
    return folder / "table.csv", videos


def write_source(path, catalog, class_name, number):
    """A drawn picture that moves over noise, with its sound on both channels."""
    view = catalog.select(classes=[class_name])
    sound = catalog.load_audio(view.clips[number])
    sound = np.interp(np.arange(int(DURATION * RATE)) / RATE * 16000, np.arange(len(sound)), sound)
    picture = np.uint8(255 * catalog.load_image(view.pictures[number], SIZE))
    rng = np.random.default_rng(number)
    frames = np.stack([np.roll(picture, 2 * k, axis=1) for k in range(int(DURATION * FRAME_RATE))])
    frames += rng.integers(0, 8, frames.shape, dtype="uint8")
    channels = np.stack([sound, 0.5 * sound], axis=1)
    write_video(path, channels, frames, sampling_rate=RATE, frame_rate=FRAME_RATE, codec="h264")


def peak_memory():
    """Peak memory of this process, in MB; on Linux only."""
    status = pathlib.Path("/proc/self/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024


def measure_build(folder, table, videos, num_clips):
    """Builds a dataset without CLIP and prints memory during the build, and speed."""
    peaks = []

    def watched(job, part):
        report = build_part(job, part)
        peaks.append(peak_memory())
        return report

    build_part, build.build_part = build.build_part, watched
    begin = time.process_time()
    build_vggsound_ssl(folder / "ssl", table, videos, clip=None, rows_per_part=ROWS_PER_PART)
    seconds = time.process_time() - begin
    print(f"{num_clips} clips, the middle frame: {num_clips / seconds:.1f} clips/s of one core")
    for share in (0.05, 0.25, 0.5, 1.0):
        done = max(1, round(share * len(peaks)))
        print(f"  peak memory after {ROWS_PER_PART * done} clips: {peaks[done - 1]:.0f} MB")
    print(f"  at the end, with selection and shards: {peak_memory():.0f} MB")


def measure_stages(folder, num_clips):
    """Prints the time of decoding."""
    _, videos = make_videos(folder, num_clips)
    paths = sorted(videos.iterdir())
    moments = {
        "the middle frame": [5.0],
        "8 frames": [DURATION * (k + 0.5) / 8 for k in range(8)],
    }
    stages = {"sound": lambda path: read_video_audio(path, duration=DURATION)}
    stages |= {n: lambda path, t=times: read_video_frames(path, t) for n, times in moments.items()}
    for name, read in stages.items():
        begin = time.process_time()
        for path in tqdm(paths, desc=name):
            read(path)
        print(f"{name}: {1000 * (time.process_time() - begin) / len(paths):.0f} ms a clip")
    return [read_video_frames(path, moments["8 frames"]) for path in paths[:8]]


def measure_chooser(videos, num_clips):
    """Prints the time of a CLIP of the size of ViT-B/32, with random weights."""
    import keras
    import keras_hub

    from keras_avssan.data.vggsound_ssl.frame_chooser import FrameChooser
    from keras_avssan.encoders import CLIPEncoder, CLIPTextTokenizer

    tokenizer = CLIPTextTokenizer(["d o", "do g</w>"])
    vision = keras_hub.models.CLIPVisionEncoder(*VISION, image_shape=(224, 224, 3))
    text = keras_hub.models.CLIPTextEncoder(len(tokenizer.vocabulary), *TEXT)
    backbone = keras_hub.models.CLIPBackbone(vision, text, projection_dim=512)
    choose = FrameChooser(CLIPEncoder(backbone, tokenizer), frames=8)
    choose(videos[0], "dog")
    begin = time.process_time()
    for number in tqdm(range(num_clips), desc="CLIP"):
        choose(videos[number % len(videos)], "dog")
    seconds = (time.process_time() - begin) / num_clips
    print(f"CLIP (ViT-B/32, {keras.config.backend()}), 8 frames: {1000 * seconds:.0f} ms a clip")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=2000)
    parser.add_argument("--chooser", action="store_true", help="time the stages and CLIP instead")
    options = parser.parse_args()
    print(processor())
    with tempfile.TemporaryDirectory() as folder:
        if options.chooser:
            measure_chooser(measure_stages(pathlib.Path(folder), options.clips), options.clips)
        else:
            paths = make_videos(pathlib.Path(folder), options.clips)
            # In a process that has not held the pictures of the videos.
            spawn = multiprocessing.get_context("spawn")
            arguments = (pathlib.Path(folder), *paths, options.clips)
            child = spawn.Process(target=measure_build, args=arguments)
            child.start()
            child.join()
            if child.exitcode:
                raise SystemExit(f"The process that builds ended with {child.exitcode}.")


if __name__ == "__main__":
    main()
