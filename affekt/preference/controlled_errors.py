"""Pairs of a real description and the same one with wrong emotions: equal in length and style, with a known answer.

The emotion words of a description are replaced by those of another sector of the emotion wheel, and nothing else
changes. Two samples with different emotions swap sectors: where one has joy its error has anger, and where the other
has anger its error has joy. So over the pairs no sector indicates an error. Replacements are words that the
descriptions themselves use, of the same part of speech and of similar length; quotations (subtitles) stay. Both texts
have equal numbers of distinct emotion words and of sectors, since otherwise counting would reveal the error.

Such pairs show of a judge without the clip whether it notices that the emotion words contradict the smiles, tones and
words in the same description. They cannot show whether it knows what the person felt.

Source: the controlled errors of EAPO (github.com/slash1028/EAPO-EmoPrefer) with their single swapped emotion, here
without a language model.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from affekt.errors import ComparisonError
from affekt.labels import Lexicon, WordTable, labels_in_prose, load_table, words_of
from affekt.preference.pairs import Pairs

TRIES = 20
"""Number of draws of replacements before a pair is given up."""
_QUOTED = re.compile(r'"[^"\n]*"|“[^”\n]*”')
_NOUN_ENDS = re.compile(r'(?:ness|ment|tion|sion|ity|ety|ance|ence|ism|acy|hood|dom|y of)$')
_BEFORE_NOUNS = words_of('of with his her their its no any some feel feels express expressing conveying showing')
_BEFORE_ADJECTIVES = words_of(
    'is are was were be being been feel feels feeling felt seem seems appear appears become becomes very quite '
    'slightly somewhat rather extremely a an more so bit little'
)
_AFTER_ADJECTIVES = words_of(
    'expression expressions tone mood voice state emotion emotions emotional smile look attitude feelings feeling '
    'atmosphere manner way'
)


@dataclass(frozen=True)
class _Vocabulary:
    """The emotion words of the descriptions."""

    sector: Mapping[str, str]
    """Word to its sector of the wheel."""
    part_of_speech: Mapping[str, str]
    """Word to adverb, noun, adjective or other."""
    count: Counter[str]
    """Word to the number of descriptions that have it."""
    exchangeable: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    """Sector and part of speech to the words that have both."""


def controlled_errors(
    descriptions: Mapping[str, str],
    *,
    rng: np.random.Generator,
    versions: int = 1,
    reworded: bool = False,
    table: WordTable | None = None,
) -> Pairs:
    """Pairs of each description and one with other emotions, the sides in random order.

    Args:
        descriptions: name of a sample to its description in English.
        rng: generator of partners, replacements and sides.
        versions: number of errors per description, each with another partner.
        reworded: also replace words in the real description, by others of the same sectors, so that replacement itself
            leaves equal traces in both.
        table: word table whose wheel defines the sectors; None for the packaged one.

    Returns:
        Pairs with known outcomes: the real description wins. Samples without a replaceable word are left out.

    Raises:
        ComparisonError: no word could be replaced.
    """
    word_table = table or load_table('affekt')
    lexicon = Lexicon(word_table.bases)
    labels = {name: labels_in_prose(text, lexicon) for name, text in descriptions.items()}
    fold = word_table.fold(f'{word_table.wheels[0].short}-L1', 'consistent')
    vocabulary = _vocabulary(descriptions, labels, fold)
    leading = {
        name: sector for name, sample_labels in labels.items() if (sector := _leading(sample_labels, vocabulary))
    }
    rows = []
    for _ in range(versions):
        for name, other in _partners(leading, rng):
            text, own_sector, other_sector = descriptions[name], leading[name], leading[other]
            for _ in range(TRIES):
                wrong = _exchanged(
                    text, labels[name], {own_sector: other_sector, other_sector: own_sector}, vocabulary, rng
                )
                real = (
                    _exchanged(
                        text, labels[name], {own_sector: own_sector, other_sector: other_sector}, vocabulary, rng
                    )
                    if reworded
                    else text
                )
                is_new = wrong != text and (real != text or not reworded)
                if is_new and _looks_alike(labels_in_prose(real, lexicon), labels_in_prose(wrong, lexicon), fold):
                    rows.append((name, real, wrong, bool(rng.integers(2))))
                    break
    if not rows:
        raise ComparisonError(
            expected='descriptions that hold words of two feelings or more',
            came=f'{len(descriptions)} without',
            todo='give English descriptions',
        )
    return Pairs.of(
        [real if is_left else wrong for _, real, wrong, is_left in rows],
        [wrong if is_left else real for _, real, wrong, is_left in rows],
        [1 if is_left else -1 for *_, is_left in rows],
        names=[name for name, *_ in rows],
        source='controlled errors',
    )


def _vocabulary(
    descriptions: Mapping[str, str], labels_of: Mapping[str, Sequence[str]], fold: Mapping[str, str]
) -> _Vocabulary:
    """The vocabulary of descriptions, by their labels and the fold from word to sector."""
    count = Counter(label for labels in labels_of.values() for label in labels if label in fold)
    votes = {label: Counter[str]() for label in count}
    for name, labels in labels_of.items():
        text = descriptions[name].lower()
        for label in labels:
            for match in re.finditer(rf"([\w']+)?[\s,]+{re.escape(label)}\b[\s,]*([\w']+)?", text):
                if label in votes:
                    votes[label][_part_in_context(match.group(1) or '', match.group(2) or '')] += 1
    part_of_speech = {label: _part_of_speech(label, counts) for label, counts in votes.items()}
    vocabulary = _Vocabulary({label: fold[label] for label in count}, part_of_speech, count)
    for label in sorted(count):
        vocabulary.exchangeable.setdefault((fold[label], part_of_speech[label]), []).append(label)
    return vocabulary


def _part_in_context(before: str, after: str) -> str:
    """Adjective or noun, by the words on either side; '' where they do not tell."""
    if before in _BEFORE_ADJECTIVES or after in _AFTER_ADJECTIVES:
        return 'adjective'
    return 'noun' if before in _BEFORE_NOUNS else ''


def _part_of_speech(label: str, votes: Counter[str]) -> str:
    """Adverb, noun, adjective or other, by the word's ending, else by its context in the descriptions."""
    if label.endswith('ly') and len(label) > 5:
        return 'adverb'
    if _NOUN_ENDS.search(label):
        return 'noun'
    if not votes['noun'] and not votes['adjective']:
        return 'other'
    return 'noun' if votes['noun'] > votes['adjective'] else 'adjective'


def _leading(labels: Sequence[str], vocabulary: _Vocabulary) -> str:
    """The sector of most labels except neutral, the alphabetically first of equals; '' without any."""
    votes = Counter(vocabulary.sector[label] for label in labels if label in vocabulary.sector)
    votes.pop('neutral', None)
    return min(votes, key=lambda sector: (-votes[sector], sector)) if votes else ''


def _partners(leading: Mapping[str, str], rng: np.random.Generator) -> list[tuple[str, str]]:
    """Pairs of samples with different sectors, in both directions; some of the largest sector may remain unpaired."""
    unpaired: dict[str, list[str]] = {}
    for index in rng.permutation(len(leading)):
        name = list(leading)[index]
        unpaired.setdefault(leading[name], []).append(name)
    partners: list[tuple[str, str]] = []
    while sum(map(bool, unpaired.values())) > 1:
        largest = max(unpaired, key=lambda sector: (len(unpaired[sector]), sector))
        others = sorted(sector for sector, names in unpaired.items() if names and sector != largest)
        sizes = np.array([len(unpaired[sector]) for sector in others], np.float64)
        other = others[rng.choice(len(others), p=sizes / sizes.sum())]
        first, second = unpaired[largest].pop(), unpaired[other].pop()
        partners += [(first, second), (second, first)]
    return partners


def _looks_alike(real: Sequence[str], wrong: Sequence[str], fold: Mapping[str, str]) -> bool:
    """Whether both have equal numbers of emotion words and of sectors, so that counting does not reveal the error."""
    sectors = [{fold[label] for label in labels if label in fold} for labels in (real, wrong)]
    return len(real) == len(wrong) and len(sectors[0]) == len(sectors[1])


def _exchanged(
    text: str, labels: Sequence[str], targets: Mapping[str, str], vocabulary: _Vocabulary, rng: np.random.Generator
) -> str:
    """The text with its emotion words replaced outside quotation marks, distinct words by distinct ones.

    Args:
        text: a description.
        labels: its emotion words.
        targets: sector of a word to the sector of its replacement; words of other sectors stay.
        vocabulary: words that may replace others.
        rng: generator of the replacements.
    """
    replacements: dict[str, str] = {}
    for label in labels:
        target = targets.get(vocabulary.sector.get(label, ''), '')
        excluded = {*replacements.values(), *labels}
        candidates = [
            word
            for word in vocabulary.exchangeable.get((target, vocabulary.part_of_speech.get(label, '')), [])
            if word not in excluded
        ]
        if candidates:
            weights = np.array([vocabulary.count[word] * 0.6 ** abs(len(word) - len(label)) for word in candidates])
            replacements[label] = candidates[rng.choice(len(candidates), p=weights / weights.sum())]
    if not replacements:
        return text
    forms = '|'.join(re.escape(label) for label in sorted(replacements, key=lambda label: (-len(label), label)))
    pattern = re.compile(rf'\b(?:(an?)(\s+))?({forms})\b', re.IGNORECASE)

    def replacement(match: re.Match[str]) -> str:
        article, gap, word = match.groups()
        substitute = replacements[word.lower()]
        substitute = substitute.capitalize() if word[0].isupper() else substitute
        if not article:
            return substitute
        new_article = 'an' if substitute[0].lower() in 'aeiou' else 'a'
        return (new_article.capitalize() if article[0].isupper() else new_article) + gap + substitute

    parts, end = [], 0
    for quotation in _QUOTED.finditer(text):
        parts += [pattern.sub(replacement, text[end : quotation.start()]), quotation.group()]
        end = quotation.end()
    return ''.join([*parts, pattern.sub(replacement, text[end:])])
