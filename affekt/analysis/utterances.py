"""The words of a recording as the table `utterances`, from a transcript, subtitles or recognition."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from affekt.analysis.observations import GOEMOTION_COLUMNS, UTTERANCES, conform
from affekt.analysis.phrases import CLEAR
from affekt.analysis.records import Spoken, SpokenWord
from affekt.analysis.settings import AnalysisSettings
from affekt.labels import EKMAN, GOEMOTIONS, affect_sd
from affekt.media import Recording
from affekt.tables import arrow_array, empty_table, floats, storable
from affekt.text import (
    LANGUAGES_READ,
    NOT_READ,
    Utterance,
    judged_together,
    language_name,
    language_of_letters,
    open_transcript,
)
from affekt.wording import counted, listed

SIDECARS = ('.srt', '.vtt')
"""Extensions of subtitle files beside a recording, with the same name."""
WORD_SD = (0.43, 0.4)
"""Standard deviations of a text's valence and arousal where its words are informative: the residual of the true
categories' coordinates on MELD's development part given the predicted valence (card of `textual_emotion`; 0.54 on
IEMOCAP, which has only four distant categories). That of arousal, which words hardly carry, is just below the
prior's."""
PLAIN_WORD_SD = tuple(float(sd) for sd in affect_sd(np.full(len(EKMAN), 1 / len(EKMAN))))
"""The same where the words are uninformative: those of the prior."""


LANGUAGES = ('en',)
"""Languages of the first reader; it decides itself if no language is given."""


def given_words(
    recording: Recording, settings: AnalysisSettings, duration_s: float | None
) -> tuple[tuple[Utterance, ...] | None, list[str]]:
    """The utterances of a transcript or subtitles, and notes; None if recognition is needed.

    Raises:
        TranscriptError: the given transcript cannot be read.
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
    sidecar = _sidecar(recording.path)
    if sidecar is not None:
        transcript = open_transcript(sidecar, duration_s, encoding=settings.encoding)
        return transcript.utterances, [*notes, f'words are those of {sidecar.name}', *transcript.notes]
    if notes:
        return None, [*notes, 'words come from recognition']
    return None, ['no subtitles were found; words come from recognition']


def utterance_table(
    utterances: Sequence[Utterance], reader: Any, foreign: Any = None
) -> tuple[pa.Table, tuple[Spoken, ...]]:
    """The table `utterances` and the utterances with their words.

    Utterances without times or words, and a recogniser's inventions, are left out. Words that were not understood or
    are in a language that the reader does not know stay, with a reason and without readings.

    Args:
        utterances: in order, as `judged_together` returns them.
        reader: a TextEmotion, or None to keep the words only.
        foreign: a ForeignEmotion, or None to only show words in languages that the reader does not know.
    """
    kept = [
        utterance
        for utterance in utterances
        if _is_timed(utterance) and utterance.text.strip() and utterance.reason != 'phantom'
    ]
    readings: list[Any] = [None] * len(kept)
    for model, languages in ((reader, ('', *LANGUAGES)), (foreign, getattr(foreign, 'languages', ()))):
        to_read = [
            index for index, utterance in enumerate(kept) if not utterance.reason and utterance.language in languages
        ]
        if model is not None and to_read:
            for index, reading in zip(to_read, model.read([kept[index] for index in to_read]), strict=True):
                readings[index] = reading
    reasons = [_reason(*pair) for pair in zip(kept, readings, strict=True)]
    spoken = tuple(_spoken(*pair) for pair in zip(kept, reasons, strict=True))
    measured = list(map(_measured, readings))
    columns: dict[str, Any] = {
        'start_s': [utterance.start_s for utterance in spoken],
        'end_s': [utterance.end_s for utterance in spoken],
        'speaker': [utterance.speaker for utterance in spoken],
        'text': [utterance.text for utterance in spoken],
        'quality': [_mean_confidence(utterance) for utterance in spoken],
        'is_understood': [utterance.reason != 'not understood' for utterance in spoken],
        'language': [utterance.language for utterance in spoken],
        'reason': reasons,
    }
    columns |= {name: [row.get(name) for row in measured] for name in dict.fromkeys(chain.from_iterable(measured))}
    types = {name: pa.string() for name in ('speaker', 'text', 'language', 'reason')} | {'is_understood': pa.bool_()}
    table = pa.table({name: arrow_array(values, types.get(name, pa.float64())) for name, values in columns.items()})
    return conform(table, 'utterances'), spoken


@dataclass(frozen=True)
class ReadWords:
    """The readings of a recording's words.

    Attributes:
        table: `utterances`.
        spoken: the utterances with their words, in the order of the table.
        notes: sentences on words that were dropped, not understood, or not read.
        was_read, was_foreign: whether the reader of English, and that of other languages, was used.
    """

    table: pa.Table = field(default_factory=lambda: empty_table(UTTERANCES))
    spoken: tuple[Spoken, ...] = ()
    notes: tuple[str, ...] = ()
    was_read: bool = False
    was_foreign: bool = False


def read_words(utterances: Sequence[Utterance], model: Callable[[str], Any]) -> ReadWords:
    """The utterances judged together and read by the models for their languages.

    Args:
        utterances: in order.
        model: returns the model for 'text' or 'foreign_text', or None if there is none.
    """
    if not utterances:
        return ReadWords()
    judged = judged_together(with_languages(utterances))
    is_foreign = any(utterance.language in LANGUAGES_READ for utterance in judged if not utterance.reason)
    foreign = model('foreign_text') if is_foreign else None
    is_for_reader = any(utterance.language in ('', *LANGUAGES) for utterance in judged if not utterance.reason)
    reader = model('text') if is_for_reader else None
    table, spoken = utterance_table(judged, reader, foreign)
    return ReadWords(table, spoken, tuple(word_notes(judged, table)), reader is not None, foreign is not None)


def with_languages(utterances: Sequence[Utterance]) -> list[Utterance]:
    """The utterances, with missing languages inferred from their letters."""
    return [
        utterance
        if utterance.language
        else dataclasses.replace(utterance, language=language_of_letters(utterance.text))
        for utterance in utterances
    ]


def word_notes(utterances: Sequence[Utterance], table: pa.Table) -> list[str]:
    """Sentences on the words that were dropped, not understood, or not read.

    Args:
        utterances: the input of `utterance_table`.
        table: its result.
    """
    notes = []
    phantoms = sum(utterance.reason == 'phantom' for utterance in utterances)
    if phantoms:
        notes.append(
            f'{counted(phantoms, "utterance")} that the recognition invented {"was" if phantoms == 1 else "were"} '
            'dropped: text over noise or music, loops, closing lines of videos'
        )
    reasons, languages = table['reason'].to_pylist(), table['language'].to_pylist()
    if not_understood := reasons.count('not understood'):
        recognitions = [recognition.recognition for recognition in utterances if recognition.recognition is not None]
        notes.append(
            _not_understood_sentence(
                not_understood, len(reasons), any(recognition.is_english_only for recognition in recognitions)
            )
        )
    foreign = [language for language, reason in zip(languages, reasons, strict=True) if reason == 'language']
    for language in sorted(set(foreign)):
        notes.append(_foreign_sentence(language, foreign.count(language), len(reasons), utterances))
    translated = sorted(
        {language for language, reason in zip(languages, reasons, strict=True) if not reason} - {'', 'en'}
    )
    if translated:
        names = listed([language_name(language) for language in translated])
        notes.append(f'words in {names} are read by a model that learned from English and was judged on {names}')
    if reasons and not set(reasons) & NOT_READ.keys() and np.isnan(floats(table['valence'])).all():
        notes.append('the words could not be read for emotion: there are too few')
    return notes


def _not_understood_sentence(count: int, total: int, knows_english_only: bool) -> str:
    subject = f'{_of_all(count, total)} {"was" if count == 1 else "were"} not understood'
    if count == total > 1:
        subject = f'none of {counted(total, "utterance")} was understood'
    consequence = 'the words are shown as they were recognized, and nothing is read from them'
    if not knows_english_only:
        return f'{subject}: the audio is too poor, or the language too little known to the recognition; {consequence}'
    return (
        f'{subject} by the recognition, which knows English only: another language is spoken, or the audio is too '
        f'poor; {consequence}; --asr base recognizes 99 languages'
    )


def _foreign_sentence(language: str, count: int, total: int, utterances: Sequence[Utterance]) -> str:
    """One sentence on utterances of a language that is not read."""
    shares = [
        utterance.recognition.language_probability
        for utterance in utterances
        if utterance.language == language and utterance.recognition is not None
    ]
    finite = [share for share in shares if np.isfinite(share)]
    probability = f' (probability {finite[-1]:.2f})' if finite else ''
    perhaps = 'perhaps ' if finite and finite[-1] < CLEAR else ''
    name = f'{perhaps}in {language_name(language)}{probability}' if language else 'not in English'
    cause = (
        'the model that reads emotion from words of that language is not installed or its licence is left out'
        if language in LANGUAGES_READ
        else 'no model reads emotion from words of that language'
    )
    return f'{_of_all(count, total)} {"is" if count == 1 else "are"} {name}: {cause}, so they are shown and not read'


def _of_all(count: int, total: int) -> str:
    """'the one utterance', 'both utterances', 'all 3 utterances', or '2 of 3 utterances'."""
    if count < total:
        return f'{count} of {counted(total, "utterance")}'
    return {1: 'the one utterance', 2: 'both utterances'}.get(total, f'all {total} utterances')


def _reason(utterance: Utterance, reading: Any) -> str:
    """Why there are no categories; '' if there are."""
    if utterance.reason:
        return utterance.reason
    stated = getattr(reading, 'reason', '')
    is_foreign = reading is None and utterance.language not in ('', *LANGUAGES)
    return 'language' if is_foreign or stated == 'not English' else stated


def _is_timed(utterance: Utterance) -> bool:
    return utterance.is_timed and utterance.end_s > utterance.start_s


def _spoken(utterance: Utterance, reason: str) -> Spoken:
    """The utterance with texts that a table can hold; who said it is found later."""
    words = tuple(
        SpokenWord(word.start_s, word.end_s, storable(word.text), word.confidence) for word in utterance.words
    )
    language = '' if reason == 'not understood' else utterance.language
    return Spoken(
        utterance.start_s, utterance.end_s, '', storable(utterance.speaker), storable(utterance.text), words,
        storable(language), reason if reason in NOT_READ else '',
    )  # fmt: skip


def _measured(reading: Any) -> dict[str, float]:
    """Column to value of one reading; without categories where it abstains from them."""
    if reading is None or reading.reason in ('no words', 'not English'):
        return {}
    values = {'valence': reading.valence, 'arousal': reading.arousal, 'dominance': reading.dominance}
    deviations = PLAIN_WORD_SD if reading.abstains else WORD_SD
    values |= dict(zip(('valence_sd', 'arousal_sd'), deviations, strict=True))
    if reading.labels:
        values |= {
            name: float(reading.labels[label]) for name, label in zip(GOEMOTION_COLUMNS, GOEMOTIONS, strict=True)
        }
    if not reading.abstains:
        values |= {category: float(share) for category, share in zip(EKMAN, reading.ekman, strict=True)}
    return values


def _mean_confidence(utterance: Spoken) -> float:
    """The mean confidence of the words as recognized, at least 0.05; 1 for a transcript that states none."""
    confidences = [word.confidence for word in utterance.words if np.isfinite(word.confidence)]
    return float(np.clip(np.mean(confidences), 0.05, 1.0)) if confidences else 1.0


def _sidecar(path: Path | None) -> Path | None:
    """The subtitle file beside a recording."""
    if path is None:
        return None
    return next((path.with_suffix(suffix) for suffix in SIDECARS if path.with_suffix(suffix).is_file()), None)
