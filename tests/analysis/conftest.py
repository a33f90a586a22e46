"""A made-up recording of two people and a voice, as the rooms would have observed it."""

from __future__ import annotations

import io

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from affekt.analysis.observations import GOEMOTION_COLUMNS, Observed, Trust, conform
from affekt.analysis.records import ModelUse, Source, Spoken, SpokenWord
from affekt.labels import CIRCUMPLEX, EKMAN

RATE = 10.0


def shares(category: str, top: float = 0.8) -> dict[str, float]:
    return {name: top if name == category else (1 - top) / 6 for name in EKMAN}


def place(weights: dict[str, float]) -> dict[str, float]:
    return {
        name: sum(p * CIRCUMPLEX[k][axis] for k, p in weights.items())
        for axis, name in enumerate(('valence', 'arousal'))
    }


def face_rows(person, start_s, end_s, category, top=0.8, *, talks=False, smile=0.0):
    weights = shares(category, top)
    for time in np.arange(start_s, end_s - 1e-9, 1 / RATE):
        jaw = 0.15 + 0.12 * np.sin(2 * np.pi * 2.0 * time) if talks else 0.02
        yield {
            'time_s': float(time), 'person': person, **weights, **place(weights), 'quality': 0.9, 'jaw_open': jaw,
            'smile': smile, 'face_size_px': 120.0, 'yaw_deg': -12.0,
        }  # fmt: skip


def turn_row(start_s, end_s, category, top=0.6):
    weights = shares(category, top)
    return {'start_s': start_s, 'end_s': end_s, **weights, **place(weights), 'quality': 0.8, 'loudness_lufs': -23.0}


def utterance_row(start_s, end_s, text, category, top=0.7, speaker='', **goemotions):
    weights = shares(category, top)
    said = dict.fromkeys(GOEMOTION_COLUMNS, 0.01) | {f'goemotions.{k}': v for k, v in goemotions.items()}
    return {
        'start_s': start_s, 'end_s': end_s, 'text': text, 'speaker': speaker, **weights, **place(weights), **said,
        'quality': 0.9,
    }  # fmt: skip


def voice_rows(start_s, end_s):
    for time in np.arange(start_s, end_s - 1e-9, 0.1):
        yield {'time_s': float(time), 'loudness_db': -40 + 20 * np.sin(2 * np.pi * 2.0 * time), 'f0_hz': 180.0}


def jpeg(colour=(200, 60, 60)) -> bytes:
    out = io.BytesIO()
    Image.new('RGB', (32, 18), colour).save(out, 'JPEG')
    return out.getvalue()


def table(rows, name):
    return conform(pa.Table.from_pylist(list(rows)), name)


@pytest.fixture
def make():
    """The row makers above, for tests that need their own recording."""
    import types

    return types.SimpleNamespace(
        face_rows=face_rows, turn_row=turn_row, utterance_row=utterance_row, voice_rows=voice_rows, table=table,
        shares=shares, jpeg=jpeg, rate=RATE,
    )  # fmt: skip


@pytest.fixture(scope='session')
def observed() -> Observed:
    """40 s. Person 1 is neutral, happy and smiling from 12 to 18 s, then neutral, and speaks from 2 to 6 s and 20 to 25
    s, the second time in angry words with a happy face. Person 2 is sad from 5 to 30 s and silent. Somebody unseen
    speaks from 32 to 36 s."""
    faces = [
        *face_rows('person 1', 0, 2, 'neutral'),
        *face_rows('person 1', 2, 6, 'neutral', talks=True),
        *face_rows('person 1', 6, 12, 'neutral'),
        *face_rows('person 1', 12, 18, 'happiness', 0.9, smile=0.7),
        *face_rows('person 1', 18, 20, 'neutral'),
        *face_rows('person 1', 20, 25, 'happiness', 0.9, talks=True, smile=0.2),
        *face_rows('person 1', 25, 40, 'neutral'),
        *face_rows('person 2', 5, 30, 'sadness', 0.7),
    ]
    said = [
        utterance_row(2, 6, 'We met on <Tuesday> & talked 🙂.', 'neutral', neutral=0.8),
        utterance_row(20, 25, 'I hate this, it is outrageous!', 'anger', 0.9, anger=0.8, annoyance=0.5),
        utterance_row(32, 36, 'Thank you so much.', 'happiness', 0.8, gratitude=0.9),
    ]
    spoken = tuple(
        Spoken(u['start_s'], u['end_s'], '', '', u['text'], (SpokenWord(u['start_s'], u['start_s'] + 0.3, 'x', 0.9),))
        for u in said
    )
    return Observed(
        source=Source('made-up.mp4', 'video', 40.0, 'ab' * 32, 640, 360, 25.0, RATE),
        faces=table(faces, 'faces'),
        turns=table([turn_row(2, 6, 'neutral'), turn_row(20, 25, 'anger'), turn_row(32, 36, 'happiness')], 'turns'),
        voice=table([*voice_rows(2, 6), *voice_rows(20, 25), *voice_rows(32, 36)], 'voice'),
        utterances=table(said, 'utterances'),
        spoken=spoken,
        thumbnails={'person 1': jpeg(), 'person 2': jpeg((10, 200, 10))},
        trust={'face': Trust(0.7), 'voice': Trust(0.4), 'words': Trust(0.6)},
        models=(ModelUse('face_expression', 'expression of the face', 'research', 'cd' * 32, {'limits': 'posed'}),),
        still_at=lambda time_s: jpeg((0, 0, int(time_s) % 255)),
    )
