"""Speech recognition by Whisper's decoder, on states that the voice room has already encoded.

A turn and its `Encoded` come in, an `Utterance` comes out, with a reason where the words cannot be trusted
(`understanding.py`), or None without words. The encoder is not run again. Whisper was trained on 30 s of audio and
repeats itself without silence after a short turn; so the states of encoded silence, computed once, are appended to
those of the turn. Of 20 RAVDESS sentences this recognizes 20 correctly, the turn alone 6, at a tenth of the cost of
padding the audio. The states of silence take as long as the words of ten turns and are cached in a file beside the
model.

Read `Recognizer.recognize` first. Axes: T encoder frames of 20 ms, D width, K text tokens.

Source: Radford et al. 2022, arXiv:2212.04356, section 4.5.
"""

from __future__ import annotations

import contextlib
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from affekt.arrays import Floats32
from affekt.errors import AffektError, ShapeError, UnknownNameError, WeightsError
from affekt.files import write_atomically
from affekt.npz import read_npz
from affekt.text.understanding import LOOP_COMPRESSION, Trust, compression, judged
from affekt.text.utterances import Recognition, Utterance, Word
from affekt.voice import Encoded, Turn, log_mel, whisper_directory
from affekt.voice.encoder import FRAME_S
from affekt.voice.mel import HOP, RATE_HZ

FULL_FRAMES = 1500
"""Number of encoder frames of 30 s."""
UNSPACED = frozenset({'zh', 'ja', 'th', 'lo', 'my', 'yue'})
"""Codes of languages written without spaces between words."""
_BURST_S = 1.0
"""Length of the noise before the encoded silence, in seconds."""
_TOKENS_AT_LEAST = 12
_TOKENS_PER_S = 8.0
"""Maximum number of tokens: so many for any turn, and so many more per second."""
_SHORTEST_WORD_S = 0.06
"""Duration in seconds below which a word takes time from the previous one."""
_SILENCE = 'silence-'
"""Start of the file name of cached states."""


class Recognizer:
    """Whisper's decoder.

    Example: `Recognizer('tiny.en').recognize(turn, encoder(turn.samples))`.
    """

    def __init__(self, name: str | Path = 'tiny.en', *, threads: int = 1, beam: int = 1, trust: Trust | None = None):
        """Load the model with 8-bit weights.

        Args:
            name: 'tiny.en' (English), 'base' (99 languages), or a directory in CTranslate2's format.
            threads: number of threads of the runtime, at least 1.
            beam: beam width, at least 1.
            trust: thresholds for trusting words; None for the defaults.

        Raises:
            UnknownNameError: the name is neither known nor a directory with a model.
            WeightsError: the files are missing or damaged.
        """
        import ctranslate2
        from tokenizers import Tokenizer

        directory = whisper_directory(name)
        self.name, self.beam, self.trust = str(name), beam, trust or Trust()
        try:
            self._model = ctranslate2.models.Whisper(str(directory), compute_type='int8', intra_threads=threads)
            self._tokenizer = Tokenizer.from_file(str(directory / 'tokenizer.json'))
        except Exception as error:  # both libraries raise bare RuntimeError or Exception
            raise WeightsError(
                expected='a Whisper model with tokenizer.json', came=f'{error}', todo='fetch the model again'
            ) from error
        self._storage = ctranslate2.StorageView.from_array
        self._silence_path = _silence_path(directory, ctranslate2.__version__)
        self._silence: Floats32 | None = None
        self.start()

    @property
    def is_multilingual(self) -> bool:
        """Whether the model supports other languages than English."""
        return bool(self._model.is_multilingual)

    def start(self) -> None:
        """Reset the language detection: call it before another recording."""
        self._seconds_by_language: dict[str, float] = {}

    def recognize(self, turn: Turn, encoded: Encoded, language: str | None = None) -> Utterance | None:
        """The recognized words of a turn.

        1. Append silent states; 2. determine the language; 3. decode, a second time with a repetition penalty if the
        text repeats itself; 4. align the tokens with the frames; 5. judge whether it was understood.

        Args:
            turn: turn that determines the times of words.
            encoded: states of this turn from the encoder of the same model.
            language: a code such as 'en'; None for the most probable one over all turns since `start`.

        Returns:
            The utterance, with words in order within the turn, each with a confidence in [0, 1]; the speaker is '', and
            `reason` states why the words should not be used. None if no word was recognized.

        Raises:
            ShapeError: the states are not of this model's width.
            UnknownNameError: the model does not support the language.
        """
        states = self._storage(self._padded_states(encoded)[None])
        code, probability = self._language(states, turn.duration_s, language)
        prompt = self._prompt(code)
        limit = int(min(224, _TOKENS_AT_LEAST + _TOKENS_PER_S * turn.duration_s))
        for penalty in ({}, {'no_repeat_ngram_size': 3, 'repetition_penalty': 1.1}):
            tokens, score, no_speech = self._decode(states, prompt, limit, penalty)
            text = self._tokenizer.decode(tokens).strip()
            if compression(text) <= LOOP_COMPRESSION:
                break
        if not any(character.isalnum() for character in text):
            return None
        words = self._words(states, prompt, tokens, encoded, turn, code)
        if not words:
            return None
        recognition = Recognition(score, no_speech, not self.is_multilingual, probability)
        utterance = Utterance(turn.start_s, turn.end_s, '', text, words, code, recognition)
        return judged(utterance, self.trust)

    def languages(self, encoded: Encoded) -> dict[str, float]:
        """Probability of each language that the model supports, highest first; {'en': 1.0} for English models."""
        return self._languages(self._storage(self._padded_states(encoded)[None]))

    def _languages(self, states: Any) -> dict[str, float]:
        if not self.is_multilingual:
            return {'en': 1.0}
        likeliest = self._model.detect_language(states)[0]
        return {token.strip('<|>'): float(probability) for token, probability in likeliest}

    def _language(self, states: Any, seconds: float, language: str | None) -> tuple[str, float]:
        """The requested language with nan, or the most probable one over all seconds so far with its share."""
        if language is not None:
            if self._tokenizer.token_to_id(f'<|{language}|>') is None or not (self.is_multilingual or language == 'en'):
                raise UnknownNameError(
                    expected='a language that the model knows', came=language, todo="give a code such as 'en', or None"
                )
            return language, math.nan
        if not self.is_multilingual:
            return 'en', math.nan
        for code, probability in self._languages(states).items():
            self._seconds_by_language[code] = self._seconds_by_language.get(code, 0.0) + seconds * probability
        likeliest = max(self._seconds_by_language, key=self._seconds_by_language.__getitem__)
        return likeliest, self._seconds_by_language[likeliest] / sum(self._seconds_by_language.values())

    def _prompt(self, code: str) -> list[int]:
        """Tokens of the prompt for a transcript without timestamps."""
        names = ['<|startoftranscript|>']
        if self.is_multilingual:
            names += [f'<|{code}|>', '<|transcribe|>']
        return [int(self._tokenizer.token_to_id(name) or 0) for name in [*names, '<|notimestamps|>']]

    def _decode(
        self, states: Any, prompt: list[int], limit: int, penalty: dict[str, float]
    ) -> tuple[list[int], float, float]:
        """Text tokens, mean log-probability, and probability of no speech."""
        result = self._model.generate(
            states,
            [prompt],
            beam_size=self.beam,
            max_length=limit + len(prompt),
            return_scores=True,
            return_no_speech_prob=True,
            **penalty,
        )[0]
        end = self._tokenizer.token_to_id('<|endoftext|>')
        tokens = [token for token in result.sequences_ids[0] if token < end]
        return tokens, float(result.scores[0]), float(result.no_speech_prob)

    def _words(
        self, states: Any, prompt: list[int], tokens: list[int], encoded: Encoded, turn: Turn, code: str
    ) -> tuple[Word, ...]:
        """Words with times from the decoder's attention, by dynamic time warping."""
        aligned = self._model.align(states, prompt, [tokens], [2 * encoded.speech_frames])[0]
        first_frame: dict[int, int] = {}
        for token, frame in aligned.alignments:
            first_frame.setdefault(token, frame)
        pieces = spelled(self._tokenizer, tokens, code in UNSPACED)
        bounds = np.cumsum([0, *(count for _, count in pieces)])
        edges = word_edges(
            [first_frame.get(int(bound), encoded.speech_frames) * FRAME_S for bound in bounds], turn.duration_s
        )
        words = []
        for index, (text, _) in enumerate(pieces):
            probabilities = aligned.text_token_probs[bounds[index] : bounds[index + 1]]
            confidence = float(np.exp(np.mean(np.log(np.maximum(probabilities, 1e-10))))) if probabilities else 0.0
            start_s, end_s = (min(turn.end_s, turn.start_s + edge) for edge in edges[index : index + 2])
            words.append(Word(start_s, end_s, text, min(1.0, confidence)))
        return tuple(words)

    def _padded_states(self, encoded: Encoded) -> Floats32:
        """(1500, D) states of a turn, followed by those of silence."""
        if self._silence is None:
            self._silence = _cached_states(self._silence_path)
        if self._silence is None:
            self._silence = self._encoded_silence()
            _cache_states(self._silence_path, self._silence)
        output = encoded.output
        if output.ndim != 2 or output.shape[1] != self._silence.shape[1]:
            raise ShapeError(
                expected=f'states (T, {self._silence.shape[1]}) of {self.name}',
                came=f'{output.shape}',
                todo='encode with the encoder of the same model',
            )
        return np.concatenate([output, self._silence[output.shape[0] :]])[:FULL_FRAMES]

    def _encoded_silence(self) -> Floats32:
        """(1500, D) states of 30 s of silence from this model's encoder."""
        # Whisper's spectrum is relative to the loudest moment, so silence needs noise somewhere: a burst first.
        burst = np.hanning(int(_BURST_S * RATE_HZ)) * np.random.default_rng(0).standard_normal(RATE_HZ) * 0.05
        padded = np.pad(burst.astype(np.float32), (0, FULL_FRAMES * 2 * HOP - burst.shape[0]))
        mel = np.ascontiguousarray(log_mel(padded, self._model.n_mels).T)
        states: Floats32 = np.asarray(self._model.encode(self._storage(mel[None]), to_cpu=True), dtype=np.float32)
        return np.asarray(states[0])


def _silence_path(directory: Path, version: str) -> Path:
    """File of the silent states of a model's present weights, for a version of the runtime."""
    stat = (directory / 'model.bin').stat()
    return directory / f'{_SILENCE}{version}-{stat.st_size}-{stat.st_mtime_ns}.npz'


def is_kept_silence(name: str) -> bool:
    """Whether a file in a model's folder is a `Recognizer`'s cache, not part of the model."""
    return name.removeprefix('.').startswith(_SILENCE)


def _cached_states(path: Path) -> Floats32 | None:
    """Silent states from an earlier run; None if there is no valid file."""
    with contextlib.suppress(AffektError):
        states = read_npz(path).get('states')
        if isinstance(states, np.ndarray) and states.dtype == np.float32 and states.ndim == 2:
            return states if states.shape[0] == FULL_FRAMES and bool(np.isfinite(states).all()) else None
    return None


def _cache_states(path: Path, states: Floats32) -> None:
    """Save the states for later runs, where the folder of the model is writable."""
    content = io.BytesIO()
    np.savez(content, states=states)
    with contextlib.suppress(OSError, AffektError):
        write_atomically(path, content.getvalue())


def spelled(tokenizer: Any, tokens: list[int], is_unspaced: bool) -> list[tuple[str, int]]:
    """Words, each with its number of tokens.

    Args:
        tokenizer: tokenizer with `decode`.
        tokens: (K,) text tokens.
        is_unspaced: True for a language without spaces, where each decodable piece is a word.

    Returns:
        In order; the counts sum to K. Punctuation belongs to the word before it, or to the first word.
    """
    pieces: list[tuple[str, int]] = []
    pending: list[int] = []
    for token in tokens:
        pending.append(token)
        text = tokenizer.decode(pending)
        if '\ufffd' in text:  # an unfinished character
            continue
        is_new = is_unspaced or text.startswith(' ')
        has_word = any(character.isalnum() for character in text)
        if (pieces and not (is_new and has_word)) or (
            pieces and not any(character.isalnum() for character in pieces[-1][0])
        ):
            pieces[-1] = (pieces[-1][0] + text, pieces[-1][1] + len(pending))
        else:
            pieces.append((text, len(pending)))
        pending = []
    if pending and pieces:
        pieces[-1] = (pieces[-1][0], pieces[-1][1] + len(pending))
    return [(text.strip(), count) for text, count in pieces if text.strip()]


def word_edges(jumps_s: Sequence[float], duration_s: float) -> list[float]:
    """Edges between words, in order within the turn; words get a positive duration where neighbours allow it.

    Args:
        jumps_s: (W+1,) times at which the decoder's attention reached each word, and the end.
        duration_s: duration of the turn in seconds.

    Returns:
        (W+1,) edges in [0, duration_s]; a word after a pause, which attention reaches late, takes up to 0.1 s from the
        previous one.
    """
    edges = np.minimum(np.maximum.accumulate(np.maximum(np.asarray(jumps_s, np.float64), 0.0)), duration_s)
    for index in range(1, edges.shape[0] - 1):
        if edges[index + 1] - edges[index] < _SHORTEST_WORD_S:
            edges[index] -= min(0.1, (edges[index] - edges[index - 1]) / 2)
    return [float(edge) for edge in edges]
