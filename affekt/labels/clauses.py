"""Distinction of a list of labels from a sentence: *happy, worried* and *the speaker smiles and sounds cheerful*.

A sentence must not be split at its commas into spurious labels; it is read as prose. The signs of one are finite verbs,
pronouns and determiners in English, words that occur only in sentences in Chinese, and verb endings in Japanese and
Korean. A part that is a known form is a label, whatever its shape.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from affekt.labels.everyday_words import words_of

SEPARATORS = re.compile(
    r'[,;/|、，；。·•\n\t"“”「」『』\[\](){}（）［］【】&+]|\.(?=\s|$)|(?<![^\s,])(?:and|or)(?![^\s,])', re.IGNORECASE
)
"""Separators of labels."""
EDGES = ' \t\r\n\'"‘’“”.,:：;!?！？。-–—#<>_0123456789)(（）［］【】✓✔'
"""Characters that are stripped from both ends of a label."""
DEGREE = re.compile(
    r'^(?:(?:a|an|the|some|his|her|their|very|slightly|somewhat|a bit|a little|quite|rather|extremely|mildly|really|so|'
    r'deeply|strongly|highly|possibly|perhaps|maybe|genuinely|genuine|great|bit|little|feeling|feelings|sense|feels|of|being|is|are|mild|slight|strong|intense|deep)'
    r'\s+)+'
)
"""Words of degree and similar words before a label."""
_ENDS_AS_SENTENCE = re.compile(r'\w["”’)]?[.!?]\s*$')
_CLAUSE = re.compile(
    r'\b(?:i|he|she|they|it|we|you|there)\b|[^\W\d_]\s+(?:is|are|was|were|seems?|looks?|feels?|appears?|shows?)\b',
    re.IGNORECASE,
)
_VERBS = (
    'seem look sound feel appear remain become stay keep turn start begin show express display exhibit convey reveal '
    'indicate suggest betray reflect carry wear give make speak talk say tell ask answer reply whisper shout yell '
    'scream murmur mutter smile laugh cry weep frown grin smirk grimace sigh gasp nod shake raise lower tremble blush '
    'stare gaze glance watch listen lean sit stand walk run move hold point wave lie try want think know believe get '
    'grow'
)


def _verb_forms(verb: str) -> tuple[str, ...]:
    """Third person and past of a regular verb.

    >>> _verb_forms('cry'), _verb_forms('smile'), _verb_forms('gaze')[1]
    (('cries', 'cried'), ('smiles', 'smiled'), 'gazed')
    """
    if verb.endswith('y') and verb[-2] not in 'aeo':
        return f'{verb[:-1]}ies', f'{verb[:-1]}ied'
    third = f'{verb}es' if verb.endswith(('s', 'sh', 'ch', 'x')) else f'{verb}s'
    return third, f'{verb}d' if verb.endswith('e') else f'{verb}ed'


_FINITE = frozenset(form for verb in _VERBS.split() for form in _verb_forms(verb)) | words_of(
    'is are was were has have had does did can could may might will would must should became kept began wore gave made '
    'spoke said told wept shook stood sat ran held lay thought knew got grew '
    'ist sind wirkt scheint klingt lacht lächelt weint schreit spricht est sont semble paraît sourit pleure rit '
    'está están parece sonríe llora ríe è sembra sorride piange'
)
_DETERMINERS = words_of('the this that these those his her their my our your its someone somebody nobody')
_PERSONS = words_of(
    'man men woman women boy boys girl girls person people speaker speakers character characters child children lady '
    'ladies guy guys gentleman gentlemen individual individuals protagonist narrator interviewer interviewee mother '
    'father husband wife son daughter brother sister friend colleague customer teacher student doctor patient actor '
    'actress host guest adult teenager couple audience subject 男人 女人 男子 女子 男孩 女孩 男生 女生 说话者 说话人 '
    '人物 主角 他 她'
)
"""Words for persons; no label ends in such a word."""
_CJK = re.compile(r'[\u3040-\u30ff\u3400-\u9fff]')
_CJK_CLAUSE = re.compile(
    r'[他她它你您咱谁這这那](?=\w)|(?<![自忘])我(?=\w)|说话|說話|[看听聽]起[来來]|显得|顯得|似乎|好像|表情|语气|語氣|声音|聲音|人物|[男女][人子]|眼神|'
    r'嘴角|微笑着|流露|表现出|表現出|正在|(?:です|ます|でした|ました|ません|ている|ていた|だった)$'
)
_OTHER_SCRIPT = re.compile(r'[^\W\d_a-z\u00df-\u024f\u1e00-\u1eff]')
"""A letter that is not Latin: three words in such a script are more than a label."""
_KOREAN_CLAUSE = re.compile(r'[가-힣] [가-힣 ]*(?:다|요|까)$')
LONGEST_CJK = 8
"""Maximum number of characters of a label in Chinese or Japanese; a longer piece is a sentence."""


def is_clause(piece: str, lexicon: Collection[str]) -> bool:
    """Whether a piece is a sentence or part of one: *the speaker smiles*, *sounds cheerful*, 他很高兴.

    Args:
        piece: text between separators.
        lexicon: known forms of labels, which are never clauses.
    """
    label = _without_edges(piece)
    bare = DEGREE.sub('', label)
    if not label or _is_known(label, lexicon):
        return False
    if label.split()[-1] in _PERSONS and (' ' in label or _CJK.search(label)):
        return True
    if _CJK.search(label):
        return len(label) > LONGEST_CJK or (len(label) > 3 and bool(_CJK_CLAUSE.search(label)))
    words = bare.split()
    if len(words) > 2 and _OTHER_SCRIPT.search(label):
        return True
    if _CLAUSE.search(piece) or _KOREAN_CLAUSE.search(label) or (len(words) > 1 and not _FINITE.isdisjoint(words)):
        return True
    first = label.split(maxsplit=1)[0]
    return first in _DETERMINERS and len(label.split()) > 2 and len(words) > 1


def is_sentence(text: str, lexicon: Collection[str]) -> bool:
    """Whether the short pieces of a text form a sentence.

    They do where a subject has its verb, or where the text ends like a sentence and a part of it has more than two
    words and is not a known form.

    Args:
        text: pieces between separators.
        lexicon: known forms of labels.

    >>> is_sentence('The nurse, worried, shouts', ()), is_sentence('worried, shouting', ())
    (True, False)
    """
    labels = [label for piece in SEPARATORS.split(text) if piece and (label := _without_edges(piece))]
    unknown = [label.split()[0] for label in labels[1:] if not _is_known(label, lexicon)]
    has_subject = bool(labels) and labels[0].split()[0] in _DETERMINERS and not _is_known(labels[0], lexicon)
    if has_subject and not _FINITE.isdisjoint(unknown):
        return True
    if not _ENDS_AS_SENTENCE.search(text):
        return False
    bare = [DEGREE.sub('', label) for label in labels]
    return any(label not in lexicon and len(label.split()) > 2 for label in bare)


def _without_edges(piece: str) -> str:
    """The piece in lower case, with single spaces and without EDGES at its ends."""
    return ' '.join(piece.lower().split()).strip(EDGES)


def _is_known(label: str, lexicon: Collection[str]) -> bool:
    """Whether a label, with or without words of degree, is a known form."""
    return label in lexicon or DEGREE.sub('', label) in lexicon
