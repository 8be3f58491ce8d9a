"""Which of the scenes that score a model were in its training."""

from collections.abc import Sequence
from typing import Any

from keras_avssan.models.fitting.training_record import item_digest, room_digests
from keras_avssan.models.prompt_embeddings import takes_prompt

ON_OVERLAP = ("mark", "error")
# What of a scene a model may know, and how it is named in JSON and messages. Recordings that ask
# may come from a training on purpose (`reference_split`): they are counted, and refute no score.
_NAMES = ("recordings", "pictures", "rooms")
_ASKING = "prompt_recordings"


def check_on_overlap(on_overlap):
    """Refuses an unknown way of dealing with scenes of the training."""
    if on_overlap not in ON_OVERLAP:
        raise ValueError(
            f"`on_overlap` must be one of {ON_OVERLAP}. Received: on_overlap={on_overlap!r}"
        )


def scene_overlap(model: Any, plan, scenes, prompt: Any, on_overlap):
    """What of some scenes was in the training of a model.

    Args:
        model: What is scored.
        plan: `keras_avssan.data.ScenePlan` of the scenes.
        scenes: List of its `Scene`s.
        prompt: What asks, see `evaluate_localizer`.
        on_overlap: `"mark"` or `"error"`.

    Returns:
        Dict that JSON can hold, see `overlap`; `None` for a method that is not trained.

    Raises:
        ValueError: With `"error"`, if something was, or it is not known.
    """
    check_on_overlap(on_overlap)
    asked = takes_prompt(model)
    heard = [{source.clip for source in scene.sources} for scene in scenes]
    asks = [
        {scene.picture} if asked and prompt in ("picture", "constant") else set()
        for scene in scenes
    ]
    references = [{scene.reference} if asked and scene.reference else set() for scene in scenes]
    items = set().union(*heard, *asks, *references)
    digests = {item: item_digest(plan.catalog, item) for item in items}
    rooms = sorted({scene.room for scene in scenes})
    digests |= dict(zip(rooms, room_digests(plan.bank, rooms), strict=True))
    parts = zip(heard, asks, ({scene.room} for scene in scenes), references, strict=True)
    names = (*_NAMES, _ASKING)
    found = [
        {name: {digests[item] for item in part} for name, part in zip(names, scene, strict=True)}
        for scene in parts
    ]
    return overlap(model, found, on_overlap)


def picture_overlap(model: Any, catalog: Any, pictures: Any, on_overlap):
    """What of the pictures that ask was in the training of a model, see `scene_overlap`."""
    check_on_overlap(on_overlap)
    pictures = pictures if takes_prompt(model) else ()
    return overlap(
        model, [{"pictures": {item_digest(catalog, picture)}} for picture in pictures], on_overlap
    )


def overlap(model: Any, scenes, on_overlap):
    """What of some scenes was in the training of a model.

    Args:
        model: What is scored.
        scenes: List with, for every scene, a dict from a name to a set of digests.
        on_overlap: `"mark"` or `"error"`.

    Returns:
        Dict with `known`, whether all that the model was trained on is known; where something is
        known `scenes`, the share of scenes that hold something of the training, and for every
        name a dict of `of_training` and `all`, numbers of different ones. `None` for a method
        that is not trained.

    Raises:
        ValueError: With `"error"`, if something was, or it is not known.
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
            _ASKING: record.clips,
        }
        touched = [any(scene.get(name, set()) & seen[name] for name in _NAMES) for scene in scenes]
        found = {"known": record.complete, "scenes": sum(touched) / max(1, len(scenes))}
        for name in seen:
            every = set().union(*(scene.get(name, ()) for scene in scenes))
            if every:
                found[name] = {"of_training": len(every & seen[name]), "all": len(every)}
    if on_overlap == "error":
        _refuse(found)
    return found


def describe_overlap(found) -> str:
    """What was found, in one sentence; empty for a method that is not trained.

    Args:
        found: What `overlap` returned.

    Returns:
        Str.
    """
    if found is None:
        return ""
    parts = {name: part for name, part in found.items() if name in _NAMES}
    known = [
        f"{part['of_training']} of {part['all']} {name}"
        for name, part in parts.items()
        if part["of_training"]
    ]
    if known:
        return f"NO TEST SCORES: {_joined(known)} were in the training of this model."
    if not found["known"]:
        return "What this model was trained on is not known: these may be no test scores."
    asking = found.get(_ASKING, {"of_training": 0})
    but = (
        f", but {asking['of_training']} of {asking['all']} that ask"
        if asking["of_training"]
        else ""
    )
    return (
        f"No {_joined(list(parts), 'or')} of these scenes were in the training of this model{but}."
    )


def _refuse(found):
    if not found["known"] or found["scenes"]:
        raise ValueError(
            f"{describe_overlap(found)} Take scenes that the model was not trained on, or let the "
            "scores be marked."
        )


def _joined(words: Sequence[str], last: str = "and"):
    """Words as a list in a sentence."""
    return f" {last} ".join(filter(None, (", ".join(words[:-1]), words[-1])))
