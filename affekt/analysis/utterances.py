"""What is said in a recording, as the table `utterances`: from a transcript, from subtitles, or from recognition."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
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
from affekt.text import Utterance, open_transcript

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
        utterances = tuple(Utterance(line.start_s, line.end_s, '', line.text) for line in embedded.lines)
        return utterances, ['words are those of the subtitles inside the file', *notes]
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
    spoken = tuple(_spoken(utterance) for utterance in utterances if _is_timed(utterance) and utterance.text.strip())
    texts = [utterance.text for utterance in spoken]
    measured = list(map(_measured, reader.read(texts))) if reader is not None and texts else [{} for _ in texts]
    columns = {
        'start_s': [utterance.start_s for utterance in spoken],
        'end_s': [utterance.end_s for utterance in spoken],
        'speaker': [utterance.speaker for utterance in spoken],
        'text': texts,
        'quality': [_heard_surely(utterance) for utterance in spoken],
    }
    columns |= {name: [row.get(name) for row in measured] for name in dict.fromkeys(chain.from_iterable(measured))}
    types = {'speaker': pa.string(), 'text': pa.string()}
    table = pa.table({name: pa.array(values, types.get(name, pa.float64())) for name, values in columns.items()})
    return conform(table, 'utterances'), spoken


def _is_timed(utterance: Utterance) -> bool:
    return utterance.is_timed and utterance.end_s > utterance.start_s


def _spoken(utterance: Utterance) -> Spoken:
    """The utterance with texts that a table can hold; who said it is found later."""
    words = tuple(SpokenWord(w.start_s, w.end_s, storable(w.text), w.confidence) for w in utterance.words)
    return Spoken(utterance.start_s, utterance.end_s, '', storable(utterance.speaker), storable(utterance.text), words)


def _measured(reading: Any) -> dict[str, float]:
    """What a reading of one text states; no categories where it abstains from them."""
    if reading is None or reading.reason in ('no words', 'not English'):
        return {}
    stated = {'valence': reading.valence, 'arousal': reading.arousal, 'dominance': reading.dominance}
    stated |= {'valence_sd': WORD_SD, 'arousal_sd': WORD_SD}
    stated |= {name: float(reading.labels[label]) for name, label in zip(GOEMOTION_COLUMNS, GOEMOTIONS, strict=True)}
    if not reading.abstains:
        stated |= {category: float(share) for category, share in zip(EKMAN, reading.ekman, strict=True)}
    return stated


def _heard_surely(utterance: Spoken) -> float:
    """The mean confidence of the words as recognized, at least 0.05; 1 for a transcript that states none."""
    known = [word.confidence for word in utterance.words if np.isfinite(word.confidence)]
    return float(np.clip(np.mean(known), 0.05, 1.0)) if known else 1.0


def _sidecar(path: Path | None) -> Path | None:
    """The subtitle file beside a recording."""
    if path is None:
        return None
    return next((path.with_suffix(end) for end in SIDECARS if path.with_suffix(end).is_file()), None)
