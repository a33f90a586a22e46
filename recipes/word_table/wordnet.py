"""A small reader of WordNet's `dict` files (https://wordnet.princeton.edu/documentation/wndb5wn).

Only what the word table asks for: who shares a synset, which words derive from one another, which are opposites.
Words are lower-case with spaces for underscores.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

FILES = {'n': 'noun', 'v': 'verb', 'a': 'adj', 'r': 'adv'}


@dataclass(frozen=True)
class Synset:
    """Words of one meaning, and pointers (symbol, part of speech, offset, index of the word here, and there)."""

    words: tuple[str, ...]
    pointers: tuple[tuple[str, str, int, int, int], ...]
    lexicographer: int
    """Number of the lexicographer file: 12 is noun.feeling, 37 is verb.emotion."""


class WordNet:
    """Lemmas and synsets of the four parts of speech."""

    def __init__(self, folder: Path) -> None:
        self.senses: dict[tuple[str, str], tuple[int, ...]] = {}
        """(lemma, part of speech) to offsets, most frequent sense first."""
        self._tagged: set[str] = set()
        self._lines: dict[tuple[str, int], str] = {}
        for part, name in FILES.items():
            for line in _body(folder / f'index.{name}'):
                fields = line.split()
                count, pointers = int(fields[2]), int(fields[3])
                offsets = fields[6 + pointers : 6 + pointers + count]
                if int(fields[5 + pointers]):
                    self._tagged.add(_plain(fields[0]))
                self.senses[_plain(fields[0]), part] = tuple(int(offset) for offset in offsets)
            for line in _body(folder / f'data.{name}'):
                self._lines[part, int(line[:8])] = line

    def has(self, lemma: str, part: str) -> bool:
        return (lemma, part) in self.senses

    def known(self, lemma: str) -> bool:
        return any(self.has(lemma, part) for part in FILES)

    def tagged(self, lemma: str) -> bool:
        """Whether the lemma occurs in the texts whose words WordNet's makers tagged with senses."""
        return lemma in self._tagged

    def synset(self, part: str, offset: int) -> Synset:
        fields = self._lines[part, offset].split(' | ')[0].split()
        count = int(fields[3], 16)
        words = tuple(_plain(fields[4 + 2 * index]) for index in range(count))
        at = 4 + 2 * count
        pointers = []
        for start in range(at + 1, at + 1 + 4 * int(fields[at]), 4):
            symbol, there, kind, which = fields[start : start + 4]
            pointers.append((symbol, kind.replace('s', 'a'), int(there), int(which[:2], 16), int(which[2:], 16)))
        return Synset(words, tuple(pointers), int(fields[1]))

    def synsets(self, lemma: str) -> list[tuple[str, int, int]]:
        """(part of speech, offset, rank among the lemma's senses of that part)."""
        return [
            (part, offset, rank)
            for part in FILES
            for rank, offset in enumerate(self.senses.get((lemma, part), ()))
        ]  # fmt: skip

    def derived(self, lemma: str) -> set[str]:
        """Words that derive from a lemma or from which it derives, adverbs included."""
        return self._linked(lemma, ('+', '\\')) | self._adverbs.get(lemma, set())

    def opposites(self, lemma: str) -> set[str]:
        return self._linked(lemma, ('!',))

    def _linked(self, lemma: str, symbols: tuple[str, ...]) -> set[str]:
        found = set()
        for part, offset, _ in self.synsets(lemma):
            synset = self.synset(part, offset)
            for symbol, kind, there, here, at in synset.pointers:
                if symbol in symbols and here and synset.words[here - 1] == lemma:
                    found.add(self.synset(kind, there).words[at - 1])
        return found - {lemma}

    @cached_property
    def _adverbs(self) -> dict[str, set[str]]:
        """Adjective to the adverbs made from it."""
        found: dict[str, set[str]] = {}
        for lemma, part in self.senses:
            if part == 'r':
                for adjective in self._linked(lemma, ('\\',)):
                    found.setdefault(adjective, set()).add(lemma)
        return found


def _body(path: Path) -> list[str]:
    """Lines after the licence, which WordNet indents by two spaces."""
    return [line for line in path.read_text(encoding='utf-8').splitlines() if not line.startswith('  ')]


def _plain(word: str) -> str:
    """Without the markers of an adjective's position, with spaces."""
    for marker in ('(p)', '(a)', '(ip)'):
        word = word.removesuffix(marker)
    return word.replace('_', ' ').lower()
