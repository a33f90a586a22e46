from __future__ import annotations

import pytest

from affekt.text.english import are_english, common_share, foreign_letters

FOREIGN = [
    'Ich bin heute wirklich sehr traurig und müde.',
    'Je suis tellement content de te voir ici.',
    'No me gusta nada lo que has hecho.',
    'Sono molto arrabbiato con te per ieri.',
    'Não acredito que ele fez isso comigo.',
    'Dat is toch helemaal niet waar, man.',
    'Bugün çok mutluyum seni gördüğüm için.',
    'Jestem bardzo smutny z tego powodu.',
    'Aku tidak tahu apa yang terjadi.',
    '我今天很高兴见到你',
    'Мне сегодня очень грустно',
    'أنا سعيد جدا',
]
ENGLISH = [
    "I can't believe you did that to me.",
    'What a lovely morning in the garden!',
    'Get out of my house, now.',
    'Schadenfreude is what he felt, and he knew it.',
]


def test_english_and_twelve_other_languages_are_told_apart(encoder):
    def pieces(text: str) -> int:
        return len(encoder.pieces(text)) - 2

    assert are_english(ENGLISH, pieces) == [True] * len(ENGLISH)
    assert are_english(FOREIGN, pieces) == [False] * len(FOREIGN)


@pytest.mark.parametrize(('others', 'verdict'), [(ENGLISH, True), (FOREIGN, False), ([], True)])
def test_short_texts_follow_their_transcript(encoder, others, verdict):
    assert are_english(['Bravo!', *others], lambda text: len(encoder.pieces(text)) - 2)[0] is verdict


def test_letters_of_other_scripts_decide_even_for_one_word():
    assert are_english(['Привет'], lambda text: 1) == [False]
    assert are_english(['42 %'], lambda text: 1) == [True]


def test_shares_are_counted_by_hand():
    # 'you', 'are', 'the' of four words; three of five letters are Greek
    assert common_share(['You', 'are', 'the', 'champion']) == 0.75
    assert foreign_letters('ab αβγ!') == pytest.approx(3 / 5)
    assert common_share([]) == foreign_letters('...') == 0.0
