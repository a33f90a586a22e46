"""Emotion words in a free description in English, by a list of known forms and a few rules.

    labels_in_prose('He does not seem happy; his tense voice betrays fear.', {'happy', 'tense', 'fear'})
    == ['tense', 'fear']

The result is deterministic: no model, no random draw. The longest matching form wins. Left out are

1. quoted speech: anything in double quotes, except one or two quoted words without a verb of saying;
2. negated words: *not happy*, *no anger or fear*, *without joy*, *a lack of enthusiasm*, *neither sad nor angry*,
   *calm rather than angry*; words that are only seemingly negated are kept: *not only sad*, *cannot hide his joy*;
3. words about somebody or something else: *a tense situation*, *the weather is gloomy*, *the other person's anger*;
4. words that descriptions mostly use otherwise (`everyday_words.py`): *content of*, *open mouth*, *kind of*.

Hedges (*may be angry*, *anger or surprise*) are kept: a describer hedges nearly everything. Text in Chinese, or in any
other language than English, gives no label.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from affekt.labels.everyday_words import EVERYDAY, IN_STATE_ONLY, NOT_BEFORE, words_of

REACH = 6
"""Number of words before an emotion word that are searched for a negation."""


class Lexicon(Collection[str]):
    """Known forms, indexed for the search of the longest one at a word of a text.

    Args:
        forms: words, or several words separated by spaces or hyphens; case is ignored.
    """

    def __init__(self, forms: Collection[str]) -> None:
        self._forms = frozenset(form.lower() for form in forms)
        self._spelled: dict[tuple[str, ...], str] = {}
        for form in sorted(self._forms, reverse=True):  # of two spellings, the alphabetically first wins
            if words := tuple(_words(form)):
                self._spelled[words] = form
        lengths: dict[str, set[int]] = {}
        for words in self._spelled:
            lengths.setdefault(words[0], set()).add(len(words))
        self._lengths = {first: tuple(sorted(sizes, reverse=True)) for first, sizes in lengths.items()}

    def at(self, words: list[str], start: int) -> tuple[str, int]:
        """The longest form that begins at a word, and the index after it; ('', start) where there is none."""
        for length in self._lengths.get(words[start], ()):
            if form := self._spelled.get(tuple(words[start : start + length])):
                return form, start + length
        return '', start

    def __contains__(self, form: object) -> bool:
        return form in self._forms

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._forms))

    def __len__(self) -> int:
        return len(self._forms)


def labels_in_prose(text: str, lexicon: Collection[str]) -> list[str]:
    """The emotion words that a description attributes to the person, in lower case, in order, each once.

    Takes time linear in the length of the text, and never raises.

    Args:
        text: a description in English.
        lexicon: known forms, such as a word table's `bases`; a `Lexicon` reuses its index, and indices of the last few
            other collections are cached.

    >>> labels_in_prose('She is not angry. Her voice is full of joy, her smile proud.', {'angry', 'joy', 'proud'})
    ['joy', 'proud']
    """
    indexed = lexicon if isinstance(lexicon, Lexicon) else _indexed(lexicon)
    words = _words(_without_speech(text.lower().replace('’', "'")))
    labels: dict[str, None] = {}
    negation, start = _Negation(), 0
    while start < len(words):
        form, end = indexed.at(words, start)
        if (
            form
            and _names_a_feeling(words, start, end, indexed)
            and not negation.covers(words, start, end)
            and not _is_of_something_else(words, start, end, indexed)
        ):
            labels[form] = None
        start = max(end, start + 1)
    return list(labels)


_INDEX_CACHE: dict[int, tuple[Collection[str], int, Lexicon]] = {}
"""Identity of a collection to the collection, its size and its index."""


def _indexed(forms: Collection[str]) -> Lexicon:
    """The index of a collection; the cache keeps the collection alive, so that its id stays unique."""
    cached = _INDEX_CACHE.get(id(forms))
    if cached and cached[0] is forms and cached[1] == len(forms):
        return cached[2]
    lexicon = Lexicon(forms)
    while len(_INDEX_CACHE) >= 8:
        _INDEX_CACHE.pop(next(iter(_INDEX_CACHE)), None)
    _INDEX_CACHE[id(forms)] = (forms, len(forms), lexicon)
    return lexicon


_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*|[.,;:!?()\[\]\n…]")
_ENDS = frozenset('.;:!?()[]\n…')
_QUOTED = re.compile(r'"([^"\n]{0,600}+)"|“([^“”\n]{0,600}+)”|「([^「」\n]{0,600}+)」')
_FEW_WORDS = re.compile(r"\s*+[\w'-]++(?:\s++[\w'-]++)?\s*+")
_SPEAKING = re.compile(
    r'(?:\b(?:says?|said|saying|reads?|reading|stat\w+|ask\w*|repl\w+|shout\w*|yell\w*|exclaim\w*|whisper\w*|utter\w*|'
    r'subtitles?|sentences?|phrases?|lines?|content)\b)[\s,:]*$'
)


def _words(text: str) -> list[str]:
    """Words and punctuation marks; a hyphen separates words."""
    return _WORD.findall(text)


def _without_speech(text: str) -> str:
    """The text with quoted speech replaced by an ellipsis; one or two quoted words that are not speech stay."""

    def replacement(match: re.Match[str]) -> str:
        inner = next(part for part in match.groups() if part is not None)
        if not _FEW_WORDS.fullmatch(inner) or _SPEAKING.search(text, max(0, match.start() - 40), match.start()):
            return ' … '
        return inner

    return _QUOTED.sub(replacement, text)


_STATE_VERBS = words_of(
    'is are was were be been being am feel feels felt feeling seem seems seemed seemingly appear appears appeared '
    'become becomes became becoming remain remains remained grow grows grew get gets got sound sounds sounded'
)
_BEFORE_ACROSS = words_of('come comes came coming')
_BEFORE_AS = words_of(
    'described perceived characterized characterised regarded seen read reads registers classified labeled labelled '
    'judged taken'
)
"""Words that are followed by *as* and a state."""
_DEGREES = words_of(
    'very so quite rather somewhat slightly relatively extremely deeply truly really too more most a bit little also '
    'still both even increasingly emotionally visibly clearly genuinely equally particularly fairly'
)
_EXPRESSION_NOUNS = words_of(
    'tone voice mood expression expressions smile look gaze emotion emotions feeling feelings attitude state demeanor '
    'heart reaction laughter laugh'
)
_SCENE_NOUNS = words_of(
    'situation situations atmosphere environment scene scenes setting background conversation conversations topic '
    'topics issue issues matter matters news question questions event events weather music room sky light lighting '
    'place story film movie video game show conflict discussion argument question problem problems position posture '
    'task information subject clothing dress color colors colours decoration day night occasion plot incident '
    'experience experiences memory memories relationship truth fact facts'
)
"""Nouns of things that an emotion word may describe instead of a person."""
_SCENE_SUBJECTS = _SCENE_NOUNS - frozenset({'posture', 'position', 'show', 'light'})


def _names_a_feeling(words: list[str], start: int, end: int, lexicon: Lexicon) -> bool:
    """Whether a form names an emotion here; False where it has its everyday sense."""
    word, following = ' '.join(words[start:end]), words[end] if end < len(words) else ''
    if word in EVERYDAY or following in NOT_BEFORE.get(word, ()):
        return False
    if word not in IN_STATE_ONLY:
        return True
    return following in _EXPRESSION_NOUNS or _follows_a_state_verb(words, start, lexicon)


def _follows_a_state_verb(words: list[str], start: int, lexicon: Lexicon) -> bool:
    """Whether a verb of state precedes the word, with only degrees and other emotion words between.

    *comes across as* and *is described as* count as well.
    """
    for index in range(start - 1, max(0, start - REACH) - 1, -1):
        word, previous = words[index], words[index - 1] if index else ''
        if word in _STATE_VERBS or (word == 'across' and previous in _BEFORE_ACROSS):
            return True
        if word == 'as' and previous in _BEFORE_AS:
            return True
        is_joint = word in ('and', 'or', ',') or (word == 'as' and previous == 'across')
        if word not in _DEGREES and not is_joint and word not in lexicon:
            return False
    return False


def _is_of_something_else(words: list[str], start: int, end: int, lexicon: Lexicon) -> bool:
    """Whether the word describes the scene, or somebody else: *tense atmosphere*, *the other person's anger*."""
    for word in words[end : end + REACH]:
        if word in _SCENE_NOUNS:
            return True
        if word not in ('and', 'or', ',') and word not in lexicon:
            break
    before = words[max(0, start - REACH) : start]
    while before and (before[-1] in _DEGREES or before[-1] in lexicon or before[-1] in ('and', 'or')):
        before.pop()
    if len(before) > 1 and before[-1] in _STATE_VERBS and before[-2] in _SCENE_SUBJECTS:
        return True
    if before and before[-1] in ("others'", "other's", "opponent's", "everyone's", "audience's"):
        return True
    if len(before) > 1 and before[-2] == 'other' and before[-1].endswith("'s"):
        return True
    return len(before) > 2 and before[-3] == 'other' and before[-1] in _STATE_VERBS


_NEGATIONS = words_of(
    'not no never neither nor without cannot hardly barely scarcely rarely seldom nothing lack lacks lacking lacked '
    'absence devoid less'
)
_TWO_WORD_NEGATIONS = frozenset({('rather', 'than'), ('instead', 'of'), ('free', 'of'), ('free', 'from')})
_NEGATE_LISTS = words_of('no without neither nor lack lacks lacking absence devoid of from')
"""Negations that hold for all words of a list: *no anger, fear*."""
_CANCELLING = words_of(
    'only just merely simply doubt wonder help hide hides hiding conceal contain suppress control mask disguise hold '
    'without necessary'
)
"""Words between a negation and an emotion word that cancel the negation: *not only sad*, *cannot hide his joy*."""
_CLAUSE_STARTS = words_of('but however yet although though because while whereas and then')


class _Negation:
    """Remembers the last negated word, for *no anger, fear or sadness*."""

    def __init__(self) -> None:
        self._end = -1
        self._negator = ''

    def covers(self, words: list[str], start: int, end: int) -> bool:
        """Whether the word from start to end is negated."""
        negator = _negated_by(words, start) or (self._negator if self._is_continued(words, start) else '')
        if negator:
            self._end, self._negator = end, negator
        return bool(negator)

    def _is_continued(self, words: list[str], start: int) -> bool:
        """Whether there are only a comma and *or*, *nor*, *and* since the last negated word."""
        between = words[self._end : start] if self._end >= 0 and start - self._end <= 3 else ['.']
        joined = [word for word in between if word not in _DEGREES and word not in ('any', 'of')]
        if joined == [',']:
            return self._negator in _NEGATE_LISTS
        return joined in (['or'], ['nor'], ['and'], [',', 'or'], [',', 'nor'], [',', 'and'])


def _negated_by(words: list[str], start: int) -> str:
    """The negating word, within reach and in the same clause; '' if there is none."""
    lowest = max(0, start - REACH)
    for index in range(start - 1, lowest - 1, -1):
        word = words[index]
        if word in _ENDS or word == ',' or word in _CLAUSE_STARTS:
            return ''
        is_negation = word in _NEGATIONS or word.endswith("n't") or (words[index - 1], word) in _TWO_WORD_NEGATIONS
        if is_negation:
            return '' if _CANCELLING.intersection(words[index + 1 : start]) else word
    return ''
