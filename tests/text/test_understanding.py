"""What was understood, what was not, and what nobody said."""

from __future__ import annotations

import math

import pytest

from affekt.text import Recognition, Utterance, Word, judged, judged_together
from affekt.text.understanding import Trust, confidence, is_loop

TRUST = Trust()


def heard(
    text: str,
    sure: float = 0.9,
    *,
    start_s: float = 0.0,
    seconds: float = 3.0,
    no_speech: float = 0.05,
    log_probability: float = -0.3,
    english_only: bool = True,
) -> Utterance:
    """Recognized words that are all equally sure."""
    words = tuple(Word(start_s, start_s + seconds, word, sure) for word in text.split())
    recognition = Recognition(log_probability, no_speech, english_only)
    return judged(Utterance(start_s, start_s + seconds, '', text, words, 'en', recognition))


def test_words_that_are_heard_surely_are_understood():
    assert heard('I would never have said that.').reason == ''


def test_unsure_words_of_an_english_recognizer_are_kept_as_not_understood():
    said = heard('The pinned under the water marsh.', TRUST.lowest_confidence - 0.01)
    assert (said.reason, said.text) == ('not understood', 'The pinned under the water marsh.')
    assert heard('The pinned under the water marsh.', TRUST.lowest_confidence + 0.01).reason == ''


def test_a_recognizer_of_many_languages_is_believed_at_lower_confidence():
    between = (TRUST.lowest_confidence + TRUST.lowest_confidence_of_many) / 2
    assert heard('Das ist ein Haus.', between, english_only=False).reason == ''
    assert heard('Das ist ein Haus.', TRUST.lowest_confidence_of_many - 0.01, english_only=False).reason


def test_text_that_was_given_is_not_judged():
    given = Utterance(0.0, 1.0, '', 'Thanks for watching!')
    assert judged(given) is given
    assert judged_together([given]) == (given,)


@pytest.mark.parametrize('text', [
    'Thanks for watching!', 'Thank you so much for watching.', 'Subtitles by the Amara.org community',
    'Please subscribe to my channel.', 'See you in the next video!', '♪ ♪', '[Music]', '(applause)',
    'Transcribed by https://otter.ai', "Don't forget to like and subscribe!", '字幕by索兰娅', 'www.zeoranger.co.uk',
    'Captioned by the National Captioning Institute', 'Thanks for watching, and see you in the next video. Bye!',
    'Thank you for watching and please subscribe.', 'Untertitel im Auftrag des ZDF für funk, 2017', '谢谢观看',
    'Dziękuję za oglądanie.', 'Субтитры сделал DimaTorzok', '(laughs) [music]',
])  # fmt: skip
def test_closing_lines_of_videos_and_marks_of_music_are_phantoms_however_sure(text):
    assert heard(text, 0.95).reason == 'phantom'


@pytest.mark.parametrize('text', [
    'Thank you for coming.', 'Thanks for the watch.', 'I subscribe to that.', 'See you in the morning.',
    'The transcript by Anna was better.', 'We watched music videos.', 'Thank you. I mean it.',
    '(sighs) I am so sad today. (laughs)', 'Thank you for listening to me.', 'See you next time.',
    'Thanks for watching the children.', 'Untertitel sind mir zu klein.', '字幕太小了。',
])  # fmt: skip
def test_sentences_that_resemble_them_are_no_phantoms(text):
    assert heard(text, 0.9).reason == ''


@pytest.mark.parametrize(
    'text', ['Thank you.', 'you', 'Bye.', 'Thanks!', 'See you next time.', 'Thank you for listening.']
)
def test_a_short_sentence_is_a_phantom_only_where_it_is_doubtful(text):
    assert heard(text, 0.95).reason == ''
    assert heard(text, TRUST.phantom_confidence - 0.01).reason == 'phantom'
    assert heard(text, 0.95, no_speech=0.8).reason == 'phantom'


@pytest.mark.parametrize('text', ['Yeah.', 'Okay.', 'No.', 'Mm-hmm.'])
def test_what_listeners_say_is_no_phantom_even_where_it_is_mumbled(text):
    assert heard(text, 0.6).reason == ''
    assert heard(text, 0.3).reason == 'not understood'


def test_words_over_sound_without_speech_are_a_phantom():
    assert heard('A man walks.', 0.6, no_speech=0.7, log_probability=-1.2).reason == 'phantom'
    # as unsure, but somebody speaks
    assert heard('A man walks.', 0.3, no_speech=0.1, log_probability=-1.2).reason == 'not understood'


@pytest.mark.parametrize('text', [
    'I know, I know, I know, I know.', "I'm sorry. " * 6, 'ha ' * 12,
    'the water of the water of the water of the water of',
])  # fmt: skip
def test_loops_are_phantoms(text):
    assert heard(text.strip(), 0.9, seconds=20.0).reason == 'phantom'


@pytest.mark.parametrize(
    'text', ['No, no, no!', 'Go, go, go, go!', 'Bye bye, love, bye bye.', 'Never ever ever again.']
)
def test_emphasis_is_no_loop(text):
    assert not is_loop(text)
    assert heard(text, 0.9).reason == ''


def test_nobody_speaks_twelve_words_a_second():
    assert (
        heard('one two three four five six seven eight nine ten eleven twelve', seconds=1.0).reason == 'not understood'
    )


def test_a_turn_that_came_out_smooth_in_a_foreign_recording_is_not_believed():
    lowest = TRUST.lowest_confidence
    foreign = [heard('Of the mother knee.', lowest - 0.2, start_s=4.0 * k) for k in range(4)]
    smooth = heard('I am the one.', lowest + 0.05, start_s=20.0)
    sure = heard('Happy birthday to you!', TRUST.sure_confidence + 0.1, start_s=24.0)
    reasons = [each.reason for each in judged_together([*foreign, smooth, sure])]
    assert reasons == ['not understood'] * 5 + ['']
    # by time, not by number: one long understood turn outweighs four short ones
    long = heard('It was the best of times and nobody knew.', lowest + 0.1, start_s=30.0, seconds=30.0)
    assert [each.reason for each in judged_together([*foreign, long])] == ['not understood'] * 4 + ['']


def test_a_recording_that_was_understood_stays_as_it_is():
    said = tuple(heard('We should go home now.', 0.8, start_s=4.0 * k) for k in range(3))
    assert judged_together(said) == said
    assert judged_together(()) == ()


def test_confidence_is_the_mean_over_words_that_state_one():
    assert confidence(Utterance(0, 1, '', 'a b', (Word(0, 1, 'a', 0.4), Word(0, 1, 'b', 0.8)))) == pytest.approx(0.6)
    assert math.isnan(confidence(Utterance(0, 1, '', 'a', (Word(0, 1, 'a'),))))
