"""Utterances with the emotion of their words in one table, as the analysis uses them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from affekt.labels import EKMAN, GOEMOTIONS
from affekt.text.emotion import TextEmotion, TextReading
from affekt.text.utterances import Utterance

if TYPE_CHECKING:
    import pyarrow

COLUMNS: dict[str, str] = {
    'start_s': 'seconds from the start of the recording; null for text without times',
    'end_s': 'likewise',
    'speaker': "name in the transcript; '' where it has none",
    'text': 'the words',
    **{f'p_{category}': 'probability in [0, 1]; the seven sum to 1; null without words' for category in EKMAN},
    'valence': "[-1, 1], EmoBank's readers, its middle at 0; null without words",
    'arousal': 'likewise',
    'dominance': 'likewise',
    'confidence': 'calibrated probability of the strongest category; null without words',
    'abstained': 'true where the reading should not be used',
    'reason': "reason for abstaining: 'no words', 'not English', 'unsure'; '' where it does not abstain",
    'labels': "GoEmotions labels above their thresholds, strongest first, joined by ';'",
    **{f'label_{label}': 'probability in [0, 1], each on its own; null without words' for label in GOEMOTIONS},
}
"""Name of each column of `observe_text` to its description."""


def observe_text(utterances: Sequence[Utterance], emotion: TextEmotion | None = None) -> pyarrow.Table:
    """One row per utterance, in the given order: times, speaker, words, and the reading of `TextEmotion`.

    Args:
        utterances: N utterances of one recording.
        emotion: a TextEmotion to share; None to make one if there is anything to read.

    Returns:
        A pyarrow Table with N rows and COLUMNS.

    Raises:
        WeightsError: no TextEmotion is given and its model files are not available.
    """
    import pyarrow

    # 1. Readings.
    readings = (emotion or TextEmotion()).read(utterances) if utterances else []
    # 2. Columns.
    rows = [_row(utterance, reading) for utterance, reading in zip(utterances, readings, strict=True)]
    fields = [pyarrow.field(name, _type_of(name, pyarrow)) for name in COLUMNS]
    # 3. Table; nan becomes null, since a reading without words is missing.
    columns = [pyarrow.array([row[field.name] for row in rows], type=field.type, from_pandas=True) for field in fields]
    return pyarrow.Table.from_arrays(columns, schema=pyarrow.schema(fields))


def _row(utterance: Utterance, reading: TextReading) -> dict[str, object]:
    return {
        'start_s': utterance.start_s,
        'end_s': utterance.end_s,
        'speaker': utterance.speaker,
        'text': utterance.text,
        **{f'p_{category}': float(value) for category, value in zip(EKMAN, reading.ekman, strict=True)},
        'valence': reading.valence,
        'arousal': reading.arousal,
        'dominance': reading.dominance,
        'confidence': reading.confidence,
        'abstained': reading.abstains,
        'reason': reading.reason,
        'labels': ';'.join(reading.present),
        **{f'label_{label}': reading.labels.get(label) for label in GOEMOTIONS},
    }


def _type_of(name: str, pyarrow: object) -> object:
    if name in ('speaker', 'text', 'reason', 'labels'):
        return pyarrow.string()  # type: ignore[attr-defined]
    if name == 'abstained':
        return pyarrow.bool_()  # type: ignore[attr-defined]
    return pyarrow.float64() if name.endswith('_s') else pyarrow.float32()  # type: ignore[attr-defined]
