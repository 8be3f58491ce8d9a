"""The page: what is put in, what is shown."""

import io
import threading
from collections.abc import Sequence
from itertools import groupby
from typing import Any, cast

from matplotlib.figure import Figure
from PIL import Image

from keras_avssan._internal.types import PathLike
from keras_avssan.app.answer import answer, check_picture, reads_words
from keras_avssan.app.examples import Example
from keras_avssan.app.page_parts import (
    introduction,
    show_answer,
    show_error,
    show_preview,
)
from keras_avssan.visualization import plot_explanation, style

# Names that the browser offers; `answer` looks into the file.
_PICTURES = [".jpg", ".jpeg", ".png", ".webp"]
# Seconds: how often old uploads are looked for, and how old they may become.
_DELETION = (600, 3600)
# Questions that may wait for their turn.
_MAX_WAITING = 16
# Width of a window in pixels from which the panels of a figure stand side by side.
_WIDE_WINDOW = 1100
_WHY = "### What led to the answer"


def build_interface(model: Any, examples=()):
    """Builds the page.

    Args:
        model: A trained `AVSSAN`.
        examples: List of tuples: path of a recording, path of a picture, and where that is known
            the name of what the picture shows, its true azimuth, and name and azimuth of the other
            sound.

    Returns:
        A `gradio.Blocks`; `launch` opens it.

    Raises:
        ImportError: If Gradio is not installed.

    Example:
        >>> build_interface(AVSSAN.from_preset("my_model")).launch()
    """
    gradio = import_gradio()
    ask = _make_ask(gradio, model)
    # No button that shares: it would send what is heard to another server.
    with gradio.Blocks(
        title="keras-avssan", analytics_enabled=False, delete_cache=_DELETION
    ) as page:
        gradio.Markdown(introduction(model), elem_id="introduction")
        width = gradio.Number(visible="hidden")
        page.load(None, None, width, js="() => window.innerWidth", api_visibility="private")
        with gradio.Row():
            with gradio.Column(scale=1):
                asked, button = _inputs(gradio, reads_words(model))
            with gradio.Column(scale=2):
                shown = _outputs(gradio)
        button.click(
            lambda width, *asked: ask(width, *asked),
            [width, *asked],
            shown,
            api_visibility="private",
        )
        if examples:
            _examples(gradio, [Example(*one) for one in examples], ask, width, asked, shown)
            # They are not deleted with the uploads.
            asked[0].keep_in_cache.update(*page.temp_file_sets)
    return page.queue(max_size=_MAX_WAITING, default_concurrency_limit=1)


def _make_ask(gradio: Any, model: Any):
    """The function behind the page: what is shown of a question, or what is wrong with it."""
    one_at_a_time = threading.Lock()

    def ask(
        width: int,
        recording: Any,
        picture: Any,
        sound: Any = None,
        words: Sequence[str] | None = None,
        example=None,
    ):
        try:
            with one_at_a_time:
                found = answer(model, recording, picture, words, sound)
            text = show_answer(found, picture, words, sound, example)
            figure = _draw(found.explanation, picture, width, example)
        except ValueError as error:
            hidden = gradio.update(value=None, visible=False)
            return show_error(str(error)), hidden, hidden, hidden
        masked = (found.sampling_rate, found.masked_audio)
        values = (_WHY, figure, masked)
        return text, *(gradio.update(value=value, visible=True) for value in values)

    return ask


def _inputs(gradio: Any, words: Sequence[str]):
    """Fields for the recording and for what asks, and the button. No microphone: it has one."""
    recording = gradio.Audio(
        label="Recording, two channels",
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
    asked = [recording, picture, sound]
    if words:
        asked.append(gradio.Textbox(label="Or words", elem_id="words"))
    return asked, gradio.Button("Find it", variant="primary", elem_id="find")


def _preview(path: PathLike):
    """An uploaded picture, or at once what is wrong with it."""
    if not path:
        return ""
    try:
        check_picture(path)
        return show_preview(path)
    except ValueError as error:
        return show_error(str(error))


def _outputs(gradio: Any):
    """Answer, figure with its heading, and sound: empty until something is asked."""
    return [
        gradio.HTML(
            '<p class="note">The answer will stand here. Try an example below.</p>',
            elem_id="direction",
        ),
        gradio.Markdown(visible=False, elem_id="why"),
        gradio.Image(
            show_label=False,
            visible=False,
            alt_text="Posterior, spectrograms, mask and weights of the bands",
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


def _examples(gradio: Any, examples, ask, width: int, asked, shown) -> None:
    """A row a recording, a button with a thumbnail for each question about it."""
    gradio.Markdown("## Examples\n\nTwo sounds in a room, and a picture of one of them.")
    for number, (_, questions) in enumerate(groupby(examples, lambda one: one.recording), 1):
        with gradio.Row():
            for question in questions:
                button = gradio.Button(
                    _label(question, number), icon=question.picture, elem_classes="example"
                )
                button.click(
                    _asker(ask, question, len(asked)),
                    width,
                    [*asked, *shown],
                    scroll_to_output=True,
                    api_visibility="private",
                )


def _asker(ask, example, fields):
    """A function that fills the fields with an example, and asks."""

    def run(width: int):
        given = [example.recording, example.picture]
        shown = ask(width, *given, example=example)
        return (*given, *[None] * (fields - len(given)), *shown)

    return run


def _label(example, number: int) -> str:
    name, other = (text.replace("_", " ") for text in (example.name, example.other))
    if not name:
        return f"Recording {number}"
    truth = "" if example.azimuth is None else f", true answer {example.azimuth:.0f}°"
    return f"{name} beside {other}\nRecording {number}{truth}"


def _draw(explanation, picture: Any, width: int, example):
    """The figure of an answer as a picture, for a window of `width` pixels."""
    wide = not width or width >= _WIDE_WINDOW
    truth = (None, None) if example is None else (example.azimuth, example.other_azimuth)
    figure = plot_explanation(
        explanation,
        *truth,
        prompt=picture or None,
        width=style.COLUMN_WIDTH if wide else style.PHONE_WIDTH,
    )
    with io.BytesIO() as file:
        cast(Figure, figure).savefig(file, format="png", dpi=110 if wide else 160)
        file.seek(0)
        return Image.open(file).convert("RGB")


def import_gradio():
    """Imports Gradio, without its telemetry.

    Returns:
        The module.

    Raises:
        ImportError: If it is not installed.
    """
    try:
        import gradio
    except ImportError as error:
        raise ImportError("The page needs Gradio: `pip install gradio`.") from error
    return gradio
