"""Emotion expressed by words of languages other than English, by cross-lingual transfer through the encoder.

The vector of a sentence is close to that of its translation (`multilingual.py`), so heads that were fitted on English
vectors read other languages. `LANGUAGES_READ` lists the languages that were evaluated on a labelled corpus;
`textual_emotion_multilingual.md` has the scores. Readings are like those of `TextEmotion` in its register `dialogue`,
without labels: probabilities under `prior`, abstention below `least_evidence` bits.

Axes: N texts, D = 512 dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from affekt.labels import EKMAN
from affekt.text.emotion import TextReading, evidence_bits, read_heads, without_words
from affekt.text.multilingual import DIMENSIONS, MultilingualEncoder
from affekt.text.utterances import Utterance
from affekt.weights import PACKAGED

FOREIGN_HEADS = 'textual_emotion_multilingual.npz'
LANGUAGES_READ = ('zh',)
"""Codes of the languages that were evaluated on a labelled corpus."""
SCALE = 10.0
"""Factor on vectors of length 1, with which the heads were fitted."""
_SHAPES = {
    'dialogue': (len(EKMAN), DIMENSIONS), 'dialogue_bias': (len(EKMAN),), 'dialogue_prior': (len(EKMAN),),
    'least_evidence': (1,), 'dimensions': (3, DIMENSIONS), 'dimensions_bias': (3,),
}  # fmt: skip


class ForeignEmotion:
    """Estimates emotion from text in languages other than English.

    Args:
        encoder: a MultilingualEncoder to share; None to make one.
        weights: file of the heads; None for the packaged ones.

    Raises:
        WeightsError: the encoder is not available, or the heads are missing or damaged.
    """

    languages = LANGUAGES_READ

    def __init__(self, encoder: MultilingualEncoder | None = None, weights: str | Path | None = None) -> None:
        arrays = read_heads(Path(weights) if weights else PACKAGED / FOREIGN_HEADS, _SHAPES)
        self._arrays = arrays
        self._encoder = encoder or MultilingualEncoder()
        self.prior = arrays['dialogue_prior'].astype(np.float64)
        self.prior /= self.prior.sum()
        self.least_evidence = float(arrays['least_evidence'][0])

    def read(self, texts: Sequence[str | Utterance]) -> list[TextReading]:
        """The emotion of each text.

        Args:
            texts: N texts or utterances.

        Returns:
            N readings; a text without letters or digits gives one that abstains with 'no words'.
        """
        words = [text.text if isinstance(text, Utterance) else text for text in texts]
        readings = [without_words() for _ in words]
        with_words = [index for index, text in enumerate(words) if any(letter.isalnum() for letter in text)]
        if not with_words:
            return readings
        vectors = self._encoder.encode([words[index] for index in with_words]).astype(np.float64) * SCALE
        scores = vectors @ self._arrays['dialogue'].T + self._arrays['dialogue_bias']
        odds = np.exp(scores - scores.max(axis=1, keepdims=True))
        categories = odds / odds.sum(axis=1, keepdims=True)
        bits = evidence_bits(categories, self.prior)
        ratings = vectors @ self._arrays['dimensions'].T + self._arrays['dimensions_bias']
        for row, index in enumerate(with_words):
            valence, arousal, dominance = (float(value) for value in np.clip((ratings[row] - 3.0) / 2.0, -1.0, 1.0))
            readings[index] = TextReading(
                labels={},
                present=(),
                ekman=categories[row],
                valence=valence,
                arousal=arousal,
                dominance=dominance,
                confidence=float(categories[row].max()),
                reason='unsure' if bits[row] < self.least_evidence else '',
                evidence=float(bits[row]),
            )
        return readings
