"""Runs a benchmark and writes its table."""

import dataclasses
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

import keras_avssan
from keras_avssan._internal.types import PathLike
from keras_avssan.benchmark.prompt_vectors import PromptVectors, default_image_encoder
from keras_avssan.benchmark.results import write_report
from keras_avssan.benchmark.rooms import build_banks, divide_bank, placeholder_banks
from keras_avssan.benchmark.scenes import BenchmarkScenes
from keras_avssan.benchmark.system import Setup
from keras_avssan.benchmark.train_and_score import Benchmark, ResultsFolder
from keras_avssan.data.scenes.scene_files import SceneStore
from keras_avssan.models.prompt_embeddings import encoder_fingerprint


def run_benchmark(
    table,
    systems,
    settings: Mapping[str, Any],
    catalog: Any,
    out,
    *,
    bank: Any = None,
    image_encoder: Any = None,
    make_audio_encoder=None,
    segments=None,
    scene_cache: float = 10.0,
    delete_scenes: bool = False,
    progress: bool = True,
):
    """Trains what is missing, scores it, and writes a table, row by row.

    All systems hear the same training scenes in the same order, have the same number of steps and
    of trials, and are asked with the same embeddings. A row that is finished is not run again, so
    a run that was stopped goes on; several processes may fill different rows of one folder.

    Args:
        table: 2, 3 or 4.
        systems: `System`s to run, see `choose_systems`.
        settings: `BenchmarkSettings`.
        catalog: `keras_avssan.data.Catalog` with a split to train on and one to test on.
        out: Folder of the results.
        bank: `RIRBank` whose rooms are divided; rooms are simulated if not given.
        image_encoder: Frozen image encoder; a small one with random weights if not given.
        make_audio_encoder: Function that makes the audio encoder of AV-SSAN, or returns `None`
            for its own.
        segments: `keras_avssan.data.SegmentPrompts`, for Table 3.
        scene_cache: Limit in gigabytes of the rendered training scenes that are kept.
        delete_scenes: Whether these are deleted in the end.
        progress: Whether progress bars are shown.

    Raises:
        ValueError: If the catalog is too small, or `out` holds results of another configuration.

    Example:
        >>> run_benchmark(4, choose_systems(4), BenchmarkSettings(), SyntheticClasses(), "table4")
    """
    if (table == 3) != (segments is not None):
        raise ValueError("Table 3 needs `segments`, and no other table takes them.")
    if bank is not None:
        settings = dataclasses.replace(settings, spacing=bank.microphone_spacing)
    if segments is not None:
        _check_segments(settings, catalog, segments.dataset)
    if not scene_cache >= 0:
        raise ValueError(f"`scene_cache` must not be negative. Received: {scene_cache}")
    make_audio_encoder = make_audio_encoder or _nothing
    rate = catalog.sampling_rate
    # Whatever cannot work is refused before rooms are simulated.
    banks = placeholder_banks(settings, rate) if bank is None else divide_bank(bank)
    scenes = BenchmarkScenes(settings, catalog, banks)
    vectors = PromptVectors(image_encoder or default_image_encoder(settings.seed))
    config = _config(settings, catalog, bank, vectors, make_audio_encoder(), scenes)
    ResultsFolder.check(out, config)
    if bank is None:
        scenes = BenchmarkScenes(
            settings, catalog, build_banks(settings, Path(out) / "rooms", rate, progress)
        )
    folder = ResultsFolder(out, config)
    if segments is not None:
        folder.claim("starss23.json", _segments_config(segments))
    pictures, names = vectors.embed(scenes.plans(), folder.path / "prompts.npz", progress)
    if segments is not None:
        more = vectors.embed([segments], folder.path / "prompts-starss23.npz", progress)
        pictures, names = {**more[0], **pictures}, {**more[1], **names}
    benchmark = Benchmark(
        settings,
        scenes,
        folder,
        Setup(
            prompt_dim=vectors.prompt_dim,
            sampling_rate=rate,
            microphone_spacing=settings.spacing,
            duration=settings.duration,
            make_audio_encoder=make_audio_encoder,
            reads_words=vectors.reads_words,
            size=settings.size,
        ),
        pictures,
        names,
        _stores(folder.path / "scenes", scenes, scene_cache),
        segments,
        progress,
    )
    _fill(benchmark, systems, table)
    write_report(folder, table)
    if delete_scenes:
        for store in benchmark.stores.values():
            store.delete()


def _check_segments(settings: Mapping[str, Any], catalog: Any, dataset: Any):
    """Refuses segments that networks trained on these scenes could not hear."""
    if abs(settings.spacing - dataset.microphone_spacing) > 1e-3:
        raise ValueError(
            f"The simulated pair must have the spacing of STARSS23's, "
            f"{dataset.microphone_spacing:.4f} m. Received: spacing={settings.spacing}"
        )
    if catalog.sampling_rate != dataset.sampling_rate:
        raise ValueError(
            f"The data are at {catalog.sampling_rate} Hz, but STARSS23 is read at "
            f"{dataset.sampling_rate} Hz."
        )


def _nothing():
    return None


def _fill(benchmark, systems, table) -> None:
    for number, system in enumerate(systems, 1):
        heading = f"[{number}/{len(systems)}] {system.title} ({system.name})"
        if benchmark.folder.row_path(system.name, table).exists():
            print(f"{heading}: done before", flush=True)
            continue
        print(heading, flush=True)
        benchmark.fill(system, table)
        write_report(benchmark.folder, table)


def _stores(folder: PathLike, scenes, scene_cache):
    """Stores of the scenes of training and trials, which may be the same ones."""
    train = SceneStore(folder / "train", scenes.train, scene_cache * 1e9)
    if scenes.trial.catalog is scenes.train.catalog:
        return {"train": train, "trial": train}
    return {"train": train, "trial": SceneStore(folder / "trial", scenes.trial, scene_cache * 1e9)}


def _config(
    settings: Mapping[str, Any], catalog: Any, bank: Any, vectors, audio_encoder: Any, scenes
):
    """All that decides the results."""
    items = (*catalog.clips, *catalog.pictures)
    config = {
        **dataclasses.asdict(settings),
        "snr": list(settings.snr),
        "version": keras_avssan.__version__,
        "backend": keras.backend.backend(),
        **scenes.notes,
        "data": _digest("\n".join(sorted(map(repr, items))).encode()),
        "image_encoder": encoder_fingerprint(vectors.encoder),
        "audio_encoder": None if audio_encoder is None else encoder_fingerprint(audio_encoder),
        "bank": None,
    }
    if bank is not None:
        arrays = (bank.azimuths, bank.t60, bank.microphones, bank.sources)
        config["bank"] = _digest(*(np.asarray(a, "float32").tobytes() for a in arrays))
    return config


def _segments_config(segments):
    ids = "\n".join(f"{segment.id} {segments.picture(segment).id}" for segment in segments.segments)
    spacing = segments.dataset.microphone_spacing
    return {
        "segments": len(segments.segments),
        "pair": segments.dataset.pair.name,
        "spacing": spacing,
        "fingerprint": _digest(ids.encode()),
    }


def _digest(*parts):
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()
