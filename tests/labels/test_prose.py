"""Emotion words in free descriptions: what counts, what does not, and that no text breaks it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from affekt.labels import read_labels
from affekt.labels.everyday_words import EVERYDAY, IN_STATE_ONLY, NOT_BEFORE
from affekt.labels.prose import Lexicon, labels_in_prose

LEXICON = Lexicon(
    'happy sad angry anger fear joy joyful enthusiasm tense calm surprised surprise gloomy content kind open mean down '
    'cold moved interest like well determined proud at-ease looking|forward|to self-deprecating sense|of|loss loss '
    'dissatisfaction hopeless hope pleasant worried question'.replace('|', '_').split()
)
FORMS = Lexicon([form.replace('_', ' ') for form in LEXICON])


def found(text: str) -> list[str]:
    return labels_in_prose(text, FORMS)


@pytest.mark.parametrize(
    ('text', 'labels'),
    [
        ('He is happy.', ['happy']),
        ('SAD, then Angry; then sad again', ['sad', 'angry']),
        ('He is looking forward to it, and self-deprecating, and at ease.',
         ['looking forward to', 'self-deprecating', 'at-ease']),
        ('A sense of loss.', ['sense of loss']),
        ('hopeless', ['hopeless']),
        ('unhappy', []),
        ('He may be angry, or perhaps surprised.', ['angry', 'surprised']),
        ('在视频中，他很生气。', []),
        ('', []),
    ],
)  # fmt: skip
def test_known_forms_are_found_longest_first_in_order_and_once(text, labels):
    assert found(text) == labels


@pytest.mark.parametrize(
    'text',
    [
        'He does not seem happy.',
        "She doesn't look very happy.",
        'She doesn’t look happy.',
        'There is no anger, fear or joy in his voice.',
        'He speaks without fear.',
        'a lack of enthusiasm',
        'There is an absence of any joy.',
        'He is neither sad nor angry.',
        'He never seems truly happy.',
        'He is hardly surprised.',
        'Her voice is free of anger and fear.',
    ],
)
def test_a_denied_feeling_is_no_label(text):
    assert found(text) == []


@pytest.mark.parametrize(
    ('text', 'labels'),
    [
        ('He is not only sad but angry.', ['sad', 'angry']),
        ('He is not happy but sad.', ['sad']),
        ('He is not smiling, he is angry.', ['angry']),
        ('He cannot hide his joy.', ['joy']),
        ('There is no doubt that he feels fear.', ['fear']),
        ('She is calm rather than angry.', ['calm']),
        ('He is angry instead of sad.', ['angry']),
        ('He is not smiling and looks angry.', ['angry']),
        ('No, he is angry.', ['angry']),
    ],
)
def test_a_denial_ends_where_its_clause_ends(text, labels):
    assert found(text) == labels


@pytest.mark.parametrize(
    'text',
    [
        'The subtitle reads: "I am so happy and I am not angry!"',
        'In the text, the subtitle says, “Sad.”',
        'It is a tense situation.',
        'a tense and gloomy atmosphere',
        'The weather is gloomy.',
        "the other person's anger",
        'The other person is angry.',
        'a pleasant conversation',
    ],
)
def test_what_is_said_or_belongs_to_the_scene_or_to_others_is_no_label(text):
    assert found(text) == []


def test_a_quoted_word_that_nobody_speaks_is_a_label():
    assert found('His face looks "sad" today.') == ['sad']


@pytest.mark.parametrize(
    ('everyday', 'feeling'),
    [
        ('the content of the subtitle', 'He feels content.'),
        ('a kind of mask', 'She is kind.'),
        ('He looks down.', 'He feels down.'),
        ('It does mean something.', 'He is mean.'),
        ('He drinks cold water.', 'a cold tone'),
        ('He moved his hand.', 'She is deeply moved.'),
        ('the interest rate', 'He shows interest.'),
    ],
)
def test_a_word_with_an_everyday_use_counts_only_in_the_other_one(everyday, feeling):
    assert found(everyday) == []
    assert len(found(feeling)) == 1


@pytest.mark.parametrize('text', ['He would like to open his mouth.', 'Well, she answers the question.'])
def test_everyday_words_are_never_labels(text):
    assert found(text) == []


def test_the_lists_of_everyday_words_are_lower_case_and_do_not_overlap():
    assert not EVERYDAY & IN_STATE_ONLY
    assert all(word == word.lower().strip() for word in EVERYDAY | IN_STATE_ONLY | set(NOT_BEFORE))
    assert not EVERYDAY & {'happy', 'sad', 'angry', 'surprised', 'calm', 'tense', 'serious', 'determined', 'fear'}


def test_a_plain_collection_gives_what_its_lexicon_gives():
    forms = {'Happy': ('happy',), 'sad': ('sad',)}
    assert labels_in_prose('happy, not sad', forms) == ['happy']
    assert labels_in_prose('happy and sad', Lexicon(forms)) == ['happy', 'sad']
    forms['proud'] = ('proud',)
    assert labels_in_prose('She is proud.', forms) == ['proud']


def test_read_labels_reads_prose_where_it_is_given_a_lexicon():
    text = 'In the video he frowns and speaks loudly, which suggests that he is angry. He is not at all happy about it.'
    answer = read_labels(text, FORMS)
    assert (answer.labels, answer.how) == (('angry',), 'prose')


PIECES = st.one_of(
    st.text(max_size=30),
    st.sampled_from([*FORMS, 'not', "n't", 'no', 'neither', 'nor', 'other', "person's", 'is', ',', '.', '"', '“', '”']),
)


@given(st.lists(PIECES, max_size=60))
def test_no_text_raises_and_every_label_is_a_form_of_the_lexicon_that_stands_there_once(pieces):
    text = ' '.join(pieces)
    labels = found(text)
    assert labels == found(text)
    assert len(set(labels)) == len(labels)
    assert set(labels) <= set(FORMS)
    flat = ' '.join(text.lower().replace('-', ' ').split())
    assert all(label.replace('-', ' ').split()[0] in flat for label in labels)


@given(st.lists(st.sampled_from([*FORMS, 'his', 'face', 'not', 'and', ',']), max_size=40))
def test_case_and_spacing_never_matter(words):
    assert found('  '.join(words).upper()) == found(' '.join(words))


def test_labels_of_real_descriptions_are_the_same_in_every_order_of_sentences(shared_data):
    import csv

    from affekt.labels import load_table

    table = load_table(shared_data / 'wheels' / '2026')
    with (shared_data / 'mer2024_ov' / 'final-EMER-reason.csv').open(encoding='utf-8') as file:
        texts = [row['english'] for row in csv.DictReader(file)][:40]
    assert sum(bool(labels_in_prose(text, table.bases)) for text in texts) >= 36
    for text in texts:
        sentences = [part for part in text.split('. ') if '"' not in part]
        forward = labels_in_prose('. '.join(sentences), table.bases)
        assert set(forward) == set(labels_in_prose('. '.join(sentences[::-1]), table.bases))


@pytest.mark.parametrize(
    ('text', 'labels'),
    [
        ('She comes across as neutral.', ['neutral']),
        ('He came across as very cold and calm.', ['cold', 'calm']),
        ('The speaker comes across neutral.', ['neutral']),
        ('Her mood is best described as neutral.', ['neutral']),
        ('He does not come across as neutral.', []),
        ('They walk across the cold street.', []),
    ],
)
def test_a_state_may_follow_how_somebody_comes_across(text, labels):
    assert labels_in_prose(text, {'neutral', 'cold', 'calm'}) == labels
