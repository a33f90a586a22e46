"""Words from real recordings, and what must not become words."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import av
import numpy as np
import pytest

from affekt.errors import ShapeError, UnknownNameError
from affekt.text import recognition
from affekt.text.recognition import Recognizer, compression, spelled, word_edges
from affekt.text.understanding import confidence, judged_together
from affekt.voice import Encoded, SpeechDetector, Turn, WhisperEncoder, speech_turns, whisper_directory
from affekt.weights import MODELS, state


class Block:
    def __init__(self, samples: np.ndarray) -> None:
        self.start_s, self.samples = 0.0, samples


def turns_of(path: Path) -> list[Turn]:
    with av.open(str(path)) as source:
        resampler = av.AudioResampler(format='flt', layout='mono', rate=16000)
        pieces = [p.to_ndarray()[0] for frame in source.decode(audio=0) for p in resampler.resample(frame)]
        pieces += [p.to_ndarray()[0] for p in resampler.resample(None)]
    return list(speech_turns([Block(np.concatenate(pieces))], SpeechDetector()))


@pytest.fixture(scope='module')
def tiny() -> tuple[WhisperEncoder, Recognizer]:
    missing = [name for name in ('silero_vad.onnx', 'whisper-tiny.en') if state(MODELS[name]) != 'verified']
    if missing:
        pytest.skip(f'model files are absent: {", ".join(missing)} (run `affekt weights get`)')
    return WhisperEncoder('tiny.en'), Recognizer('tiny.en')


def letters(text: str) -> str:
    return ''.join(c for c in text.lower() if c.isalpha() or c == ' ').strip()


@pytest.mark.parametrize('actor', [1, 6, 12, 23])
def test_both_sentences_of_ravdess_are_read_right(tiny, shared_data, actor):
    encoder, recognizer = tiny
    for statement, sentence in ((1, 'kids are talking by the door'), (2, 'dogs are sitting by the door')):
        path = shared_data / 'ravdess_speech' / f'Actor_{actor:02}' / f'03-01-01-01-0{statement}-01-{actor:02}.flac'
        (turn,) = turns_of(path)
        assert letters(recognizer.recognize(turn, encoder(turn.samples)).text) == sentence


def test_a_read_text_is_heard_with_words_in_order_within_their_turns(tiny, shared_data):
    encoder, recognizer = tiny
    turns = turns_of(shared_data / 'test_media' / 'two_cities.wav')
    heard = [recognizer.recognize(turn, encoder(turn.samples)) for turn in turns]
    assert letters(heard[0].text).startswith('it was the best of times it was the worst of times')
    assert letters(heard[1].text) == 'it was the epoch of belief it was the epoch of incredulity'
    for turn, utterance in zip(turns, heard, strict=True):
        edges = [edge for word in utterance.words for edge in (word.start_s, word.end_s)]
        assert edges == sorted(edges)
        assert turn.start_s <= edges[0] <= edges[-1] <= turn.end_s
        assert all(0 < word.confidence <= 1 for word in utterance.words)
        assert ' '.join(word.text for word in utterance.words) == utterance.text
        assert (utterance.language, utterance.reason) == ('en', '')
        assert utterance.recognition.is_english_only
    # the speaker pauses between the two halves of the first sentence: 'times,' to 'it' at about 3.1 s
    assert heard[0].words[6].start_s == pytest.approx(3.1, abs=0.3)


def test_six_short_turns_are_not_repeated(tiny, shared_data):
    encoder, recognizer = tiny
    heard = [recognizer.recognize(t, encoder(t.samples)) for t in turns_of(shared_data / 'test_media' / 'beckett.wav')]
    assert [letters(u.text) for u in heard] == [
        'ever tried', 'ever failed', 'no matter', 'try again', 'fail again', 'fail better',
    ]  # fmt: skip


def test_polish_is_not_understood_by_a_recognizer_of_english(tiny, shared_data):
    encoder, recognizer = tiny
    paths = sorted((shared_data / 'nemo').glob('*/*_neutral_1*.opus'))[:6]
    if not paths:
        pytest.skip('nemo is absent')
    turns = [turn for path in paths for turn in turns_of(path)]
    utterances = [utterance for turn in turns if (utterance := recognizer.recognize(turn, encoder(turn.samples)))]
    assert len(utterances) == 6
    # 8-bit products differ between processors: one of the six has a mean confidence of 0.51, the threshold
    assert sum(bool(utterance.reason) for utterance in utterances) >= 5
    assert max(map(confidence, utterances)) < 0.55
    assert all(utterance.reason for utterance in judged_together(utterances))


def test_noise_and_a_whistle_are_not_words(tiny, rng):
    encoder, recognizer = tiny
    noise = (0.05 * rng.standard_normal(48000)).astype(np.float32)
    whistle = (0.3 * np.sin(np.arange(48000) * 0.4)).astype(np.float32)
    for samples in (noise, whistle):
        said = recognizer.recognize(Turn(0.0, 3.0, samples, 0.5), encoder(samples))
        assert said is None or said.reason == 'phantom'


def test_states_of_another_model_and_unknown_languages_are_refused(tiny):
    _, recognizer = tiny
    turn = Turn(0.0, 1.0, np.zeros(16000, np.float32), 1.0)
    other = Encoded(np.zeros((7, 50, 512), np.float32), 50, np.zeros((100, 80), np.float32), 'base')
    with pytest.raises(ShapeError):
        recognizer.recognize(turn, other)
    fitting = Encoded(np.zeros((5, 50, 384), np.float32), 50, np.zeros((100, 80), np.float32), 'tiny.en')
    with pytest.raises(UnknownNameError):
        recognizer.recognize(turn, fitting, language='xx')


def test_repeated_text_compresses_and_a_sentence_does_not():
    assert compression('Dogs are sitting by the door.') < 2.4 < compression('Fail again. ' * 20)
    assert compression('') == 1.0


def test_edges_of_words_are_in_order_and_give_room_to_those_reached_late():
    # the third word has no length: it takes 0.1 s of the second, which lasts 0.6 s
    assert word_edges([0.0, 0.4, 1.0, 1.0, 1.5], 2.0) == pytest.approx([0.0, 0.4, 0.9, 1.0, 1.5])
    # times that fall back or overrun are held
    assert word_edges([0.0, 0.5, 0.3, 3.0], 2.0) == pytest.approx([0.0, 0.4, 0.5, 2.0])


class Letters:
    """A tokenizer whose tokens are written out; 9 and 10 are halves of one character."""

    table: ClassVar[dict[int, str]] = {1: ' ever', 2: ' tri', 3: 'ed', 4: '.', 5: ' -', 6: '好', 7: '的'}

    def decode(self, tokens: list[int]) -> str:
        if tokens == [9]:
            return '\ufffd'
        if tokens == [9, 10]:
            return 'é'
        return ''.join(self.table[token] for token in tokens)


def test_tokens_become_words_with_their_punctuation():
    assert spelled(Letters(), [1, 2, 3, 4], False) == [('ever', 1), ('tried.', 3)]
    assert spelled(Letters(), [5, 1, 2, 3], False) == [('- ever', 2), ('tried', 2)]
    assert spelled(Letters(), [2, 9, 10], False) == [('trié', 3)]
    assert spelled(Letters(), [6, 7, 4], True) == [('好', 1), ('的.', 2)]
    assert spelled(Letters(), [], False) == []


def test_silence_is_encoded_once_for_all_runs(tiny, tmp_path, monkeypatch):
    for part in whisper_directory('tiny.en').iterdir():
        if not part.name.startswith('silence-'):
            (tmp_path / part.name).symlink_to(part)
    short = Encoded(np.zeros((5, 10, 384), np.float32), 10, np.zeros((20, 80), np.float32), 'tiny.en')
    states = Recognizer(tmp_path)._padded_states(short)
    (kept,) = tmp_path.glob('silence-*.npz')
    monkeypatch.setattr(Recognizer, '_encoded_silence', lambda self: pytest.fail('encoded again'))
    assert np.array_equal(Recognizer(tmp_path)._padded_states(short), states)
    kept.write_bytes(kept.read_bytes()[:100_000])  # cut short: what is left is not believed
    assert recognition._cached_states(kept) is None
    assert recognition._cached_states(tmp_path / 'absent.npz') is None
