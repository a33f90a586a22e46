"""Every way to write a base word, and which base gets a form that two could claim.

Claims come in layers, and a lower layer wins: 0 the base and the forms written beside it, 1 their inflections, the verb
of a participle, variants of hyphen, space, spelling and apostrophe, 2 words that WordNet derives from them, and adverbs
and nouns made with -ly and -ness, 3 the inflections and variants of those. Two bases with one form in layer 0 are an
error; further down the longer common beginning wins, then the shorter base, then the alphabet.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cache

from lemminflect import getAllInflections, getAllLemmas
from sources import Entry
from wordnet import WordNet

PARTICLES = frozenset(
    ('up', 'out', 'down', 'off', 'on', 'for', 'to', 'in', 'over', 'away', 'back', 'apart', 'about', 'around', 'aside',
     'through', 'along', 'forward', 'upon')
)  # fmt: skip
OUR = re.compile(
    r'\b(arm|ard|behavi|cand|clam|demean|dishon|end?eav|fav|ferv|glam|harb|hon|hum|neighb|ranc|rum|sav|splend|vap|val|vig)or'
    r'(?!ous|ist|ary|ial|ation|ific|iz|is|ant)'
)
DOUBLED = re.compile(
    r'\b(quarrel|marvel|counsel|cancel|equal|revel|grovel|rival|model|imperil|travel|signal|bedevil|dishevel)(ed|ing|ous|ous?ly|er|ors?|ings)\b'
)
PAIRS = (
    (r'\b(fulfil|enthral|instil)(s|ment|ments)?\b', r'\1l\2'), (r'\b(ski|wi)l(ful)', r'\1ll\2'),
    (r'judgment', 'judgement'), (r'judgmental', 'judgemental'), (r'acknowledgment', 'acknowledgement'),
    (r'\bgray', 'grey'), (r'(pret|def|off)ense', r'\1ence'), (r'skeptic', 'sceptic'), (r'center', 'centre'),
    (r'tranquility', 'tranquillity'), (r'enrollment', 'enrolment'), (r'somber', 'sombre'), (r'luster', 'lustre'),
    (r'naïve', 'naive'), (r'blasé', 'blase'), (r'cozy\b', 'cosy'), (r'cozi', 'cosi'), (r'appal(s?)\b', r'appall\1'),
    (r'maneuver', 'manoeuvre'), (r'mom\b', 'mum'), (r'favorite', 'favourite'), (r'(an|par)alyz', r'\1alys'),
)  # fmt: skip
"""Spellings here and there; each is tried in both directions where the replacement is plain."""
MADE_OF = re.compile(r'(ful|ous|ive|ish|less|ed)$')
"""Ends of adjectives that take -ly and -ness freely enough to be met without standing in a dictionary."""


class FormMaker:
    """Makes the layers of forms of an entry."""

    def __init__(self, wordnet: WordNet, excluded: set[str]) -> None:
        self.wordnet = wordnet
        self.excluded = excluded

    def layers(self, entry: Entry) -> list[set[str]]:
        """Four sets of forms, each without those of the layers before."""
        zero = {entry.base, *entry.written}
        one: set[str] = set()
        roots: set[str] = set(zero)
        for word in zero:
            one |= inflections(word)
            if stem := verb_of_participle(word):
                one |= {stem} | inflections(stem)
                roots.add(stem)
        one |= variants(zero | one)
        two: set[str] = set()
        for root in roots:
            two |= {word for word in self.wordnet.derived(root) if is_kin(root, word)} | self.made(root, root in zero)
        two -= self.excluded
        three: set[str] = set()
        for word in two:
            three |= inflections(word) | self.made(word, False)
        three |= variants(two | three)
        found: list[set[str]] = []
        for layer in (zero, one, two, three):
            clean = {form for form in layer if form not in self.excluded or layer is zero}
            found.append(clean.difference(*found))
        return found

    def made(self, word: str, written: bool) -> set[str]:
        """-ly and -ness, in a dictionary or of a regular adjective that was written by hand."""
        if ' ' in word or not (self.wordnet.has(word, 'a') or word.count('-') == 1):
            return set()
        regular = written and bool(MADE_OF.search(word))
        return {form for form in (with_ly(word), with_ness(word)) if regular or self._attested(form)}

    def _attested(self, form: str) -> bool:
        return self.wordnet.known(form) or bool(getAllLemmas(form))


def assign(claims: Sequence[tuple[Entry, list[set[str]]]]) -> tuple[dict[str, str], list[str]]:
    """Form to base, and the contested forms as lines for the eye.

    Raises:
        ValueError: two entries write the same form.
    """
    owners: dict[str, list[tuple[int, Entry]]] = {}
    for entry, layers in claims:
        for depth, layer in enumerate(layers):
            for form in layer:
                owners.setdefault(form, []).append((depth, entry))
    chosen: dict[str, str] = {}
    contested: list[str] = []
    twice: list[str] = []
    for form in sorted(owners):
        lowest = min(depth for depth, _ in owners[form])
        rivals = [entry for depth, entry in owners[form] if depth == lowest]
        if lowest == 0 and len(rivals) > 1:
            twice.append(f'{form}: {", ".join(f"{entry.base} ({entry.group})" for entry in rivals)}')
        rivals.sort(key=lambda entry: (-shared_start(entry.base, form), len(entry.base), entry.base))
        chosen[form] = rivals[0].base
        if len({entry.group for entry in rivals}) > 1:
            contested.append(f'{form}: {", ".join(f"{entry.base} ({entry.group})" for entry in rivals)}')
    if twice:
        raise ValueError('expected each written form once; came twice:\n' + '\n'.join(twice))
    return chosen, contested


@cache
def inflections(word: str) -> frozenset[str]:
    """Plurals, verb forms, comparison, from the dictionary only; of phrases, the word that changes."""
    if ' ' in word or '-' in word:
        return _phrase_inflections(word)
    found = getAllInflections(word)
    return frozenset(form for forms in found.values() for form in forms if form.isascii() and form != word)


def _phrase_inflections(phrase: str) -> frozenset[str]:
    """'give up' to 'gives up', 'self-doubt' to 'self-doubts'."""
    first, mark, rest = re.match(r'([^ -]+)([ -])(.*)', phrase).groups()  # type: ignore[union-attr]
    if rest in PARTICLES or rest.split(mark)[0] in PARTICLES:
        stem = verb_of_participle(first) or first
        forms = getAllInflections(stem, upos='VERB')
        return frozenset(f'{form}{mark}{rest}' for words in forms.values() for form in words) - {phrase}
    head, last_mark, last = re.match(r'(.*)([ -])([^ -]+)$', phrase).groups()  # type: ignore[union-attr]
    nouns = getAllInflections(last, upos='NOUN').get('NNS', ())
    if getAllLemmas(last, upos='ADJ') or not nouns:
        return frozenset()
    return frozenset(f'{head}{last_mark}{plural}' for plural in nouns) - {phrase}


@cache
def verb_of_participle(word: str) -> str:
    """'annoyed' to 'annoy'; '' for what is no participle or past form."""
    if ' ' in word or '-' in word:
        return ''
    lemmas = getAllLemmas(word).get('VERB', ())
    if not lemmas or lemmas[0] == word:
        return ''
    forms = getAllInflections(lemmas[0], upos='VERB')
    participle = any(word in forms.get(tag, ()) for tag in ('VBN', 'VBG'))
    return lemmas[0] if participle else ''


def variants(words: Iterable[str]) -> set[str]:
    """Hyphen, space and joined; spelling here and there; straight apostrophe and none."""
    found: set[str] = set()
    for word in words:
        found |= _spellings(word)
    for word in [*words, *found]:
        parts = re.split(r'[ -]', word)
        if 1 < len(parts) < 4:
            found |= {' '.join(parts), '-'.join(parts)}
            if len(parts) == 2 and _is_word(''.join(parts)):
                found.add(''.join(parts))
    for word in [*words, *found]:
        if '’' in word or "'" in word:
            plain = word.replace('’', "'")
            found |= {plain, plain.replace("'", '’'), plain.replace("'", '')}
    return found


def _spellings(word: str) -> set[str]:
    found = {OUR.sub(r'\1our', word), DOUBLED.sub(lambda m: m[1] + m[1][-1] + m[2], word)}
    found.add(re.sub(r'(?<=[a-z]{3})iz(e|es|ed|er|ers|ing|ation|ations)\b', r'is\1', word))
    for pattern, replacement in PAIRS:
        found.add(re.sub(pattern, replacement, word))
        if '\\' not in replacement and '\\' not in pattern.replace('\\b', ''):
            found.add(
                re.sub(rf'\b{replacement}' if '\\b' in pattern else replacement, pattern.replace('\\b', ''), word)
            )
    return found - {word}


def is_kin(word: str, other: str) -> bool:
    """Whether a derived word may follow its source: same beginning, no change of sign, no doer or office."""
    if ' ' in other or '-' in other or other.isdigit():
        return False
    shared = shared_start(word, other)
    signs = [bool(re.search(r'less', text)) for text in (word, other)]
    if re.search(r'(er|or|ee|ist|age|ship)$', other) or (other.endswith('ism') and not word.endswith(('ic', 'ical'))):
        return False
    return shared >= min(4, len(word) - 1, len(other)) and shared >= 3 and signs[0] == signs[1]


def shared_start(left: str, right: str) -> int:
    """How many letters two words begin with in common."""
    return next((i for i, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), min(len(left), len(right)))


def with_ly(word: str) -> str:
    if word.endswith('le') and len(word) > 3 and word[-3] not in 'aeiou':
        return word[:-1] + 'y'
    if word.endswith('ic'):
        return word + 'ally'
    if word.endswith('y') and len(word) > 3 and word[-2] not in 'aeiou':
        return word[:-1] + 'ily'
    if word.endswith('ll'):
        return word + 'y'
    return word + 'ly'


def with_ness(word: str) -> str:
    if word.endswith('y') and len(word) > 3 and word[-2] not in 'aeiou':
        return word[:-1] + 'iness'
    return word + 'ness'


@cache
def _is_word(word: str) -> bool:
    return bool(getAllLemmas(word))
