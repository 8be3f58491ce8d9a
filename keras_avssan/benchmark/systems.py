"""The rows of the paper's tables, and those of a user's file."""

import importlib.util
import os
from collections.abc import Sequence
from functools import partial

from keras_avssan._internal.types import Tensor
from keras_avssan.benchmark.paper_numbers import paper_numbers
from keras_avssan.benchmark.system import System

TABLES = (2, 3, 4)
# What the paired differences are taken from.
REFERENCE = "avssan_base"
# AV-SSAN of the size "small".
_SMALL = {"dim": 32, "mlp_dim": 128, "dropout": 0.1}
_SMALL_ENCODER = {"filters": (16, 32, 64), "dropout": 0.3}


def _baseline(class_name: str, preset, setup):
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


def make_avssan(setup, configuration: str = "base", **switches):
    """AV-SSAN of the wanted size.

    Its encoders are those of every system: the prompts' embeddings, and the audio encoder that the
    user named, else one that trains.

    Args:
        setup: `Setup`.
        configuration: Of `AVSSAN`: of `"paper"` it has network, loss and optimizer.
        **switches: Further arguments of `AVSSAN`.

    Returns:
        An `AVSSAN`.

    Example:
        >>> system = System("mask", "Mask", "audio-visual", partial(make_avssan, magnitude="mask"))
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


def _classical(class_name: str, setup):
    from keras_avssan import classical

    return getattr(classical, class_name)(
        microphone_spacing=setup.microphone_spacing, sampling_rate=setup.sampling_rate
    )


def _nearest_of_two_peaks(posterior: Tensor, azimuth: Tensor):
    from keras_avssan.classical.peaks import nearest_of_two_peaks

    return nearest_of_two_peaks(posterior, azimuth)


def _ablation(name: str, title: str, **off):
    switches = dict.fromkeys(off, False)
    return System(
        name,
        title,
        "audio-visual" if switches.get("visual_prompt", True) else "audio",
        partial(make_avssan, **switches),
        tables=(4,),
        paper=paper_numbers(name),
    )


def _network(name: str, title: str, kind: str, class_name: str):
    make = partial(_baseline, class_name, name)
    return System(name, title, kind, make, paper=paper_numbers(name))


def _asked(kind: str, title: str):
    """AV-SSAN that learns a second way to be asked, and is tested with it."""
    return System(
        f"avssan_{kind}",
        title,
        "audio-visual",
        make_avssan,
        tables=(2,),
        train_prompts=("picture", kind),
        prompt=kind,
    )


def built_in_systems():
    """The rows of the paper's tables, in their order.

    Returns:
        Tuple of `System`.

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
        _asked("recording", "AV-SSAN, `base`, asked with a recording"),
        _asked("text", "AV-SSAN, `base`, asked with words"),
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


def _ablations():
    """Table 4: what the paper adds one by one, and what is left out one by one."""
    audio = {"semantic_audio": False}
    bands = {"multi_band": False}
    attention = {"band_attention": False}
    refiner = {"spatial_refiner": False}
    return (
        _ablation("v", "V", **audio, **bands, **attention, **refiner),
        # A single band of a single patch leaves nothing for band attention and refiner to weigh.
        _ablation("v_a", "V + A (all but MB)", **bands, **attention, **refiner),
        _ablation("v_a_mb", "V + A + MB", **attention, **refiner),
        _ablation("v_a_mb_ba", "V + A + MB + BA (all but Refiner)", **refiner),
        _ablation("without_a", "all but A", **audio),
        _ablation("without_ba", "all but BA", **attention),
        _ablation("without_v", "all but V", visual_prompt=False),
    )


def choose_systems(table, names: Sequence[str] | None = None, file=None):
    """The rows that are wanted.

    Args:
        table: Number of the table, or a string of it.
        names: Names of systems; all of the table if not given.
        file: Path of a Python file with a list `SYSTEMS` of further `System`s.

    Returns:
        Tuple of `System`.

    Raises:
        ValueError: If the table or a system is unknown, or the file brings no systems.

    Example:
        ```python
        names = [system.name for system in choose_systems(4)]
        ```
    """
    if str(table) not in map(str, TABLES):
        raise ValueError(f"`table` must be one of {TABLES}. Received: table={table}")
    further = [] if file is None else _read_systems(file)
    known = {system.name: system for system in (*built_in_systems(), *further)}
    inside = {name: system for name, system in known.items() if int(table) in system.tables}
    names = list(inside) if names is None else list(dict.fromkeys(names))
    unknown = [name for name in names if name not in inside]
    if unknown:
        raise ValueError(
            f"`systems` must be of table {table}: {', '.join(inside)}. "
            f"Received: {', '.join(unknown)}"
        )
    return tuple(inside[name] for name in names)


def _read_systems(file):
    """The list `SYSTEMS` of a Python file."""
    if not os.path.isfile(file):
        raise ValueError(f"`systems_from` must be a Python file. Received: {file}")
    spec = importlib.util.spec_from_file_location("benchmark_systems", file)
    if spec is None or spec.loader is None:
        raise ValueError(f"`systems_from` must be a Python file. Received: {file}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    systems = getattr(module, "SYSTEMS", None)
    if not systems or not all(isinstance(system, System) for system in systems):
        raise ValueError(f"'{file}' must define SYSTEMS, a list of `System`.")
    return list(systems)
