"""Removal of text around labels: stage directions, headings, tags, references, check boxes.

    without_markup('[laughs] I am so happy', ()) == 'I am so happy'

A direction is what a person does while speaking, in brackets of any form, beside other words: *[laughs] I am happy*,
*happy (sighs)*, *<laughter> sad*. A text that is only a list in brackets is unchanged, and so is a bracket that is
introduced (*labels: [happy]*) or contains a known form that names an emotion.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from affekt.labels.clauses import EDGES, SEPARATORS, is_clause
from affekt.labels.everyday_words import EVERYDAY, words_of

_SIGNS = words_of(
    'laugh laughs laughing laughed laughter chuckle chuckles chuckling chuckled giggle giggles giggling giggled sigh '
    'sighs sighing sighed gasp gasps gasping gasped groan groans groaning cough coughs coughing sniff sniffs sniffing '
    'sniffle sniffles sniffling sob sobs sobbing cry cries crying weep weeps weeping scream screams screaming shout '
    'shouts shouting whisper whispers whispering yell yells yelling smile smiles smiling grin grins grinning smirk '
    'smirks smirking frown frowns frowning nod nods nodding shrug shrugs shrugging blushes trembles stutters stammers '
    'pause pauses silence breath breathes breathing inhales exhales applause applauds clapping claps cheering music '
    'singing sings humming hums noise crosstalk inaudible unintelligible unclear indistinct clears looks stares gazes '
    'glances leans shakes turns raises lowers points waves walks stands sits speaker narrator interviewer interviewee'
)
"""First words of directions."""
_WIDE_SIGN = re.compile(
    r'(?:大|微|苦|冷|轻|輕|偷|哈哈)?笑(?:声|聲|了)?|哭(?:泣|声|聲)?|叹气|嘆氣|掌声|掌聲|音乐|音樂|沉默|停顿|停頓|咳嗽|拍手|笑い'
)
_BRACKETS = re.compile(
    r'\[(?P<square>[^\[\]\n]{1,60})\]|［(?P<wide>[^［］\n]{1,60})］|【(?P<lens>[^【】\n]{1,60})】|'
    r'(?P<opening>[(（])(?P<round>[^()（）\n]{1,60})[)）]|<(?P<angle>[A-Za-z][^<>/="\n]{0,40})>|'
    r'\{(?P<curly>[^{}"\':\n]{1,60})\}|(?<![*\w])\*(?P<star>[^*\s](?:[^*\n]{0,58}[^*\s])?)\*(?![*\w])|'
    r'(?<![_\w])_(?P<under>[^_\s](?:[^_\n]{0,58}[^_\s])?)_(?![_\w])|(?<!~)~(?P<wave>[^~\s][^~\n]{0,58})~(?!~)'
)
_INTRODUCED = re.compile(
    r'(?:[:：=]|\b(?:labels?|emotions?|feelings?|states?|answers?)(?:\s+(?:is|are|include|includes))?)[\s*"“–—-]*$',
    re.IGNORECASE,
)
_HAS_LETTER = re.compile(r'[^\W\d_]')
_INLINE_TAG = re.compile(r'</?(?:b|i|u|em|strong|span|mark|font|small|code|a)(?:\s[^<>]{0,200})?>', re.IGNORECASE)
_TAG = re.compile(r'<(?P<close>/)?(?P<name>[A-Za-z][\w-]{0,40})(?:\s[^<>]{0,200})?/?>')
_TITLE = re.compile(
    r'[\W_]{0,9}(?:the\s+)?(?:(?:main|detected|identified|predicted|final|primary|overall|possible|relevant|following|'
    r'list|of|open|set|emotion(?:al)?|speaker\S{0,2}|character\S{0,2})\s+){0,3}'
    r'(?:emotions?|(?:emotional\s+)?states?|labels?|feelings?|answers?|output|results?|情感|情绪|情緒|标签|答案)[\W_]{0,9}',
    re.IGNORECASE,
)
"""A line that only announces labels."""
_RULE = re.compile(r'[\s|:=_*-]+')
_BOX = re.compile(r'^[ \t]*(?:[-*+•][ \t]+)?\[(?P<tick>[ xX✓✔])\][ \t]+', re.MULTILINE)


def without_markup(text: str, lexicon: Collection[str]) -> str:
    """The text without directions, tags, headings of a list, and unticked boxes.

    Args:
        text: an answer.
        lexicon: known forms of labels.

    >>> without_markup('<emotions><li>happy</li><li>sad</li></emotions>', ()).split()
    ['happy', 'sad']
    >>> without_markup('- [x] happy\\n- [ ] sad', ()).split()
    ['-', 'happy']
    """
    return _without_titles(_without_tags(_without_directions(_ticked(text), lexicon)))


def _ticked(text: str) -> str:
    """Lines with a ticked box, without the box; a text without boxes is unchanged."""
    boxes = list(_BOX.finditer(text))
    if not any(box['tick'] == ' ' for box in boxes) and not (boxes and text.count('\n') >= len(boxes) - 1 > 0):
        return text
    lines = [line for line in text.split('\n') if not ((box := _BOX.match(line)) and box['tick'] == ' ')]
    return '\n'.join(_BOX.sub('- ', line) for line in lines)


def _without_directions(text: str, lexicon: Collection[str]) -> str:
    """The text without directions, if other words remain."""
    brackets = list(_BRACKETS.finditer(text))
    if not brackets:
        return text
    outside = SEPARATORS.split(_BRACKETS.sub('\n', text)) if lexicon else []
    is_beside_a_sentence = any(piece and is_clause(piece, lexicon) for piece in outside)
    parts, position = [], 0
    for bracket in brackets:
        if _is_reference(bracket) or _is_direction(bracket, text, lexicon, is_beside_a_sentence):
            parts += [text[position : bracket.start()], '\n' if _is_reference(bracket) else ' ']
            position = bracket.end()
    remaining = ''.join([*parts, text[position:]])
    return remaining if parts and _HAS_LETTER.search(remaining) else text


def _is_reference(bracket: re.Match[str]) -> bool:
    """Whether square brackets contain a number or a time: [1], [00:12]."""
    return (
        bracket.lastgroup in ('square', 'wide')
        and not _HAS_LETTER.search(bracket[0])
        and any(map(str.isdigit, bracket[0]))
    )


def _is_direction(bracket: re.Match[str], text: str, lexicon: Collection[str], is_beside_a_sentence: bool) -> bool:
    """Whether brackets contain a stage direction."""
    name = str(bracket.lastgroup)
    if bracket[name].lstrip()[:1] in ('"', "'") or text.lstrip().startswith('[['):  # a list within a list
        return False
    if _INTRODUCED.search(text, max(0, bracket.start() - 40), bracket.start()):
        return False
    pieces = [label for piece in SEPARATORS.split(bracket[name]) if piece and (label := piece.lower().strip(EDGES))]
    if not pieces:
        return False
    if all(_is_sign(label) for label in pieces):
        is_gloss = name == 'round' and text[: bracket.start()].strip() and pieces[0].split()[0].endswith('ing')
        return not is_gloss  # *happy (smiling)* gives two labels
    is_known = any(label in lexicon and label not in EVERYDAY for label in pieces)
    return name == 'square' and len(pieces) == 1 and is_beside_a_sentence and bracket[0].isascii() and not is_known


def _is_sign(label: str) -> bool:
    """Whether a piece describes an action or a sound: *laughs*, *sighs deeply*, *speaker 1*, 笑."""
    words = label.split()
    return bool(_WIDE_SIGN.fullmatch(label)) or (len(words) <= 4 and words[0] in _SIGNS)


def _without_tags(text: str) -> str:
    """Inline tags are removed, other tags with a closing one become line breaks; an unpaired one is read as a word."""
    if '<' not in text:
        return text
    text = _INLINE_TAG.sub('', text)
    closed = {tag['name'].lower() for tag in _TAG.finditer(text) if tag['close']} | {'br', 'hr', 'p', 'li'}
    return _TAG.sub(lambda tag: '\n' if tag['name'].lower() in closed else f' {tag["name"]} ', text)


def _without_titles(text: str) -> str:
    """The text without leading lines that only announce labels, and without the rules of a table."""
    lines = [line for line in text.split('\n') if line.strip() and not _RULE.fullmatch(line)]
    if len(lines) > 1 and len(lines[0]) < 80 and _TITLE.fullmatch(lines[0]):
        return '\n'.join(lines[1:])
    return text
