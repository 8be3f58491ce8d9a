"""Overlap of evaluated scenes with the training of a model."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from keras_avssan._internal.checks import check_choice
from keras_avssan._internal.types import DirectionModel
from keras_avssan.data.catalogs.catalog import Catalog, Picture
from keras_avssan.data.scenes.scene import Scene
from keras_avssan.data.scenes.scene_plan import ScenePlan
from keras_avssan.models.fitting.training_record import item_digest, room_digests
from keras_avssan.models.prompt_embeddings import takes_prompt

ON_OVERLAP = ("mark", "error")
# Data of a scene that may be in a training, as named in JSON and messages. Recordings that are
# prompts may be in it on purpose (`reference_split`): they are counted, but no reason to refuse.
_NAMES = ("recordings", "pictures", "rooms")
_PROMPT_RECORDINGS = "prompt_recordings"


def check_on_overlap(on_overlap: str) -> None:
    """Raises a ValueError if `on_overlap` is not an option."""
    check_choice("on_overlap", on_overlap, ON_OVERLAP)


def scene_overlap(
    model: DirectionModel, plan: ScenePlan, scenes: Sequence[Scene], prompt: str, on_overlap: str
) -> dict[str, Any] | None:
    """Compares recordings, pictures and rooms of scenes with a model's training, see `overlap`."""
    check_on_overlap(on_overlap)
    is_prompted = takes_prompt(model)
    recordings = [{source.clip for source in scene.sources} for scene in scenes]
    pictures = [
        {scene.picture} if is_prompted and prompt in ("picture", "constant") else set()
        for scene in scenes
    ]
    references = [
        {scene.reference} if is_prompted and scene.reference else set() for scene in scenes
    ]
    items: set[Any] = set().union(*recordings, *pictures, *references)
    digests: dict[Any, bytes] = {item: item_digest(plan.catalog, item) for item in items}
    rooms = sorted({scene.room for scene in scenes})
    digests |= dict(zip(rooms, room_digests(plan.bank, rooms), strict=True))
    parts: Iterator[tuple[set[Any], ...]] = zip(
        recordings, pictures, ({scene.room} for scene in scenes), references, strict=True
    )
    names = (*_NAMES, _PROMPT_RECORDINGS)
    found = [
        {name: {digests[item] for item in part} for name, part in zip(names, scene, strict=True)}
        for scene in parts
    ]
    return overlap(model, found, on_overlap)


def picture_overlap(
    model: DirectionModel, catalog: Catalog, pictures: Iterable[Picture], on_overlap: str
) -> dict[str, Any] | None:
    """Compares pictures of prompts with a model's training, see `overlap`."""
    check_on_overlap(on_overlap)
    pictures = pictures if takes_prompt(model) else ()
    return overlap(
        model, [{"pictures": {item_digest(catalog, picture)}} for picture in pictures], on_overlap
    )


def overlap(
    model: DirectionModel, scenes: Sequence[Mapping[str, set[bytes]]], on_overlap: str
) -> dict[str, Any] | None:
    """Counts the digests of scenes, sets by name, that were in a model's training.

    `None` if the model is not trained; with `"error"` an overlap, or a doubt, is a ValueError.
    """
    if not hasattr(model, "training_record"):
        return None
    record = model.training_record
    found: dict[str, Any] = {"known": False}
    if record is not None and record.trainings:
        seen = {
            "recordings": record.clips,
            "pictures": record.pictures,
            "rooms": record.rooms,
            _PROMPT_RECORDINGS: record.clips,
        }
        touched = [any(scene.get(name, set()) & seen[name] for name in _NAMES) for scene in scenes]
        found = {"known": record.complete, "scenes": sum(touched) / max(1, len(scenes))}
        for name in seen:
            every = set().union(*(scene.get(name, ()) for scene in scenes))
            if every:
                found[name] = {"in_training": len(every & seen[name]), "all": len(every)}
    if on_overlap == "error":
        _refuse(found)
    return found


def describe_overlap(found: dict[str, Any] | None) -> str:
    """Describes the result of `overlap` in one sentence; empty for `None`."""
    if found is None:
        return ""
    parts = {name: part for name, part in found.items() if name in _NAMES}
    known = [
        f"{part['in_training']} of {part['all']} {name}"
        for name, part in parts.items()
        if part["in_training"]
    ]
    if known:
        return f"NO TEST SCORES: {_joined(known)} were in the training of this model."
    if not found["known"]:
        return "What this model was trained on is not known: these may not be test scores."
    prompts = found.get(_PROMPT_RECORDINGS, {"in_training": 0})
    but = (
        f", but {prompts['in_training']} of {prompts['all']} prompt recordings were"
        if prompts["in_training"]
        else ""
    )
    return (
        f"No {_joined(list(parts), 'or')} of these scenes were in the training of this model{but}."
    )


def _refuse(found: dict[str, Any]) -> None:
    """Raises a ValueError if there is an overlap, or the training is not known."""
    if not found["known"] or found["scenes"]:
        raise ValueError(
            f"{describe_overlap(found)} Use scenes unseen in training, or set `on_overlap='mark'`. "
            "Received: on_overlap='error'"
        )


def _joined(words: Sequence[str], last: str = "and") -> str:
    """Words as a list in a sentence."""
    return f" {last} ".join(filter(None, (", ".join(words[:-1]), words[-1])))
