"""Several banks as one, from which scenes take rooms by shares."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_avssan.simulation.bank.room_parts import PARTS, divide_rows

# Spacings of banks that differ by less are the same one, in metres.
_SAME_SPACING = 1e-3


def mixed_fields(banks: Sequence[Any], shares: Sequence[float] | None) -> dict[str, Any]:
    """Fields of a bank with the rooms of all banks, each divided into the parts of the mixture.

    What not all of them have is left out; single values are those of the first.
    """
    portions = _check(banks, shares)
    order, groups, origins = _order(banks)
    first = banks[0]
    length = max(bank.rirs.shape[-1] for bank in banks)
    # The place of each room of the banks, one after the other, in the new order.
    place = np.argsort(order)
    rirs = np.zeros((len(order), *first.rirs.shape[1:3], length), "float32")
    stop = 0
    for bank in banks:
        start, stop = stop, stop + len(bank)
        rirs[place[start:stop], ..., : bank.rirs.shape[-1]] = np.asarray(bank.rirs)
    fields: dict[str, Any] = {}
    for field in dataclasses.fields(first):
        values = [getattr(bank, field.name) for bank in banks]
        if field.name == "measured":
            values = [
                np.zeros(len(bank), bool) if value is None else value
                for bank, value in zip(banks, values, strict=True)
            ]
        if all(isinstance(value, np.ndarray) for value in values) and field.name != "rirs":
            fields[field.name] = np.concatenate(values)[order]
        elif not any(isinstance(value, np.ndarray) for value in values):
            fields[field.name] = values[0]
    return {
        **fields,
        "rirs": rirs,
        "groups": groups,
        "origins": origins,
        "shares": portions,
    }


def _check(banks: Sequence[Any], shares: Sequence[float] | None) -> np.ndarray:
    """The shares, which sum to one, after checking that the banks fit together."""
    if not isinstance(banks, (list, tuple)) or any(not hasattr(one, "rirs") for one in banks):
        raise TypeError(f"`banks` must be a list of `RIRBank`. Received: banks={banks!r}")
    if len(banks) < 2:
        raise ValueError(f"`banks` must be two banks or more. Received: {len(banks)}")
    if any(bank.shares is not None for bank in banks):
        raise ValueError(
            "`banks` must not be mixed already: mix all of them in one call. Received: banks of "
            f"{[bank.shares is not None and 'several' or 'one' for bank in banks]}"
        )
    for what, values in (
        ("sampling rate", [bank.sampling_rate for bank in banks]),
        ("number of sources in a room", [bank.rirs.shape[1] for bank in banks]),
    ):
        if len(set(values)) > 1:
            raise ValueError(f"`banks` must have the same {what}. Received: {values}")
    spacings = [bank.microphone_spacing for bank in banks]
    if max(spacings) - min(spacings) > _SAME_SPACING:
        raise ValueError(
            f"`banks` must have the same distance between the microphones. Received: {spacings} m"
        )
    try:
        portions = np.ones(len(banks)) if shares is None else np.asarray(shares, "float64")
    except (TypeError, ValueError):  # words, or lists of unequal lengths
        portions = np.zeros(0)
    good = portions.shape == (len(banks),) and np.all(np.isfinite(portions) & (portions > 0))
    if not good:
        raise ValueError(
            f"`shares` must be {len(banks)} positive numbers, one for each bank. "
            f"Received: shares={shares}"
        )
    return portions / portions.sum()


def _order(banks: Sequence[Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The rooms of all banks in their new order, their groups, and the banks they are from.

    By parts: first the rooms of all banks for training, then those for validation and test.
    """
    parts: dict[str, list[np.ndarray]] = {name: [] for name in PARTS}
    ranks, owners = [], []
    first = 0
    for number, bank in enumerate(banks):
        rank = np.arange(len(bank))
        if bank.groups is not None:
            rank = np.cumsum(np.diff(bank.groups, prepend=bank.groups[0]) != 0)
        ranks.append(rank)
        owners.append(np.full(len(bank), number))
        few = rank[-1] + 1 < len(PARTS)
        rows = {PARTS[0]: (0, len(bank))} if few else divide_rows(rank, None)
        for name, (start, stop) in rows.items():
            parts[name].append(np.arange(first + start, first + stop))
        first += len(bank)
    order = np.concatenate([rows for name in PARTS for rows in parts[name]])
    owner, rank = np.concatenate(owners)[order], np.concatenate(ranks)[order]
    changes = (np.diff(owner) != 0) | (np.diff(rank) != 0)
    return order, np.append(0, np.cumsum(changes)), owner
