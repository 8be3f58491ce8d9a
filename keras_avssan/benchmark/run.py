"""A benchmark from start to end: data, prompts, rows and report."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

import keras_avssan
from keras_avssan._internal.atomic_files import sha256
from keras_avssan._internal.types import PathLike
from keras_avssan.benchmark.prompt_vectors import PromptVectors, default_image_encoder
from keras_avssan.benchmark.results import write_report
from keras_avssan.benchmark.rooms import build_banks, divide_bank, placeholder_banks
from keras_avssan.benchmark.scenes import BenchmarkScenes
from keras_avssan.benchmark.segment_training import SegmentTraining, check_training
from keras_avssan.benchmark.settings import BenchmarkSettings
from keras_avssan.benchmark.system import Setup, System
from keras_avssan.benchmark.train_and_score import Benchmark, ResultsFolder
from keras_avssan.data import STARSS23, Catalog, SegmentPrompts
from keras_avssan.data.scenes.scene_files import SceneStore
from keras_avssan.models.prompt_embeddings import encoder_fingerprint
from keras_avssan.simulation import RIRBank
from keras_avssan.training.fit_segments import segments_settings


def run_benchmark(
    table: int,
    systems: Sequence[System],
    settings: BenchmarkSettings,
    catalog: Catalog,
    out: PathLike,
    *,
    bank: RIRBank | None = None,
    image_encoder: keras.Layer | None = None,
    make_audio_encoder: Callable[[], Any] | None = None,
    segments: SegmentPrompts | None = None,
    further: SegmentTraining | None = None,
    scene_cache: float = 10.0,
    delete_scenes: bool = False,
    progress: bool = True,
) -> None:
    """Trains and scores the systems of a table that are not finished, and writes the table.

    All systems are trained on the same scenes in the same order, with the same number of steps and
    of trials, and are prompted with the same embeddings. A finished row is not run again, so the
    same call resumes an interrupted run. Several processes may fill different rows of one folder.

    Args:
        table: Number of the table, 2, 3 or 4.
        systems: `System`s to run, see `choose_systems`.
        settings: Settings that are the same for every system.
        catalog: Catalog with a split to train on and one to test on.
        out: Path of the folder of the results: new, empty, or in progress with the same
            configuration.
        bank: Bank whose rooms are divided: eight tenths to train, one to validate, one to test.
            Default: rooms are simulated.
        image_encoder: Frozen image encoder. Default: a small one with random weights.
        make_audio_encoder: Function that returns a new audio encoder for AV-SSAN, or `None` for its
            own. Default: its own.
        segments: Segments of STARSS23 with their prompts, for table 3 and only for it.
        further: `SegmentTraining`, for table 3: every network is tested, then trained on these
            segments too, with the learning rate of its training on scenes, and tested again.
            Default: no such training.
        scene_cache: Limit in gigabytes of the rendered training scenes that are kept.
        delete_scenes: Whether the rendered training scenes are deleted at the end.
        progress: Whether progress bars are shown.

    Raises:
        ValueError: If the catalog or the bank is too small, `segments` or `further` does not fit
            the table, the catalog or the spacing of the microphones, the two share segments or
            pictures, `scene_cache` is negative, or `out` holds results of another configuration.

    Example:
        >>> run_benchmark(4, choose_systems(4), BenchmarkSettings(), SyntheticClasses(), "table4")
    """
    if (table == 3) != (segments is not None):
        raise ValueError(
            "`segments` must be given for table 3, and for no other table. "
            f"Received: table={table}, segments={segments!r}"
        )
    if further is not None:
        check_training(segments, further)
    if bank is not None:
        settings = dataclasses.replace(settings, spacing=bank.microphone_spacing)
    if segments is not None:
        _check_segments(settings, catalog, segments.dataset)
    if not scene_cache >= 0:
        raise ValueError(f"`scene_cache` must not be negative. Received: scene_cache={scene_cache}")
    make_audio_encoder = make_audio_encoder or _no_encoder
    rate = catalog.sampling_rate
    # Errors are raised before rooms are simulated, which takes long.
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
        folder.claim("starss23.json", _segments_config(segments, further))
    pictures, names = vectors.embed(scenes.plans(), folder.path / "prompts.npz", progress)
    if segments is not None:
        chosen = [segments] if further is None else [segments, further.prompts]
        more = vectors.embed(chosen, folder.path / "prompts-starss23.npz", progress)
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
        further,
        progress,
    )
    _fill(benchmark, systems, table)
    write_report(folder, table)
    if delete_scenes:
        for store in benchmark.stores.values():
            store.delete()


def _check_segments(settings: BenchmarkSettings, catalog: Catalog, dataset: STARSS23) -> None:
    """Refuses segments that are no valid input of networks trained on these scenes."""
    if abs(settings.spacing - dataset.microphone_spacing) > 1e-3:
        raise ValueError(
            "`spacing` must be that of STARSS23's microphones, "
            f"{dataset.microphone_spacing:.4f} m. Received: spacing={settings.spacing}"
        )
    if catalog.sampling_rate != dataset.sampling_rate:
        raise ValueError(
            "`catalog` must have the sampling rate at which STARSS23 is read, "
            f"{dataset.sampling_rate} Hz. Received: sampling_rate={catalog.sampling_rate}"
        )


def _no_encoder() -> None:
    return None


def _fill(benchmark: Benchmark, systems: Sequence[System], table: int) -> None:
    for number, system in enumerate(systems, 1):
        heading = f"[{number}/{len(systems)}] {system.title} ({system.name})"
        if benchmark.folder.row_path(system.name, table).exists():
            print(f"{heading}: done before", flush=True)
            continue
        print(heading, flush=True)
        benchmark.fill(system, table)
        write_report(benchmark.folder, table)


def _stores(folder: Path, scenes: BenchmarkScenes, scene_cache: float) -> dict[str, SceneStore]:
    """Stores of the scenes of training and trials, which may be the same ones."""
    train = SceneStore(folder / "train", scenes.train, scene_cache * 1e9)
    if scenes.trial.catalog is scenes.train.catalog:
        return {"train": train, "trial": train}
    return {"train": train, "trial": SceneStore(folder / "trial", scenes.trial, scene_cache * 1e9)}


def _config(
    settings: BenchmarkSettings,
    catalog: Catalog,
    bank: RIRBank | None,
    vectors: PromptVectors,
    audio_encoder: Any,
    scenes: BenchmarkScenes,
) -> dict[str, Any]:
    """Everything that decides the results."""
    items = (*catalog.clips, *catalog.pictures)
    config: dict[str, Any] = {
        **dataclasses.asdict(settings),
        "snr": list(settings.snr),
        "version": keras_avssan.__version__,
        "backend": keras.backend.backend(),
        **scenes.notes,
        "data": sha256("\n".join(sorted(map(repr, items)))),
        "image_encoder": encoder_fingerprint(vectors.encoder),
        "audio_encoder": None if audio_encoder is None else encoder_fingerprint(audio_encoder),
        "bank": None,
    }
    if bank is not None:
        arrays = (bank.azimuths, bank.t60, bank.microphones, bank.sources)
        config["bank"] = sha256(*(np.asarray(a, "float32") for a in arrays))
    return config


def _segments_config(segments: SegmentPrompts, further: SegmentTraining | None) -> dict[str, Any]:
    training = {}
    if further is not None:
        training = {"steps": further.steps, **segments_settings(further.prompts)}
    ids = "\n".join(f"{segment.id} {segments.picture(segment).id}" for segment in segments.segments)
    spacing = segments.dataset.microphone_spacing
    return {
        "segments": len(segments.segments),
        "pair": segments.dataset.pair.name,
        "spacing": spacing,
        "fingerprint": sha256(ids),
        **{f"training_{name}": value for name, value in training.items()},
    }
