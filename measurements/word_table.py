"""How many words of real answers the word tables know, and how far affekt's table agrees with the published grouping.

    python measurements/word_table.py [--data SHARED_DATA] [--side build|test|both]

`vectors/ov` of the data folder holds real label lists. One side of them was looked at while the table was written:

- build: truth of OV-MERD of samples whose sha256 of the name begins with an even digit, the predictions of the OV-MER
  baselines, and AffectGPT's lists for MER2023;
- test: the other half of the truth, and AffectGPT's lists for MELD, CMU-MOSI and CH-SIMS. Measured once, after the
  table was finished; words that it lacked then were not added. `unseen` counts only words that no list of the build
  side holds: the baselines answered for all samples of OV-MERD, so their words were on both sides. Eight words of the
  truth (HINTED) were known beforehand from notes on the published tables, whichever half they are in.

Lists are parsed as the published code does (one leading `[` and one trailing `]` dropped, split at quotes and commas,
lower case, stripped), so fragments of sentences and brackets count as words, against every table. Intervals: 95 %,
bootstrap over samples, with all answers of a sample drawn together.

Writes `results/word_table.json`, and `results/word_table_disagreements.tsv`: every word of the truth that the 2026
table and ours put in different sectors, by wheel. Its last two columns are judged by hand, and kept when it is written
again; the columns before them are computed.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from affekt.labels import load_table
from affekt.labels.wheels import Wheel, Word, WordTable

HERE = Path(__file__).resolve().parent
DATA = HERE.parents[1] / 'shared' / 'data'
HINTED = (
    'humorous', 'friendly', 'complaint', 'gratitude', 'sigh', 'suspect', 'self-deprecating', 'tension',
)  # fmt: skip
WHEELS = ('wheel1', 'wheel2', 'wheel3', 'wheel4', 'wheel5')
RESAMPLES = 2000
Lists = dict[str, list[str]]
"""Sample to its words, with repeats."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data', type=Path, default=DATA, help='folder that holds vectors/ov')
    parser.add_argument('--side', choices=('build', 'test', 'both'), default='both')
    parser.add_argument('--out', type=Path, default=HERE / 'results')
    given = parser.parse_args()
    folder = given.data / 'vectors' / 'ov'
    tables = {'2025': official(folder, '2025'), '2026': official(folder, '2026'), 'affekt': load_table('affekt')}
    # 1. Coverage, side by side
    lists = {side: read_side(folder, side) for side in ('build', 'test') if given.side in (side, 'both')}
    result: dict[str, Any] = {
        'table': tables['affekt'].label,
        'words': {name: {'bases': len(t.words), 'forms': len(t.bases)} for name, t in tables.items()},
        'coverage': {side: {n: coverage(tokens, tables) for n, tokens in sets.items()} for side, sets in lists.items()},
    }
    if given.side == 'both':
        seen = {word for tokens in lists['build'].values() for words in tokens.values() for word in words}
        result['unseen'] = {name: unseen(tokens, seen, tables) for name, tokens in lists['test'].items()}
    result['values'] = _json(HERE / 'results' / 'word_table_build.json')['values']
    # 2. Agreement with the published grouping, on the truth
    truths = {side: sets['OV-MERD truth'] for side, sets in lists.items()}
    result['agreement_with_2026'] = {side: agreement(tokens, tables) for side, tokens in truths.items()}
    # 3. Disagreements, word by word
    if given.side == 'both':
        words = Counter(word for tokens in truths.values() for words in tokens.values() for word in words)
        rows = disagreements(words, tables, given.out / 'word_table_disagreements.tsv')
        result['disagreements'] = summary(rows)
    given.out.mkdir(parents=True, exist_ok=True)
    text = json.dumps(result, indent=1, ensure_ascii=False)
    (given.out / 'word_table.json').write_text(text + '\n', encoding='utf-8')
    print(text)


def official(folder: Path, year: str) -> WordTable:
    """The published table of that year, from its stored mappings."""
    mapping = json.loads((folder / f'mapping_{year}.json').read_text(encoding='utf-8'))
    forms: dict[str, list[str]] = {}
    for form, bases in mapping['format_to_base'].items():
        for base in bases:
            forms.setdefault(base, []).append(form)
    placed = mapping['base_to_wheelwords']
    words = {base: Word(tuple(given), (tuple(placed.get(base, ())),)) for base, given in forms.items()}
    wheels = tuple(Wheel(name, mapping['wheels'][name]['level1'], mapping['wheels'][name]['level2']) for name in WHEELS)
    return WordTable(year, year, wheels, words)


def read_side(folder: Path, side: str) -> dict[str, Lists]:
    """The label lists of one side, by name."""
    truth = {
        name: labels(answer)
        for name, answer in _json(folder / 'mer2024_ov.json')['gt'].items()
        if is_build(name) == (side == 'build')
    }
    if side == 'build':
        runs = _json(folder / 'ovmer_baselines.json')['runs'].values()
        return {
            'OV-MERD truth': truth,
            'OV-MER baselines': pooled([run['pred'] for run in runs]),
            'AffectGPT on MER2023': checkpoints(folder / 'unibench_mer2023.json'),
        }
    return {
        'OV-MERD truth': truth,
        'AffectGPT on MELD': checkpoints(folder / 'unibench_meld.json'),
        'AffectGPT on CMU-MOSI': checkpoints(folder / 'unibench_cmumosi.json'),
        'AffectGPT on CH-SIMS': checkpoints(folder / 'unibench_sims.json'),
    }


def is_build(name: str) -> bool:
    """Whether the first digit of the name's sha256 is even."""
    return int(hashlib.sha256(name.encode()).hexdigest()[0], 16) % 2 == 0


def labels(answer: str | Sequence[str]) -> list[str]:
    """Words of one stored list, as the published parser splits it."""
    if not isinstance(answer, str):
        pieces: Sequence[str] = answer
    else:
        pieces = re.split('[\'",]', answer.removeprefix('[').removesuffix(']'))
    return [word for word in (piece.lower().strip() for piece in pieces) if word]


def checkpoints(path: Path) -> Lists:
    return pooled([checkpoint['openset'] for checkpoint in _json(path)['checkpoints'].values()])


def pooled(answers: Sequence[Mapping[str, Any]]) -> Lists:
    """Several answers per sample as one list per sample."""
    lists: Lists = {}
    for run in answers:
        for name, answer in run.items():
            lists.setdefault(name, []).extend(labels(answer))
    return lists


def coverage(tokens: Lists, tables: Mapping[str, WordTable]) -> dict[str, Any]:
    """Share of tokens and of distinct words that a table knows, and that it places on each wheel."""
    words = Counter(word for given in tokens.values() for word in given)
    result: dict[str, Any] = {'samples': len(tokens), 'tokens': words.total(), 'types': len(words)}
    for name, table in tables.items():
        rule = 'consistent' if name == 'affekt' else 'official'
        row: dict[str, Any] = {
            'tokens': share(tokens, table.bases.__contains__),
            'types': round(sum(word in table.bases for word in words) / len(words), 4),
        }
        own = ('affekt',) if name == 'affekt' else ()
        for wheel in (*own, 'W1', 'W2', 'W3', 'W4', 'W5'):
            placed = table.fold(f'{wheel}-L1', rule)
            row[f'tokens_on_{wheel}'] = round(sum(n for word, n in words.items() if word in placed) / words.total(), 4)
        result[name] = row
    lacking = Counter({word: n for word, n in words.items() if word not in tables['affekt'].bases})
    result['not_in_affekt'] = {'tokens': lacking.total(), 'types': len(lacking), 'words': dict(_ranked(lacking)[:200])}
    return result


def unseen(tokens: Lists, seen: set[str], tables: Mapping[str, WordTable]) -> dict[str, Any]:
    """Coverage of the words that are new on the test side, and how often hinted ones occur."""
    words = Counter(word for given in tokens.values() for word in given if word not in seen)
    result: dict[str, Any] = {'tokens': words.total(), 'types': len(words)}
    for name, table in tables.items():
        known = {word: n for word, n in words.items() if word in table.bases}
        result[name] = {
            'tokens': round(sum(known.values()) / words.total(), 4),
            'types': round(len(known) / len(words), 4),
        }
    result['tokens_hinted'] = sum(word in HINTED for given in tokens.values() for word in given)
    return result


def share(tokens: Lists, holds: Callable[[str], bool]) -> dict[str, Any]:
    """Share of tokens that hold, with an interval."""
    counts = np.array([(sum(map(holds, given)), len(given)) for given in tokens.values()], dtype=float)
    rng = np.random.default_rng(0)
    drawn = rng.multinomial(len(counts), np.full(len(counts), 1 / len(counts)), size=RESAMPLES) @ counts
    low, high = np.quantile(drawn[:, 0] / drawn[:, 1], (0.025, 0.975))
    known, total = counts.sum(axis=0)
    return {'share': round(known / total, 4), 'interval': [round(low, 4), round(high, 4)]}


def agreement(tokens: Lists, tables: Mapping[str, WordTable]) -> dict[str, Any]:
    """Tokens that both tables place: how many in the same sector (L1) and group (L2), and kappa."""
    words = [word for given in tokens.values() for word in given]
    result: dict[str, Any] = {'tokens': len(words)}
    for ring in ('L1', 'L2'):
        for number in range(1, 6):
            theirs, ours = folds(tables, f'W{number}-{ring}')
            pairs = [(theirs[word], ours[word]) for word in words if word in theirs and word in ours]
            result[f'W{number}-{ring}'] = {
                'placed_by_both': len(pairs),
                'only_ours': sum(word in ours and word not in theirs for word in words),
                'only_official': sum(word in theirs and word not in ours for word in words),
                'same': round(sum(a == b for a, b in pairs) / len(pairs), 4),
                'kappa': round(kappa(pairs), 4),
            }
        rows = [result[f'W{number}-{ring}'] for number in range(1, 6)]
        result[f'mean_{ring}'] = {k: round(float(np.mean([row[k] for row in rows])), 4) for k in ('same', 'kappa')}
    return result


def folds(tables: Mapping[str, WordTable], folding: str) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """The published and our folding of one name."""
    return tables['2026'].fold(folding, 'official'), tables['affekt'].fold(folding, 'consistent')


def kappa(pairs: Sequence[tuple[str, str]]) -> float:
    """Cohen's kappa: (agreement - chance) / (1 - chance)."""
    left, right = Counter(a for a, _ in pairs), Counter(b for _, b in pairs)
    same = sum(a == b for a, b in pairs) / len(pairs)
    chance = sum(left[group] * right[group] for group in left) / len(pairs) ** 2
    return (same - chance) / (1 - chance)


def disagreements(words: Mapping[str, int], tables: Mapping[str, WordTable], path: Path) -> list[dict[str, str]]:
    """Words that the tables put in different sectors, or that ours leaves unplaced; verdicts are kept."""
    judged: dict[tuple[str, str], tuple[str, str]] = {}
    if path.exists():
        with path.open(encoding='utf-8', newline='') as file:
            for row in csv.DictReader(file, delimiter='\t', quoting=csv.QUOTE_NONE):
                judged[row['word'], row['wheel']] = row['verdict'], row['reason']
    rows = []
    for word in sorted(words):
        for number in range(1, 6):
            theirs, ours = folds(tables, f'W{number}-L1')
            if word in theirs and theirs[word] != ours.get(word):
                verdict, reason = judged.get((word, f'wheel{number}'), ('', ''))
                rows.append({
                    'word': word, 'wheel': f'wheel{number}', 'official': theirs[word], 'ours': ours.get(word, '-'),
                    'tokens': str(words[word]), 'verdict': verdict, 'reason': reason,
                })  # fmt: skip
    lines = ['\t'.join(('word', 'wheel', 'official', 'ours', 'tokens', 'verdict', 'reason'))]
    path.write_text('\n'.join([*lines, *('\t'.join(row.values()) for row in rows)]) + '\n', encoding='utf-8')
    return rows


def summary(rows: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """Rows and tokens by verdict and by the cause that a reason begins with."""
    tokens: Counter[str] = Counter()
    causes: Counter[str] = Counter()
    for row in rows:
        tokens[row['verdict'] or 'not judged'] += int(row['tokens'])
        causes[row['reason'].partition(':')[0] or 'not judged'] += 1
    verdicts = Counter(row['verdict'] or 'not judged' for row in rows)
    return {
        'rows': len(rows),
        'words': len({row['word'] for row in rows}),
        'rows_by_verdict': dict(_ranked(verdicts)),
        'tokens_by_verdict': dict(_ranked(tokens)),
        'rows_by_cause': dict(_ranked(causes)),
    }


def _ranked(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding='utf-8'))


if __name__ == '__main__':
    main()
