"""Sequences as input of frame-level models: concatenated without padding, or padded in front as published.

Where there is no text, the others are aligned to the time steps of the first modality.

N samples, T time steps, D features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from affekt.arrays import Floats32, Ints
from affekt.experiments.settings import MODALITIES, slot_of
from affekt.features import legacy_batch, pooled


@dataclass(frozen=True)
class Frames:
    """N sequences, concatenated along time."""

    rows: Floats32 = field(repr=False)
    """(ΣT, D) time steps of all sequences."""
    lengths: Ints = field(repr=False)
    """(N,) number of time steps of each sequence."""

    @classmethod
    def of(cls, sequences: Sequence[Floats32]) -> Frames:
        """Concatenate N sequences (T, D)."""
        return cls(np.concatenate(sequences), np.array([len(rows) for rows in sequences]))


def whole_frames(sequences: Mapping[str, Sequence[Floats32]], feat_type: str) -> dict[str, Frames]:
    """Sequences pooled to fewer time steps, without padding.

    Args:
        sequences: modality to N of (T, D).
        feat_type: `frm_align` or `frm_unalign`.
    """
    clock = _clock(sequences)
    by_modality = pooled(_by_clock(sequences, clock), feat_type)
    return {name: Frames.of(by_modality['text' if name == clock else name]) for name in sequences}


def published_frames(sequences: Mapping[str, Sequence[Floats32]], feat_type: str) -> dict[str, Floats32]:
    """One split as the published loaders make it, for a model with three slots.

    Args:
        sequences: modality to the sequences (T, D) of a whole split; a slot without a modality repeats the first one.
        feat_type: `frm_align` or `frm_unalign`.

    Returns:
        `audio`, `text` and `video` to (N, L, D), zeros in front.
    """
    clock = _clock(sequences)
    by_modality = legacy_batch(_by_clock(sequences, clock), feat_type)
    sources = {slot: slot if slot in sequences else next(iter(sequences)) for slot in MODALITIES}
    return {slot: by_modality['text' if source == clock else source] for slot, source in sources.items()}


class FrameInputs:
    """Sequences of a corpus, pooled for any set of modalities; the most recent sets stay in memory.

    Args:
        sequences: name of a set of features to N sequences (T, D); sets requested together are of different modalities.
        feat_type: `frm_align` or `frm_unalign`.
        splits: (N,) split of each sample: a published loader pads to the longest sequence of the split.
    """

    def __init__(
        self, sequences: Mapping[str, Sequence[Floats32]], feat_type: str, splits: Sequence[str | None]
    ) -> None:
        self.sequences, self.feat_type = sequences, feat_type
        self._splits = np.array([split or '' for split in splits])
        self.whole = lru_cache(maxsize=1)(self._whole)
        self._of_split = lru_cache(maxsize=8)(self._published_split)

    def _whole(self, modalities: tuple[str, ...]) -> dict[str, Frames]:
        return whole_frames({slot_of(name): self.sequences[name] for name in modalities}, self.feat_type)

    def published(self, modalities: tuple[str, ...], index: Ints) -> list[tuple[Ints, dict[str, Floats32]]]:
        """The samples at `index`, split by split: their row numbers, and slot to (n, L, D)."""
        by_split = []
        for split in dict.fromkeys(self._splits[index].tolist()):
            split_index = index[self._splits[index] == split]
            positions = np.searchsorted(np.flatnonzero(self._splits == split), split_index)
            slots = self._of_split(modalities, split)
            by_split.append((split_index, {slot: rows[positions] for slot, rows in slots.items()}))
        return by_split

    def _published_split(self, modalities: tuple[str, ...], split: str) -> dict[str, Floats32]:
        rows = np.flatnonzero(self._splits == split)
        sequences = {slot_of(name): [self.sequences[name][row] for row in rows.tolist()] for name in modalities}
        return published_frames(sequences, self.feat_type)


def _clock(sequences: Mapping[str, Sequence[Floats32]]) -> str:
    """The modality that gives the time steps: the text, or the first one where there is no text."""
    return 'text' if 'text' in sequences else next(iter(sequences))


def _by_clock(sequences: Mapping[str, Sequence[Floats32]], clock: str) -> dict[str, Sequence[Floats32]]:
    """The sequences with the modality that gives the time steps in the slot of the text."""
    return {'text' if name == clock else name: rows for name, rows in sequences.items()}
