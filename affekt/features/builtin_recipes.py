"""Recipes that need no model hub: hashed words, sentence embeddings, measures and models of voice and face."""

from __future__ import annotations

import itertools
import re
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from affekt.arrays import Floats32
from affekt.encoders import Encoded
from affekt.features.clip_recipes import CLIP_RECIPES
from affekt.features.face_readings import ALL_FACES_FRAMES, FACES, FACES_FRAMES
from affekt.features.model_recipes import encoder_names
from affekt.features.onnx_recipes import exported_names
from affekt.features.recipes import Features, Recipe, SampleEncoder, Unable
from affekt.features.sample_encoders import RATE_HZ, audio_encoder, text_encoder
from affekt.features.smile_recipes import smile_names
from affekt.features.spectra import SPECTRA
from affekt.labels import GOEMOTIONS, RAVDESS8
from affekt.plugins import Members, named_as
from affekt.weights import lookup

SIZE = 512
"""Number of values of a vector of hashed words."""
_WORD = re.compile(r"[a-z0-9']+|[一-鿿]")
_FRAME_COLUMNS = (
    'f0_hz', 'hnr_db', 'loudness_db', 'alpha_ratio_db', 'hammarberg_db', 'slope_low_db_khz', 'slope_mid_db_khz', 'flux',
)  # fmt: skip

DIMENSIONS = ('valence', 'arousal', 'dominance')
NOBODY_SPEAKS = 'nobody speaks'
LONGEST_SPEECH_S = 28.0
"""Longest input of an encoder of speech, in seconds; longer audio is cut into equal parts, whose means are averaged."""
VOICE_WINDOW_S, VOICE_STEP_S = 2.0, 0.5
"""Length of the windows that the head of vocal emotion reads, and the step between them, in seconds."""


def hashed_texts(texts: Sequence[str], size: int = SIZE) -> Floats32:
    """Vectors of texts without a model: signed counts of hashed words and word pairs, scaled to length 1.

    A baseline for text features: a learned encoder must improve on it.

    A text is lower-cased; words are runs of a-z, 0-9 and apostrophes, and single Chinese characters. The CRC32 of the
    UTF-8 bytes of each word, and of each pair of neighbours joined by `_`, gives the index (modulo the size) and the
    sign (negative where the highest bit is set).

    Args:
        texts: N texts in English or Chinese.
        size: length of a vector.

    Returns:
        (N, size); zeros for a text without words.

    >>> row = hashed_texts(['ANYHOW IT WAS REALLY GOOD'])[0]
    >>> np.flatnonzero(row).tolist(), round(float(row[9]), 6)
    ([9, 69, 127, 146, 245, 308, 423, 443, 496], 0.333333)
    """
    rows = np.zeros((len(texts), size))
    for row, text in zip(rows, texts, strict=True):
        words = _WORD.findall(text.lower())
        for gram in (*words, *(f'{left}_{right}' for left, right in itertools.pairwise(words))):
            code = zlib.crc32(gram.encode())
            row[code % size] += -1.0 if code >> 31 else 1.0
        if norm := np.linalg.norm(row):
            row /= norm
    return rows.astype(np.float32)


def _open_hashed(recipe: Recipe) -> SampleEncoder:
    return text_encoder(recipe, _one_row_each(hashed_texts))


def _open_sentences(recipe: Recipe) -> SampleEncoder:
    from affekt.text import SentenceEncoder

    return text_encoder(recipe, _one_row_each(SentenceEncoder().encode), reads_nothing=False)


def _open_sentence_layers(recipe: Recipe) -> SampleEncoder:
    from affekt.text import SentenceEncoder

    sentences = SentenceEncoder()

    def encode(texts: Sequence[str]) -> Floats32:
        return sentences.layers(texts).reshape(len(texts), -1)  # (N, 7, 384) to (N, 7 * 384)

    return text_encoder(recipe, _one_row_each(encode), reads_nothing=False)


def _one_row_each(encode: Callable[[Sequence[str]], Floats32]) -> Callable[[Sequence[str]], list[Encoded | str]]:
    """From a function of N texts with output (N, D) to one with N results of one row each."""
    return lambda texts: [Encoded(row[None]) for row in encode(texts)]


def _open_acoustics(recipe: Recipe) -> SampleEncoder:
    from affekt.voice import acoustic_summary

    def encode(sample: str, sound: Floats32) -> Features | Unable:
        row = acoustic_summary(sound)[:-1]  # the last column is a rate of words, which are unknown here
        if np.isnan(row).any():
            unmeasured = [name for name, value in zip(recipe.columns, row, strict=True) if np.isnan(value)]
            return Unable(sample, f'no voice to measure ({len(unmeasured)} of {len(row)} columns)')
        return recipe.features(sample, row)

    return audio_encoder(encode)


def _open_acoustic_frames(recipe: Recipe) -> SampleEncoder:
    from affekt.voice import acoustic_frames

    def encode(sample: str, sound: Floats32) -> Features | Unable:
        frames = acoustic_frames(sound)
        rows = np.stack([getattr(frames, name) for name in _FRAME_COLUMNS], axis=1)
        # an unvoiced frame has no pitch: 0, and 0 in the column `voiced`, never nan
        voiced = frames.voiced.astype(np.float32)[:, None]
        values = np.concatenate([np.nan_to_num(rows, nan=0.0), voiced], axis=1)
        return recipe.features(sample, values, frames.time_s.astype(np.float64))

    return audio_encoder(encode)


def _open_speech_acoustics(recipe: Recipe) -> SampleEncoder:
    from affekt.voice import SpeechDetector, acoustic_summary

    detector = SpeechDetector()

    def encode(sample: str, sound: Floats32) -> Features | Unable:
        speech = spoken(sound, detector)
        if not len(speech):
            return Unable(sample, NOBODY_SPEAKS)
        row = acoustic_summary(speech)[:-1]
        return Unable(sample, 'no voice to measure') if np.isnan(row).any() else recipe.features(sample, row)

    return audio_encoder(encode)


def _open_voice_layers(recipe: Recipe) -> SampleEncoder:
    from affekt.voice import SpeechDetector, VocalEmotion, WhisperEncoder

    detector, whisper, head = SpeechDetector(), WhisperEncoder('tiny.en'), VocalEmotion('tiny.en')

    def encode(sample: str, sound: Floats32) -> Features | Unable:
        speech = spoken(sound, detector)
        if not len(speech):
            return Unable(sample, NOBODY_SPEAKS)
        parts = np.array_split(speech, -(-len(speech) // round(LONGEST_SPEECH_S * RATE_HZ)))
        return recipe.features(sample, np.mean([head.features(whisper(part)) for part in parts], axis=0))

    return audio_encoder(encode)


def spoken(sound: Floats32, detector: Any) -> Floats32:
    """The samples from the first to the last speech, pauses included; empty if there is no speech.

    Args:
        sound: (N,) at 16 kHz.
        detector: an `affekt.voice.SpeechDetector`.
    """
    from affekt.voice import speech_turns

    turns = list(speech_turns([_Block(0.0, sound)], detector))
    return sound[round(turns[0].start_s * RATE_HZ) : round(turns[-1].end_s * RATE_HZ)] if turns else sound[:0]


@dataclass(frozen=True)
class _Block:
    """A block of audio as input of `speech_turns`."""

    start_s: float
    samples: Floats32


def _open_text_emotion(recipe: Recipe) -> SampleEncoder:
    from affekt.text import TextEmotion

    head = TextEmotion()

    def encode(texts: Sequence[str]) -> Floats32:
        return np.concatenate(head.outputs(texts), axis=1)

    return text_encoder(recipe, _one_row_each(encode), reads_nothing=False)


def _open_voice_emotion(recipe: Recipe) -> SampleEncoder:
    from affekt.voice import VocalEmotion, WhisperEncoder

    whisper, head = WhisperEncoder('tiny.en'), VocalEmotion('tiny.en')

    def encode(sample: str, sound: Floats32) -> Features | Unable:
        length, step = round(VOICE_WINDOW_S * RATE_HZ), round(VOICE_STEP_S * RATE_HZ)
        starts = range(0, max(len(sound) - length, 0) + 1, step)
        rows = []
        for start in starts:
            features = head.features(whisper(sound[start : start + length]))
            rows.append([*head.probabilities(features, VOICE_WINDOW_S), head.unfamiliarity(features)])
        middles = (np.array(starts) + min(length, len(sound)) / 2) / RATE_HZ
        return recipe.features(sample, np.array(rows), middles)

    return audio_encoder(encode)


def _acoustic_columns() -> tuple[str, ...]:
    from affekt.voice import COLUMNS

    return COLUMNS[:-1]


_MINILM_FACTS = {
    'model': 'minilm-l6-int8.onnx',
    'sha256': lookup('minilm-l6-int8.onnx').sha256,
    'tokenizer_sha256': lookup('minilm-tokenizer.json').sha256,
    'column': 'text',
    'longest': '256 word pieces',
}


def _other_names() -> list[str]:
    """Names of the recipes of encoders, which recipes of other packages cannot have."""
    names = (*encoder_names(), *CLIP_RECIPES, *exported_names(), *smile_names())
    return [*names, *(name.removesuffix('-utt') for name in names)]


HASH512 = Recipe(
    'hash512', 'text', SIZE,
    {'tool': 'affekt hashed words', 'version': 1, 'column': 'text', 'pooling': 'signed sum, length 1'},
    _open_hashed, batch=512,
)  # fmt: skip
MINILM = Recipe(
    'minilm-utt', 'text', 384, {**_MINILM_FACTS, 'layer': 'last', 'pooling': 'mean over word pieces, length 1'},
    _open_sentences, batch=128,
)  # fmt: skip
MINILM_LAYERS = Recipe(
    'minilm-layers-utt', 'text', 7 * 384,
    {**_MINILM_FACTS, 'layer': 'word embeddings and all six', 'pooling': 'mean over word pieces of each'},
    _open_sentence_layers, batch=128,
)  # fmt: skip
ACOUSTICS = Recipe(
    'acoustics-utt', 'audio', len(_acoustic_columns()),
    {'tool': 'affekt.voice acoustic_summary', 'version': 2, 'rate_hz': RATE_HZ, 'pooling': 'functionals of the whole'},
    _open_acoustics, columns=_acoustic_columns(), batch=8,
)  # fmt: skip
ACOUSTIC_FRAMES = Recipe(
    'acoustics-frm', 'audio', len(_FRAME_COLUMNS) + 1,
    {'tool': 'affekt.voice acoustic_frames', 'version': 2, 'rate_hz': RATE_HZ, 'hop_s': 0.01, 'pooling': 'none'},
    _open_acoustic_frames, columns=(*_FRAME_COLUMNS, 'voiced'), batch=8,
)  # fmt: skip

VOICE_EMOTION_FRAMES = Recipe(
    'voice-emotion-frm', 'audio', len(RAVDESS8) + 1,
    {
        'tool': 'affekt.voice VocalEmotion', 'version': 1, 'encoder': 'whisper-tiny.en', 'rate_hz': RATE_HZ,
        'window_s': VOICE_WINDOW_S, 'step_s': VOICE_STEP_S, 'pooling': 'none',
    }, _open_voice_emotion, columns=(*(f'voice_{name}' for name in RAVDESS8), 'voice_unfamiliarity'), batch=4,
)  # fmt: skip

VOICE_LAYERS = Recipe(
    'voice-layers-utt', 'audio', 4 * 2 * 384,
    {
        'tool': 'affekt.voice VocalEmotion features', 'version': 1, 'encoder': 'whisper-tiny.en', 'rate_hz': RATE_HZ,
        'layers': '1 to 4', 'stretch': 'first to last word', 'longest_s': LONGEST_SPEECH_S,
        'pooling': '10th and 90th percentile over frames of each layer',
    }, _open_voice_layers, batch=4,
)  # fmt: skip
SPEECH_ACOUSTICS = Recipe(
    'speech-acoustics-utt', 'audio', len(_acoustic_columns()),
    {
        'tool': 'affekt.voice acoustic_summary', 'version': 2, 'rate_hz': RATE_HZ, 'stretch': 'first to last word',
        'pooling': 'functionals of the stretch',
    }, _open_speech_acoustics, columns=_acoustic_columns(), batch=8,
)  # fmt: skip
TEXT_EMOTION = Recipe(
    'text-emotion-utt', 'text', len(GOEMOTIONS) + len(DIMENSIONS),
    {**_MINILM_FACTS, 'tool': 'affekt.text TextEmotion outputs', 'version': 1, 'pooling': 'attention of each label'},
    _open_text_emotion, columns=tuple(f'text_{name}' for name in (*GOEMOTIONS, *DIMENSIONS)), batch=128,
)  # fmt: skip

OWN = (
    HASH512,
    MINILM,
    MINILM_LAYERS,
    TEXT_EMOTION,
    ACOUSTICS,
    SPEECH_ACOUSTICS,
    ACOUSTIC_FRAMES,
    VOICE_LAYERS,
    *SPECTRA,
    FACES,
    FACES_FRAMES,
    ALL_FACES_FRAMES,
    VOICE_EMOTION_FRAMES,
)
RECIPES: Members[Recipe] = Members(
    'recipes', {recipe.name: recipe for recipe in OWN}, named_as(Recipe), taken=_other_names
)
"""Name to recipe; other packages add theirs as `affekt.recipes`."""
