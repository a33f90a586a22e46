"""Emotion expressed by words: 28 labels, seven categories, valence, arousal and dominance.

One pass of the frozen sentence encoder gives the states of all layers. The heads that
`recipes/textual_emotion/train.py` trained read them:

1. *Labels*: GoEmotions' 28, several at once. Each label reads the whole sentence (the mean over word pieces) and, by
   its own attention, the pieces relevant to it; a slope and an offset calibrate each probability.
2. *Categories*: the seven of EKMAN as one distribution. In the register `dialogue`, for speech, a linear map of the 28
   outputs that was fitted on spoken lines, with the prior `TextEmotion.prior`; plain wording carries little
   information, and the reading abstains below `least_evidence` bits. In the register `written`, the sums of the
   categories' labels, sharpened by one temperature, which is best for comments.
3. *Dimensions*: valence, arousal and dominance as EmoBank's readers rate them, linear in the means and the labels.

The words of a person are not their feeling: irony, quotation and politeness are taken literally. The card
`textual_emotion.md` has the scores, those on dialogue without any training on it first.

Axes: N texts, B texts of a batch, T word pieces, L layers, D dimensions of a layer, K outputs.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from affekt.arrays import Floats32
from affekt.errors import ArchiveError, UnknownNameError, WeightsError
from affekt.labels import EKMAN, GOEMOTIONS, GOEMOTIONS_TO_EKMAN, fold
from affekt.npz import read_npz
from affekt.text.english import are_english
from affekt.text.sentences import DIMENSIONS, LAYERS, SentenceEncoder
from affekt.text.utterances import Utterance
from affekt.weights import PACKAGED

MODEL = 'textual_emotion.npz'
"""File of the packaged heads."""
UNSURE_BELOW = 0.30
"""Probability of the strongest category of a written text below which the reading abstains as unsure."""
Register = Literal['dialogue', 'written']
REGISTERS: tuple[Register, ...] = ('dialogue', 'written')
"""Origin of the words: spoken to somebody, or written as a comment."""


@dataclass(frozen=True)
class TextReading:
    """The emotion that one text expresses."""

    labels: Mapping[str, float]
    """Probability of each of GOEMOTIONS, which are independent and do not sum to 1; empty without words."""
    present: tuple[str, ...]
    """The labels above their thresholds, strongest first; may be empty."""
    ekman: npt.NDArray[np.float64]
    """(7,) probabilities in the order of EKMAN; nan without words."""
    valence: float
    """In [-1, 1], 0 at the centre of EmoBank's scale; nan without words. Nine of ten texts are in [-0.25, 0.25]."""
    arousal: float
    """In [-1, 1], likewise."""
    dominance: float
    """In [-1, 1], likewise."""
    confidence: float
    """Calibrated probability of the strongest category; nan without words."""
    reason: str = ''
    """Reason for abstaining: 'no words', 'not English', 'unsure'; '' for none."""
    evidence: float = math.nan
    """Information in the words about the category, in bits relative to `TextEmotion.prior`: 0 where there is none; nan
    without words and in the register 'written'."""

    @property
    def abstains(self) -> bool:
        """Whether the reading should not be used; values are given nevertheless, unless there are no words."""
        return bool(self.reason)

    @property
    def category(self) -> str:
        """The most probable of EKMAN; '' without words."""
        return '' if math.isnan(self.confidence) else EKMAN[int(np.argmax(self.ekman))]


@dataclass(frozen=True)
class AttentiveHead:
    """K outputs, each from the mean of the states and from its own attention over the word pieces.

    whole · mean(states) + sum over pieces of softmax(query · state) (value · state) + bias
    """

    whole: Floats32
    """(K, L D)"""
    query: Floats32
    """(K, L D)"""
    value: Floats32
    """(K, L D)"""
    bias: Floats32
    """(K,)"""

    def __call__(self, states: Floats32) -> Floats32:
        """(B, T, L D) states to (B, K) outputs."""
        scores = states @ self.query.T  # (B, T, K)
        weights = np.exp(scores - scores.max(axis=1, keepdims=True))
        weights /= weights.sum(axis=1, keepdims=True)
        attended = (weights * (states @ self.value.T)).sum(axis=1)  # (B, K)
        return np.asarray(states.mean(axis=1) @ self.whole.T + attended + self.bias, dtype=np.float32)


class TextEmotion:
    """Estimates emotion from English text; takes a tenth longer than the encoder alone.

    `prior` has the shares of the categories that its probabilities of dialogue assume; divided by it, they are
    proportional to the likelihood of the words.

    Args:
        encoder: a SentenceEncoder to share; None to make one.
        weights: file of the heads; None for the packaged ones.
        register: default register of `read`: 'dialogue' for speech, 'written' for comments and posts, which leaves out
            the part of the model that was trained on MELD.

    Raises:
        WeightsError: the encoder is not available, or the heads are missing or damaged.
    """

    def __init__(
        self,
        encoder: SentenceEncoder | None = None,
        weights: str | Path | None = None,
        *,
        register: Register = 'dialogue',
    ) -> None:
        self.register = register
        self.languages = ('en',)
        path = Path(weights) if weights else PACKAGED / MODEL
        arrays = read_heads(path, _shapes())
        self._encoder = encoder or SentenceEncoder()
        parts = ('whole', 'query', 'value', 'bias')
        self._labels = AttentiveHead(*(arrays[part] for part in parts))
        self._slope, self._offset, self._thresholds = (arrays[name] for name in ('slope', 'offset', 'thresholds'))
        self._temperature = float(arrays['temperature'][0])
        self._dimensions, self._dimensions_bias = arrays['dimensions'], arrays['dimensions_bias']
        self._dimensions_of_logits = arrays['dimensions_of_logits']
        self._dialogue, self._dialogue_bias = arrays['dialogue'], arrays['dialogue_bias']
        self.prior = arrays['dialogue_prior'].astype(np.float64)
        self.prior /= self.prior.sum()
        self.least_evidence = float(arrays['least_evidence'][0])

    def read(self, texts: Sequence[str | Utterance], register: Register | None = None) -> list[TextReading]:
        """The emotion of each text.

        Args:
            texts: N texts or utterances, preferably of one transcript: short ones count as English where the whole
                does.
            register: 'dialogue' for speech, 'written' for comments and posts; None for that of the model.

        Returns:
            N readings; a text without letters or digits gives one that abstains with 'no words'.

        Raises:
            UnknownNameError: unknown register.
        """
        register = register or self.register
        if register not in REGISTERS:
            raise UnknownNameError(
                expected=f'a register among {", ".join(REGISTERS)}', came=repr(register), todo='name one of them'
            )
        words = [text.text if isinstance(text, Utterance) else text for text in texts]
        with_words = [index for index, text in enumerate(words) if any(letter.isalnum() for letter in text)]
        readings = [without_words() for _ in words]
        if not with_words:
            return readings
        readable = [words[index] for index in with_words]
        english = are_english(readable, lambda text: len(self._encoder.pieces(text)) - 2)
        languages = [getattr(texts[index], 'language', '') for index in with_words]
        english = [
            language == 'en' if language else verdict for language, verdict in zip(languages, english, strict=True)
        ]
        logits, dimensions = self.outputs(readable)
        labels, categories = self.probabilities(logits)
        evidence = np.full(len(readable), math.nan)
        if register == 'dialogue':
            categories = self.dialogue(logits)
            evidence = evidence_bits(categories, self.prior)
        for row, index in enumerate(with_words):
            reading = self._reading(labels[row], categories[row], dimensions[row], float(evidence[row]))
            readings[index] = reading if english[row] else dataclasses.replace(reading, reason='not English')
        return readings

    def outputs(self, texts: Sequence[str]) -> tuple[Floats32, Floats32]:
        """Outputs of the heads before calibration.

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

    def dialogue(self, logits: Floats32) -> npt.NDArray[np.float64]:
        """(N, 7) probabilities of the categories of spoken lines under `prior`, from (N, 28) logits.

        softmax(dialogue · logits + bias)
        """
        scores = logits.astype(np.float64) @ self._dialogue.T.astype(np.float64) + self._dialogue_bias
        odds = np.exp(scores - scores.max(axis=1, keepdims=True))
        return np.asarray(odds / odds.sum(axis=1, keepdims=True))

    def _reading(
        self,
        labels: npt.NDArray[np.float64],
        categories: npt.NDArray[np.float64],
        dimensions: Floats32,
        evidence: float,
    ) -> TextReading:
        strongest_first = np.argsort(-labels, kind='stable')
        valence, arousal, dominance = (float(value) for value in np.clip((dimensions - 3.0) / 2.0, -1.0, 1.0))
        confidence = float(categories.max())
        is_unsure = confidence < UNSURE_BELOW if math.isnan(evidence) else evidence < self.least_evidence
        return TextReading(
            labels={label: float(value) for label, value in zip(GOEMOTIONS, labels, strict=True)},
            present=tuple(
                GOEMOTIONS[label_index]
                for label_index in strongest_first
                if labels[label_index] >= self._thresholds[label_index]
            ),
            ekman=categories,
            valence=valence,
            arousal=arousal,
            dominance=dominance,
            confidence=confidence,
            reason='unsure' if is_unsure else '',
            evidence=evidence,
        )


def evidence_bits(posterior: npt.NDArray[np.float64], prior: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(N,) Kullback–Leibler divergence of each posterior from the prior, in bits.

        sum over categories of p log2(p / prior)

    Args:
        posterior: (N, C) probabilities.
        prior: (C,) probabilities above 0.

    >>> evidence_bits(np.array([[0.5, 0.5], [1.0, 0.0]]), np.array([0.5, 0.5]))
    array([0., 1.])
    """
    ratio = np.log2(np.maximum(posterior, 1e-12) / prior)
    return np.asarray((posterior * ratio).sum(axis=1).round(12))


def without_words() -> TextReading:
    """The reading of a text without letters or digits."""
    nan = math.nan
    return TextReading({}, (), np.full(len(EKMAN), nan), nan, nan, nan, nan, 'no words')


def read_heads(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Floats32]:
    """The arrays of a file of heads as float32.

    Raises:
        WeightsError: the file cannot be read, or an array is missing, of another shape, or not finite.
    """
    try:
        archive = read_npz(path)
        arrays = {name: np.asarray(archive[name], np.float32) for name in shapes}
    except (ArchiveError, OSError, KeyError, ValueError, TypeError) as error:
        raise WeightsError(
            expected=f'the heads of textual emotion in {path.name}', came=f'{error}', todo='install affekt again'
        ) from error
    mismatched = {name: arrays[name].shape for name, shape in shapes.items() if arrays[name].shape != shape}
    if mismatched:
        raise WeightsError(
            expected=f'arrays of {dict(shapes)}', came=f'{mismatched} in {path.name}', todo='install affekt again'
        )
    if any(not np.isfinite(array).all() for array in arrays.values()):
        raise WeightsError(
            expected=f'finite arrays in {path.name}', came='nan or infinity', todo='install affekt again'
        )
    return arrays


def _shapes() -> dict[str, tuple[int, ...]]:
    """Name of each array in `MODEL` to its shape."""
    width, labels, categories = LAYERS * DIMENSIONS, len(GOEMOTIONS), len(EKMAN)
    return {
        'whole': (labels, width), 'query': (labels, width), 'value': (labels, width), 'bias': (labels,),
        'slope': (labels,), 'offset': (labels,), 'thresholds': (labels,), 'temperature': (1,),
        'dimensions': (3, width), 'dimensions_of_logits': (3, labels), 'dimensions_bias': (3,),
        'dialogue': (categories, labels), 'dialogue_bias': (categories,), 'dialogue_prior': (categories,),
        'least_evidence': (1,),
    }  # fmt: skip
