"""Parts of the page in HTML and Markdown."""

import base64
import html
import io
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from PIL import Image

from keras_avssan._internal.types import PathLike
from keras_avssan.app.answer import MAX_SECONDS, Answer, reads_words
from keras_avssan.app.over_time import TRACK_SECONDS
from keras_avssan.app.wording import (
    PRESENCE_NOTE,
    PROBABILITY_NOTE,
    describe_azimuth,
    describe_direction,
    describe_presence,
    describe_track,
    known_classes,
    second_azimuth,
    second_candidate,
)
from keras_avssan.data.media.image_io import read_image

if TYPE_CHECKING:
    from keras_avssan.app.examples import Example

# Pixels of a picture beside an answer; screens with two pixels for one show it at half the size.
_THUMBNAIL = 320
# More classes than these are listed only on demand.
_MANY_CLASSES = 16

STYLE = """
.answer { display: flex; flex-wrap: wrap; gap: 1.25rem; align-items: flex-start; }
.answer img, .preview img { max-width: 160px; max-height: 160px; border-radius: 8px; }
.answer figure { margin: 0; max-width: 160px; overflow-wrap: anywhere; }
.answer figcaption, .note { font-size: 0.875rem; opacity: 0.8; }
.answer > div { flex: 1 1 16rem; }
.answer h2 { font-size: 2.75rem; line-height: 1; margin: 0; }
.answer .words { font-size: 1.125rem; margin: 0.25rem 0 0.75rem; }
.answer dl { display: grid; grid-template-columns: max-content 1fr; gap: 0.25rem 1rem; margin: 0; }
.answer dt { opacity: 0.75; }
.answer dd { margin: 0; }
.answer details { margin-top: 0.5rem; font-size: 0.875rem; }
.notice { border-left: 4px solid; border-radius: 4px; padding: 0.75rem 1rem; }
.notice { margin-bottom: 0.75rem; }
.notice.error { border-color: #c62828; background: rgba(198, 40, 40, 0.1); }
.notice.warning { border-color: #b26a00; background: rgba(178, 106, 0, 0.12); }
.example img { width: 72px; height: 72px; border-radius: 6px; }
.example { justify-content: flex-start; text-align: left; white-space: pre-line; gap: 0.75rem; }
"""


def introduction(model: Any) -> str:
    """Introduction to the page, with the classes that the model knows, as Markdown."""
    kinds = "a picture of it, another recording of such a sound, or words"
    if not reads_words(model):
        kinds = "a picture of it, or another recording of such a sound"
    return f"""# Where does that sound come from?

Give a recording of two microphones, up to {MAX_SECONDS:g} s, and show what you mean: {kinds}. 0° is
beside microphone 1 (the left channel), 90° in front of the pair or behind it, which two microphones
cannot distinguish, and 180° beside microphone 2 (the right channel). For an array of more
microphones choose it as *Microphones*: its azimuths go all around, from 0° to 359°,
counter-clockwise from its x axis as seen from above.

{_knowledge(known_classes(model))}"""


def _knowledge(classes: Sequence[str]) -> str:
    if not classes:
        return (
            "The classes that this model was trained on are not recorded. It gives a direction for "
            "every prompt, also for sounds that it does not know."
        )
    names = ", ".join(html.escape(name.replace("_", " ")) for name in classes)
    rest = "It gives a direction for other sounds too, but was not trained on them."
    if len(classes) <= _MANY_CLASSES:
        return f"**This model knows {len(classes)} classes**: {names}. {rest}"
    return (
        f"<details><summary>This model knows {len(classes)} classes</summary>{names}</details>\n\n"
        f"{rest}"
    )


def show_answer(
    found: Answer,
    picture: PathLike | None = None,
    words: str | None = None,
    sound: PathLike | None = None,
    example: "Example | None" = None,
) -> str:
    """An answer as HTML, with the prompt beside it: a picture, words or a recording."""
    explanation = found.explanation
    presence = explanation.get("presence")  # of networks with candidates
    in_words, find_second = describe_direction, second_candidate
    if found.array is not None:
        in_words, find_second = describe_azimuth, second_azimuth
    second = find_second(explanation["posterior"], found.azimuth)
    heading, where = f"{found.azimuth:.0f}°", in_words(found.azimuth)
    if found.confidence == 0:  # two channels are the same, or silent
        heading, where, second = "No direction", "the recording has no direction", None
    rows = {
        "Probability within 5°": _percent(found.confidence),
        "Second candidate": _second(second, in_words),
        "Is it there?": html.escape(
            describe_presence(explanation.get("similarity", np.nan), presence)
        ),
    }
    if found.track is not None:
        rows["Over time"] = describe_track(found.track)
    elif found.array is not None and found.seconds > TRACK_SECONDS:
        rows["Over time"] = "only for two microphones; this is the answer for the whole recording"
    if example is not None and example.azimuth is not None:
        rows["True answer"] = _truth(found.azimuth, example)
    table = "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in rows.items())
    return (
        f'{"".join(_notice("warning", text) for text in found.warnings)}<div class="answer">'
        f"<figure>{_prompt(picture, words, sound)}</figure><div><h2>{heading}</h2>"
        f'<p class="words">{where}</p><dl>{table}</dl>'
        "<details><summary>What these numbers mean</summary>"
        "<p>The probability is the model's own estimate, not a rate of right answers. "
        f"{PRESENCE_NOTE if presence is None else PROBABILITY_NOTE}</p></details></div></div>"
    )


def show_error(message: str) -> str:
    """An error as HTML; it stays until the next answer."""
    return _notice("error", message, ' role="alert"')


def show_preview(path: PathLike) -> str:
    """A picture as it was uploaded, as HTML."""
    return f'<div class="preview">{_image(path)}</div>'


def _notice(kind: str, message: str, attributes: str = "") -> str:
    return f'<div class="notice {kind}"{attributes}>{html.escape(message)}</div>'


def _prompt(picture: PathLike | None, words: str | None, sound: PathLike | None) -> str:
    """The prompt: a picture, words or the name of a recording."""
    if picture:
        return f"{_image(picture)}<figcaption>prompt: this picture</figcaption>"
    what = f"“{words.strip()}”" if words else os.path.basename(cast(PathLike, sound))
    return f"<figcaption>prompt: {html.escape(what)}</figcaption>"


def _image(path: PathLike) -> str:
    """A picture in the page itself, no larger than it is shown."""
    pixels = np.round(255 * read_image(path)).astype("uint8")
    image = Image.fromarray(pixels)
    image.thumbnail((_THUMBNAIL, _THUMBNAIL))
    with io.BytesIO() as file:
        image.save(file, format="PNG")
        data = base64.b64encode(file.getvalue()).decode()
    return f'<img alt="the prompt" src="data:image/png;base64,{data}">'


def _second(second: tuple[float, float] | None, in_words: Callable[[float], str]) -> str:
    if second is None:
        return "none with 5 % or more"
    azimuth, probability = second
    return f"{azimuth:.0f}°, {in_words(azimuth)}: {_percent(probability)}"


def _truth(azimuth: float, example: "Example") -> str:
    truth = cast(float, example.azimuth)
    apart = abs(azimuth - truth)
    name, other = (text.replace("_", " ") for text in (example.name, example.other))
    text = f"{name} at {truth:.0f}°, {apart:.0f}° from the answer"
    if example.other_azimuth is not None:
        text += f"; {other} at {example.other_azimuth:.0f}°"
    return html.escape(text)


def _percent(probability: float) -> str:
    return f"{100 * probability:.0f} %"
