"""What a model was trained on, kept with its weights."""

import base64
import hashlib
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from keras_avssan._internal.one_line import count, one_line

_FORMAT = 1
# Of a digest. Among 20,000 recordings of a training, one of 10,000 others is taken for one of them
# by chance once in a million times.
_DIGEST_BYTES = 6
_KINDS = ("clips", "pictures", "rooms")
_ROOM = ("room_sizes", "t60", "microphones", "sources", "azimuths")


@dataclass(frozen=True, repr=False)
class TrainingRecord:
    """What a model was trained on: readable notes, and digests of all recordings and rooms.

    `fit_scenes`, and `fit` on a dataset of `make_dataset` or what was made of one, set
    `model.training_record`. It is kept in presets (`training_record.json`) and `.keras` files, and
    tells `evaluate_localizer` which scenes are none of a test. A recording or picture is known by
    its class, its place in the data and the size of its file, a room by its dimensions and
    positions: copies under other names are not recognised, and no path of the machine is kept,
    unless the command line has one.

    Args:
        trainings: Tuple of dicts that JSON can hold, one a training, in order: `date` (UTC),
            `versions`, `command`, `steps`, `batch_size`, `split`, `classes`, `seed`, `catalog`,
            `bank` with its `room_range`, `sampling_rate` in hertz, `microphone_spacing` in metres,
            `validation` and others. A training on data that the library did not make has
            `"data": "not known"`.
        clips: Frozenset of digests of all recordings that may have been heard.
        pictures: Frozenset of digests of all pictures that may have been prompts.
        rooms: Frozenset of digests of all rooms.

    Example:
        >>> record = TrainingRecord(({"split": "train", "steps": 1200},), rooms=frozenset("ab"))
        >>> record
        <TrainingRecord: 1 training, 0 clips, 0 pictures, 2 rooms>
        >>> last = record.trainings[-1]
        >>> last["split"]
        'train'
    """

    trainings: tuple[dict, ...] = ()
    clips: frozenset = frozenset()
    pictures: frozenset = frozenset()
    rooms: frozenset = frozenset()

    def __repr__(self) -> str:
        kinds = ("trainings", *_KINDS)
        return one_line(
            self, *(count(len(getattr(self, kind)), kind.removesuffix("s")) for kind in kinds)
        )

    @property
    def complete(self):
        """Whether all data of all trainings are known."""
        return all(training.get("data") != "not known" for training in self.trainings)

    def to_dict(self) -> dict[str, Any]:
        """The record as JSON holds it; `from_dict` reads it."""
        return {
            "format": _FORMAT,
            "trainings": list(self.trainings),
            "digest_bytes": _DIGEST_BYTES,
            **{kind: _pack(getattr(self, kind)) for kind in _KINDS},
        }

    @classmethod
    def from_dict(cls, content: Any):
        """Makes a record of what `to_dict` gave.

        Args:
            content: That dict.

        Returns:
            A `TrainingRecord`.

        Raises:
            ValueError: If it is something else, or of a later version.
        """
        try:
            if content["format"] > _FORMAT:
                raise ValueError(f"its format {content['format']} is a later one")
            sets = {kind: _unpack(content[kind], content["digest_bytes"]) for kind in _KINDS}
            return cls(tuple(content["trainings"]), **sets)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"This is no training record: {error!r}") from error


def join_records(before, record, resumed: bool = False):
    """One training after another, as one record.

    Args:
        before: `TrainingRecord`, or `None`.
        record: `TrainingRecord` of the later training.
        resumed: Whether it resumes the last training of `before`, which then counts once.

    Returns:
        A `TrainingRecord`.
    """
    before = before or TrainingRecord()
    trainings = before.trainings
    if resumed and trainings and _same(trainings[-1], record.trainings[0]):
        trainings = trainings[:-1]
    sets = {kind: getattr(before, kind) | getattr(record, kind) for kind in _KINDS}
    return TrainingRecord((*trainings, *record.trainings), **sets)


def with_steps(record, steps: int):
    """The record with the number of steps that its last training really had."""
    *before, last = record.trainings
    return replace(record, trainings=(*before, {**last, "steps": int(steps)}))


def item_digest(catalog: Any, item: Any):
    """Digest of a clip or picture, by what it is and not by where the data are.

    Args:
        catalog: The `keras_avssan.data.Catalog` that has it.
        item: `Clip` or `Picture`.

    Returns:
        Bytes.
    """
    return _digest(catalog.identity(item).encode())


def room_digests(bank: Any, rows):
    """Digests of rooms of a bank.

    Args:
        bank: `keras_avssan.simulation.RIRBank`.
        rows: Iterable of places in the bank.

    Returns:
        List of bytes.
    """
    columns = [np.asarray(getattr(bank, name), "float32") for name in _ROOM if hasattr(bank, name)]
    return [_digest(b"".join(column[row].tobytes() for column in columns)) for row in rows]


def fingerprint(digests):
    """One digest of a set of digests, as hexadecimal digits."""
    return hashlib.sha256(b"".join(sorted(digests))).hexdigest()[:16]


def _digest(content: Any):
    return hashlib.blake2b(content, digest_size=_DIGEST_BYTES).digest()


def _pack(digests):
    return base64.b64encode(b"".join(sorted(digests))).decode("ascii")


def _unpack(text: str, size: int):
    content = base64.b64decode(text, validate=True)
    return frozenset(content[start : start + size] for start in range(0, len(content), size))


def _same(one, other):
    """Whether two notes are of one training, before and after an interruption."""
    ignored = ("date", "steps", "command", "versions")
    first, second = ({k: v for k, v in n.items() if k not in ignored} for n in (one, other))
    return first == second
