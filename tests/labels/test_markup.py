"""Stage directions, headings, tags and boxes around labels are no labels; lists in any markup stay lists."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from affekt.labels import official_labels, read_labels
from affekt.labels.markup import without_markup

WORDS = {'happy', 'sad', 'worried', 'calm', 'joy', 'crying', 'laughs', 'relief'}
"""Signs are among the known forms, as they are in the tables."""


@pytest.mark.parametrize(
    'text',
    [
        '[laughs] I am so happy',
        'I am so happy [laughs]',
        'I am [laughs] happy',
        '[laughs] [sighs] I am happy',
        '[laughs, sighs] I am happy',
        'She [laughs] and is [crying] happy',
        '(sighs) I am happy',
        'I am so happy (laughs)',
        '*smiles* I am happy',
        '_smiles_ I am happy',
        '~laughs~ I am happy',
        '{laughs} I am happy',
        '<laughter> I am happy',
        '[Speaker 1]: I am happy',
        '[00:12] I am happy',
        '[tears up] I am happy',
        '[laughs nervously] I am happy',
    ],
)
def test_a_stage_direction_in_prose_is_no_label(text):
    answer = read_labels(text, WORDS)
    assert (answer.labels, answer.how) == (('happy',), 'prose')


@pytest.mark.parametrize(
    'text',
    ['[laughs] happy', 'happy [laughs]', '[Music] happy', '(sighs) happy', '*smiles* happy', '<laughter> happy',
     'happy (laughs)', '（笑）happy', '[笑] happy', '［笑］happy',
     '[laughs] ["happy"]', '[laughs] {"emotions": ["happy"]}'],
)  # fmt: skip
def test_a_stage_direction_beside_a_label_is_none(text):
    assert read_labels(text, WORDS).labels == ('happy',)
    assert read_labels(text).labels == ('happy',)


@pytest.mark.parametrize(
    ('text', 'labels'),
    [
        ('[laughs]', ('laughs',)),
        ('(sighs)', ('sighs',)),
        ('[laughs, sighs]', ('laughs', 'sighs')),
        ('[laughs] [sighs]', ('laughs', 'sighs')),
        ('Labels: [laughs]', ('laughs',)),
        ('labels = [laughs]', ('laughs',)),
        ("[['sigh'], ['nostalgia', 'nostalgic']]", ('sigh', 'nostalgia', 'nostalgic')),
        ('[[laughs], [sad]]', ('laughs', 'sad')),
        ('[happy, sad] because he smiles', ('happy', 'sad')),
        ('[happy] he laughs', ('happy',)),
        ('The emotions are [happy, sad].', ('happy', 'sad')),
        ('[Joy], [Sadness]', ('joy', 'sadness')),
        ('[sad] and [happy]', ('sad', 'happy')),
        ('Emotion: Happy (smiling)', ('happy', 'smiling')),
        ('*happy*, *sad*', ('happy', 'sad')),
    ],
)
def test_a_list_in_brackets_stays_a_list(text, labels):
    assert read_labels(text, WORDS).labels == labels


@pytest.mark.parametrize(
    'text',
    [
        '**happy**, **sad**',
        '**Emotions:** happy, sad',
        '## Emotions\n- happy\n- sad',
        '# Labels\nhappy, sad',
        '**Detected emotions**\n\n1. happy\n2. sad',
        'Sure! Here are the labels:\n- happy\n- sad',
        'The labels are:\n\n- happy\n- sad',
        'Here is the list: happy, sad',
        '* happy\n* sad',
        '(1) happy\n(2) sad',
        '| emotion |\n|---|\n| happy |\n| sad |',
        '```\nhappy, sad\n```',
        '```json\n["happy", "sad"]\n```',
        '["happy"] ["sad"]',
        '{"emotion": "happy"}\n{"emotion": "sad"}',
        '<b>happy</b>, <i>sad</i>',
        '<ul><li>happy</li><li>sad</li></ul>',
        '<emotions>\nhappy, sad\n</emotions>',
        '<happy>, <sad>',
        '【happy】【sad】',
        '「happy」、「sad」',
        'happy [1], sad [2]',
        '[1] happy [2] sad',
        '- [x] happy\n- [ ] calm\n- [X] sad',
    ],
)
def test_markup_around_a_list_is_left_out(text):
    assert read_labels(text, WORDS).labels == ('happy', 'sad')
    assert read_labels(text).labels == ('happy', 'sad')


def test_the_published_parser_reads_directions_as_it_always_did():
    assert official_labels('[laughs] I am so happy') == ['laughs] I am so happy']


@given(st.text(alphabet='[](){}<>*_~/| #-x1笑（）【】\nlaughs happy', max_size=200))
def test_no_heap_of_marks_makes_it_fail(text):
    assert isinstance(without_markup(text, WORDS), str)
    assert isinstance(read_labels(text, WORDS).labels, tuple)


@pytest.mark.parametrize(
    'mark', ['[', '[a', '[laughs] ', '(', '<', '<a ', '*', '*a', '_', '~a', '{', '【', '- [ ] ', '|', '# ']
)
def test_a_long_run_of_marks_is_read_at_once(mark):
    without_markup(mark * (100_000 // len(mark)), WORDS)
