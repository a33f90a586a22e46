"""An analysis after a user merged or renamed people.

The measurements stay; the person of some rows changes, and all that follows (timeline, people, labels, moments and
sentences) is computed again as in `assemble`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import pyarrow as pa

from affekt.analysis.analysis import Analysis
from affekt.analysis.assemble import concluded
from affekt.analysis.model_choice import trust_of
from affekt.analysis.observations import Observed, seconds_of_faces, with_people
from affekt.analysis.phrases import UNSEEN, UNSEEN_TITLES
from affekt.analysis.records import Moment, Person
from affekt.labels import EKMAN
from affekt.people import Change, Returned, exact_changes, names_after, told_changes

STILL_REACH_S = 0.5
"""Maximum distance in seconds between a kept still and another moment that it illustrates."""
RESERVED_NAMES = (UNSEEN, *UNSEEN_TITLES)
"""Names that no person may get."""
SAME_WITHIN = 1e-4
"""Largest difference of equal values, since results are stored rounded."""
OTHER_VERSION = (
    'Face, voice and words were fused again by this version of affekt, whose results for everybody differ from those '
    'of the version that analyzed the recording.'
)


def with_changes(analysis: Analysis, changes: Sequence[Change]) -> Analysis:
    """The analysis with people merged and renamed, and a sentence on each change among the notes of its source.

    Raises:
        UnknownNameError, ValueRangeError: a change is invalid; see `names_after`.
    """
    everybody = [person.name for person in analysis.lanes]
    names = names_after(everybody, changes, RESERVED_NAMES)
    notes = [*analysis.source.notes, *told_changes(exact_changes(everybody, changes, RESERVED_NAMES))]
    if not _have_equal_figures(analysis, concluded(_observed(analysis, {}, analysis.source.notes), analysis.settings)):
        notes.append(OTHER_VERSION)
    changed = concluded(_observed(analysis, names, notes), analysis.settings)
    return dataclasses.replace(
        changed, notice=analysis.notice, recording=analysis.recording, described=analysis.described
    )


def _observed(analysis: Analysis, names: Mapping[str, str], notes: Sequence[str]) -> Observed:
    """The measurements, with the person of each row renamed."""
    return Observed(
        source=dataclasses.replace(analysis.source, notes=tuple(notes)),
        faces=_renamed(analysis.tables['faces'], names),
        turns=_renamed(analysis.tables['turns'], names),
        voice=analysis.tables['voice'],
        utterances=_renamed(analysis.tables['utterances'], names),
        spoken=tuple(
            dataclasses.replace(utterance, person=names.get(utterance.person, utterance.person))
            for utterance in analysis.utterances
        ),
        thumbnails=_thumbnails(analysis, names),
        returned=_returned(analysis, names),
        trust=trust_of(analysis.settings),
        models=analysis.models,
        still_at=_still_of(analysis.moments),
    )


def _have_equal_figures(first: Analysis, second: Analysis) -> bool:
    """Whether two analyses agree on the categories, valence and arousal of all people."""
    pairs = zip(first.lanes, second.lanes, strict=False)
    return len(first.lanes) == len(second.lanes) and all(
        np.allclose(_figures(first_person), _figures(second_person), atol=SAME_WITHIN, equal_nan=True)
        for first_person, second_person in pairs
    )


def _figures(person: Person) -> list[float]:
    unknown = (float('nan'),) * 3
    categories = [person.categories.get(category, float('nan')) for category in EKMAN]
    return [*categories, *(person.valence or unknown), *(person.arousal or unknown)]


def seconds_together(analysis: Analysis, first: str, second: str) -> tuple[float, float]:
    """Seconds for which two people are in the same frames, and the first such time in seconds; (0, nan) for never."""
    faces = analysis.tables['faces']
    times, people = faces['time_s'].to_numpy().round(3), np.asarray(faces['person'].to_pylist(), dtype=object)
    is_first = people == first
    shared_times, rows, _ = np.intersect1d(times[is_first], times[people == second], return_indices=True)
    rate_hz = analysis.source.analyzed_rate_hz
    row_seconds = seconds_of_faces(faces, rate_hz)[is_first]
    seconds = (
        float(row_seconds[rows].sum()) if rate_hz > 0 else float(len(shared_times) > 0) * analysis.source.duration_s
    )
    return seconds, float(shared_times[0]) if len(shared_times) else float('nan')


def _renamed(table: pa.Table, names: Mapping[str, str]) -> pa.Table:
    return with_people(table, [names.get(name, name) for name in table['person'].to_pylist()])


def _thumbnails(analysis: Analysis, names: Mapping[str, str]) -> dict[str, bytes]:
    """The thumbnail of each person; of merged people, that of the one seen longest."""
    thumbnails: dict[str, bytes] = {}
    for person in sorted(analysis.people, key=lambda person: -person.seen_s):
        if person.thumbnail_jpeg:
            thumbnails.setdefault(names.get(person.name, person.name), person.thumbnail_jpeg)
    return thumbnails


def _returned(analysis: Analysis, names: Mapping[str, str]) -> dict[str, Returned]:
    """Tracked parts of each person; people merged by hand have no certainty of the face."""
    returned: dict[str, Returned] = {}
    for person in analysis.people:
        name = names.get(person.name, person.name)
        stretches = person.stretches if person.seen_s > 0 else 0
        earlier = returned.get(name)
        returned[name] = (
            Returned(stretches, person.identity_certainty)
            if earlier is None
            else Returned(earlier.stretches + stretches, None)
        )
    return {name: tracks for name, tracks in returned.items() if tracks.stretches > 1}


def _still_of(moments: Iterable[Moment]) -> Callable[[float], bytes | None]:
    """A function that returns the kept still nearest to a time; None if none is near."""
    stills = sorted((moment.time_s, moment.still_jpeg) for moment in moments if moment.still_jpeg is not None)

    def still_at(time_s: float) -> bytes | None:
        if not stills:
            return None
        kept_s, still = min(stills, key=lambda item: abs(item[0] - time_s))
        return still if abs(kept_s - time_s) <= STILL_REACH_S else None

    return still_at
