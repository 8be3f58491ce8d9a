"""The built-in systems of the paper's tables, and the systems of a user's file."""

import importlib.util
import os
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from keras_avssan._internal.types import PathLike, Tensor
from keras_avssan.benchmark.paper_numbers import paper_numbers
from keras_avssan.benchmark.system import Setup, System

if TYPE_CHECKING:
    from keras_avssan.models import AVSSAN, Localizer

TABLES = (2, 3, 4)
# The system that all others are compared with, scene by scene.
REFERENCE = "avssan_base"
# AV-SSAN of the size "small".
_SMALL: dict[str, Any] = {"dim": 32, "mlp_dim": 128, "dropout": 0.1}
_SMALL_ENCODER: dict[str, Any] = {"filters": (16, 32, 64), "dropout": 0.3}


def _baseline(class_name: str, preset: str, setup: Setup) -> "Localizer":
    from keras_avssan.models import baselines

    task = getattr(baselines, class_name)
    small = task.presets.get(f"{preset}_small") if setup.size == "small" else None
    arguments = {
        **(small or task.presets[preset])["arguments"],
        "prompt_dim": setup.prompt_dim,
        "sampling_rate": setup.sampling_rate,
        "microphone_spacing": setup.microphone_spacing,
    }
    return task(**arguments)


def make_avssan(setup: Setup, configuration: str = "base", **switches: Any) -> "AVSSAN":
    """Makes an AV-SSAN that fits a `Setup`, without an image encoder.

    `configuration` decides network, loss and optimizer; `switches` are further arguments.
    """
    from keras_avssan import AVSSAN
    from keras_avssan.encoders import LogMelEncoder

    small = setup.size == "small"
    encoder = None
    if switches.get("semantic_audio", True):
        encoder = setup.make_audio_encoder and setup.make_audio_encoder()
        if encoder is None:
            encoder = LogMelEncoder(**(_SMALL_ENCODER if small else {}))
    return AVSSAN(
        configuration=configuration,
        prompt_dim=setup.prompt_dim,
        audio_encoder=encoder,
        sampling_rate=setup.sampling_rate,
        microphone_spacing=setup.microphone_spacing,
        **(_SMALL if small else {}),
        **switches,
    )


def _classical(class_name: str, setup: Setup) -> Any:
    from keras_avssan import classical

    return getattr(classical, class_name)(
        microphone_spacing=setup.microphone_spacing, sampling_rate=setup.sampling_rate
    )


def _nearest_of_two_peaks(posterior: Tensor, azimuth: Tensor) -> Tensor:
    from keras_avssan.classical.peaks import nearest_of_two_peaks

    return nearest_of_two_peaks(posterior, azimuth)


def _ablation(name: str, title: str, **switches: Any) -> System:
    return System(
        name,
        title,
        "audio-visual" if switches.get("visual_prompt", True) else "audio",
        partial(make_avssan, **switches),
        tables=(4,),
        paper=paper_numbers(name),
    )


def _network(name: str, title: str, kind: str, class_name: str) -> System:
    make = partial(_baseline, class_name, name)
    return System(name, title, kind, make, paper=paper_numbers(name))


def _prompted(kind: str, title: str) -> System:
    """AV-SSAN trained with a second kind of prompts, and tested with it."""
    return System(
        f"avssan_{kind}",
        title,
        "audio-visual",
        make_avssan,
        tables=(2,),
        train_prompts=("picture", kind),
        prompt=kind,
    )


def built_in_systems() -> tuple[System, ...]:
    """Returns the systems of the paper's tables 2, 3 and 4, in the order of the rows.

    Returns:
        Tuple of `System`; `tables` of each says which tables have it.

    Example:
        >>> built_in_systems()[0].title
        'SELDNet'
    """
    return (
        _network("seldnet", "SELDNet", "audio", "SELDNet"),
        _network("gcc_mlp", "GCC-MLP", "audio", "GCCMLP"),
        _network("fnssl", "FN-SSL", "audio", "FNSSL"),
        _network("mlp_avc", "MLP-AVC", "audio-visual", "MLPAVC"),
        _network("avmlp", "AVMLP", "audio-visual", "AVMLP"),
        _network("dgb", "DGB", "audio-visual", "DGB"),
        _network("avst", "AVST", "audio-visual", "AVST"),
        _network("avseld", "AV-SELD", "audio-visual", "AVSELD"),
        _network("cmaf", "CMAF", "audio-visual", "CMAF"),
        System(
            "avssan_paper",
            "AV-SSAN, printed network and loss",
            "audio-visual",
            partial(make_avssan, configuration="paper"),
            paper=paper_numbers("avssan_paper"),
        ),
        System(
            "avssan_base",
            "AV-SSAN, `base`",
            "audio-visual",
            make_avssan,
            tables=(2, 3, 4),
            paper=paper_numbers("avssan_base"),
        ),
        _prompted("recording", "AV-SSAN, `base`, prompted with a recording"),
        _prompted("text", "AV-SSAN, `base`, prompted with words"),
        System("gcc_phat", "GCC-PHAT", "classical", partial(_classical, "GCCPHAT")),
        System("srp_phat", "SRP-PHAT", "classical", partial(_classical, "SRPPHAT")),
        System("music", "MUSIC", "classical", partial(_classical, "MUSIC")),
        System(
            "oracle",
            "nearer of SRP-PHAT's two peaks",
            "oracle",
            partial(_classical, "SRPPHAT"),
            decode=_nearest_of_two_peaks,
        ),
        *_ablations(),
    )


def _ablations() -> tuple[System, ...]:
    """Table 4: parts added one by one, as in the paper, and parts left out one by one."""
    audio = {"semantic_audio": False}
    bands = {"multi_band": False}
    attention = {"band_attention": False}
    refiner = {"spatial_refiner": False}
    return (
        _ablation("v", "V", **audio, **bands, **attention, **refiner),
        # With one band of one patch, band attention and refiner have nothing to weight.
        _ablation("v_a", "V + A (all but MB)", **bands, **attention, **refiner),
        _ablation("v_a_mb", "V + A + MB", **attention, **refiner),
        _ablation("v_a_mb_ba", "V + A + MB + BA (all but Refiner)", **refiner),
        _ablation("without_a", "all but A", **audio),
        _ablation("without_ba", "all but BA", **attention),
        _ablation("without_v", "all but V", visual_prompt=False),
    )


def choose_systems(
    table: int | str, names: Iterable[str] | None = None, file: PathLike | None = None
) -> tuple[System, ...]:
    """Chooses systems of a table.

    Args:
        table: Number of the table, 2, 3 or 4, or the same as a string.
        names: Names of systems. Default: all of the table.
        file: Path of a Python file that defines `SYSTEMS`, a list of further `System`s.

    Returns:
        Tuple of `System`, in the order of `names`.

    Raises:
        ValueError: If the table or a system is unknown, or the file does not define `SYSTEMS`.

    Example:
        ```python
        names = [system.name for system in choose_systems(4)]
        ```
    """
    if str(table) not in map(str, TABLES):
        raise ValueError(f"`table` must be one of {TABLES}. Received: table={table!r}")
    further = [] if file is None else _read_systems(file)
    known = {system.name: system for system in (*built_in_systems(), *further)}
    inside = {name: system for name, system in known.items() if int(table) in system.tables}
    names = list(inside) if names is None else list(dict.fromkeys(names))
    unknown = [name for name in names if name not in inside]
    if unknown:
        raise ValueError(
            f"`names` must be systems of table {table}: {', '.join(inside)}. "
            f"Received: names={unknown}"
        )
    return tuple(inside[name] for name in names)


def _read_systems(file: PathLike) -> list[System]:
    """The list `SYSTEMS` of a Python file."""
    if not os.path.isfile(file):
        raise ValueError(f"`file` must be an existing Python file. Received: file={file!r}")
    spec = importlib.util.spec_from_file_location("benchmark_systems", file)
    if spec is None or spec.loader is None:
        raise ValueError(f"`file` must be a Python file. Received: file={file!r}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    systems = getattr(module, "SYSTEMS", None)
    if not systems or not all(isinstance(system, System) for system in systems):
        raise ValueError(f"`file` must define SYSTEMS, a list of `System`. Received: file={file!r}")
    return list(systems)
