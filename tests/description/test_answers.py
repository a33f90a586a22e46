from __future__ import annotations

import time

import pytest

from affekt.description import Clue, clues_in, perceived_through, read_answer
from affekt.description.clues import without_invented
from affekt.description.questions import QUESTIONS, answer_of
from affekt.errors import UnknownNameError


@pytest.mark.parametrize(
    ('text', 'form', 'labels'),
    [
        ('', 'empty', ()),
        (None, 'empty', ()),
        ('<think>sad or angry', 'empty', ()),
        ('<|im_end|>', 'empty', ()),
        ("The character's emotional state is happy, calm.", 'template', ('happy', 'calm')),
        ("The character's emotional state is happy. He smiles.", 'template', ('happy',)),
        ('The most likely label is angry.', 'template', ('angry',)),
        ('Happy, calm. Her voice is loud, not sad.', 'list', ('happy', 'calm')),
        ('happy, sad', 'list', ('happy', 'sad')),
        ('Sorry, sad, guilty', 'list', ('sorry', 'sad', 'guilty')),
        ('["happy", "worried"]', 'list', ('happy', 'worried')),
        ('- joy\n- fear', 'list', ('joy', 'fear')),
        ('[]', 'list', ()),
        ('n/a', 'list', ()),
        ('<|im_start|>assistant\nhappy<|im_end|>', 'list', ('happy',)),
        ('###Assistant: happy###Human: and now sad?', 'list', ('happy',)),
        ('She smiles, but her voice trembles; she seems sad.', 'free', ('sad',)),
        ('他很高兴，嘴角上扬。', 'free', ()),
        ('他无法掩饰愤怒。', 'free', ()),
        ('the the the the the the', 'nonsense', ()),
        ('happy sad ' * 9, 'nonsense', ()),
        ('asdf qwrtp zxcvb', 'nonsense', ()),
        ('a' * 30, 'nonsense', ()),
        ('\ufffd\ufffd?\ufffd', 'nonsense', ()),
        ('!!! ... ???', 'nonsense', ()),
        ("I'm sorry, but I can't help with identifying people's emotions.", 'refusal', ()),
        ('I’m sorry, but I can’t help with that.', 'refusal', ()),
        ('My apologies, I am not allowed to do so.', 'refusal', ()),
        ('I cannot tell whether she is happy or sad.', 'refusal', ()),
        ("I'm unable to identify emotions. Could you say whether she is happy or sad?", 'refusal', ()),
        ('Unfortunately, without the video I cannot say if he is angry.', 'refusal', ()),
        ('The emotion cannot be determined from the clip.', 'refusal', ()),
        ('抱歉，我无法判断。', 'refusal', ()),
        ('Lo siento, no puedo.', 'refusal', ()),
        ('Ich kann das nicht beurteilen.', 'refusal', ()),
        ('Unable to determine.', 'refusal', ()),
        ('Although she smiles, I cannot tell whether she is happy.', 'refusal', ()),
        ("I can't see him, so I can't say whether he is happy.", 'refusal', ()),
        ('Not possible.', 'refusal', ()),
        ('I refuse.', 'refusal', ()),
        ('Error: context length exceeded', 'refusal', ()),
        ('Unable to hide her joy, she laughs.', 'free', ('joy',)),
        ('I cannot tell whether she is sad and he is angry.', 'refusal', ()),
        ('I cannot say if, given the noise, the voice is angry.', 'refusal', ()),
        ("I can't tell: is he happy or sad?", 'refusal', ()),
        ('I cannot choose one of these: happy, sad, angry.', 'refusal', ()),
        ("I'm not sure whether he is happy or sad.", 'refusal', ()),
        ('There is no way to tell whether she is angry.', 'refusal', ()),
        ('Hard to say whether this is anger.', 'refusal', ()),
        ('The clip does not allow me to say whether she is happy.', 'refusal', ()),
        ('Whether the man is sad or happy is impossible to tell.', 'refusal', ()),
        ('I would need more context to say whether she is happy.', 'refusal', ()),
        ('Nobody can tell whether he is angry.', 'refusal', ()),
        ("I'm sorry, but identifying whether somebody is sad is something I can't do.", 'refusal', ()),
        ('我无法判断他是高兴还是悲伤。', 'refusal', ()),
        ('不确定他是否难过。', 'refusal', ()),
        ('很难判断这个人是高兴还是生气。', 'refusal', ()),
        ('无法判断表情，但声音听起来很生气。', 'free', ()),
        ('看不到他的脸，但声音很愤怒。', 'free', ()),
        ('我无法看到视频，从声音来看她很高兴。', 'free', ()),
        ('抱歉，我看不到脸；他的声音很悲伤。', 'free', ()),
        ('很难过，他低着头。', 'free', ()),
        ('It is  not possible  to tell   whether  she is sad.', 'refusal', ()),
        ('There is no way he will forgive her, he is furious.', 'free', ('furious',)),
        ('Although I cannot tell whether he is happy, sad or angry, the voice is loud.', 'refusal', ()),
        ('Although, as an AI, I cannot tell whether she is sad, calm or angry.', 'refusal', ()),
        ('As an AI I cannot tell whether she is sad.', 'refusal', ()),
        ('As an AI I believe it is not possible to tell her sadness.', 'refusal', ()),
        ('As an AI model there is nothing I can say about his sadness.', 'refusal', ()),
        ("I think it's hard to tell whether she is sad.", 'refusal', ()),
        ('I believe it is impossible to miss her joyful mood.', 'free', ('joyful',)),
    ],
)
def test_an_answer_has_the_form_and_the_labels_that_it_states(text, form, labels):
    answer = read_answer(text)
    assert (answer.form, answer.labels) == (form, labels)


@pytest.mark.parametrize(
    ('text', 'labels'),
    [
        ('As an AI, I cannot see the video. Based on the text, the person seems angry.', ('angry',)),
        ('I cannot see her face, but her voice sounds angry.', ('angry',)),
        ("It's unclear what he wants, and he looks nervous.", ('nervous',)),
        ("She says I can't take it anymore, sounding desperate.", ('desperate',)),
        ('He says "I\'m sorry, I cannot do it" in a sad voice.', ('sad',)),
        ("I can't help noticing that she is sad.", ('sad',)),
        ('As a large man walks in, she looks afraid.', ('afraid',)),
        ('Although I cannot see her face, her voice sounds angry.', ('angry',)),
        ('I cannot hear the audio, so by the face alone he looks sad.', ('sad',)),
        ("We can't see his face: the voice is angry", ('angry',)),
        ('I cannot see the face; he sounds sad.', ('sad',)),
        ('Not sure about the face, but the voice is happy', ('happy',)),
        ('I cannot see the face, the voice is angry.', ('angry',)),
        ("I can't see her face – she sounds sad.", ('sad',)),
        ("I can't see her face (her voice is sad).", ('sad',)),
        ('I cannot see the face and the voice is angry.', ('angry',)),
        ("I can't say for sure, perhaps he is angry.", ('angry',)),
        ('She sounds angry, the face cannot be identified.', ('angry',)),
        ('The person seems angry, I cannot be sure.', ('angry',)),
        ('It is hard to tell from the face, he sounds worried.', ('worried',)),
        ('It is not clear what he says, his tone is angry.', ('angry',)),
        ('It is difficult for him to hide his anger.', ('anger',)),
        ('As an AI language model, I can tell that she is angry.', ('angry',)),
        ("I'm sorry, he sounds angry.", ('angry',)),
        ('I cannot tell who is speaking, I hear an angry voice.', ('angry',)),
        ('The audio does not provide words, but the tone is angry.', ('angry',)),
        ('I cannot tell whether she is happy. The voice sounds sad.', ('sad',)),
        ('He says: "I am sad. I cannot see." I cannot see him. The tone is angry.', ('angry',)),
        ('Although, as an AI, I cannot see the face, anger is audible.', ('anger',)),
        ('Although, as an AI, I cannot tell whether he is happy, the voice sounds angry.', ('angry',)),
        ('Although I, as an AI, cannot tell whether he is happy, the voice sounds angry.', ('angry',)),
        ('Although, unfortunately, I cannot see her, her tone conveys grief.', ('grief',)),
        ('As an AI I would say he is angry.', ('angry',)),
        ('I cannot see the face, there is anger in the voice.', ('anger',)),
        ('I cannot see the face, an angry tone is heard.', ('angry',)),
        ('I cannot see the face, it sounds angry.', ('angry',)),
    ],
)
def test_words_of_a_refusal_do_not_make_one_where_a_feeling_is_named(text, labels):
    answer = read_answer(text)
    assert (answer.form, answer.labels) == ('free', labels)


@pytest.mark.parametrize(
    ('name', 'values', 'labels', 'value'),
    [
        ('labels', {'labels': 'happy, calm'}, ('happy', 'calm'), ''),
        ('one_label_of', {'label': 'fear'}, ('fear',), ''),
        ('valence', {'valence': -0.5}, (), '-0.50'),
        ('sentiment', {'sentiment': 'positive'}, (), 'positive'),
        ('preference', {'preferred': 'a2'}, (), 'a2'),
        ('reward', {'verdict': 'accept'}, (), 'accept'),
    ],
)
def test_the_published_answers_are_read_back(name, values, labels, value):
    assert name in QUESTIONS
    answer = read_answer(answer_of(name, **values))
    assert (answer.form, answer.question, answer.labels, answer.value) == ('template', name, labels, value)


def test_a_label_cut_in_half_is_left_out():
    assert read_answer('happy, sad, ang', is_cut=True).labels == ('happy', 'sad')
    assert read_answer('["happy", "sad", "content', is_cut=True).labels == ('happy', 'sad')
    assert read_answer('She is sad. Her voice is angr', is_cut=True).text == 'She is sad.'
    assert read_answer('She is sad.', is_cut=True).labels == ('sad',)
    assert read_answer('hap', is_cut=True).form == 'empty'


def test_evidence_says_what_it_speaks_of():
    answer = read_answer('Her brows are furrowed, and her tone is loud. She says that she is angry. It is late.')
    assert [clue.of for clue in answer.evidence] == [('face',), ('voice',), ('words',)]
    assert answer.evidence[0].text == 'Her brows are furrowed'


def test_nothing_is_said_of_what_a_clip_does_not_have():
    text = 'She smiles happily, but her voice is low and trembling. She seems sad. Her posture is tense.'
    answer = read_answer(text, perceived=['voice', 'words'])
    assert answer.text == 'Her voice is low and trembling. She seems sad.'
    assert answer.labels == ('sad',)
    assert [clue.text for clue in answer.invented] == ['She smiles happily', 'Her posture is tense.']
    assert answer.evidence == (Clue('Her voice is low and trembling.', ('voice',)),)
    assert read_answer(text, perceived=['voice', 'face', 'body']).invented == ()
    assert read_answer(text).text == text


def test_lines_behind_a_template_are_evidence():
    text = 'Emotions: happy, sad\nVoice: loud, 0.5 above its mean.\nFace: she smiles.'
    answer = read_answer(text)
    assert (answer.form, answer.labels) == ('template', ('happy', 'sad'))
    assert [clue.of for clue in answer.evidence] == [('voice',), ('face',)]
    answer = read_answer(text, perceived=['voice'])
    assert answer.text == 'Emotions: happy, sad\nVoice: loud, 0.5 above its mean.'
    assert answer.labels == ('happy', 'sad')


def test_a_sentence_of_which_a_clause_is_left_stays_a_sentence():
    text = 'Her voice is low, and she sounds sad, but her face is bright.'
    assert without_invented(text, ['voice'])[0] == 'Her voice is low, and she sounds sad.'
    assert without_invented(text, ['face'])[0] == 'She sounds sad, but her face is bright.'
    assert without_invented(text, ['voice', 'face'])[0] == text


def test_clues_behind_labels_lose_what_was_not_perceived():
    answer = read_answer('Happy, calm. Her voice is warm. She smiles.', perceived=['voice'])
    assert (answer.labels, answer.text) == (('happy', 'calm'), 'Happy, calm. Her voice is warm.')
    assert [clue.of for clue in answer.invented] == [('face',)]


@pytest.mark.parametrize(
    'text',
    ['No face is visible.', 'The audio is missing.', 'I cannot see her face.', 'There is no sound.', 'It rains.'],
)
def test_that_something_is_absent_is_no_clue(text):
    assert clues_in(text) == ()
    assert without_invented(text, ()) == (text, ())


def test_what_is_perceived_follows_from_the_sources():
    assert perceived_through(['words', 'frame']) == ('face', 'body', 'words')
    assert perceived_through([]) == ()
    with pytest.raises(UnknownNameError, match="'pose'"):
        perceived_through(['pose'])
    with pytest.raises(UnknownNameError, match="'smell'"):
        read_answer('She is sad.', perceived=['smell'])


def test_reading_takes_time_linear_in_the_length():
    texts = [
        'a',
        ' ' * 2 + 'x',
        'it is hard ',
        '. ',
        'I cannot ',
        'she smiles and her ',
        '"',
        'the tone ',
        '[[',
        'no audio ',
    ]
    start = time.process_time()
    for text in texts:
        read_answer(text * 10_000, perceived=['voice'])
    read_answer(' ' * 50_000 + 'x' + ' ' * 50_000 + 'but')
    assert time.process_time() - start < 10  # a pattern that backtracks takes minutes


@pytest.mark.parametrize('clause', ['The speech is quick', 'The way of speaking is even', 'The tempo is slow'])
def test_how_somebody_speaks_is_a_clue_of_the_voice(clause):
    assert [clue.of for clue in clues_in(f'{clause}.')] == [('voice',)]
