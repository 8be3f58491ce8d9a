"""Systems of a benchmark, one for each row of a table."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from keras_avssan._internal.checks import check_choice
from keras_avssan._internal.one_line import one_line
from keras_avssan._internal.types import Tensor
from keras_avssan.evaluation.evaluate_localizer import strongest_direction

KINDS = ("audio", "audio-visual", "classical", "oracle")


@dataclass(frozen=True)
class Setup:
    """Describes the data that a network has to fit.

    Args:
        prompt_dim: Dimension d_V of the prompt embeddings.
        sampling_rate: Sampling rate in hertz.
        microphone_spacing: Distance between the microphones in metres.
        duration: Duration of training scenes in seconds.
        make_audio_encoder: Function that returns a new audio encoder of the kind that the user
            chose, or `None` for the network's own. Default: the network's own.
        reads_words: Whether there are embeddings of the class names too.
        size: `"full"` for networks as published, or `"small"` for those that a CPU can train
            within minutes, where a network has such a form.

    Example:
        >>> setup = Setup(prompt_dim=512, microphone_spacing=0.12)
        >>> model = built_in_systems()[0].make(setup)
    """

    prompt_dim: int
    sampling_rate: int = 16000
    microphone_spacing: float = 0.2
    duration: float = 1.0
    make_audio_encoder: Callable[[], Any] | None = None
    reads_words: bool = False
    size: str = "full"

    def __repr__(self) -> str:
        return one_line(
            self,
            f"{self.size} size",
            f"prompts of {self.prompt_dim} numbers",
            f"{self.sampling_rate} Hz",
            f"{self.microphone_spacing:g} m apart",
            f"{self.duration:g} s",
            "reads words" if self.reads_words else "",
        )


@dataclass(frozen=True)
class System:
    """Describes a row of a table: a network that is trained, or a method without training.

    Args:
        name: Short name, for options and files.
        title: Name in the table.
        kind: `"audio"`, `"audio-visual"`, `"classical"` or `"oracle"`; the first two are trained.
        make: Function from a `Setup` to a new `keras_avssan.models.Localizer`, or to a method of
            `keras_avssan.classical`. The learning rate tried first is that of the model's
            `default_optimizer`.
        tables: Numbers of the tables that have this row.
        train_prompts: Kinds of the prompts in training, of `"picture"`, `"text"` and
            `"recording"`; one is drawn for each scene.
        prompt: Kind of the prompts in tests.
        decode: Function from posteriors of shape (scenes, 180) and true azimuths in degrees of
            shape (scenes,) to estimates in degrees, see `evaluate_localizer`.
        paper: Dict from `(table, SNR in dB)`, or `(3, None)`, to the published MAE in degrees and
            ACC@5° in percent.

    Raises:
        ValueError: If `kind` is unknown, or `name` has other characters than letters, digits,
            `_` and `-`.

    Example:
        ```python
        def make(setup):
            return GCCMLP(
                sampling_rate=setup.sampling_rate, microphone_spacing=setup.microphone_spacing
            )

        SYSTEMS = [System("mine", "My network", "audio", make)]
        ```
    """

    name: str
    title: str
    kind: str
    make: Callable[[Setup], Any]
    tables: tuple[int, ...] = (2, 3)
    train_prompts: tuple[str, ...] = ("picture",)
    prompt: str = "picture"
    decode: Callable[[Tensor, Tensor], Tensor] = strongest_direction
    paper: Mapping[tuple[int, float | None], tuple[float, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_choice("kind", self.kind, KINDS)
        if not self.name.replace("_", "").replace("-", "").isalnum():
            raise ValueError(
                f"`name` must consist of letters, digits, `_` and `-`. Received: name={self.name!r}"
            )

    def __repr__(self) -> str:
        tables = f"table{'s' * (len(self.tables) > 1)} {' and '.join(map(str, self.tables))}"
        return one_line(
            self, f"{self.name!r} ({self.title})", self.kind, f"prompt: {self.prompt}", tables
        )

    @property
    def trained(self) -> bool:
        """Whether this row is a network that is trained."""
        return self.kind in KINDS[:2]
