"""Word tables: from a form of a word to its base, to a word on an emotion wheel, to that wheel's sector.

    annoyances -> annoyed -> (wheel 4) irritated -> irritated (middle ring) -> anger (inner ring)

Open-vocabulary labels are compared after folding. The score depends on the table that folds them, so a table is one
file with a name, a version and a hash, and every score prints them. Tables with known names:

- `2025`, `2026`: the word lists and five wheels of the MER challenges (arXiv:2410.01495, arXiv:2501.16566), read from
  the user's copy of the official files by `official_tables.py`; they may not be redistributed.
- `affekt`: the table of this package (`affekt_table.json`, built by `recipes/word_table/build.py`), with its own wheel,
  the class *neutral*, and valence, arousal and intensity of every word.

A *folding* names a target: `M1` is the base, `M2` a word of any wheel, `W3-L1` the inner ring of wheel 3, `W3-L2` its
middle ring; the wheel of the table `affekt` is `affekt-L1`, `affekt-L2`. A *rule* resolves ambiguity:

- `official`: as in the published code. The alphabetically first base, or the alphabetically first candidate on the
  wheel, wins; a word without a candidate is dropped. So `fear` can fold to `happy` (2025, wheel 1).
- `consistent`: a word on a wheel keeps its own sector; otherwise the sector with most candidates wins, the
  alphabetically first of equals; *neutral* is a separate class.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from affekt.errors import TableError, UnknownNameError
from affekt.runs import read_regular_file, write_atomically

Rule = Literal['official', 'consistent']
RULES: tuple[Rule, ...] = ('official', 'consistent')
"""Rules that resolve ambiguity."""
NEUTRAL = 'neutral'
"""Class of no emotion, which the official tables lack."""
PACKAGED_TABLE = Path(__file__).with_name('affekt_table.json')


@dataclass(frozen=True)
class Wheel:
    """An emotion wheel: every word on it, with its sector in the inner and its group in the middle ring."""

    name: str
    inner: Mapping[str, str]
    """Word to its sector in the inner ring."""
    middle: Mapping[str, str]
    """Word to its group in the middle ring."""
    neighbours: tuple[tuple[str, str], ...] = ()
    """Pairs of adjacent inner sectors, which may be confused; () if the order has no meaning."""

    @property
    def short(self) -> str:
        """`W3` for `wheel3`; the full name otherwise."""
        return self.name.replace('wheel', 'W') if self.name.startswith('wheel') else self.name


@dataclass(frozen=True)
class Sense:
    """Affective norms of a word."""

    valence: float
    """Valence, from -1 unpleasant to 1 pleasant."""
    arousal: float
    """Arousal, from -1 calm to 1 aroused."""
    intensity: float
    """Intensity, from 0 barely noticeable to 1 extreme."""
    origin: str
    """Source of valence and arousal."""


@dataclass(frozen=True)
class Word:
    """A base word, its forms, and its candidate words on the wheels."""

    forms: tuple[str, ...]
    """Forms of the word, such as inflections."""
    placed: tuple[tuple[str, ...], ...]
    """Candidates on each wheel, in the order of the table's wheels; a single tuple applies to all wheels."""
    sense: Sense | None = None
    """Affective norms; None if the table has none."""

    def candidates(self, wheel: int) -> tuple[str, ...]:
        """Candidate words of this base on the wheel with an index."""
        return self.placed[wheel if len(self.placed) > 1 else 0]


@dataclass(frozen=True)
class WordTable:
    """A table of words and wheels; see the module."""

    name: str
    version: str
    wheels: tuple[Wheel, ...]
    words: Mapping[str, Word] = field(repr=False)
    """Base to its word."""
    sources: tuple[str, ...] = ()
    """Origins of the words."""

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the table's canonical file, whatever files it was read from."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    @property
    def label(self) -> str:
        """Description in scores: name, version and the start of the hash."""
        return f'{self.name} (version {self.version}, sha256 {self.sha256[:12]})'

    @cached_property
    def bases(self) -> Mapping[str, tuple[str, ...]]:
        """Form to its bases, both sorted."""
        bases_of: dict[str, set[str]] = {}
        for base, word in self.words.items():
            for form in (base, *word.forms):
                bases_of.setdefault(form, set()).add(base)
        return {form: tuple(sorted(bases)) for form, bases in sorted(bases_of.items())}

    @cached_property
    def senses(self) -> Mapping[str, Sense]:
        """Base to its affective norms, for the bases that have them."""
        return {base: word.sense for base, word in self.words.items() if word.sense}

    @cached_property
    def foldings(self) -> tuple[str, ...]:
        """The names of all foldings, wheel by wheel."""
        return ('M1', 'M2', *(f'{wheel.short}-L{ring}' for wheel in self.wheels for ring in (1, 2)))

    @property
    def published(self) -> tuple[int, ...]:
        """Indices of the five published wheels, over which EW and HIT are means."""
        return tuple(index for index, wheel in enumerate(self.wheels) if wheel.name.startswith('wheel'))

    def fold(self, folding: str, rule: Rule = 'official') -> Mapping[str, str]:
        """Form to group, for every form that the folding keeps.

        Args:
            folding: one of `foldings`.
            rule: rule that resolves ambiguity.

        Raises:
            UnknownNameError: unknown folding or rule.
        """
        if folding not in self.foldings or rule not in RULES:
            raise UnknownNameError(
                expected=f'one of {", ".join(self.foldings)}, by the rule {" or ".join(RULES)}',
                came=f'{folding!r} by {rule!r}',
                todo='choose one of these',
            )
        if (folding, rule) not in self._folds:
            self._folds[folding, rule] = _Folded(self, folding, rule)
        return self._folds[folding, rule]

    @cached_property
    def _folds(self) -> dict[tuple[str, str], Mapping[str, str]]:
        return {}

    def _candidates(self, bases: Sequence[str], wheel: int) -> list[str]:
        return [candidate for base in bases for candidate in self.words[base].candidates(wheel)]

    def steps(self, form: str, rule: Rule = 'official') -> dict[str, Any]:
        """The folding of one form, step by step: its bases, candidates, and group in each folding; empty where unknown.

        Args:
            form: one label, lower case and stripped.
            rule: rule that resolves ambiguity.
        """
        bases = self.bases.get(form, ())
        return {
            'bases': list(bases),
            'candidates': sorted(
                {candidate for index in range(len(self.wheels)) for candidate in self._candidates(bases, index)}
            ),
            'folds': {name: self.fold(name, rule)[form] for name in self.foldings if form in self.fold(name, rule)},
        }

    def to_json(self) -> str:
        """The canonical file: one line per word, keys sorted, so that equal tables have equal hashes."""
        header = {
            'name': self.name,
            'sources': list(self.sources),
            'version': self.version,
            'wheels': [
                {
                    'inner': dict(sorted(wheel.inner.items())),
                    'middle': dict(sorted(wheel.middle.items())),
                    'name': wheel.name,
                    'neighbours': [list(pair) for pair in wheel.neighbours],
                }
                for wheel in self.wheels
            ],
        }
        start = json.dumps(header, ensure_ascii=False, sort_keys=True, indent=1).removesuffix('\n}')
        lines = ',\n'.join(f'{_compact(base)}: {_compact(_as_row(word))}' for base, word in sorted(self.words.items()))
        return f'{start},\n "words": {{\n{lines}\n}}}}\n'

    def save(self, path: Path) -> None:
        """Write the canonical file."""
        write_atomically(path, self.to_json().encode())


class _Folded(Mapping[str, str]):
    """Form to group of one folding; forms are folded on access, since a score needs few of a table's thousands."""

    def __init__(self, table: WordTable, folding: str, rule: Rule) -> None:
        self._table, self._folding, self._is_consistent = table, folding, rule == 'consistent'
        self._wheel, ring = divmod(max(table.foldings.index(folding) - 2, 0), 2)
        wheel = table.wheels[self._wheel]
        self._groups = wheel.middle if ring else wheel.inner
        if folding == 'M2':
            self._groups = {word: word for other in table.wheels for word in other.inner}
        self._cache: dict[str, str] = {}
        self._neutral_forms = (NEUTRAL, 'neutrality') if self._is_consistent else ()

    def get(self, form: str, default: Any = None) -> Any:
        """The group of a form, or the default where the folding drops it."""
        group = self._cache.get(form)
        if group is None:
            bases = self._table.bases.get(form)
            if bases is None:
                return NEUTRAL if form in self._neutral_forms else default
            group = self._cache[form] = self._group(form, bases)
        return group or default

    def _group(self, form: str, bases: tuple[str, ...]) -> str:
        if self._folding == 'M1':
            return form if self._is_consistent and form in self._table.words else bases[0]
        if self._folding == 'M2' and not self._is_consistent:
            return min(self._table.words[bases[0]].candidates(0), default='')
        candidates = self._table._candidates(bases, self._wheel)
        if self._is_consistent:
            return _voted(form, bases, candidates, self._groups)
        first = min((word for word in candidates if word in self._groups), default=None)
        return self._groups[first] if first is not None else ''

    def __getitem__(self, form: str) -> str:
        group: str | None = self.get(form)
        if group is None:
            raise KeyError(form)
        return group

    def __contains__(self, form: object) -> bool:
        return self.get(str(form)) is not None

    def __iter__(self) -> Iterator[str]:
        return (form for form in dict.fromkeys((*self._neutral_forms, *self._table.bases)) if form in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def read_table(path: Path) -> WordTable:
    """The word table in a file, as written by `WordTable.save`.

    Raises:
        TableError: the file is missing, damaged, or not a word table.
    """
    try:
        content = json.loads(read_regular_file(path).decode())
        wheels = tuple(
            Wheel(
                wheel['name'],
                wheel['inner'],
                wheel['middle'],
                tuple((left, right) for left, right in wheel['neighbours']),
            )
            for wheel in content['wheels']
        )
        words = {base: _from_row(row) for base, row in content['words'].items()}
        table = WordTable(content['name'], content['version'], wheels, words, tuple(content['sources']))
    except (OSError, UnicodeDecodeError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise TableError(
            expected='a word table (.json)',
            came=f'{path}: {type(error).__name__} {error}',
            todo='use `affekt`, `2025` or `2026`, or take the file from its maker again',
        ) from error
    _check(table, path)
    return table


def _check(table: WordTable, path: Path) -> None:
    misplaced = [base for base, word in table.words.items() if len(word.placed) not in (1, len(table.wheels))]
    if misplaced or not table.words or not table.wheels:
        raise TableError(
            expected='words, each placed on all wheels or on one list for all',
            came=f'{path}: {len(table.words)} words, {len(table.wheels)} wheels, misplaced {misplaced[:3]}',
            todo='take the file from its maker again',
        )


def _voted(form: str, bases: Iterable[str], candidates: Sequence[str], groups: Mapping[str, str]) -> str:
    """The word's own group where it is on the wheel, else the group of most candidates; '' if there is none."""
    if form in groups:
        return groups[form]
    base_groups = [groups[base] for base in bases if base in groups]
    votes = Counter(base_groups or [groups[word] for word in candidates if word in groups])
    return min(votes, key=lambda group: (-votes[group], group)) if votes else ''


def _as_row(word: Word) -> dict[str, Any]:
    row: dict[str, Any] = {'forms': list(word.forms), 'placed': [list(words) for words in word.placed]}
    if word.sense:
        sense = word.sense
        row |= {
            'arousal': sense.arousal,
            'intensity': sense.intensity,
            'origin': sense.origin,
            'valence': sense.valence,
        }
    return row


def _from_row(row: Mapping[str, Any]) -> Word:
    if isinstance(row['forms'], str) or str in map(type, row['placed']):
        raise TypeError('a text where a list of words belongs')
    sense = Sense(row['valence'], row['arousal'], row['intensity'], row['origin']) if 'origin' in row else None
    return Word(tuple(row['forms']), tuple(tuple(words) for words in row['placed']), sense)


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)
