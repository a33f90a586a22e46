"""How well labels come out of free descriptions by word list, and how far extraction agrees with itself.

    python measurements/extraction.py [--data SHARED_DATA] [--endpoint URL --model NAME [--descriptions N]] [--out FILE]

Data: the 332 descriptions in English that were released with MER2024-OV, and the label lists that people and language
models took from them and checked (the truth); the released label lists of AffectGPT and of ten baselines.

- `truth`: labels by word list against the truth. The lists of everyday words and the rules for denial were chosen on
  descriptions whose sha256 of the name begins with an even digit (`even`); `odd` is the other half, and the figure to
  quote. It had been printed once before the last choices on the even half (no forms of the neutral class, and about
  fifteen everyday words). The table `affekt` was written with the truth of the same even half in view. Trivial answers
  beside it: every known word without any rule, constants, the most frequent labels of the even half. Intervals: 95 %,
  bootstrap over samples.
- `rules`: what each rule is worth, by leaving it out (odd half, lexicon and scoring by the table affekt).
- `parsers`: every released label list read by the published parser and by ours: same set of labels, same set of groups.
- `itself`: the word list on the same text again, in capitals, and with its sentences shuffled; time, as a ratio.
- `noise` (with --endpoint): a language model takes the labels of a description's last sentence, twice at temperature 0
  and twice at 0.7 with other seeds, on the odd half; how often are both label sets the same? The stored figures come
  from SmolLM2-135M-Instruct (Q4_1, top-p 0.8, repetition penalty 1.05): a model fifty times smaller than the one that
  the published pipeline uses (Qwen2.5-7B at 0.7), so its size says little about that pipeline; that it is there does.
  Without --endpoint the stored noise stays.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from affekt.labels import WordTable, load_table, official_labels, prose, read_labels
from affekt.llm import Chat, Endpoint, LexiconExtractor, Request
from affekt.metrics import compare_open_vocabulary, score_open_vocabulary

HERE = Path(__file__).resolve().parent
DATA = HERE.parents[1] / 'shared' / 'data'
CONSTANTS = {
    'always angry, sad, worried, happy': ['angry', 'sad', 'worried', 'happy'],
    'always happy, angry, sad, worried, surprised, neutral': 'happy angry sad worried surprised neutral'.split(),  # noqa: SIM905
}
ROWS = ('M1', 'W1-L1', 'EW-L1', 'affekt-L1')
PARTS = ('precision', 'recall', 'f')
Labels = Mapping[str, list[str]]


def is_even(name: str) -> bool:
    """Whether a sample is of the half that choices were made on."""
    return int(hashlib.sha256(name.encode()).hexdigest()[0], 16) % 2 == 0


def released(data: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Name to description, and name to the true answer."""
    columns = []
    for file, column in (('final-EMER-reason.csv', 'english'), ('check-openset.csv', 'openset')):
        with (data / 'mer2024_ov' / file).open(encoding='utf-8', newline='') as rows:
            columns.append({row['name']: row[column] for row in csv.DictReader(rows)})
    return columns[0], columns[1]


def agreement_with_truth(
    descriptions: Mapping[str, str], truth: Mapping[str, str], tables: Mapping[str, WordTable]
) -> dict[str, Any]:
    """Scores of every way to take labels, by half and by the table that scores."""
    frequent = Counter(label for name in truth if is_even(name) for label in read_labels(truth[name]).labels)
    ways: dict[str, Labels] = {}
    for name, table in tables.items():
        extractor = LexiconExtractor(table)
        ways[f'lexicon {name}'] = {key: list(extractor.extract(text).labels) for key, text in descriptions.items()}
        ways[f'every known word, {name}'] = {key: bare_words(text, table) for key, text in descriptions.items()}
    for count in (1, 3, 5):
        common = [label for label, _ in frequent.most_common(count)]
        ways[f'always {", ".join(common)} (most frequent)'] = dict.fromkeys(descriptions, common)
    ways |= {name: dict.fromkeys(descriptions, labels) for name, labels in CONSTANTS.items()}
    result: dict[str, Any] = {}
    for half in ('odd', 'even'):
        names = [name for name in descriptions if is_even(name) == (half == 'even')]
        true = {name: truth[name] for name in names}
        result[half] = {'descriptions': len(names)}
        for by in ('affekt', '2026'):
            result[half][f'scored by {by}'] = {
                way: scores(true, {name: labels[name] for name in names}, tables[by]) for way, labels in ways.items()
            }
    odd = {name: truth[name] for name in truth if not is_even(name)}
    difference = compare_open_vocabulary(
        odd,
        {name: ways['lexicon affekt'][name] for name in odd},
        {name: ways['lexicon 2026'][name] for name in odd},
        tables['2026'],
        'official',
        rng=np.random.default_rng(7),
    )['EW-L1 f']
    result['odd']['EW-L1 f by 2026, lexicon affekt minus lexicon 2026'] = {
        'value': round(difference[0].value, 4),
        'low': round(difference[0].low, 4),
        'high': round(difference[0].high, 4),
        'p': round(difference[1], 4),
    }
    return result


def bare_words(text: str, table: WordTable) -> list[str]:
    """Every word of a text that is a form of the table, without any rule."""
    return [word for word in dict.fromkeys(re.findall(r"[a-z]+(?:['-][a-z]+)*", text.lower())) if word in table.bases]


def scores(truth: Mapping[str, str], prediction: Labels, table: WordTable) -> dict[str, Any]:
    """Precision, recall and F in per cent, official mode; F with its interval."""
    score = score_open_vocabulary(
        truth, prediction, table, 'official', rng=np.random.default_rng(20240417), trivial=False
    )
    result: dict[str, Any] = {'labels_per_answer': round(score.prediction.labels_per_answer, 2)}
    for row in ROWS:
        if row in score.metrics:
            result[row] = [round(100 * score.value(row, part).value, 2) for part in PARTS]
            interval = score.value(row, 'f')
            result[f'{row} f interval'] = [round(100 * interval.low, 2), round(100 * interval.high, 2)]
    return result


def worth_of_rules(descriptions: Mapping[str, str], truth: Mapping[str, str], table: WordTable) -> dict[str, Any]:
    """Scores on the odd half with one rule left out at a time."""
    patches: dict[str, Any] = {
        'all rules': nullcontext(),
        'without denials': mock.patch.object(prose._Negation, 'covers', return_value=False),
        'without scene and others': mock.patch.object(prose, '_is_of_something_else', return_value=False),
        'without quoted speech left out': mock.patch.object(prose, '_without_speech', lambda text: text),
        'without everyday words left out': mock.patch.object(prose, '_names_a_feeling', return_value=True),
    }
    odd = {name: truth[name] for name in truth if not is_even(name)}
    result = {}
    for name, patch in patches.items():
        with patch:
            extractor = LexiconExtractor(table)
            labels = {key: list(extractor.extract(descriptions[key]).labels) for key in odd}
        result[name] = {key: value for key, value in scores(odd, labels, table).items() if 'interval' not in key}
    return result


def agreement_of_parsers(data: Path, table: WordTable) -> dict[str, Any]:
    """Released label lists read by the published parser and by ours."""
    fold = table.fold('W1-L1')
    lists: dict[str, list[str]] = {}
    for file in ('ovmerdplus_public332', 'unibench_mer2023', 'unibench_meld', 'unibench_cmumosi', 'unibench_sims'):
        stored = json.loads((data / 'vectors' / 'ov' / f'{file}.json').read_text(encoding='utf-8'))
        lists[f'AffectGPT, {file}'] = [
            answer for run in stored['checkpoints'].values() for answer in run['openset'].values()
        ]
    stored = json.loads((data / 'vectors' / 'ov' / 'ovmer_baselines.json').read_text(encoding='utf-8'))
    lists['ten baselines, three modes'] = [answer for run in stored['runs'].values() for answer in run['pred'].values()]
    lists['truth of MER2024-OV'] = list(released(data)[1].values())
    result: dict[str, Any] = {}
    differing: Counter[tuple[str, tuple[str, ...]]] = Counter()
    for name, answers in {**lists, 'all': [answer for part in lists.values() for answer in part]}.items():
        same_labels = same_groups = 0
        for answer in answers:
            published = {label.lower().strip() for label in official_labels(answer)}
            ours = set(read_labels(answer).labels)
            same_labels += published == ours
            same_groups += {fold[w] for w in published if w in fold} == {fold[w] for w in ours if w in fold}
            if name == 'all' and published != ours:
                differing[str(answer)[:160], tuple(sorted(ours))] += 1
        result[name] = {
            'lists': len(answers),
            'same_labels': round(same_labels / len(answers), 5),
            'same_W1_L1_groups': round(same_groups / len(answers), 5),
        }
    result['most frequent differences'] = [
        {'answer': answer, 'ours': list(ours), 'times': times} for (answer, ours), times in differing.most_common(12)
    ]
    return result


def agreement_with_itself(descriptions: Mapping[str, str], table: WordTable) -> dict[str, Any]:
    """The word list on the same descriptions again, changed in ways that change no meaning; and its speed."""
    extractor = LexiconExtractor(table)
    first = {name: extractor.extract(text).labels for name, text in descriptions.items()}
    fold = table.fold('W1-L1')
    rng = random.Random(20240417)

    def shuffled(text: str) -> str:
        sentences = re.split(r'(?<=[.!?])\s+(?=[A-Z][^"]*(?:"[^"]*"[^"]*)*$)', text)
        rng.shuffle(sentences)
        return ' '.join(sentences)

    def bases(labels: tuple[str, ...]) -> set[tuple[str, ...]]:
        return {table.bases[label] for label in labels}

    changes: dict[str, Callable[[str], str]] = {
        'again': str,
        'capitals': str.upper,
        'double spaces': lambda text: text.replace(' ', '  '),
        'sentences shuffled': shuffled,
    }
    result: dict[str, Any] = {}
    for name, change in changes.items():
        again = {key: extractor.extract(change(text)).labels for key, text in descriptions.items()}
        result[name] = {
            'same_bases': round(float(np.mean([bases(again[key]) == bases(first[key]) for key in first])), 4),
            'same_labels_in_order': round(float(np.mean([again[key] == first[key] for key in first])), 4),
            'same_W1_L1_groups': round(
                float(
                    np.mean([{fold.get(w) for w in again[key]} == {fold.get(w) for w in first[key]} for key in first])
                ),
                4,
            ),
        }
    lexicon = prose.Lexicon(table.bases)
    text = ' '.join(descriptions.values())[:100_000]
    units = ('', 'a ', '"', '“', 'not happy ', 'no anger, fear or ', 'happy and ', "is the other person's ")
    texts = [(unit * 100_000)[:100_000] or text for unit in units]
    result['speed'] = {
        'seconds_per_100k_characters': round(_seconds(text, lexicon), 4),
        'seconds_per_100k_characters_of_the_slowest_made_up_text': round(max(_seconds(t, lexicon) for t in texts), 4),
        'time_of_100k_over_time_of_25k': round(_seconds(text, lexicon) / _seconds(text[:25_000], lexicon), 2),
        'descriptions_per_second': round(len(descriptions) / _seconds('. '.join(descriptions.values()), lexicon)),
    }
    return result


def _seconds(text: str, lexicon: prose.Lexicon) -> float:
    times = []
    for _ in range(9):
        begun = time.process_time()
        prose.labels_in_prose(text, lexicon)
        times.append(time.process_time() - begun)
    return min(times)


SHOTS = (
    ('He clenches his fist and shouts, so he may be furious or dissatisfied.', '["furious", "dissatisfied"]'),
    ('She smiles softly at the letter, which suggests joy and longing.', '["joy", "longing"]'),
)


def noise(descriptions: Mapping[str, str], chat: Chat, count: int, table: WordTable) -> dict[str, Any]:
    """How often a language model gives the same labels twice, by temperature."""
    fold = table.fold('W1-L1')
    names = [name for name in descriptions if not is_even(name)][:count]
    taken: dict[tuple[float, int], list[set[str]]] = {}
    begun = time.monotonic()
    for temperature in (0.0, 0.7):
        for seed in (0, 1):
            taken[temperature, seed] = []
            for name in names:
                last = re.split(r'(?<=[.])\s+', descriptions[name].strip())[-1]
                shots = [turn for question, answer in SHOTS for turn in (_user(question), _assistant(answer))]
                system = {'role': 'system', 'content': 'List the emotion words of the text as a JSON list.'}
                request = Request([system, *shots, _user(last)], 'noise-1', temperature, seed, max_tokens=40)
                taken[temperature, seed].append(set(read_labels(chat.ask(request).text).labels))
    result: dict[str, Any] = {'model': chat.model, 'descriptions': len(names)}
    for temperature in (0.0, 0.7):
        pairs = list(zip(taken[temperature, 0], taken[temperature, 1], strict=True))
        groups = [({fold[w] for w in a if w in fold}, {fold[w] for w in b if w in fold}) for a, b in pairs]
        shared = [len(a & b) / len(a | b) if a | b else 1.0 for a, b in pairs]
        result[f'temperature {temperature:g}'] = {
            'same_labels': round(float(np.mean([a == b for a, b in pairs])), 4),
            'same_W1_L1_groups': round(float(np.mean([a == b for a, b in groups])), 4),
            'mean_shared_over_all_labels': round(float(np.mean(shared)), 4),
        }
    result['minutes'] = round((time.monotonic() - begun) / 60, 1)
    return result


def _user(text: str) -> dict[str, str]:
    return {'role': 'user', 'content': text}


def _assistant(text: str) -> dict[str, str]:
    return {'role': 'assistant', 'content': text}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data', type=Path, default=DATA)
    parser.add_argument('--out', type=Path, default=HERE / 'results' / 'extraction.json')
    parser.add_argument('--endpoint')
    parser.add_argument('--model', default='SmolLM2-135M-Instruct.Q4_1')
    parser.add_argument('--descriptions', type=int, default=60)
    given = parser.parse_args()
    tables = {'affekt': load_table('affekt')}
    tables |= {name: load_table(given.data / 'wheels' / name) for name in ('2025', '2026')}
    descriptions, truth = released(given.data)
    earlier = json.loads(given.out.read_text()) if given.out.exists() else {}
    result: dict[str, Any] = {
        'tables': {name: table.label for name, table in tables.items()},
        'truth': agreement_with_truth(descriptions, truth, tables),
        'rules': worth_of_rules(descriptions, truth, tables['affekt']),
        'parsers': agreement_of_parsers(given.data, tables['2026']),
        'itself': agreement_with_itself(descriptions, tables['affekt']),
    }
    if given.endpoint:
        chat = Endpoint(given.endpoint, given.model)
        result['noise'] = noise(descriptions, chat, given.descriptions, tables['2026'])
    elif 'noise' in earlier:
        result['noise'] = earlier['noise']
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(result, indent=1, ensure_ascii=False) + '\n')
    print(json.dumps(result, indent=1, ensure_ascii=False))


if __name__ == '__main__':
    main()
