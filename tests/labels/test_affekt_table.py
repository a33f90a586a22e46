"""The committed word table: its rules hold, and words stand where their meaning puts them."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest

import affekt
from affekt.labels import EKMAN, GOEMOTIONS, RAVDESS8, load_table
from affekt.labels.wheels import NEUTRAL, PACKAGED_TABLE

RESULTS = Path(affekt.__file__).parents[1] / 'measurements' / 'results'
TABLE = load_table('affekt')
OWN, *PUBLISHED = TABLE.wheels
FALSE_OPPOSITES = {('nervous', 'unnerved'), ('nervy', 'unnerved'), ('tense', 'intense')}
"""To unnerve makes nervous, and the intense are tense: no prefix negates here."""
OPPOSITES = (
    ('happy', 'sad'), ('love', 'hate'), ('hope', 'despair'), ('calm', 'agitated'), ('proud', 'ashamed'),
    ('interested', 'bored'), ('confident', 'insecure'), ('brave', 'cowardly'), ('trusting', 'suspicious'),
    ('relaxed', 'tense'), ('grateful', 'resentful'), ('optimistic', 'pessimistic'), ('certain', 'doubtful'),
    ('energetic', 'tired'), ('satisfied', 'dissatisfied'), ('friendly', 'hostile'), ('accepted', 'rejected'),
    ('polite', 'rude'), ('serious', 'playful'), ('positive', 'negative'), ('superior', 'inferior'),
    ('powerful', 'powerless'), ('comfortable', 'uncomfortable'), ('eager', 'reluctant'),
    ('approving', 'disapproving'), ('innocent', 'guilty'), ('fearful', 'fearless'), ('helpful', 'helpless'),
    ('hopeful', 'hopeless'), ('careful', 'careless'), ('patient', 'impatient'), ('sincere', 'insincere'),
    ('loyal', 'disloyal'), ('motivated', 'unmotivated'), ('appreciated', 'unappreciated'),
)  # fmt: skip
SAME_WORD = (
    ('happy', 'happier happiest happily happiness'),
    ('angry', 'anger angers angered angrier angrily'),
    ('annoyed', 'annoy annoys annoying annoyingly annoyance annoyances'),
    ('fearful', 'fear fears feared fearing fearfully fearfulness'),
    ('worried', 'worry worries worrying'),
    ('frustrated', 'frustrate frustrating frustration frustrations'),
    ('humorous', 'humor humour humorously'),
    ('honored', 'honoured'),
    ('skeptical', 'sceptical skepticism scepticism'),
    ('agonized', 'agonised agonizing agonising'),
    ('quarreling', 'quarrelling quarrels quarrelled'),
    ('self-deprecating', 'self~deprecating self-deprecation self~deprecation'),
    ('lighthearted', 'light-hearted light~hearted lightheartedness light-heartedness'),
    ('at ease', 'at-ease'),
    ('don’t care', "don't~care"),
    ('lack of confidence', 'lack-of-confidence'),
    ('looking forward', 'look~forward looks~forward looked~forward looking-forward'),
)
PLACES = {
    # word: concept and sector on our wheel, then the sectors of wheels 1 to 5 ('-' where a wheel has nothing for it)
    'happy': 'happiness joy happy happy joyful joy joyful',
    'delight': 'happiness joy happy happy joyful joy joyful',
    'excited': 'excitement joy surprised surprised joyful genius joyful',
    'amused': 'amusement joy happy happy joyful joy joyful',
    'cheerful': 'cheer joy happy happy joyful joy powerful',
    'content': 'satisfaction joy happy happy peaceful joy peaceful',
    'satisfied': 'satisfaction joy happy happy peaceful joy powerful',
    'optimistic': 'hope joy happy happy joyful - powerful',
    'positive': 'positive joy happy happy joyful joy joyful',
    'love': 'love affection happy happy peaceful joy peaceful',
    'grateful': 'gratitude affection happy happy peaceful joy peaceful',
    'encouragement': 'care affection happy happy peaceful joy peaceful',
    'politeness': 'politeness affection happy happy peaceful joy peaceful',
    'praise': 'admiration affection happy happy powerful genius powerful',
    'proud': 'pride pride happy happy powerful genius powerful',
    'determined': 'determination pride happy happy powerful genius powerful',
    'fearless': 'courage pride happy happy joyful genius joyful',
    'persuasion': 'power pride happy happy powerful genius powerful',
    'curious': 'curiosity interest happy happy joyful genius joyful',
    'focused': 'concentration interest happy happy powerful genius joyful',
    'serious': 'seriousness interest - - peaceful genius peaceful',
    'surprised': 'surprise surprise surprised surprised powerful fear -',
    'shocked': 'shock surprise surprised surprised powerful fear -',
    'calm': 'calm calm happy happy peaceful joy peaceful',
    'relieved': 'relief calm happy happy peaceful joy peaceful',
    'contemplation': 'thought calm - - peaceful genius peaceful',
    'tired': 'tiredness weariness sad bad sad sad sad',
    'bored': 'boredom weariness sad bad sad sad sad',
    'indifferent': 'indifference weariness sad bad sad sad sad',
    'numb': 'detachment weariness sad angry sad sad sad',
    'sad': 'sadness sadness sad sad sad sad sad',
    'disappointed': 'disappointment sadness sad sad sad sad sad',
    'lonely': 'loneliness sadness sad sad sad sad sad',
    'left out': 'rejection sadness sad fearful scared sad scared',
    'hurt': 'hurt sadness sad sad mad sad mad',
    'helpless': 'helplessness sadness sad fearful scared sad scared',
    'despair': 'despair sadness sad sad sad sad sad',
    'negative': 'negative sadness - bad - - -',
    'nostalgia': 'longing sadness sad - peaceful - peaceful',
    'guilt': 'guilt shame sad sad sad disgust sad',
    'embarrassed': 'embarrassment shame mad sad scared disgust scared',
    'self-deprecating': 'inferiority shame scared sad sad disgust sad',
    'lack of confidence': 'inferiority shame scared sad sad disgust sad',
    'disgust': 'disgust disgust disgusted disgusted - disgust -',
    'contempt': 'contempt disgust disgusted angry mad disgust mad',
    'sarcasm': 'mockery disgust disgusted angry mad disgust mad',
    'mockery': 'mockery disgust disgusted angry mad disgust mad',
    'angry': 'anger anger mad angry mad anger mad',
    'annoyed': 'annoyance anger mad angry mad anger mad',
    'frustration': 'frustration anger mad angry mad anger mad',
    'dissatisfied': 'displeasure anger mad angry mad anger mad',
    'complaint': 'displeasure anger mad angry mad anger mad',
    'blame': 'blame anger disgusted angry mad disgust mad',
    'jealous': 'jealousy anger mad angry mad disgust mad',
    'threatening': 'hostility anger mad angry mad anger mad',
    'confused': 'confusion doubt surprised surprised scared sad scared',
    'doubt': 'skepticism doubt mad angry mad anger mad',
    'question': 'skepticism doubt mad angry mad anger mad',
    'hesitation': 'hesitation doubt disgusted disgusted scared fear scared',
    'fear': 'fear fear scared fearful scared fear scared',
    'worried': 'worry fear scared fearful scared fear scared',
    'stressed': 'stress fear scared bad scared fear scared',
    'urgency': 'agitation fear scared bad scared fear scared',
    'threatened': 'fear fear scared fearful scared fear scared',
    'neutral': 'neutral neutral neutral neutral neutral neutral neutral',
    'matter-of-fact': 'neutral neutral neutral neutral neutral neutral neutral',
}


def folds(word):
    """Concept, sector, and the sectors of the published wheels."""
    names = ('affekt-L2', 'affekt-L1', 'W1-L1', 'W2-L1', 'W3-L1', 'W4-L1', 'W5-L1')
    return [TABLE.fold(name, 'consistent').get(word, '-') for name in names]


def test_the_file_is_canonical_and_small():
    text = PACKAGED_TABLE.read_text(encoding='utf-8')
    assert TABLE.to_json() == text
    assert len(text.encode()) < 1_100_000
    assert len(TABLE.words) > 2_500


def test_every_form_has_one_base_and_is_lower_case_and_stripped():
    assert all(len(bases) == 1 for bases in TABLE.bases.values())
    for base, word in TABLE.words.items():
        assert base in word.forms
        assert list(word.forms) == sorted(set(word.forms))
        assert all(form == form.lower().strip() and '  ' not in form for form in word.forms)


def test_every_sense_is_in_range_and_says_where_it_comes_from():
    assert TABLE.senses.keys() == TABLE.words.keys()
    for sense in TABLE.senses.values():
        assert -1 <= sense.valence <= 1
        assert -1 <= sense.arousal <= 1
        assert 0 <= sense.intensity <= 1
        assert sense.origin in ('norm', 'near', 'vader', 'group', 'wordnet')


def test_every_word_lies_at_no_more_than_one_word_of_each_wheel():
    for word in TABLE.words.values():
        assert len(word.placed) == len(TABLE.wheels) == 6
        for wheel, placed in zip(TABLE.wheels, word.placed, strict=True):
            assert len(placed) <= 1
            assert set(placed) <= wheel.inner.keys()
        assert word.placed[0]


@pytest.mark.parametrize('wheel', PUBLISHED, ids=lambda wheel: wheel.name)
@pytest.mark.parametrize('rule', ['official', 'consistent'])
def test_a_wheel_word_keeps_its_own_sector_and_group(wheel, rule):
    for ring, groups in ((1, wheel.inner), (2, wheel.middle)):
        folded = TABLE.fold(f'{wheel.short}-L{ring}', rule)
        assert {word: folded.get(word) for word in groups} == dict(groups)


def test_the_concepts_of_our_wheel_are_words_of_it():
    assert OWN.inner.keys() == OWN.middle.keys()
    assert all(OWN.middle[concept] == concept for concept in OWN.middle)
    assert {word.placed[0][0] for word in TABLE.words.values()} == OWN.inner.keys()
    assert 60 <= len(OWN.inner) <= 110
    assert len(set(OWN.inner.values())) == 14


def test_neighbours_are_sectors_of_one_sign_and_neutral_has_none():
    def valence(sector):
        senses = [
            TABLE.senses[base].valence for base, word in TABLE.words.items() if OWN.inner[word.placed[0][0]] == sector
        ]
        return sum(senses) / len(senses)

    for left, right in OWN.neighbours:
        assert {left, right} <= set(OWN.inner.values()) - {NEUTRAL}
        assert valence(left) * valence(right) > 0
    assert all(not wheel.neighbours for wheel in PUBLISHED)


@pytest.mark.parametrize('wheel', range(6))
def test_neutral_is_a_class_of_its_own(wheel):
    inner = TABLE.wheels[wheel].inner
    assert inner[NEUTRAL] == NEUTRAL
    for word in TABLE.words.values():
        if word.placed[wheel] and inner[word.placed[wheel][0]] == NEUTRAL:
            assert OWN.inner[word.placed[0][0]] == NEUTRAL
    for word in ('indifferent', 'serious', 'calm', 'bored', 'composed'):
        assert folds(word)[1] != NEUTRAL


@pytest.mark.parametrize(('left', 'right'), OPPOSITES)
def test_opposites_never_meet(left, right):
    for index, (a, b) in enumerate(zip(folds(left), folds(right), strict=True)):
        assert a != b or a == '-', index


def test_prefixed_opposites_never_share_a_sector_on_our_wheel():
    sector = TABLE.fold('affekt-L1', 'consistent')
    for base in TABLE.words:
        for prefix in ('un', 'in', 'im', 'ir', 'il', 'dis', 'non'):
            other = TABLE.bases.get(prefix + base, (base,))[0]
            if other != base and (base, other) not in FALSE_OPPOSITES and len(base) > 4:
                assert sector[base] != sector[other], (base, other)
        if re.search('ful$', base) and (other := base[:-3] + 'less') in TABLE.bases:
            assert sector[base] != sector[other], (base, other)


@pytest.mark.parametrize(('base', 'forms'), SAME_WORD, ids=[base for base, _ in SAME_WORD])
def test_forms_of_a_word_have_its_base(base, forms):
    for form in (form.replace('~', ' ') for form in forms.split()):
        assert TABLE.bases[form] == (base,), form


@pytest.mark.parametrize(
    ('word', 'other'),
    [('unhappy', 'happy'), ('fearless', 'fearful'), ('helpless', 'helpful'), ('threatened', 'threatening'),
     ('accused', 'accusing'), ('comforted', 'comforting'), ('respected', 'respectful'), ('disinterest', 'interested')],
)  # fmt: skip
def test_what_only_looks_like_a_form_is_a_word_of_its_own(word, other):
    assert TABLE.bases[word] != TABLE.bases[other]


@pytest.mark.parametrize('word', ['aim', 'list', 'price', 'sense', 'use', 'received', 'table', 'help desk'])
def test_words_that_name_no_feeling_are_not_in_the_table(word):
    assert word not in TABLE.bases


@pytest.mark.parametrize('word', sorted({*GOEMOTIONS, *EKMAN, *RAVDESS8}))
def test_every_label_of_the_closed_sets_folds(word):
    found = folds(word)
    assert '-' not in found[:2]
    assert sum(sector == '-' for sector in found[2:]) <= 3


@pytest.mark.parametrize('word', PLACES)
def test_words_stand_where_their_meaning_puts_them(word):
    assert folds(word) == PLACES[word].split()


def test_stronger_words_have_more_intensity():
    for weak, strong in (('annoyed', 'furious'), ('worried', 'terrified'), ('pleased', 'ecstatic'), ('sad', 'despair')):
        senses = [TABLE.senses[TABLE.bases[word][0]].intensity for word in (weak, strong)]
        assert senses[0] < senses[1]


def test_every_disagreement_is_judged_and_was_measured_with_this_table():
    measured = json.loads((RESULTS / 'word_table.json').read_text(encoding='utf-8'))
    assert measured['table'] == TABLE.label
    with (RESULTS / 'word_table_disagreements.tsv').open(encoding='utf-8', newline='') as file:
        rows = list(csv.DictReader(file, delimiter='\t', quoting=csv.QUOTE_NONE))
    assert len(rows) == measured['disagreements']['rows']
    assert {row['verdict'] for row in rows} <= {'ours', 'official', 'both', 'neither'}
    assert all(': ' in row['reason'] for row in rows)
    for row in rows:
        assert TABLE.fold(row['wheel'].replace('wheel', 'W') + '-L1', 'consistent').get(row['word'], '-') == row['ours']


def test_the_list_of_impressions_takes_its_words_from_the_table():
    impressions = Path(affekt.__file__).parent / 'analysis' / 'open_labels.tsv'
    words = [line.split('\t')[0] for line in impressions.read_text(encoding='utf-8').splitlines()[1:]]
    assert all(TABLE.senses[word].origin in ('norm', 'near') for word in words)


def test_the_table_is_read_once_in_a_process():
    assert load_table('affekt') is load_table('affekt')
