"""The page: its fields, examples and results."""

import io
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any, TypeAlias, cast

from matplotlib.figure import Figure, FigureBase
from PIL import Image

from keras_avssan._internal.types import PathLike
from keras_avssan.app.answer import Answer, answer, check_picture, reads_words
from keras_avssan.app.examples import Example
from keras_avssan.app.full_circle import plot_circle
from keras_avssan.app.microphones import TWO, choose_array, known_arrays, name_of
from keras_avssan.app.page_parts import (
    introduction,
    show_answer,
    show_error,
    show_preview,
)
from keras_avssan.arrays import MicrophoneArray
from keras_avssan.visualization import plot_explanation, style

# Files that the browser offers by name; `answer` checks their contents.
_POSITIONS = [".csv", ".json"]
_PICTURES = [".jpg", ".jpeg", ".png", ".webp"]
# Seconds between two deletions of old uploads, and the age from which an upload is old.
_DELETION = (600, 3600)
# Requests that may wait for their turn.
_MAX_WAITING = 16
# Width of a window in pixels from which the panels of a figure stand side by side.
_WIDE_WINDOW = 1100
_WHY = "### What led to the answer"

# Values of all outputs of the page.
_Shown: TypeAlias = tuple[Any, ...]


def build_interface(
    model: Any, examples: Iterable[Sequence[Any]] = (), array: MicrophoneArray | None = None
) -> Any:
    """Builds the page.

    Args:
        model: A trained `AVSSAN`.
        examples: Tuples of the path of a recording, the path of a picture as prompt and, if they
            are known, the name of the target, its true azimuth in degrees, and name and true
            azimuth of the interferer.
        array: The array of microphones, a `keras_avssan.arrays.MicrophoneArray`, that is chosen
            when the page opens; two microphones if not given.

    Returns:
        A `gradio.Blocks`; its method `launch` opens the page.

    Raises:
        ImportError: If Gradio is not installed.

    Example:
        >>> build_interface(AVSSAN.from_preset("my_model")).launch()
    """
    gradio = import_gradio()
    arrays = known_arrays(array)
    localize = _make_localize(gradio, model, arrays)
    # No button for sharing: it would send recordings to another server.
    with gradio.Blocks(
        title="keras-avssan", analytics_enabled=False, delete_cache=_DELETION
    ) as page:
        gradio.Markdown(introduction(model), elem_id="introduction")
        width = gradio.Number(visible="hidden")
        page.load(None, None, width, js="() => window.innerWidth", api_visibility="private")
        with gradio.Row():
            with gradio.Column(scale=1):
                microphones = _microphones(gradio, arrays, name_of(array))
                fields, button = _inputs(gradio, reads_words(model))
                fields += microphones
            with gradio.Column(scale=2):
                shown = _outputs(gradio)
        button.click(
            lambda width, *values: localize(width, *values[:-2], microphones=values[-2:]),
            [width, *fields],
            shown,
            api_visibility="private",
        )
        if examples:
            _examples(gradio, [Example(*one) for one in examples], localize, width, fields, shown)
            # They are not deleted with the uploads.
            fields[0].keep_in_cache.update(*page.temp_file_sets)
    return page.queue(max_size=_MAX_WAITING, default_concurrency_limit=1)


def _make_localize(
    gradio: Any, model: Any, arrays: Mapping[str, MicrophoneArray]
) -> Callable[..., _Shown]:
    """The function behind the page, which returns what is shown: an answer or an error."""
    one_at_a_time = threading.Lock()

    def localize(
        width: int | None,
        recording: str | None,
        picture: str | None,
        sound: str | None = None,
        words: str | None = None,
        example: Example | None = None,
        microphones: tuple[str | None, str | None] = (TWO, None),
    ) -> _Shown:
        try:
            array = choose_array(arrays, *microphones)
            with one_at_a_time:
                found = answer(model, recording, picture, words, sound, array=array)
            text = show_answer(found, picture, words, sound, example)
            figure = _draw(found, picture, width, example)
        except ValueError as error:
            hidden = gradio.update(value=None, visible=False)
            return show_error(str(error)), hidden, hidden, hidden
        masked = None if array else (found.sampling_rate, found.masked_audio)
        values = (_WHY, figure, masked)
        updates = (gradio.update(value=one, visible=one is not None) for one in values)
        return text, *updates

    return localize


def _microphones(gradio: Any, arrays: Iterable[str], chosen: str) -> list[Any]:
    """Fields for what recorded: two microphones, an array by its name or by its positions."""
    return [
        gradio.Dropdown(
            [TWO, *arrays], value=chosen, label="Microphones", filterable=False, elem_id="array"
        ),
        gradio.File(
            label="Or positions of other microphones: x, y, z in metres, CSV or JSON",
            file_types=_POSITIONS,
            height=120,
            elem_id="positions",
        ),
    ]


def _inputs(gradio: Any, words: bool) -> tuple[list[Any], Any]:
    """Fields for the recording and the prompt, and the button; there is no recorder."""
    recording = gradio.Audio(
        label="Recording, a channel for each microphone",
        sources=["upload"],  # a browser records one channel, or one twice
        type="filepath",
        buttons=[],
        elem_id="recording",
    )
    picture = gradio.File(
        label="A picture of what you mean",
        file_types=_PICTURES,
        height=120,
        elem_id="picture",
    )
    preview = gradio.HTML(elem_id="preview")
    picture.change(_preview, picture, preview, show_progress="hidden", api_visibility="private")
    sound = gradio.Audio(
        label="Or another recording of such a sound",
        sources=["upload"],
        type="filepath",
        buttons=[],
        elem_id="sound",
    )
    fields = [recording, picture, sound]
    if words:
        fields.append(gradio.Textbox(label="Or words", elem_id="words"))
    return fields, gradio.Button("Find it", variant="primary", elem_id="find")


def _preview(path: PathLike | None) -> str:
    """An uploaded picture, or the error that it causes."""
    if not path:
        return ""
    try:
        check_picture(path)
        return show_preview(path)
    except ValueError as error:
        return show_error(str(error))


def _outputs(gradio: Any) -> list[Any]:
    """Answer, figure with its heading, and sound: empty before the first answer."""
    return [
        gradio.HTML(
            '<p class="note">The answer will stand here. Try an example below.</p>',
            elem_id="direction",
        ),
        gradio.Markdown(visible=False, elem_id="why"),
        gradio.Image(
            show_label=False,
            visible=False,
            alt_text="Posterior, track over time, spectrograms, mask and weights of the bands",
            format="png",
            interactive=False,
            buttons=["download", "fullscreen"],
            elem_id="figure",
        ),
        gradio.Audio(
            label="What the mask leaves",
            visible=False,
            interactive=False,
            buttons=["download"],
            elem_id="masked",
        ),
    ]


def _examples(
    gradio: Any,
    examples: Iterable[Example],
    localize: Callable[..., _Shown],
    width: Any,
    fields: Sequence[Any],
    shown: Sequence[Any],
) -> None:
    """A row for each recording, and in it a button with a thumbnail for each prompt."""
    gradio.Markdown("## Examples\n\nTwo sounds in a room, and a picture of one of them.")
    for number, (_, group) in enumerate(groupby(examples, lambda one: one.recording), 1):
        with gradio.Row():
            for example in group:
                button = gradio.Button(
                    _label(example, number), icon=example.picture, elem_classes="example"
                )
                button.click(
                    _run_example(localize, example, len(fields)),
                    width,
                    [*fields, *shown],
                    scroll_to_output=True,
                    api_visibility="private",
                )


def _run_example(
    localize: Callable[..., _Shown], example: Example, num_fields: int
) -> Callable[[int | None], _Shown]:
    """A function that fills the fields with an example and answers it."""

    def run(width: int | None) -> _Shown:
        given = [example.recording, example.picture]
        shown = localize(width, *given, example=example)
        prompts = [None] * (num_fields - len(given) - 2)
        return (*given, *prompts, TWO, None, *shown)

    return run


def _label(example: Example, number: int) -> str:
    name, other = (text.replace("_", " ") for text in (example.name, example.other))
    if not name:
        return f"Recording {number}"
    truth = "" if example.azimuth is None else f", true answer {example.azimuth:.0f}°"
    return f"{name} beside {other}\nRecording {number}{truth}"


def _draw(
    found: Answer,
    picture: str | None,
    width: int | None,
    example: Example | None,
) -> Image.Image:
    """The figure of an answer as a picture, for a window of `width` pixels."""
    wide = not width or width >= _WIDE_WINDOW
    truth = (None, None) if example is None else (example.azimuth, example.other_azimuth)
    figure: FigureBase
    if found.array is not None:
        azimuth = found.azimuth if found.confidence > 0 else None
        figure = plot_circle(found.explanation["posterior"], azimuth, found.array)
    else:
        figure = plot_explanation(
            found.explanation,
            *truth,
            track=found.track,
            prompt=picture or None,
            width=style.COLUMN_WIDTH if wide else style.PHONE_WIDTH,
        )
    with io.BytesIO() as file:
        cast(Figure, figure).savefig(file, format="png", dpi=110 if wide else 160)
        file.seek(0)
        return Image.open(file).convert("RGB")


def import_gradio() -> Any:
    """Imports Gradio, or raises an `ImportError` that says how to install it."""
    try:
        import gradio
    except ImportError as error:
        raise ImportError("The page needs Gradio: `pip install gradio`.") from error
    return gradio
