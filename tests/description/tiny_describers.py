"""Sources of a describer for tests: each fusion, one that joins two and one that shares weights."""

from __future__ import annotations

from affekt.description import Queries, Source, kind_of

SOURCES = (
    Source('voice', 6, tokens=2, scaled=True),
    Source('face', 4, fusion='gated'),
    Source('frame', 4, fusion='gated', shares='face'),
    Source('multi', 8, fusion='qformer', joins=('face', 'voice'), queries=Queries(12, 3, 16, 2, positions=24)),
    Source('pose', 3, tokens=2, fusion='steps'),
)
KIND = kind_of(('multi', 'voice', 'face', 'frame', 'pose'))
