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
"""Largest distance in seconds of a kept still from another moment that it is used for."""
RESERVED_NAMES = (UNSEEN, *UNSEEN_TITLES)
"""Names that no person may get."""
SAME_WITHIN = 1e-4
"""Largest difference of equal values, since results are stored rounded."""
OTHER_VERSION = (
    'Face, voice and words were put together again by this version of affekt, whose figures of everybody differ from '
    'those of the version that analyzed the recording.'
)


def with_changes(analysis: Analysis, changes: Sequence[Change]) -> Analysis:
    """The analysis with people merged and renamed, and a sentence on each change among the notes of its source.

    Raises:
        UnknownNameError, ValueRangeError: a change is invalid; see `names_after`.
    """
    everybody = [person.name for person in analysis.lanes]
    names = names_after(everybody, changes, RESERVED_NAMES)
    notes = [*analysis.source.notes, *told_changes(exact_changes(everybody, changes, RESERVED_NAMES))]
    if not _says_the_same(analysis, concluded(_observed(analysis, {}, analysis.source.notes), analysis.settings)):
        notes.append(OTHER_VERSION)
    again = concluded(_observed(analysis, names, notes), analysis.settings)
    return dataclasses.replace(
        again, notice=analysis.notice, recording=analysis.recording, described=analysis.described
    )


def _observed(analysis: Analysis, names: Mapping[str, str], notes: Sequence[str]) -> Observed:
    """The measurements, with the person of each row renamed."""
    return Observed(
        source=dataclasses.replace(analysis.source, notes=tuple(notes)),
        faces=_renamed(analysis.tables['faces'], names),
        turns=_renamed(analysis.tables['turns'], names),
        voice=analysis.tables['voice'],
        utterances=_renamed(analysis.tables['utterances'], names),
        spoken=tuple(dataclasses.replace(x, person=names.get(x.person, x.person)) for x in analysis.utterances),
        thumbnails=_thumbnails(analysis, names),
        returned=_returned(analysis, names),
        trust=trust_of(analysis.settings),
        models=analysis.models,
        still_at=_still_of(analysis.moments),
    )


def _says_the_same(first: Analysis, second: Analysis) -> bool:
    """Whether two analyses agree on the categories, valence and arousal of all people."""
    pairs = zip(first.lanes, second.lanes, strict=False)
    return len(first.lanes) == len(second.lanes) and all(
        np.allclose(_figures(ours), _figures(theirs), atol=SAME_WITHIN, equal_nan=True) for ours, theirs in pairs
    )


def _figures(person: Person) -> list[float]:
    unknown = (float('nan'),) * 3
    categories = [person.categories.get(category, float('nan')) for category in EKMAN]
    return [*categories, *(person.valence or unknown), *(person.arousal or unknown)]


def seconds_together(analysis: Analysis, first: str, second: str) -> tuple[float, float]:
    """Seconds for which two people are in the same frames, and the first such time; nan for never."""
    faces = analysis.tables['faces']
    times, people = faces['time_s'].to_numpy().round(3), np.asarray(faces['person'].to_pylist(), dtype=object)
    ours = people == first
    shared, rows, _ = np.intersect1d(times[ours], times[people == second], return_indices=True)
    rate = analysis.source.analyzed_rate_hz
    lasting = seconds_of_faces(faces, rate)[ours]
    seconds = float(lasting[rows].sum()) if rate > 0 else float(len(shared) > 0) * analysis.source.duration_s
    return seconds, float(shared[0]) if len(shared) else float('nan')


def _renamed(table: pa.Table, names: Mapping[str, str]) -> pa.Table:
    return with_people(table, [names.get(name, name) for name in table['person'].to_pylist()])


def _thumbnails(analysis: Analysis, names: Mapping[str, str]) -> dict[str, bytes]:
    """The picture of each person; of merged people, that of the one seen longest."""
    pictures: dict[str, bytes] = {}
    for person in sorted(analysis.people, key=lambda person: -person.seen_s):
        if person.thumbnail_jpeg:
            pictures.setdefault(names.get(person.name, person.name), person.thumbnail_jpeg)
    return pictures


def _returned(analysis: Analysis, names: Mapping[str, str]) -> dict[str, Returned]:
    """Tracked parts of each person; people merged by hand have no certainty of the face."""
    returned: dict[str, Returned] = {}
    for person in analysis.people:
        name = names.get(person.name, person.name)
        stretches = person.stretches if person.seen_s > 0 else 0
        before = returned.get(name)
        returned[name] = (
            Returned(stretches, person.identity_certainty)
            if before is None
            else Returned(before.stretches + stretches, None)
        )
    return {name: back for name, back in returned.items() if back.stretches > 1}


def _still_of(moments: Iterable[Moment]) -> Callable[[float], bytes | None]:
    """A function that returns the kept still nearest to a time; None if none is near."""
    kept = sorted((moment.time_s, moment.still_jpeg) for moment in moments if moment.still_jpeg is not None)

    def still_at(time_s: float) -> bytes | None:
        if not kept:
            return None
        when, still = min(kept, key=lambda each: abs(each[0] - time_s))
        return still if abs(when - time_s) <= STILL_REACH_S else None

    return still_at
