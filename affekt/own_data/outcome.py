"""The outcome of analyzing and scoring labelled clips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from affekt.own_data.labelled import LabelledClip, LabelledClips
from affekt.own_data.readings import ClipReading
from affekt.own_data.running import ReadClips
from affekt.own_data.scores import Scores
from affekt.wording import counted, listed, subject

MOST_NAMED = 5
"""Maximum number of clips that a note names."""


@dataclass(frozen=True)
class AnalysisBenchmark:
    """Results of affekt on labelled clips."""

    labelled: LabelledClips
    clips: ReadClips = field(repr=False)
    scores: Scores = field(repr=False)
    settings: Mapping[str, Any] = field(repr=False)

    @property
    def read(self) -> list[tuple[LabelledClip, ClipReading]]:
        """The analyzed clips with their readings."""
        pairs = zip(self.labelled.clips, self.clips.readings, strict=True)
        return [(clip, reading) for clip, reading in pairs if reading is not None]

    @property
    def groups(self) -> int:
        """Number of speakers, or other groups, among the analyzed clips."""
        return len({clip.group for clip, _ in self.read})

    @property
    def is_whole(self) -> bool:
        """Whether every labelled clip existed and could be analyzed."""
        return not self.clips.missing and not self.clips.failed

    @property
    def notes(self) -> list[str]:
        """Sentences on limits of the scores: missing and failed clips, few groups, labels left out."""
        notes = []
        if missing := self.clips.missing:
            notes.append(f'{subject(len(missing), "clip")} without a file: {_some(missing)}')
        if failed := self.clips.failed:
            notes.append(f'{counted(len(failed), "clip")} could not be analyzed: {_some(list(failed))}')
        if outside := [clip.name for clip, reading in self.read if reading.is_outside]:
            begin = 'begins' if len(outside) == 1 else 'begin'
            notes.append(f'{counted(len(outside), "clip")} {begin} after the end of the file: {_some(outside)}')
        if self.labelled.unlabelled:
            notes.append(f'{counted(self.labelled.unlabelled, "row")} without category and rating left out')
        if 0 < self.groups < 5 and self.labelled.grouped_by:
            groups = counted(self.groups, self.labelled.grouped_by)
            notes.append(
                f'{groups}: intervals over so few are wide, and other people may differ by more than they state'
            )
        return [*notes, *self.labelled.notes]


def _some(names: Sequence[str]) -> str:
    more = [f'{len(names) - MOST_NAMED:,} more'] if len(names) > MOST_NAMED else []
    return listed([*names[:MOST_NAMED], *more])
