"""What is said in a recording, as the table `utterances`: from a transcript, from subtitles, or from recognition."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from affekt.analysis.observations import GOEMOTION_COLUMNS, conform
from affekt.analysis.records import Spoken, SpokenWord
from affekt.analysis.settings import AnalysisSettings
from affekt.labels import EKMAN, GOEMOTIONS
from affekt.media import Recording
from affekt.tables import storable
from affekt.text.transcripts import open_transcript
from affekt.text.utterances import Utterance

SIDECARS = ('.srt', '.vtt')
"""Ends of subtitle files that may lie beside a recording under its name."""
WORD_SD = 0.35
"""Deviation of a text's valence and arousal on [-1, 1]. EmoBank's readers stay near the middle (they spread by 0.18, of
which r = 0.6 explains a third); the plane on which faces and voices are placed is used in full, to about 0.5. The
residual of r = 0.6 there is 0.4."""


def given_words(
    recording: Recording, settings: AnalysisSettings, duration_s: float | None
) -> tuple[tuple[Utterance, ...] | None, list[str]]:
    """The utterances that a transcript or subtitles give, and notes; None where recognition is to find them.

    Raises:
        TranscriptError: the transcript that the settings name cannot be read.
    """
    if settings.transcript is not None:
        transcript = open_transcript(settings.transcript, duration_s, encoding=settings.encoding)
        return transcript.utterances, list(transcript.notes)
    if not settings.subtitles:
        return None, []
    embedded = recording.open_subtitles(settings.encoding)
    notes = list(embedded.notes) if embedded is not None else []
    if embedded is not None and embedded.lines:
        found = tuple(Utterance(line.start_s, line.end_s, '', line.text) for line in embedded.lines)
        return found, ['words are those of the subtitles inside the file', *notes]
    beside = _sidecar(recording.path)
    if beside is not None:
        transcript = open_transcript(beside, duration_s, encoding=settings.encoding)
        return transcript.utterances, [*notes, f'words are those of {beside.name}', *transcript.notes]
    if notes:
        return None, [*notes, 'words come from recognition']
    return None, ['no subtitles were found; words come from recognition']


def utterance_table(utterances: Sequence[Utterance], reader: Any) -> tuple[pa.Table, tuple[Spoken, ...]]:
    """The table `utterances` and the utterances with their words; those without times or words are left out.

    Args:
        utterances: in order.
        reader: a TextEmotion, or None where words are only kept.
    """
    timed = [
        _storable(u)
        for u in utterances
        if np.isfinite([u.start_s, u.end_s]).all() and u.end_s > u.start_s and u.text.strip()
    ]
    readings = reader.read([u.text for u in timed]) if reader is not None and timed else [None] * len(timed)
    rows = [_row(utterance, reading) for utterance, reading in zip(timed, readings, strict=True)]
    schema = pa.schema(
        [('start_s', pa.float64()), ('end_s', pa.float64()), ('speaker', pa.string()), ('text', pa.string())]
    )
    table = pa.Table.from_pylist(rows) if rows else schema.empty_table()
    spoken = tuple(
        Spoken(
            u.start_s, u.end_s, '', u.speaker, u.text,
            tuple(SpokenWord(w.start_s, w.end_s, w.text, w.confidence) for w in u.words),
        )
        for u in timed
    )  # fmt: skip
    return conform(table, 'utterances'), spoken


def _storable(utterance: Utterance) -> Utterance:
    """The utterance with texts that a table can hold."""
    words = tuple(dataclasses.replace(word, text=storable(word.text)) for word in utterance.words)
    speaker, text = storable(utterance.speaker), storable(utterance.text)
    return dataclasses.replace(utterance, speaker=speaker, text=text, words=words)


def _row(utterance: Utterance, reading: Any) -> dict[str, object]:
    """One row; categories, valence and arousal are nan where the reading abstains."""
    row: dict[str, object] = {
        'start_s': utterance.start_s, 'end_s': utterance.end_s, 'speaker': utterance.speaker, 'text': utterance.text,
        'quality': _heard_surely(utterance),
    }  # fmt: skip
    if reading is None or reading.reason in ('no words', 'not English'):
        return row
    row |= {'valence': reading.valence, 'arousal': reading.arousal, 'dominance': reading.dominance}
    row |= {'valence_sd': WORD_SD, 'arousal_sd': WORD_SD}
    row |= {name: float(reading.labels[label]) for name, label in zip(GOEMOTION_COLUMNS, GOEMOTIONS, strict=True)}
    if not reading.abstains:
        row |= {category: float(share) for category, share in zip(EKMAN, reading.ekman, strict=True)}
    return row


def _heard_surely(utterance: Utterance) -> float:
    """The mean confidence of the words as recognized, at least 0.05; 1 for a transcript that states none."""
    known = [word.confidence for word in utterance.words if np.isfinite(word.confidence)]
    return float(np.clip(np.mean(known), 0.05, 1.0)) if known else 1.0


def _sidecar(path: Path | None) -> Path | None:
    """The subtitle file beside a recording."""
    if path is None:
        return None
    return next((path.with_suffix(end) for end in SIDECARS if path.with_suffix(end).is_file()), None)
