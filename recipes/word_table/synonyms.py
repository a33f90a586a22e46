"""Cautious synonyms from WordNet: a word joins a group when its own first meaning is that group's.

A lemma that the table lacks is taken where the most frequent sense of both it and a written word of the table is one
and the same synset (adjective, or a noun or verb of feeling or emotion), where every sense of it that meets the table
meets the same group, and where it has at most three senses and was met in WordNet's tagged texts. It becomes a base of
its own, of origin 'wordnet', with the mean intensity of those it met.
"""

from __future__ import annotations

from collections.abc import Mapping

from sources import Entry
from wordnet import WordNet

FEELING = {12, 37}
"""Lexicographer files noun.feeling and verb.emotion; adjectives are all looked at (0, 44)."""
MOST_SENSES = 3


def synonyms(
    bases_of: Mapping[str, str], entries: Mapping[str, Entry], wordnet: WordNet, excluded: set[str]
) -> list[Entry]:
    """New entries, sorted by base."""
    written = {form for entry in entries.values() for form in (entry.base, *entry.written)}
    meant = {
        (part, offset)
        for form in written
        for part, offset, rank in wordnet.synsets(form)
        if rank == 0 and (part == 'a' or wordnet.synset(part, offset).lexicographer in FEELING)
    }
    met = {word for part, offset in meant for word in wordnet.synset(part, offset).words}
    found = []
    for word in sorted(met):
        if word in bases_of or word in excluded or not _is_plain(word):
            continue
        senses = wordnet.synsets(word)
        groups: set[str] = set()
        intensities: list[float] = []
        first = False
        for part, offset, rank in senses:
            synset = wordnet.synset(part, offset)
            here = [entries[bases_of[other]] for other in synset.words if other in bases_of]
            groups |= {entry.group for entry in here}
            if here and rank == 0 and (part, offset) in meant:
                first = True
                intensities += [entry.intensity for entry in here]
        if first and len(groups) == 1 and len(senses) <= MOST_SENSES and wordnet.tagged(word):
            found.append(Entry(word, groups.pop(), round(sum(intensities) / len(intensities), 2), (), 'wordnet'))
    return found


def _is_plain(word: str) -> bool:
    """Letters, at most two words."""
    return word.replace(' ', '').replace('-', '').isalpha() and word.isascii() and word.count(' ') < 2
