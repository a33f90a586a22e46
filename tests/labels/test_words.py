"""From a text to its labels: the published parser exactly, ours on what models write."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from affekt.labels import official_clean, official_groups, official_labels, read_labels
from affekt.labels.words import NO_ANSWER


def _cases(shared_data, kind):
    return json.loads((shared_data / 'vectors' / 'ov' / 'edge_cases.json').read_text(encoding='utf-8'))[kind]


def test_the_published_parser_is_matched_on_every_stored_case(shared_data):
    cases = [case for case in _cases(shared_data, 'string_to_list') if 'ok' in case]
    assert len(cases) == 28
    assert [case for case in cases if official_labels(case['in']) != case['ok']] == []


def test_where_the_published_parser_crashes_ours_finds_no_label(shared_data):
    (case,) = [case for case in _cases(shared_data, 'string_to_list') if 'error' in case]
    assert official_labels(case['in']) == []


def test_the_published_cleaning_and_grouping_are_matched(shared_data):
    assert [c for c in _cases(shared_data, 'strip_llm_preamble') if official_clean(c['in']) != c['ok']] == []
    assert [c for c in _cases(shared_data, 'listlist_to_list') if official_groups(c['in']) != c['ok']] == []


@pytest.mark.parametrize(
    ('text', 'labels', 'how'),
    [
        ('[happy, sad].', ('happy', 'sad'), 'list'),
        ("['happy', \"Can't Cope\"]", ('happy', "can't cope"), 'list'),
        ('["joy", "fear"]', ('joy', 'fear'), 'json'),
        ('Output: ["happy", "a bit worried"].', ('happy', 'worried'), 'json'),
        ('[[happy], [sad]]', ('happy', 'sad'), 'list'),
        ('[happy; sad/angry]', ('happy', 'sad', 'angry'), 'list'),
        ('- Happy\n- **sad**\n', ('happy', 'sad'), 'list'),
        ('1. happy\n2. sad', ('happy', 'sad'), 'list'),
        ('joy and sorrow', ('joy', 'sorrow'), 'list'),
        ('高兴，难过', ('高兴', '难过'), 'list'),
        ('{"emotion": "joy, fear"}', ('joy', 'fear'), 'json'),
        ('{"emotions": [{"name": "joy", "score": 0.3}]}', ('joy',), 'json'),
        ('```json\n{"labels": ["joy"]}\n```', ('joy',), 'json'),
        ("The character's emotional state is curious, worried and tense.", ('curious', 'worried', 'tense'), 'template'),
        ('Emotions: Joy, a sense of relief', ('joy', 'relief'), 'template'),
        ('happy, happy, HAPPY ', ('happy',), 'list'),
        ('don’t care', ('don’t care',), 'list'),
        ('[]', (), 'json'),
        ('None', (), 'list'),
        ('', (), 'empty'),
        ('   ', (), 'empty'),
        (None, (), 'empty'),
        (float('nan'), (), 'empty'),
        (['Happy', 'sad'], ('happy', 'sad'), 'given'),
    ],
)
def test_answers_in_every_usual_form_are_read(text, labels, how):
    answer = read_labels(text)
    assert (answer.labels, answer.how) == (labels, how)


def test_words_of_degree_stay_where_the_lexicon_holds_the_phrase():
    assert read_labels('deep thought, deep sadness', {'deep thought', 'sadness'}).labels == ('deep thought', 'sadness')


def test_prose_without_a_lexicon_is_said_to_be_unread():
    answer = read_labels('He walks through the room, looks back twice and then slams the door behind him')
    assert answer.labels == ()
    assert answer.how == 'unread'


@given(st.text(max_size=300))
def test_no_text_makes_a_parser_fail(text):
    for label in read_labels(text).labels:
        assert label == label.strip() == label.lower()
    assert all(label and label == label.strip() for label in official_labels(text))
    assert all(official_groups(text))
    assert official_clean(text) == official_clean(text).strip()


@given(st.text(alphabet='[]{}"\',:;./*`-—()\n\t \\abAB真', max_size=120))
def test_no_heap_of_brackets_and_quotes_makes_a_parser_fail(text):
    assert isinstance(read_labels(text, {'a', 'b'}).labels, tuple)


NO_LABELS = {'and', 'the', 'some', 'his', 'her', 'very', 'being', 'are', 'not', 'she', 'they', 'you', 'there'}
_words = st.text(alphabet='abcdefghijklmnopqrstuvwxyz', min_size=3, max_size=10).filter(
    lambda word: word not in {*NO_LABELS, *NO_ANSWER}
)


@given(st.lists(_words, min_size=1, max_size=6, unique=True), st.sampled_from(['[{}]', '{}', ' [{}].', 'Output: [{}]']))
def test_what_is_written_as_a_list_is_read_back(words, form):
    tidy = {
        'mild',
        'slight',
        'strong',
        'intense',
        'deep',
        'unknown',
        'unclear',
        'empty',
        'feeling',
        'feelings',
        'sense',
    }
    words = [word for word in words if word not in tidy] or ['happy']
    assert list(read_labels(form.format(', '.join(words))).labels) == words


def test_a_long_answer_takes_no_longer_than_its_length():
    assert read_labels('[' * 100_000).labels == ()
    assert read_labels('emotion ' * 20_000).how == 'unread'
    assert read_labels(', '.join(f'word{n}' for n in range(20_000))).how == 'list'


WORDS = {'happy', 'feeling happy', 'sad', 'cheerful', 'worried', 'tense', 'calm', 'joy', 'sense of relief', 'light'}


@pytest.mark.parametrize(
    ('sentence', 'labels'),
    [
        ('The speaker smiles and sounds cheerful.', ('cheerful',)),
        ('Speaker smiles and sounds cheerful', ('cheerful',)),
        ('Looks worried and tense.', ('worried', 'tense')),
        ('The man is happy.', ('happy',)),
        ('The character seems calm and happy.', ('calm', 'happy')),
        ('The smile is warm, the voice calm.', ('calm',)),
        ('Her voice trembles.', ()),
        ('The man, sad, shouts', ('sad',)),
        ('She [the speaker] looks happy.', ('happy',)),
        ('[unclear] He sounds worried.', ('worried',)),
        ('A woman, visibly worried, cries.', ('worried',)),
        ('The nurse, tense, trembles', ('tense',)),
        ('a sad man, shouting', ('sad',)),
        ('男人，高兴，大喊', ()),
        ('A man laughs loudly.', ()),
        ('Er wirkt sehr traurig.', ()),
        ('Die Frau ist traurig', ()),
        ('Elle semble triste', ()),
        ('说话人微笑着，听起来很高兴。', ()),
        ('他很高兴，也很激动。', ()),
        ('彼は嬉しそうです。', ()),
        ('그는 행복해 보인다.', ()),
        ('Он очень рад', ()),
        ('Она грустит и плачет', ()),
        ('1. Happy - he smiles broadly\n2. Sad', ('happy', 'sad')),
    ],
)
def test_a_sentence_is_read_as_prose_not_as_a_list(sentence, labels):
    answer = read_labels(sentence, WORDS)
    assert (answer.labels, answer.how) == (labels, 'prose' if labels else 'unread')
    assert read_labels(sentence).labels == ()


@pytest.mark.parametrize(
    'text',
    [
        '{"emotion": "The speaker smiles and sounds cheerful."}',
        '["The speaker smiles and sounds cheerful."]',
        '[The speaker smiles, she sounds cheerful]',
        ['The speaker smiles and sounds cheerful.'],
    ],
)
def test_a_sentence_within_a_list_is_read_as_prose(text):
    assert read_labels(text, WORDS).labels == ('cheerful',)
    assert read_labels(text).labels == ()


@pytest.mark.parametrize(
    ('text', 'labels'),
    [
        ('Happy, sad and worried.', ('happy', 'sad', 'worried')),
        ('happy, over the moon', ('happy', 'over the moon')),
        ('emotion: happy', ('happy',)),
        ('Emotion: Happy (smiling)', ('happy', 'smiling')),
        ('feels happy, is sad', ('happy', 'sad')),
        ('Feeling happy and excited.', ('happy', 'excited')),
        ('sense of relief, joy', ('sense of relief', 'joy')),
        ('angry tone; tense', ('angry', 'tense')),
        ('1) happy 2) sad', ('happy', 'sad')),
        ('Laughing, crying', ('laughing', 'crying')),
        ('情绪：高兴、激动', ('高兴', '激动')),
        ('高兴，难过。', ('高兴', '难过')),
        ('радость, тихая грусть', ('радость', 'тихая грусть')),
        ('freudig, tief berührt', ('freudig', 'tief berührt')),
        ('自我怀疑、焦虑不安', ('自我怀疑', '焦虑不安')),
    ],
)
def test_a_list_stays_a_list(text, labels):
    answer = read_labels(text, WORDS)
    assert answer.labels == labels
    assert answer.how != 'prose'


def test_an_answer_that_is_a_number_is_its_digits_for_the_published_parser():
    assert official_labels(3) == ['3']


@pytest.mark.parametrize(
    'answer', ['["…", "…"]', '{"labels": ["…"]}', '…, …', '- …\n- …', '["•"]', '["~"]', '["、"]', '["***"]', ['…']]
)
def test_marks_alone_are_no_label(answer):
    assert read_labels(answer).labels == ()


def test_pictographs_and_other_scripts_are_labels():
    assert read_labels('["😀", "…", "生气", "злой", "दुखी"]').labels == ('😀', '生气', 'злой', 'दुखी')


def test_no_answer_with_a_slash_is_no_list_of_two_labels():
    assert read_labels('N/A').labels == read_labels('"n/a".').labels == ()


@pytest.mark.parametrize(
    'answer', ['Yes', 'no.', 'Nothing', 'yes, no', 'None of these', 'True', '["no"]', 'OK', 'Nobody']
)
def test_what_answers_another_question_is_no_label(answer):
    assert read_labels(answer).labels == ()
    assert read_labels(f'{answer.strip(".")}, angry').labels[-1:] == ('angry',) or answer.startswith('[')
