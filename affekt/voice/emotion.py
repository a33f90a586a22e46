"""Which emotion a voice carries: a light head over the layers of Whisper's encoder.

The input is an `Encoded` turn, the output an `EmotionReading`: calibrated probabilities, valence and arousal, how
unlike the training speech the turn is, and whether and why the head abstains. The head was trained on acted speech of
two corpora (see its card); it estimates how a voice sounds, not what the person feels.
Axes: L+1 layers, T frames, D width, P features, M components of speech, K turns.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from affekt.arrays import Floats32
from affekt.errors import ArchiveError, PurposeError, ShapeError, UnknownNameError, ValueRangeError, WeightsError
from affekt.labels import EKMAN, RAVDESS8, RAVDESS8_TO_EKMAN, affect_sd, certainty, expected_affect, fold
from affekt.npz import read_npz
from affekt.voice.arousal import acoustic_arousal
from affekt.voice.encoder import Encoded

STATISTICS = ('mean', 'sd', 'change', 'low', 'high')
"""Statistics over the frames of a turn: mean, standard deviation, standard deviation of the change between frames, 10th
and 90th percentile."""

HEADS = {'tiny.en': 'vocal_emotion_tiny_en', 'base': 'vocal_emotion_base'}
"""Name of the encoder to the head's file in `affekt/models`."""

FEWEST_TURNS = 4
"""Minimum number of turns of a recording for `VocalEmotion.centred`."""

_ARRAYS = (
    'layers', 'statistics', 'centre', 'scale', 'weight', 'bias', 'temperature', 'abstains_below', 'short_s',
    'short_warmth',
)  # fmt: skip

_SPEECH_ARRAYS = ('speech_axes', 'speech_middle', 'speech_spread', 'distances', 'far', 'far_warmth')

UNFAMILIAR_FROM = 0.98
"""The head abstains on turns with at least this unfamiliarity, which 2 % of the clips of a held-out corpus reach."""

UNFAMILIAR_SHARE = 0.1
"""Share of an unfamiliar turn's probabilities that is kept; the rest becomes uniform."""

_MODELS = Path(__file__).parent.parent / 'models'


@dataclass(frozen=True)
class EmotionReading:
    """The emotion estimated from one turn's voice.

    Attributes:
        categories: (7,) probabilities in EKMAN order, sum 1, uniform if nothing is known; calm
            counts as neutral (see `seven_categories`). Nearly uniform if the turn is unfamiliar.
        labels8: (8,) probabilities in RAVDESS8 order, sum 1.
        valence: in [-1, 1], the expectation of the categories on the circumplex: derived, not measured; 0 if the
            categories are uninformative (see `affekt.labels.expected_affect`).
        arousal: in [-1, 1], the mean of the acoustic arousal and of the categories' expectation, weighted by their
            certainty: (expectation + acoustic) / (1 + certainty). The expectation if nothing could be measured.
        valence_sd: standard deviation of valence given the categories: 0.2 for a certain one, 0.58 for a uniform
            reading.
        arousal_sd: likewise for the arousal given by the categories: 0.3 to 0.45.
        certainty: how far the categories are from uninformative, in [0, 1] (see `affekt.labels.certainty`).
        confidence: the largest of `categories`.
        abstains_because: '' if a category is named; 'unfamiliar' if the audio is unlike the training speech
            (music, a crowd, singing), 'unsure' if the confidence is too low.
        unfamiliarity: in [0, 1], the share of clips of held-out corpora that are nearer to the training
            speech; nan if the head has no description of it.
    """

    categories: Floats32
    labels8: Floats32
    valence: float
    arousal: float
    valence_sd: float
    arousal_sd: float
    certainty: float
    confidence: float
    abstains_because: str
    unfamiliarity: float

    @property
    def abstains(self) -> bool:
        """Whether no category is named."""
        return self.abstains_because != ''

    @property
    def category(self) -> str | None:
        """The most probable category, or None if the head abstains."""
        return None if self.abstains else EKMAN[int(self.categories.argmax())]


class VocalEmotion:
    """The head for one encoder.

    Example: `VocalEmotion('tiny.en')(encoder(turn.samples), acoustic_summary(turn.samples)).category`.
    """

    def __init__(self, encoder: str = 'tiny.en', *, license_: str = 'any', directory: Path | None = None) -> None:
        """Load the head and its card.

        Args:
            encoder: 'tiny.en' or 'base'.
            license_: 'any', or 'commercial-ok' to refuse weights that must not be used commercially.
            directory: folder of the files; None for the package's own.

        Raises:
            UnknownNameError: no head for this encoder, or an unknown `license_`.
            PurposeError: the weights' licence does not permit this use.
            WeightsError: the file is missing or damaged.
        """
        if encoder not in HEADS:
            raise UnknownNameError(expected=f'one of {", ".join(HEADS)}', came=encoder, todo='choose one of them')
        if license_ not in ('any', 'commercial-ok'):
            raise UnknownNameError(expected="'any' or 'commercial-ok'", came=license_, todo='choose one of them')
        path = (directory or _MODELS) / f'{HEADS[encoder]}.npz'
        self.encoder = encoder
        self.card = _card(path.with_suffix('.json'))
        if license_ == 'commercial-ok' and not self.card['commercial_ok']:
            raise PurposeError(
                expected='weights for commercial use',
                came=f'{self.card["licence"]}',
                todo='run without the vocal head: acoustics and arousal remain',
            )
        arrays = _arrays(path)
        self._speech = tuple(arrays[name].astype(np.float32) for name in _SPEECH_ARRAYS if name in arrays)
        self._layers, self._statistics = arrays['layers'], [STATISTICS.index(name) for name in arrays['statistics']]
        self._centre, self._scale = arrays['centre'], arrays['scale']
        self._weight, self._bias = arrays['weight'], arrays['bias']
        self._temperature, self._threshold = float(arrays['temperature']), float(arrays['abstains_below'])
        self._short_s, self._short_warmth = arrays['short_s'], arrays['short_warmth']

    @property
    def size(self) -> int:
        """P, the number of features."""
        return int(self._centre.shape[0])

    def features(self, encoded: Encoded) -> Floats32:
        """A turn's features: statistics over its frames of several layers.

        Args:
            encoded: turn encoded by the encoder that this head was trained with.

        Returns:
            (P,) float32.

        Raises:
            ShapeError: the layers are from another model.
        """
        pooled = pool(encoded.layers[:, : encoded.speech_frames])
        if pooled.shape[0] <= int(self._layers.max()):
            raise ShapeError(
                expected=f'layers of {self.encoder}', came=f'{encoded}', todo='use the encoder of the same name'
            )
        chosen = pooled[self._layers][:, self._statistics].reshape(-1)  # (layers, statistics, D) to (P,)
        if chosen.shape[0] != self.size:
            raise ShapeError(
                expected=f'layers of {self.encoder}', came=f'{encoded}', todo='use the encoder of the same name'
            )
        return np.asarray(chosen)

    def probabilities(self, features: Floats32, speech_s: float = np.inf) -> Floats32:
        """Calibrated probabilities of the eight labels.

            softmax(scores / (temperature * warmth(speech_s) * warmth(distance from speech)))

        The temperature was fitted on unseen speakers of the training corpora; the scores of audio as far from the
        training speech as held-out corpora are also divided by a factor fitted on these.

        Args:
            features: (K, P), or (P,) of one turn.
            speech_s: duration of speech in seconds; below 1.5 s probabilities are flatter (see the card).

        Returns:
            (K, 8) or (8,) in RAVDESS8 order, each row of sum 1.

        Raises:
            ShapeError: the last axis is not P.
            ValueRangeError: a feature is not finite.
        """
        if features.ndim not in (1, 2) or features.shape[-1] != self.size:
            raise ShapeError(expected=f'(K, {self.size})', came=f'{features.shape}', todo='use features() of this head')
        if not np.isfinite(features).all():
            raise ValueRangeError(expected='finite features', came='nan or infinity', todo='leave the turn out')
        scores = ((features - self._centre) / self._scale) @ self._weight + self._bias
        warmth = float(np.interp(speech_s, [*self._short_s, 2 * self._short_s[-1]], [*self._short_warmth, 1.0]))
        distance = self._distance(features)
        far_warmth = 1.0 if distance is None else np.interp(distance, self._speech[4], self._speech[5])[..., None]
        scores = scores.astype(np.float64) / (self._temperature * warmth * far_warmth)
        powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=-1, keepdims=True), dtype=np.float32)

    def unfamiliarity(self, features: Floats32) -> float:
        """How unlike the training speech a turn is.

        Args:
            features: (P,) of one turn.

        Returns:
            In [0, 1]: the share of held-out corpora's clips that are nearer (`distance_from_speech`); nan for a head
            without a description of speech.

        Raises:
            ShapeError: the features are not (P,).
        """
        if features.shape != (self.size,):
            raise ShapeError(expected=f'({self.size},)', came=f'{features.shape}', todo='use features() of this head')
        distance = self._distance(features)
        if distance is None:
            return float('nan')
        distances = self._speech[3]
        return float(np.interp(distance, distances, np.linspace(0, 1, distances.shape[0])))

    def _distance(self, features: Floats32) -> Floats32 | None:
        """(K,) or () distance from the training speech; None for a head without a description of it."""
        if len(self._speech) < len(_SPEECH_ARRAYS):
            return None
        standard = np.atleast_2d((features - self._centre) / self._scale)
        return distance_from_speech(standard, *self._speech[:3]).reshape(features.shape[:-1])

    def centred(self, features: Floats32, share: float = 0.5) -> Floats32:
        """Features minus a share of the recording's own mean, if it has four turns or more.

        This helps recordings in which one person shows many emotions (about ten points better on a held-out corpus with
        each speaker's whole mean subtracted: see the card) and flattens those with one emotion throughout. It is
        therefore done only on request.

        Args:
            features: (K, P), one row per turn of one recording.
            share: in [0, 1].

        Returns:
            (K, P); unchanged for fewer than four turns.

        Raises:
            ValueRangeError: the share is outside [0, 1].
        """
        if not 0 <= share <= 1:
            raise ValueRangeError(expected='a share in [0, 1]', came=f'{share}', todo='use 0.5, or 0 for none')
        if features.shape[0] < FEWEST_TURNS:
            return features
        return np.asarray(features - share * (features.mean(axis=0) - self._centre), dtype=np.float32)

    def read(self, features: Floats32, arousal: float = float('nan'), speech_s: float = np.inf) -> EmotionReading:
        """The reading of one turn.

        Args:
            features: (P,) of `features`.
            arousal: acoustic arousal in [-1, 1]; nan if unknown.
            speech_s: as for `probabilities`.

        Returns:
            Categories, valence, arousal, confidence, unfamiliarity, abstention.

        Raises:
            ShapeError, ValueRangeError: as for `probabilities`.
        """
        labels8 = self.probabilities(features, speech_s)
        unfamiliarity = self.unfamiliarity(features)
        if unfamiliarity >= UNFAMILIAR_FROM:
            labels8 = UNFAMILIAR_SHARE * labels8 + np.float32((1 - UNFAMILIAR_SHARE) / len(RAVDESS8))
        categories = seven_categories(labels8)
        valence, expected = (float(value) for value in expected_affect(categories))
        valence_sd, arousal_sd = (float(value) for value in affect_sd(categories))
        sureness = float(certainty(categories))
        confidence = float(categories.max())
        reason = 'unsure' if confidence < self._threshold else ''
        return EmotionReading(
            categories=categories,
            labels8=labels8,
            valence=valence,
            arousal=expected if np.isnan(arousal) else (expected + arousal) / (1 + sureness),
            valence_sd=valence_sd,
            arousal_sd=arousal_sd,
            certainty=sureness,
            confidence=confidence,
            abstains_because='unfamiliar' if unfamiliarity >= UNFAMILIAR_FROM else reason,
            unfamiliarity=unfamiliarity,
        )

    def __call__(self, encoded: Encoded, summary: Floats32 | None = None) -> EmotionReading:
        """The reading of one turn on its own.

        Args:
            encoded: turn encoded by the encoder that this head was trained with.
            summary: (22,) from `acoustic_summary`, for the arousal; None if it was not measured.

        Returns:
            As for `read`.

        Raises:
            ShapeError, ValueRangeError: as for `features` and `probabilities`.
        """
        arousal = float('nan') if summary is None else float(acoustic_arousal(summary[None])[0])
        return self.read(self.features(encoded), arousal, encoded.speech_frames * encoded.frame_s)


def pool(layers: Floats32) -> Floats32:
    """Statistics over the frames of each layer.

    Args:
        layers: (L+1, T, D), at least one frame.

    Returns:
        (L+1, 5, D) in the order of STATISTICS; the change is 0 for a single frame.

    Raises:
        ShapeError: a wrong rank, or no frame.
    """
    if layers.ndim != 3 or layers.shape[1] == 0:
        raise ShapeError(expected='layers (L+1, T, D) with T > 0', came=f'{layers.shape}', todo='encode a turn')
    change = np.diff(layers, axis=1).std(axis=1) if layers.shape[1] > 1 else np.zeros_like(layers[:, 0])
    low, high = np.percentile(layers, [10, 90], axis=1)
    pooled = np.stack([layers.mean(axis=1), layers.std(axis=1), change, low, high], axis=1)
    return pooled.astype(np.float32)


def seven_categories(labels8: Floats32) -> Floats32:
    """The eight labels' probabilities as seven categories with equal priors.

        p(k) ~ sum over labels of k / number of labels of k

    The heads are trained with equal weight for each label. Calm and neutral are one category, which would otherwise
    have twice the prior of any other.

    Args:
        labels8: (..., 8) in RAVDESS8 order, each row of sum 1.

    Returns:
        (..., 7) in EKMAN order, each row of sum 1; uniform for a uniform row.
    """
    folded = fold(labels8, RAVDESS8, RAVDESS8_TO_EKMAN) / fold(np.ones(8), RAVDESS8, RAVDESS8_TO_EKMAN)
    return np.asarray(folded / folded.sum(axis=-1, keepdims=True), dtype=np.float32)


def distance_from_speech(standard: Floats32, axes: Floats32, middle: Floats32, spread: Floats32) -> Floats32:
    """The Mahalanobis distance to the training speech on its first principal components.

        sqrt(mean over components of ((x . axis - middle) / spread)**2)

    Args:
        standard: (K, P) standardised features.
        axes: (P, M), orthonormal; the components are uncorrelated over the training set.
        middle, spread: (M,) mean and standard deviation of each component over the training set.

    Returns:
        (K,) about 1 for the training set itself, more for anything else.
    """
    components = (standard @ axes - middle) / spread  # (K, M)
    return np.asarray(np.sqrt(np.mean(np.square(components), axis=1)), dtype=np.float32)


def _card(path: Path) -> dict[str, Any]:
    """The fields of a head's card, a JSON file."""
    try:
        card: dict[str, Any] = json.loads(path.read_text())
        return {**card, 'commercial_ok': bool(card['commercial_ok']), 'licence': str(card['licence'])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(expected=f'{path.name}', came=f'{error}', todo='install affekt again') from error


def _arrays(path: Path) -> dict[str, Any]:
    """Name to array of a head's file, with shapes and ranges checked."""
    try:
        archive = read_npz(path)
        arrays = {name: archive[name] for name in (*_ARRAYS, *(n for n in _SPEECH_ARRAYS if n in archive))}
        wrong = _misfits(arrays)
    except (ArchiveError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise WeightsError(expected=f'{path.name}', came=f'{error}', todo='install affekt again') from error
    if wrong:
        raise WeightsError(
            expected=f'a head of vocal emotion in {path.name}',
            came=f'{", ".join(wrong)} of another shape or range',
            todo='install affekt again',
        )
    return arrays


def _misfits(arrays: dict[str, Any]) -> list[str]:
    """Names of arrays whose shape, type or range does not fit the others; [] if all fit."""
    features, labels, durations = arrays['centre'].shape[0], len(RAVDESS8), arrays['short_s'].shape[0]
    shapes: dict[str, tuple[int, ...]] = {
        'centre': (features,), 'scale': (features,), 'weight': (features, labels), 'bias': (labels,),
        'temperature': (), 'abstains_below': (), 'short_s': (durations,), 'short_warmth': (durations,),
    }  # fmt: skip
    if 'speech_middle' in arrays:
        components = arrays['speech_middle'].shape[0]
        shapes |= {'speech_axes': (features, components), 'speech_spread': (components,)}
        shapes |= {'far': (2,), 'far_warmth': (2,)}
    wrong = [name for name, shape in shapes.items() if name in arrays and arrays[name].shape != shape]
    numeric = {name: array for name, array in arrays.items() if name != 'statistics'}
    wrong += [name for name, array in numeric.items() if array.dtype.kind not in 'fiu' or not np.isfinite(array).all()]
    if wrong:
        return wrong
    wrong += [] if set(arrays['statistics'].tolist()) <= set(STATISTICS) else ['statistics']
    positive = [arrays[name] for name in ('scale', 'temperature', 'short_warmth', 'far_warmth') if name in arrays]
    return wrong + ([] if all((array > 0).all() for array in positive) else ['scale or temperature'])
