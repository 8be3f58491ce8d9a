"""`TrainingRecord`, the data that a model was trained on, stored with its weights."""

import base64
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_avssan._internal.atomic_files import sha256
from keras_avssan._internal.one_line import count, one_line

if TYPE_CHECKING:
    from keras_avssan.data.catalogs.catalog import Catalog, Clip, Picture
    from keras_avssan.simulation import RIRBank

_FORMAT = 1
# Length of a digest. With 20,000 recordings in a training, one of 10,000 others collides with one
# of them with a probability of one in a million.
_DIGEST_BYTES = 6
_KINDS = ("clips", "pictures", "rooms")
_ROOM = ("room_sizes", "t60", "microphones", "sources", "azimuths")


@dataclass(frozen=True, repr=False)
class TrainingRecord:
    """Records the data that a model was trained on: notes, and digests of recordings and rooms.

    `fit_scenes`, and `fit` on a dataset of `make_dataset` or one derived from it, set
    `model.training_record`. It is stored in presets (`training_record.json`) and `.keras` files,
    and `evaluate_localizer` uses it to find test scenes that overlap with the training. A recording
    or picture is identified by its class, its place in the data and the size of its file, a room
    by its dimensions and positions: copies under other names are not recognised, and no path of
    the machine is stored, unless the command line has one.

    Args:
        trainings: Dicts that JSON can hold, one a training, in order: `date` (UTC), `versions`,
            `command`, `steps`, `batch_size`, `split`, `classes`, `seed`, `catalog`, `bank` with
            its `room_range`, `sampling_rate` in hertz, `microphone_spacing` in metres,
            `validation` and others. A training on data that the library did not make has
            `"data": "not known"`.
        clips: Digests of all recordings that may have been in the mixtures or prompts.
        pictures: Digests of all pictures that may have been prompts.
        rooms: Digests of all rooms.

    Example:
        >>> record = TrainingRecord(({"split": "train", "steps": 1200},), rooms=frozenset("ab"))
        >>> record
        <TrainingRecord: 1 training, 0 clips, 0 pictures, 2 rooms>
        >>> last = record.trainings[-1]
        >>> last["split"]
        'train'
    """

    trainings: tuple[dict[str, Any], ...] = ()
    clips: frozenset[bytes] = frozenset()
    pictures: frozenset[bytes] = frozenset()
    rooms: frozenset[bytes] = frozenset()

    def __repr__(self) -> str:
        kinds = ("trainings", *_KINDS)
        return one_line(
            self, *(count(len(getattr(self, kind)), kind.removesuffix("s")) for kind in kinds)
        )

    @property
    def complete(self) -> bool:
        """Whether all data of all trainings are known."""
        return all(training.get("data") != "not known" for training in self.trainings)

    def to_dict(self) -> dict[str, Any]:
        """Returns the record as a dict that JSON can hold; `from_dict` reads it."""
        return {
            "format": _FORMAT,
            "trainings": list(self.trainings),
            "digest_bytes": _DIGEST_BYTES,
            **{kind: _pack(getattr(self, kind)) for kind in _KINDS},
        }

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "TrainingRecord":
        """Makes a record from the dict of `to_dict`.

        Args:
            content: That dict.

        Returns:
            A `TrainingRecord`.

        Raises:
            ValueError: If it is not such a dict, or of a later version.
        """
        try:
            if content["format"] > _FORMAT:
                raise ValueError(
                    f"`format` must be at most {_FORMAT}. Received: format={content['format']}"
                )
            sets = {kind: _unpack(content[kind], content["digest_bytes"]) for kind in _KINDS}
            trainings = content["trainings"]
            if not all(isinstance(training, dict) for training in trainings):
                raise TypeError(f"`trainings` must hold dicts. Received: trainings={trainings!r}")
            return cls(tuple(trainings), **sets)
        except (KeyError, TypeError, ValueError) as error:
            found = f"a dict of {sorted(content)}" if isinstance(content, dict) else repr(content)
            raise ValueError(
                f"`content` must be a training record, as `to_dict` returns it: {error!r}. "
                f"Received: content={found}"
            ) from error


def join_records(
    before: TrainingRecord | None, record: TrainingRecord, resumed: bool = False
) -> TrainingRecord:
    """One training after another, as one record.

    A training that is `resumed`, the last one of `before`, counts once.
    """
    before = before or TrainingRecord()
    trainings = before.trainings
    if resumed and trainings and _same(trainings[-1], record.trainings[0]):
        trainings = trainings[:-1]
    sets = {kind: getattr(before, kind) | getattr(record, kind) for kind in _KINDS}
    return TrainingRecord((*trainings, *record.trainings), **sets)


def with_steps(record: TrainingRecord, steps: int) -> TrainingRecord:
    """The record with the actual number of steps of its last training."""
    *before, last = record.trainings
    return replace(record, trainings=(*before, {**last, "steps": int(steps)}))


def item_digest(catalog: "Catalog", item: "Clip | Picture") -> bytes:
    """Digest of a clip or picture of a catalog, independent of the folder of the data."""
    return _digest(catalog.identity(item).encode())


def room_digests(bank: "RIRBank", rows: Iterable[int]) -> list[bytes]:
    """Digests of rooms of a bank, by their rows."""
    columns = [np.asarray(getattr(bank, name), "float32") for name in _ROOM if hasattr(bank, name)]
    return [_digest(b"".join(column[row].tobytes() for column in columns)) for row in rows]


def fingerprint(digests: Iterable[bytes]) -> str:
    """One digest of a set of digests, as hexadecimal digits."""
    return sha256(*sorted(digests))[:16]


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=_DIGEST_BYTES).digest()


def _pack(digests: Iterable[bytes]) -> str:
    return base64.b64encode(b"".join(sorted(digests))).decode("ascii")


def _unpack(text: str, size: int) -> frozenset[bytes]:
    content = base64.b64decode(text, validate=True)
    return frozenset(content[start : start + size] for start in range(0, len(content), size))


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two notes are of one training, before and after an interruption."""
    ignored = ("date", "steps", "command", "versions")
    first, second = ({k: v for k, v in n.items() if k not in ignored} for n in (one, other))
    return first == second
