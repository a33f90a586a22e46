"""What words say about feeling: 28 labels, seven categories, valence, arousal and dominance.

One pass of the frozen sentence encoder gives the states of all layers. What `recipes/textual_emotion/train.py` trained
reads them:

1. *Labels*: GoEmotions' 28, several at once. Each label looks at the whole sentence (the mean over word pieces) and,
   by its own attention, at the pieces that matter to it; a slope and an offset each calibrate its probability.
2. *Categories*: the seven of EKMAN as one distribution, the sums of their labels, sharpened by one temperature.
3. *Dimensions*: valence, arousal and dominance as EmoBank's readers rate them, linear in the means and the labels.

The words of a person are not their feeling: irony, quotation and politeness are read as they stand. The card
`textual_emotion.md` has the figures, also on dialogue unlike the training data, where certainty is overstated.

Axes: N texts, T word pieces, L layers, D dimensions of a layer, K outputs.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from affekt.arrays import Floats32
from affekt.errors import WeightsError
from affekt.labels import EKMAN, GOEMOTIONS, GOEMOTIONS_TO_EKMAN, fold
from affekt.text.english import are_english
from affekt.text.sentences import DIMENSIONS, LAYERS, SentenceEncoder
from affekt.text.utterances import Utterance
from affekt.weights import PACKAGED

MODEL = 'textual_emotion.npz'
UNSURE_BELOW = 0.30
"""A strongest category below this probability is called unsure, and the reading abstains."""


@dataclass(frozen=True)
class TextReading:
    """What one text says about feeling."""

    labels: Mapping[str, float]
    """Probability of each of GOEMOTIONS, each on its own (they do not sum to 1); empty without words."""
    present: tuple[str, ...]
    """The labels above their thresholds, strongest first; may be empty."""
    ekman: npt.NDArray[np.float64]
    """(7,) probabilities in the order of EKMAN; nan without words."""
    valence: float
    """In [-1, 1], 0 at the middle of EmoBank's scale; nan without words. Nine of ten texts lie in [-0.25, 0.25]."""
    arousal: float
    dominance: float
    confidence: float
    """The calibrated probability of the strongest category; nan without words."""
    reason: str = ''
    """Why the reading abstains: 'no words', 'not English', 'unsure', or ''."""

    @property
    def abstains(self) -> bool:
        """True where the reading should not be used; the values are given all the same, unless there are no words."""
        return bool(self.reason)

    @property
    def category(self) -> str:
        """The strongest of EKMAN; '' without words."""
        return '' if math.isnan(self.confidence) else EKMAN[int(np.argmax(self.ekman))]


@dataclass(frozen=True)
class AttentiveHead:
    """K outputs, each from the mean of the states and from its own attention over the word pieces.

    whole · mean(states) + sum over pieces of softmax(query · state) (value · state) + bias
    """

    whole: Floats32  # (K, L D)
    query: Floats32  # (K, L D)
    value: Floats32  # (K, L D)
    bias: Floats32  # (K,)

    def __call__(self, states: Floats32) -> Floats32:
        """(B, T, L D) states to (B, K) outputs."""
        scores = states @ self.query.T
        weights = np.exp(scores - scores.max(axis=1, keepdims=True))
        weights /= weights.sum(axis=1, keepdims=True)
        looked_at = (weights * (states @ self.value.T)).sum(axis=1)
        return np.asarray(states.mean(axis=1) @ self.whole.T + looked_at + self.bias, dtype=np.float32)


class TextEmotion:
    """Reads emotion from English text; a tenth slower than the encoder itself.

    Args:
        encoder: a SentenceEncoder to share; one is made where none is given.
        weights: the heads; the packaged ones where none are given.

    Raises:
        WeightsError: the encoder cannot be had, or the heads are missing or damaged.
    """

    def __init__(self, encoder: SentenceEncoder | None = None, weights: str | Path | None = None) -> None:
        path = Path(weights) if weights else PACKAGED / MODEL
        arrays = _arrays(path)
        self._encoder = encoder or SentenceEncoder()
        parts = ('whole', 'query', 'value', 'bias')
        self._labels = AttentiveHead(*(arrays[part] for part in parts))
        self._slope, self._offset, self._thresholds = (arrays[name] for name in ('slope', 'offset', 'thresholds'))
        self._temperature = float(arrays['temperature'][0])
        self._dimensions, self._dimensions_bias = arrays['dimensions'], arrays['dimensions_bias']
        self._dimensions_of_logits = arrays['dimensions_of_logits']

    def read(self, texts: Sequence[str | Utterance]) -> list[TextReading]:
        """A reading of each text.

        Args:
            texts: N texts or utterances, best of one transcript: short ones are taken for English where the
            whole is.

        Returns:
            N readings; one that abstains with 'no words' for a text without letters or digits.
        """
        words = [text.text if isinstance(text, Utterance) else text for text in texts]
        spoken = [at for at, text in enumerate(words) if any(letter.isalnum() for letter in text)]
        readings = [_no_words() for _ in words]
        if not spoken:
            return readings
        kept = [words[at] for at in spoken]
        english = are_english(kept, lambda text: len(self._encoder.pieces(text)) - 2)
        stated = [getattr(texts[at], 'language', '') for at in spoken]
        english = [language == 'en' if language else verdict for language, verdict in zip(stated, english, strict=True)]
        logits, dimensions = self.outputs(kept)
        labels, categories = self.probabilities(logits)
        for row, at in enumerate(spoken):
            readings[at] = self._reading(labels[row], categories[row], dimensions[row], english[row])
        return readings

    def outputs(self, texts: Sequence[str]) -> tuple[Floats32, Floats32]:
        """What the heads say before calibration.

        Args:
            texts: N texts.

        Returns:
            (N, 28) logits of the labels, and (N, 3) valence, arousal, dominance on EmoBank's scale of 1 to 5.
        """
        logits = np.zeros((len(texts), len(GOEMOTIONS)), dtype=np.float32)
        dimensions = np.zeros((len(texts), 3), dtype=np.float32)
        for rows, states in self._encoder.states(texts):
            logits[rows] = self._labels(states)
            dimensions[rows] = states.mean(axis=1) @ self._dimensions.T + self._dimensions_bias
        return logits, dimensions + logits @ self._dimensions_of_logits.T

    def probabilities(self, logits: Floats32) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """(N, 28) calibrated probabilities of each label and (N, 7) of the categories, from (N, 28) logits.

        A category is proportional to (the sum of its labels' probabilities) ** (1 / temperature).
        """
        scaled = logits.astype(np.float64) * self._slope + self._offset
        labels = 1.0 / (1.0 + np.exp(-np.clip(scaled, -60.0, 60.0)))
        sharpened = fold(labels, GOEMOTIONS, GOEMOTIONS_TO_EKMAN) ** (1.0 / self._temperature)
        return labels, sharpened / sharpened.sum(axis=1, keepdims=True)

    def _reading(
        self,
        labels: npt.NDArray[np.float64],
        categories: npt.NDArray[np.float64],
        dimensions: Floats32,
        is_english: bool,
    ) -> TextReading:
        order = np.argsort(-labels, kind='stable')
        valence, arousal, dominance = (float(value) for value in np.clip((dimensions - 3.0) / 2.0, -1.0, 1.0))
        confidence = float(categories.max())
        reason = 'not English' if not is_english else 'unsure' if confidence < UNSURE_BELOW else ''
        return TextReading(
            labels={label: float(value) for label, value in zip(GOEMOTIONS, labels, strict=True)},
            present=tuple(GOEMOTIONS[k] for k in order if labels[k] >= self._thresholds[k]),
            ekman=categories,
            valence=valence,
            arousal=arousal,
            dominance=dominance,
            confidence=confidence,
            reason=reason,
        )


def _no_words() -> TextReading:
    nan = math.nan
    return TextReading({}, (), np.full(len(EKMAN), nan), nan, nan, nan, nan, 'no words')


def _arrays(path: Path) -> dict[str, Floats32]:
    """The heads' arrays as float32, checked for presence and shape."""
    width, labels = LAYERS * DIMENSIONS, len(GOEMOTIONS)
    shapes = {
        'whole': (labels, width), 'query': (labels, width), 'value': (labels, width), 'bias': (labels,),
        'slope': (labels,), 'offset': (labels,), 'thresholds': (labels,), 'temperature': (1,),
        'dimensions': (3, width), 'dimensions_of_logits': (3, labels), 'dimensions_bias': (3,),
    }  # fmt: skip
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            arrays = {name: file[name].astype(np.float32) for name in shapes}
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise WeightsError(
            expected=f'the heads of textual emotion in {path.name}', came=f'{error}', todo='install affekt again'
        ) from error
    wrong = {name: arrays[name].shape for name, shape in shapes.items() if arrays[name].shape != shape}
    if wrong:
        raise WeightsError(expected=f'arrays of {shapes}', came=f'{wrong} in {path.name}', todo='install affekt again')
    return arrays
