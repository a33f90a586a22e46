"""A made-up `Analysis` of any length and content, built from the nouns of the room, for tests of the report."""

from __future__ import annotations

import io

import numpy as np
import pyarrow as pa
from PIL import Image

from affekt.analysis.analysis import Analysis
from affekt.analysis.records import (
    Evidence,
    ModelUse,
    Moment,
    OpenLabel,
    Person,
    Sentence,
    Source,
    Spoken,
    SpokenWord,
)
from affekt.analysis.settings import AnalysisSettings
from affekt.analysis.timeline import Timeline
from affekt.labels import CIRCUMPLEX, EKMAN
from affekt.report.payload import BOX_COLUMNS

PLACES = np.array([CIRCUMPLEX[name] for name in EKMAN])
WORDS = 'It was the best of times it was the worst of times it was the age of wisdom'
FRAME_HZ = 5.0
CARD = {
    'task': 'seven categories from one face',
    'data': 'FER2013, official splits',
    'metrics': {'accuracy': {'value': 0.672, 'low': 0.657, 'high': 0.687}, 'majority_class': 0.248},
    'calibration': {'ece_before': 0.11, 'ece_after': 0.02, 'reliability': [[0.3, 0.28], [0.6, 0.63], [0.9, 0.88]]},
    'limits': ['posed and web faces', 'frontal views'],
}


def made_up(
    duration_s: float = 24.0,
    people: int = 2,
    kind: str = 'video',
    *,
    sees: bool = True,
    hears: bool = True,
    reads: bool = True,
    keep_frames: bool = True,
    hostile: str = '',
    seed: int = 7,
) -> Analysis:
    """A whole analysis.

    Args:
        duration_s: seconds; a still image takes 0.
        people: 0 for a recording in which nothing was found.
        kind: 'video', 'audio' or 'image'.
        sees, hears, reads: whether faces, turns and utterances were found.
        keep_frames: whether pictures were kept.
        hostile: text put into every name, word and sentence that a recording could carry.
        seed: of the generator that draws everything.
    """
    rng = np.random.default_rng(seed)
    names = [f'person {i + 1}{hostile}' for i in range(people)]
    parts = [_one(rng, name, duration_s, kind, sees and kind != 'audio', hears, reads, hostile) for name in names]
    faces, turns, utterances, rows = (_joined([part[key] for part in parts]) for key in range(4))
    still = _jpeg(96, 54) if keep_frames else None
    return Analysis(
        source=Source(
            f'family dinner{hostile}.mp4', kind, duration_s, '64184e229b263107' * 4,
            *((640, 360, 25.0) if kind != 'audio' else ()),
            analyzed_rate_hz=FRAME_HZ, notes=(f'The stream declares {duration_s + 0.1:.1f} s.{hostile}',),
        ),
        timeline=Timeline(rows) if rows is not None else Timeline.empty(),
        people=tuple(_person(name, part, still) for name, part in zip(names, parts, strict=True)),
        labels=tuple(label for name in names for label in _labels(name, duration_s, hostile)),
        moments=tuple(_moments(names, duration_s, still, hostile)) if kind != 'image' else (),
        description=tuple(_sentences(names, duration_s, hostile)),
        utterances=tuple(one for part in parts for one in part[4]),
        tables={
            'faces': faces if faces is not None else pa.table({}),
            'turns': turns if turns is not None else pa.table({}),
            'voice': pa.table({}),
            'utterances': utterances if utterances is not None else pa.table({}),
        },
        models=(
            ModelUse('face_expression', 'expression from the face', 'research only', 'ab' * 32, CARD),
            ModelUse('face_landmarker.task', 'faces and landmarks', 'Apache-2.0', 'cd' * 32),
        ),
        settings=AnalysisSettings(keep_frames=keep_frames),
        coverage={},
    )  # fmt: skip


def _walk(rng: np.random.Generator, bins: int) -> np.ndarray:
    """(T, 7) probabilities that wander."""
    course = np.cumsum(rng.normal(size=(bins, 7)) * 0.45, axis=0)
    course -= course.mean(axis=0)
    course = np.exp(0.9 * np.clip(course, -3, 3) + np.array([0, 0, 0, 0.5, 0, 0, 1.0]))
    return course / course.sum(axis=1, keepdims=True)


def _one(rng, name, duration_s, kind, sees, hears, reads, hostile):
    """Faces, turns, utterances, timeline rows and spoken words of one person."""
    length = max(duration_s, 1.0)
    steps = max(1, int(np.ceil(length)))
    shares = _walk(rng, steps)
    seen = np.ones(steps, dtype=bool)
    if steps > 8:
        seen[int(steps * 0.55) : int(steps * 0.66)] = False
    heard = _turn_spans(rng, length) if hears and kind != 'image' else []
    columns: dict[str, list] = {key: [] for key in _COLUMNS}
    at = np.arange(steps, dtype=float)
    if sees:
        _add(columns, name, 'face', at[seen], at[seen] + 1, shares[seen])
    fused = seen if sees else np.array([any(s < t + 1 and e > t for s, e in heard) for t in at], dtype=bool)
    if fused.any() and (sees or heard):
        weights = {(True, True): 'face 0.62, voice 0.25, words 0.13', (True, False): 'face 1.00'}.get(
            (sees, bool(heard)), 'voice 0.70, words 0.30'
        )
        _add(
            columns,
            name,
            'fused',
            at[fused],
            at[fused] + 1,
            shares[fused],
            weights,
            silent=steps // 3 if steps > 4 else None,
        )
    spoken, spans, text = [], [], WORDS.split()
    for start, end in heard:
        own = _walk(rng, 9)[-1]
        spans.append((start, end, own))
        _add(columns, name, 'voice', np.array([start]), np.array([end]), own[None])
        if reads:
            count = max(1, int((end - start) * 2.4))
            first = int(rng.integers(0, len(text)))
            words = [(text * 3)[first + k] + (hostile if k == 0 else '') for k in range(min(count, 20))]
            pace = (end - start) / len(words)
            timed = tuple(SpokenWord(start + k * pace, start + (k + 1) * pace, w, 0.9) for k, w in enumerate(words))
            spoken.append(Spoken(start, end, name, '', ' '.join(words), timed))
            _add(columns, name, 'words', np.array([start]), np.array([end]), own[None])
    rows = (
        pa.table({key: np.concatenate(value) if value else [] for key, value in columns.items()})
        if columns['value']
        else None
    )
    return (
        _faces(name, length, seen, shares) if sees else None,
        _table(name, spans),
        _table(name, spans if reads else []),
        rows,
        spoken,
    )


_COLUMNS = (
    'start_s', 'end_s', 'person', 'source', 'name', 'value', 'confidence', 'low', 'high', 'weights', 'abstained',
)  # fmt: skip


def _add(columns, person, source, starts, ends, shares, weights='', silent=None):
    """Nine rows per step: seven categories, valence, arousal; one step in the middle abstains."""
    count = len(starts)
    mute = np.arange(count) == silent if silent is not None else np.zeros(count, dtype=bool)
    place = shares @ PLACES
    for k, name in enumerate((*EKMAN, 'valence', 'arousal')):
        value = shares[:, k] if k < 7 else place[:, k - 7]
        sure = shares.max(axis=1)
        missing = mute & (k < 7)
        values = {
            'start_s': starts, 'end_s': ends, 'person': np.full(count, person), 'source': np.full(count, source),
            'name': np.full(count, name), 'value': np.where(missing, np.nan, value),
            'confidence': np.where(missing, np.nan, sure),
            'low': value - 0.3 * (1 - sure), 'high': value + 0.3 * (1 - sure),
            'weights': np.full(count, weights), 'abstained': np.where(mute, 'contradiction', ''),
        }  # fmt: skip
        for key, part in values.items():
            columns[key].append(part)


def _turn_spans(rng: np.random.Generator, length: float) -> list[tuple[float, float]]:
    spans, time = [], float(rng.uniform(0.2, 1.0))
    while time < length - 1.0:
        end = min(length, time + float(rng.uniform(1.5, 4.0)))
        spans.append((round(time, 2), round(end, 2)))
        time = end + float(rng.uniform(0.5, 3.0))
    return spans


def _faces(name: str, length: float, seen: np.ndarray, shares: np.ndarray) -> pa.Table:
    times = np.arange(0.0, length, 1 / FRAME_HZ)
    second = np.minimum(times.astype(int), len(seen) - 1)
    times, second = times[seen[second]], second[seen[second]]
    x = 120.0 + 260.0 * ((int(name[7]) + 1) % 2) + 12 * np.sin(times)
    sides = (x, 80 + 6 * np.cos(times), np.full_like(x, 150.0), np.full_like(x, 190.0))
    columns = dict(zip(BOX_COLUMNS, sides, strict=True))
    categories = {category: shares[second, k] for k, category in enumerate(EKMAN)}
    return pa.table({'time_s': times, 'person': [name] * len(times), **columns, **categories})


def _table(name: str, spans: list[tuple[float, float, np.ndarray]]) -> pa.Table | None:
    if not spans:
        return None
    shares = np.stack([own for _, _, own in spans])
    place = shares @ PLACES
    return pa.table({
        'start_s': [start for start, _, _ in spans], 'end_s': [end for _, end, _ in spans],
        'person': [name] * len(spans),
        **{category: shares[:, k] for k, category in enumerate(EKMAN)}, 'valence': place[:, 0], 'arousal': place[:, 1],
    })  # fmt: skip


def _joined(tables):
    found = [table for table in tables if table is not None and table.num_rows]
    return pa.concat_tables(found) if found else None


def _person(name: str, part, still: bytes | None) -> Person:
    faces, turns = part[0], part[1]
    heard = float(np.sum(np.subtract(*(turns[k].to_numpy() for k in ('end_s', 'start_s'))))) if turns else 0.0
    measured = part[3] is not None
    return Person(
        name, faces.num_rows / FRAME_HZ if faces else 0.0, heard, still if faces else None,
        dict(zip(EKMAN, (0.08, 0.04, 0.05, 0.3, 0.09, 0.12, 0.32), strict=True)) if measured else {},
        (0.21, 0.12, 0.3) if measured else None, (0.1, 0.02, 0.18) if measured else None,
        {'face_size_px': 150.0, 'yaw_deg': 11.3, 'loudness_lufs': -23.4} if measured else {},
    )  # fmt: skip


def _labels(name: str, length: float, hostile: str):
    proof = (Evidence('fused', 0.0, length, name, {'valence': 0.2}),)
    for word, certainty, start, end, scope in (
        ('amused', 0.62, 0.0, length, 'whole'), ('at ease', 0.48, 0.0, length, 'whole'),
        ('delighted', 0.71, 0.0, 0.4 * length, 'span'), ('wistful', 0.41, 0.6 * length, length, 'span'),
    ):  # fmt: skip
        yield OpenLabel(word + hostile, name, 0.6, certainty, 0.3, 0.2, proof, start, end, scope)


def _moments(names: list[str], length: float, still: bytes | None, hostile: str):
    kinds = (('peak', 0.1), ('disagreement', 0.38), ('change', 0.6), ('smile', 0.85))
    for k, (kind, share) in enumerate(kinds if names else ()):
        time, name = share * length, names[k % len(names)]
        proof = (
            Evidence('face', time - 0.5, time + 0.5, name, {'happiness': 0.81, 'mouthSmileLeft': 0.62}),
            Evidence('words', time - 1.0, time + 1.0, name, {'sadness': 0.44}, f'the worst of times{hostile}'),
        )
        yield Moment(
            kind, time, time - 0.5, time + 0.5, name, 0.9 - 0.1 * k, f'{name} brightens.{hostile}', proof, still
        )


def _sentences(names: list[str], length: float, hostile: str):
    if not names:
        yield Sentence(f'In this recording nobody is seen or heard.{hostile}', ())
        return
    for name in names:
        proof = (
            Evidence('fused', 0.0, 0.4 * length, name, {'valence': 0.24}),
            Evidence('face', 0.1 * length, 0.2 * length, name, {'happiness': 0.7}),
        )
        yield Sentence(f'Overall, {name} comes across as amused and at ease.{hostile}', proof)
    yield Sentence('This describes expression; what a person feels cannot be seen or heard from outside.', ())


def _jpeg(width: int, height: int) -> bytes:
    shade = np.linspace(60, 190, width)[None, :, None] * np.ones((height, 1, 3))
    sink = io.BytesIO()
    Image.fromarray(shade.astype(np.uint8)).save(sink, 'JPEG', quality=80)
    return sink.getvalue()
