"""Sequences as models at frame level read them: whole ones end to end, or as published, with zeros in front.

Without a text the first modality gives the times that others are aligned to.

N samples, T rows in time, D features.
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
    """N sequences end to end."""

    rows: Floats32 = field(repr=False)
    """(ΣT, D)"""
    lengths: Ints = field(repr=False)
    """(N,)"""

    @classmethod
    def of(cls, sequences: Sequence[Floats32]) -> Frames:
        """N of (T, D) as one."""
        return cls(np.concatenate(sequences), np.array([len(rows) for rows in sequences]))


def whole_frames(sequences: Mapping[str, Sequence[Floats32]], feat_type: str) -> dict[str, Frames]:
    """Sequences pooled to fewer rows in time, without rows that are made up.

    Args:
        sequences: modality to N of (T, D).
        feat_type: `frm_align` or `frm_unalign`.
    """
    clock = _clock(sequences)
    by_modality = pooled(_by_clock(sequences, clock), feat_type)
    return {name: Frames.of(by_modality['text' if name == clock else name]) for name in sequences}


def published_frames(sequences: Mapping[str, Sequence[Floats32]], feat_type: str) -> dict[str, Floats32]:
    """What the published loaders make of one split, for a model with three slots.

    Args:
        sequences: modality to the sequences (T, D) of a whole split; a slot without a modality repeats the first one.
        feat_type: `frm_align` or `frm_unalign`.

    Returns:
        audio, text and video to (N, L, D), zeros in front.
    """
    clock = _clock(sequences)
    by_modality = legacy_batch(_by_clock(sequences, clock), feat_type)
    sources = {slot: slot if slot in sequences else next(iter(sequences)) for slot in MODALITIES}
    return {slot: by_modality['text' if source == clock else source] for slot, source in sources.items()}


class FrameInputs:
    """A corpus's sequences, pooled for whichever set of modalities is asked for; the last few stay in memory.

    Args:
        sequences: set of features to N of (T, D); no two sets that are asked for together are of one modality.
        feat_type: `frm_align` or `frm_unalign`.
        splits: (N,) each sample's split: a published loader pads to the longest of its own.
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
        """The samples at `index`, split by split: their numbers, and slot to (n, L, D)."""
        by_split = []
        for split in dict.fromkeys(self._splits[index].tolist()):
            chosen = index[self._splits[index] == split]
            places = np.searchsorted(np.flatnonzero(self._splits == split), chosen)
            slots = self._of_split(modalities, split)
            by_split.append((chosen, {slot: rows[places] for slot, rows in slots.items()}))
        return by_split

    def _published_split(self, modalities: tuple[str, ...], split: str) -> dict[str, Floats32]:
        at = np.flatnonzero(self._splits == split)
        sequences = {slot_of(name): [self.sequences[name][i] for i in at.tolist()] for name in modalities}
        return published_frames(sequences, self.feat_type)


def _clock(sequences: Mapping[str, Sequence[Floats32]]) -> str:
    return 'text' if 'text' in sequences else next(iter(sequences))


def _by_clock(sequences: Mapping[str, Sequence[Floats32]], clock: str) -> dict[str, Sequence[Floats32]]:
    """The same with the modality that gives the times in the place of the text."""
    return {'text' if name == clock else name: rows for name, rows in sequences.items()}
