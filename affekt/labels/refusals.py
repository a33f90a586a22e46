"""Detection of answers without content: refusals and nonsense.

    without_refusals('I am sorry, but I cannot judge that.') == ''

The text that remains without the refusing sentences may be an answer; where nothing useful remains, the whole text is
a refusal.
"""

from __future__ import annotations

import re
from collections import Counter

_LOOP_WORDS, _LOOP_SHARE = 12, 0.35
"""Minimum number of words, and largest share of distinct triples, of a text that repeats itself."""
_ODD_SHARE = 0.5
"""Share of unpronounceable words above which a text is nonsense."""


def is_nonsense(text: str) -> bool:
    """Whether a text repeats itself, or mostly consists of non-words.

    It does where less than half of its characters are letters, digits or punctuation of lists, more than a fifth are
    replacement characters, at most 35 % of the word triples are distinct in 12 words or more, all of 5 to 11 words are
    equal, one character makes up more than 70 % of 12 or more, or more than half of the words are unpronounceable.
    """
    characters = re.sub(r'\s', '', text)
    letter_count = sum(character.isalpha() for character in characters)
    list_characters = sum(character.isdigit() or character in '[]{}"\'.,:;-+/' for character in characters)
    if characters in ('[]', '{}'):
        return False
    if 2 * (
        letter_count + list_characters * (letter_count > 0 or any(character.isdigit() for character in characters))
    ) < len(characters) or not (letter_count or re.search(r'\d', characters)):
        return True
    if '\ufffd' in characters and 5 * characters.count('\ufffd') > len(characters):
        return True
    words = re.findall(r"[^\W_]+(?:'[^\W_]+)*", text.lower())
    return _is_loop(words) or _is_loop(list(characters), longest_run=True) or _is_unspeakable(words)


def _is_loop(words: list[str], *, longest_run: bool = False) -> bool:
    """Whether a few words are repeated over and over; for letters, only one letter repeated endlessly."""
    if longest_run:
        return len(words) >= _LOOP_WORDS and Counter(words).most_common(1)[0][1] > 0.7 * len(words)
    if len(words) < _LOOP_WORDS:
        return len(words) >= 5 and len(set(words)) == 1
    triples = list(zip(words, words[1:], words[2:], strict=False))
    return len(set(triples)) <= _LOOP_SHARE * len(triples)


def _is_unspeakable(words: list[str]) -> bool:
    """Whether most Latin words have no vowel, a tripled letter, or five consonants in a row."""
    latin = [word for word in words if word.isascii() and word.isalpha()]
    if not latin or 2 * len(latin) < sum(word.isalpha() for word in words):
        return False
    odd = sum(
        bool(re.search(r"(.)\1\1|[bcdfghjklmnpqrstvwxz]{5}|^[^aeiouy']{3,}$|^[^aeiouyw']{2}$", word))
        and word not in ('mr', 'ms', 'dr', 'tv', 'vs', 'st', 'hmm', 'mm')
        for word in latin
    )
    return odd > _ODD_SHARE * len(latin)


_REFUSES = re.compile(
    r'^(?:'
    r"(?:(?:i|i'm|i am|we are|we're|my)\s+)?(?:(?:very|so|truly|deeply)\s+)?(?:sorry|apolog\w+)\b"
    r'(?!\s+(?:for|about)\s+(?:her|him|them|the|his|their|what)\b)|'
    r'(?:(?!.{0,80}\b(?:says?|said|asks?|tells?)\b)[^,]{0,80},\s*|(?:unfortunately,?\s+)?(?:without|from|based on|'
    r"given|with only)\b.{1,80}?\s|unfortunately\s+|(?:i'm|i am) afraid (?:that )?)?(?:i|we)"
    r"(?:'m|'re|\s+am|\s+are)?\s+(?:cannot|can't|can not|could not|couldn't|won't|will not|unable to|not able to|"
    r'do not have|'
    r"don't have|not allowed to|not permitted to|(?:must|have to) decline|decline to|do not know|don't know|"
    r'(?:would |do )?(?:rather|prefer) not)\b(?!\s+(?:deny|doubt|ignore|help (?:but|\w+ing))\b)|'
    r"(?:i'd|i would) (?:rather|prefer) not\b|"
    r"(?:unable to|cannot|can't|can not|could not|impossible to|not (?:possible|able) to)\s+(?:determine|tell|"
    r'say|judge|'
    r'identify|infer|assess|recogni[sz]e|describe|answer|comply|provide|process)\b|'
    r'not possible\W*$|no comment\b|i (?:refuse|decline)\b|(?:error|exception)\s*:|'
    r'je ne (?:peux|sais) pas|ich (?:kann|weiß) (?:das |dies |es )?(?:leider )?nicht|leider kann ich|non posso|'
    r'.{0,80}\bas an? (?:ai|artificial intelligence|(?:large |ai )?language model|text-based|virtual assistant)\b|'
    r"(?:[^,]{0,80},\s*)?it(?:'s| is| was) (?:not possible|impossible|difficult|hard|unclear|not clear|not appropriate|"
    r'inappropriate)\b.{0,80}\b(?:to|whether|what|how|which)\b|'
    r'.{0,200}\b(?:cannot|can not|could not) be (?:determined|inferred|judged|identified|recogni[sz]ed|described)\b|'
    r'.{0,80}\b(?:no|not enough|insufficient) (?:\w+ ){0,2}(?:information|evidence|context) (?:is|was|to)\b|'
    r'.{0,200}\b(?:against|violates?) (?:my|the|our) (?:guidelines|polic\w+|programming)\b|'
    r".{0,200}\b(?:isn't|is not) something (?:that )?i (?:can|could|am)\b|"
    r'(?:很|非常|真的)?(?:抱歉|对不起|對不起)|.{0,40}(?:无法|無法|不能|难以)(?:判断|判斷|确定|確定|识别|識別|描述|提供|回答|分析|辨别)|'
    r'作为(?:一个|一名)?\s?(?:人工智能|AI|语言模型)|'
    r'lo siento|no puedo|es tut mir leid|(?:je suis )?désolée?|mi dispiace|desculpe|sinto muito|'
    r'申し訳|すみません|죄송|извините|'
    r'к сожалению'
    r')',
    re.IGNORECASE | re.DOTALL,
)
"""Matched at the beginning of a clause, so that *she says I can't bear it* is no refusal."""
_OFFERS = re.compile(
    r'^(?:please|if you|could you|can you|would you|let me know|feel free|you (?:can|may|could)|'
    r"what i can|i can (?:help|assist|only)|i(?:'d| would) be (?:happy|glad)|happy to help|instead)\b|\?\W*$|^如果|^请",
    re.IGNORECASE,
)
_TURN = re.compile(
    r'[,;—–]?\s{1,9}(?=(?:but|however|though|although|yet|nevertheless)\b|'
    r'and\s(?:he|she|they|his|her|their|the)\b)|,\s{1,9}(?=so\b)|[;；]\s{0,9}',
    re.IGNORECASE,
)
_CONCESSION = re.compile(r'^\s{0,9}(?:(?:even\s)?though|although)\b([^,]{1,200}),\s{1,9}', re.IGNORECASE)
"""The first clause of *Although I cannot see the face, the voice sounds angry*."""
_AFTER_TURN = re.compile(r'^(?:but|however|though|although|yet|nevertheless|and|so)\b,?\s*', re.IGNORECASE)
_SENTENCES = re.compile(r'(?<=[.!?。！？])["”’)]*\s*|\n+')
_QUOTED = re.compile(r'"[^"\n]*"|“[^”\n]*”|「[^」\n]*」')


def without_refusals(text: str) -> str:
    """The text without refusing sentences and without offers; unchanged where nothing refuses."""
    lines = (_CONCESSION.sub(r'\1\n', sentence) for sentence in _SENTENCES.split(text))
    clauses = (clause for line in lines for clause in line.split('\n'))
    parts = [part for clause in clauses for part in _TURN.split(clause) if part and part.strip()]
    are_refusals = [
        bool(_REFUSES.match(_AFTER_TURN.sub('', _QUOTED.sub('', part[:400]).strip()).replace('’', "'")))
        for part in parts
    ]
    if not any(are_refusals):
        return text
    remaining = (
        _AFTER_TURN.sub('', part).strip()
        for part, is_refusal in zip(parts, are_refusals, strict=True)
        if not is_refusal
    )
    return ' '.join(
        part if part[-1] in '.!?。！？' else f'{part}.' for part in remaining if part and not _OFFERS.search(part)
    )
