"""Which emotion a voice carries: a light head over the layers of Whisper's encoder.

An `Encoded` turn in, an `EmotionReading` out: calibrated probabilities, valence and arousal, and whether the head
abstains. The head was trained on acted speech (see its card); what it reads is how a voice sounds, not what is felt.
Axes: L+1 layers, T frames, D width, P features, K turns.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from affekt.arrays import Floats32
from affekt.errors import PurposeError, ShapeError, UnknownNameError, ValueRangeError, WeightsError
from affekt.labels import EKMAN, RAVDESS8, RAVDESS8_TO_EKMAN, affect_sd, expected_affect, fold
from affekt.voice.arousal import acoustic_arousal
from affekt.voice.encoder import Encoded

STATISTICS = ('mean', 'sd', 'change', 'low', 'high')
"""Over the frames of a turn: mean, standard deviation, that of the change between frames, 10th, 90th percentile."""

HEADS = {'tiny.en': 'vocal_emotion_tiny_en', 'base': 'vocal_emotion_base'}
"""From the encoder's name to the head's file in `affekt/models`."""

FEWEST_TURNS = 4

_ARRAYS = (
    'layers', 'statistics', 'centre', 'scale', 'weight', 'bias', 'temperature', 'abstains_below', 'short_s',
    'short_warmth',
)  # fmt: skip

_MODELS = Path(__file__).parent.parent / 'models'


@dataclass(frozen=True)
class EmotionReading:
    """What one turn's voice says.

    Attributes:
        categories: (7,) probabilities in EKMAN order, sum 1; calm counts as neutral.
        labels8: (8,) probabilities in RAVDESS8 order, sum 1.
        valence: in [-1, 1], expected over the categories on the circumplex: derived, not measured; 0 where the
            categories say nothing (see `affekt.labels.expected_affect`).
        arousal: in [-1, 1], the mean of that expectation and of the acoustic arousal where there is one.
        valence_sd: how uncertain the valence is by the categories: 0.2 for a certain one, 0.58 for a flat reading.
        arousal_sd: likewise, of the arousal that the categories give: 0.3 to 0.45.
        confidence: the largest of `categories`.
        abstains: True where the confidence is too low to name a category.
    """

    categories: Floats32
    labels8: Floats32
    valence: float
    arousal: float
    valence_sd: float
    arousal_sd: float
    confidence: float
    abstains: bool

    @property
    def category(self) -> str | None:
        """The likeliest category, or None where the head abstains."""
        return None if self.abstains else EKMAN[int(self.categories.argmax())]


class VocalEmotion:
    """The head for one encoder.

    Example: `VocalEmotion('tiny.en')(encoder(turn.samples), acoustic_summary(turn.samples)).category`.
    """

    def __init__(self, encoder: str = 'tiny.en', *, license_: str = 'any', directory: Path | None = None) -> None:
        """Loads the head and its card.

        Args:
            encoder: 'tiny.en' or 'base'.
            license_: 'any', or 'commercial-ok' to refuse weights that must not be used commercially.
            directory: where the files lie; the package's own when None.

        Raises:
            UnknownNameError: no head for this encoder, or no such licence wish.
            PurposeError: the weights' licence does not allow the wish.
            WeightsError: the file is absent or damaged.
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
            encoded: by the encoder that this head was trained with.

        Returns:
            (P,) float32.

        Raises:
            ShapeError: the layers are of another model.
        """
        pooled = pool(encoded.layers[:, : encoded.speech_frames])
        if pooled.shape[0] <= int(self._layers.max()):
            raise ShapeError(
                expected=f'layers of {self.encoder}', came=f'{encoded}', todo='use the encoder of the same name'
            )
        chosen = pooled[self._layers][:, self._statistics].reshape(-1)
        if chosen.shape[0] != self.size:
            raise ShapeError(
                expected=f'layers of {self.encoder}', came=f'{encoded}', todo='use the encoder of the same name'
            )
        return np.asarray(chosen)

    def probabilities(self, features: Floats32, speech_s: float = np.inf) -> Floats32:
        """Calibrated probabilities of the eight labels.

        Args:
            features: (K, P), or (P,) of one turn.
            speech_s: how long somebody spoke; what is shorter than 1.5 s is believed less (see the card).

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
        scores = scores.astype(np.float64) / (self._temperature * warmth)
        powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=-1, keepdims=True), dtype=np.float32)

    def centred(self, features: Floats32, share: float = 0.5) -> Floats32:
        """Features with a share of the recording's own mean taken off, where it has four turns or more.

        It lifts recordings in which one person shows many emotions (UAR 0.774 to 0.804 at a share of 0.5) and ruins
        those with one emotion throughout (0.774 to 0.573): see the card. So nobody does it unasked.

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
            arousal: the acoustic one in [-1, 1], or nan where unknown.
            speech_s: as `probabilities`.

        Returns:
            Categories, valence, arousal, confidence, abstention.

        Raises:
            ShapeError, ValueRangeError: as `probabilities`.
        """
        labels8 = self.probabilities(features, speech_s)
        categories = fold(labels8, RAVDESS8, RAVDESS8_TO_EKMAN).astype(np.float32)
        valence, expected = (float(value) for value in expected_affect(categories))
        valence_sd, arousal_sd = (float(value) for value in affect_sd(categories))
        confidence = float(categories.max())
        return EmotionReading(
            categories=categories,
            labels8=labels8,
            valence=valence,
            arousal=expected if np.isnan(arousal) else (expected + arousal) / 2,
            valence_sd=valence_sd,
            arousal_sd=arousal_sd,
            confidence=confidence,
            abstains=confidence < self._threshold,
        )

    def __call__(self, encoded: Encoded, summary: Floats32 | None = None) -> EmotionReading:
        """The reading of one turn by itself.

        Args:
            encoded: by the encoder that this head was trained with.
            summary: (22,) of `acoustic_summary`, for the arousal; None without.

        Returns:
            As `read`.

        Raises:
            ShapeError, ValueRangeError: as `features` and `probabilities`.
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
        ShapeError: another rank, or no frame.
    """
    if layers.ndim != 3 or layers.shape[1] == 0:
        raise ShapeError(expected='layers (L+1, T, D) with T > 0', came=f'{layers.shape}', todo='encode a turn')
    change = np.diff(layers, axis=1).std(axis=1) if layers.shape[1] > 1 else np.zeros_like(layers[:, 0])
    low, high = np.percentile(layers, [10, 90], axis=1)
    pooled = np.stack([layers.mean(axis=1), layers.std(axis=1), change, low, high], axis=1)
    return pooled.astype(np.float32)


def _card(path: Path) -> dict[str, Any]:
    """The machine-readable card."""
    try:
        card: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise WeightsError(expected=f'{path.name}', came=f'{error}', todo='install affekt again') from error
    return card


def _arrays(path: Path) -> dict[str, Any]:
    """The head's arrays, never pickled ones."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in _ARRAYS}
    except (OSError, ValueError, KeyError) as error:
        raise WeightsError(expected=f'{path.name}', came=f'{error}', todo='install affekt again') from error
