from __future__ import annotations

import json

import numpy as np
import pytest

from affekt.corpora import Sample
from affekt.description import TemplateAnswers, Terciles, packaged_wordings, read_wordings
from affekt.description.saved import SHIPPED, saved_notes
from affekt.description.wordings import LEVELS, PACKAGED
from affekt.errors import TableError, UnknownNameError, ValueRangeError
from affekt.features import RECIPES
from affekt.labels import load_table, read_labels

WORDINGS = packaged_wordings()


@pytest.mark.parametrize(
    'labels',
    [
        ('angry',),
        ('neutral',),
        ('happy', 'sad'),
        ('happy', 'sad', 'calm'),
        ('saudade',),
        ('admiration', 'love'),
        ('angry', 'admiration'),
        ('love', 'caring', 'sad', 'nervous'),
        ('angry', 'saudade'),
        ('love', 'saudade'),
    ],
)
def test_a_label_set_has_200_wordings_and_each_is_read_back(labels):
    wordings = WORDINGS.statements(labels)
    assert len(set(wordings)) == len(wordings) >= 200
    known = {*load_table('affekt').bases, 'saudade'}
    assert [text for text in wordings if read_labels(text, known).labels != labels] == []


@pytest.mark.parametrize(
    ('labels', 'text'),
    [
        (('admiration',), 'The emotion is admiration.'),
        (('admiration', 'love'), 'The emotion is admiration and love.'),
        (('angry', 'admiration'), 'The person seems angry and shows admiration.'),
        (('admiration', 'angry'), 'The person shows admiration and seems angry.'),
        (('angry', 'disapproval', 'annoyed'), 'The person seems angry and annoyed, and shows disapproval.'),
        (('love', 'caring', 'sad'), 'The person shows love and caring, and seems sad.'),
        (('angry', 'saudade'), 'The person seems angry. The emotion can also be called saudade.'),
        (
            ('angry', 'love', 'saudade'),
            'The person seems angry and shows love. The emotion can also be called saudade.',
        ),
        (
            ('saudade', 'angry', 'love'),
            'The person seems angry and shows love. The emotion can also be called saudade.',
        ),
        (('saudade', 'ire'), 'The emotion is saudade and ire.'),
    ],
)
def test_adjectives_and_nouns_never_share_a_verb(labels, text):
    assert WORDINGS.statements(labels)[0] == text


def test_every_label_of_the_small_describer_has_a_known_class():
    labels = saved_notes(SHIPPED)['notes']['labels']
    known = {*WORDINGS.adjectives.values(), *WORDINGS.nouns}
    assert [label for label in labels if label not in known] == []


def test_every_adjective_is_read_back_from_a_description():
    known = set(load_table('affekt').bases) | set(WORDINGS.adjectives.values())
    for word in set(WORDINGS.adjectives.values()):
        text = WORDINGS.described([word], {'pitch': 'low', 'smile': 'low'}, np.random.default_rng(1))
        assert read_labels(text, known).labels == (word,), text


def test_a_description_cites_what_was_measured_and_nothing_else():
    rng, known = np.random.default_rng(2), load_table('affekt').bases
    for _ in range(200):
        levels = {name: LEVELS[rng.integers(3)] for name in WORDINGS.clues if rng.random() < 0.5}
        text = WORDINGS.described(['angry'], levels, rng)
        assert WORDINGS.claims(text) == {name: {level} for name, level in levels.items()}, text
        assert read_labels(text, known).labels == ('angry',), text


def test_every_phrase_is_read_back_alone_and_within_a_sentence():
    for name, clue in WORDINGS.clues.items():
        for level, phrases in clue.phrases.items():
            for phrase in phrases:
                assert WORDINGS.claims(f'One says: {phrase.capitalize()}, indeed.') == {name: {level}}
    assert WORDINGS.claims('He speaks aloud, breakfast is slowish and unfast.') == {}


def test_columns_of_clues_are_those_of_recipes():
    columns = {*RECIPES['acoustics-utt'].columns, *RECIPES['faces-utt'].columns}
    assert {clue.column for clue in WORDINGS.clues.values()} <= columns


def test_terciles_are_of_training_clips_and_a_constant_has_none():
    clips = [{'pitch': float(value), 'tempo': 4.0, 'smile': float('nan')} for value in range(1, 8)]
    terciles = Terciles.of(clips)
    # a third of the way from 1 to 7 is 3, two thirds 5
    assert terciles.bounds == {'pitch': pytest.approx((3.0, 5.0))}
    assert terciles.levels({'pitch': 2.9}) == {'pitch': 'low'}
    assert terciles.levels({'pitch': 4.0, 'tempo': 9.0, 'melody': 1.0}) == {'pitch': 'middle'}
    assert terciles.levels({'pitch': 5.1}) == {'pitch': 'high'}
    assert terciles.levels({'pitch': float('nan')}) == {}


def _answers(**changed):
    readings = {'a': {'pitch': 9.0, 'loudness': 1.0, 'smile': 5.0}, 'b': {}}
    terciles = Terciles({'pitch': (3.0, 5.0), 'loudness': (3.0, 5.0), 'smile': (3.0, 6.0)})
    return TemplateAnswers(**{'readings': readings, 'terciles': terciles, 'most': 3, **changed})


def test_template_answers_cite_sources_and_leave_out_what_is_withheld():
    (whole,) = _answers()(Sample('a', category='Anger'))
    assert whole.labels == ('angry',)
    assert set(whole.cites) == {'voice', 'face'}
    assert WORDINGS.claims(whole.answer) == {'pitch': {'high'}, 'loudness': {'low'}, 'smile': {'middle'}}
    (seen,) = _answers()(Sample('a', category='Anger', missing='audio'))
    assert seen.cites == ('face',)
    assert WORDINGS.claims(seen.answer) == {'smile': {'middle'}}
    (bare,) = _answers()(Sample('b', category='Anger'))
    assert bare.cites == ()
    assert WORDINGS.claims(bare.answer) == {}
    assert _answers()(Sample('a')) == []


def test_forms_of_answers_are_those_of_their_questions():
    assert (
        _answers(form='labels')(Sample('a', category='joy'))[0].answer == "The character's emotional state is joyful."
    )
    first = _answers(form='labels_first', sources={'voice': 'whisper'})(Sample('a', category='joy'))[0]
    assert first.answer.startswith('Joyful. ')
    assert set(first.cites) == {'whisper', 'face'}
    assert _answers(form='labels_first')(Sample('b', category='joy'))[0].answer == 'Joyful.'
    with pytest.raises(UnknownNameError):
        _answers(form='essay')


def test_a_wording_goes_by_seed_and_clip_alone():
    samples = [Sample(f'{number}', category='fear') for number in range(40)]
    texts = [_answers()(sample)[0].answer for sample in samples]
    assert [_answers()(sample)[0].answer for sample in samples[::-1]] == texts[::-1]
    assert len(set(texts)) > 30
    assert [_answers(seed=1)(sample)[0].answer for sample in samples] != texts


def test_what_cannot_be_said_is_refused(tmp_path):
    rng = np.random.default_rng(0)
    with pytest.raises(ValueRangeError):
        WORDINGS.described([], {}, rng)
    with pytest.raises(UnknownNameError):
        WORDINGS.cited({'gait': 'low'}, rng)
    with pytest.raises(UnknownNameError):
        WORDINGS.cited({'pitch': 'huge'}, rng)
    content = json.loads(PACKAGED.read_text())
    content['clues']['tempo']['low'] = ['loud']
    for number, written in enumerate(('[]', '{', json.dumps({}), json.dumps(content))):
        path = tmp_path / f'{number}.json'
        path.write_text(written)
        with pytest.raises(TableError):
            read_wordings(path)
