"""The page: what is put in, what is shown."""

import html
import io
import threading
from typing import cast

from matplotlib.figure import Figure
from PIL import Image

from keras_avssan.app.answer import MAX_SECONDS, answer
from keras_avssan.data.file_kinds import IMAGE_SUFFIXES
from keras_avssan.visualization import plot_explanation

# Seconds: how often old uploads are looked for, and how old they may become.
_DELETION = (600, 3600)
# Questions that may wait for their turn.
_MAX_WAITING = 16
_INTRODUCTION = f"""# Where does that sound come from?

Give a recording of two microphones, up to {MAX_SECONDS:g} s, and show what you mean: a picture of
it, or another recording of such a sound. 0° is beside microphone 1 (the left channel), 90° in front
of the pair or behind it, 180° beside microphone 2."""


def build_interface(model, examples=()):
    """Builds the page.

    Args:
        model: A trained `AVSSAN`.
        examples: List of tuples: path of a recording, path of a picture.

    Returns:
        A `gradio.Blocks`; `launch` opens it.

    Raises:
        ImportError: If Gradio is not installed.

    Example:
        >>> build_interface(AVSSAN.from_preset("my_model")).launch()
    """
    gradio = import_gradio()
    reads_words = getattr(model.preprocessor, "tokenize", None) is not None
    one_at_a_time = threading.Lock()

    def run(recording, picture, sound, words=None):
        try:
            with one_at_a_time:
                found = answer(model, recording, picture, words, sound)
        except ValueError as error:
            # The page shows messages as HTML.
            message = html.escape(str(error))
            raise gradio.Error(message, duration=None, print_exception=False) from error
        text = f"## {found.azimuth:.0f}°\n\nConfidence {found.confidence:.2f}"
        text += "".join(f"\n\n**{html.escape(warning)}**" for warning in found.warnings)
        return text, _draw(found.explanation), (found.sampling_rate, found.masked_audio)

    # No button that shares: it would send what is heard to another server.
    with gradio.Blocks(
        title="keras-avssan", analytics_enabled=False, delete_cache=_DELETION
    ) as page:
        gradio.Markdown(_INTRODUCTION)
        with gradio.Row():
            with gradio.Column(scale=1):
                recording = gradio.Audio(
                    label="Recording, two channels",
                    sources=["upload"],  # a browser records one channel, or one twice
                    type="filepath",
                    buttons=[],
                    elem_id="recording",
                )
                picture = gradio.File(
                    label="A picture of what you mean",
                    file_types=list(IMAGE_SUFFIXES),
                    elem_id="picture",
                )
                sound = gradio.Audio(
                    label="Or another recording of such a sound",
                    type="filepath",
                    buttons=[],
                    elem_id="sound",
                )
                asked = [recording, picture, sound]
                if reads_words:
                    asked.append(gradio.Textbox(label="Or words", elem_id="words"))
                button = gradio.Button("Find it", variant="primary", elem_id="find")
            with gradio.Column(scale=2):
                text = gradio.Markdown(elem_id="direction")
                figure = gradio.Image(
                    label="What led to the answer",
                    format="png",
                    interactive=False,
                    buttons=["download", "fullscreen"],
                    elem_id="figure",
                )
                masked = gradio.Audio(
                    label="What the mask leaves",
                    interactive=False,
                    buttons=["download"],
                    elem_id="masked",
                )
        button.click(run, asked, [text, figure, masked], api_visibility="private")
        if examples:
            gradio.Examples(
                [list(pair) for pair in examples],
                [recording, picture],
                [text, figure, masked],
                fn=lambda recording, picture: run(recording, picture, None),
                run_on_click=True,
                cache_examples=False,
                label="Examples: two sounds, and a picture of one of them",
                api_visibility="private",
            )
            # They are not deleted with the uploads.
            recording.keep_in_cache.update(*page.temp_file_sets)
    return page.queue(max_size=_MAX_WAITING, default_concurrency_limit=1)


def _draw(explanation):
    """The figure of an answer as a picture."""
    figure = cast(Figure, plot_explanation(explanation))
    with io.BytesIO() as file:
        figure.savefig(file, format="png", dpi=110)
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
        raise ImportError(
            'The page needs Gradio: install it with `pip install "keras-avssan[app]"`.'
        ) from error
    return gradio
