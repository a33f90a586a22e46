"""What affekt says of its limits is what docs/what_affekt_cannot_know.md says, sentence by sentence."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import affekt
from affekt.analysis.description import LIMIT_SENTENCES
from affekt.analysis.obstacles import FACE_CONDITIONS, UNREAD_WORDS, VOICE_CONDITIONS
from affekt.report.payload import CANNOT_KNOW

PAGE = (Path(affekt.__file__).parents[1] / 'docs' / 'what_affekt_cannot_know.md').read_text()


def quoted(name: str) -> list[str]:
    """The quoted paragraphs of a marked part of the page."""
    (part,) = re.findall(rf'<!-- {name} -->\n(.*?)<!-- end of {name} -->', PAGE, flags=re.S)
    lines = [line.removeprefix('>').strip() for line in part.splitlines()]
    return [' '.join(paragraph.split()) for paragraph in '\n'.join(lines).split('\n\n') if paragraph.strip()]


def test_the_page_lists_the_limits_of_the_report_in_its_words():
    assert quoted('limits') == list(CANNOT_KNOW)


def test_the_page_lists_the_last_sentences_of_a_description():
    assert quoted('last sentences') == list(LIMIT_SENTENCES.values())


@pytest.mark.parametrize(
    'words',
    [
        *FACE_CONDITIONS.values(), 'are closed', 'so the expression is read with less certainty',
        *UNREAD_WORDS.values(), *[f'the voice {words}' for words in VOICE_CONDITIONS.values()],
    ],
)  # fmt: skip
def test_what_stands_in_the_way_of_a_reading_is_said_as_the_page_quotes_it(words):
    assert f'*{words}*' in PAGE
