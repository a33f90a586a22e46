"""docs/open_vocabulary.md and its figure, written from the result files; a test checks that they agree.

python measurements/open_vocabulary_page.py
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from page import table

from affekt.wording import percent

HERE = Path(__file__).resolve().parent
RESULTS = HERE / 'results'
DOCS = HERE.parent / 'docs'
NAMES = (
    'ovmer', 'unibench_released', 'open_vocabulary_gaming', 'word_table', 'extraction', 'extraction_released',
)  # fmt: skip
MODE = 'nosubtitle-addsub'
QWEN = 'Qwen-Audio'


def page(results: Mapping[str, Any]) -> str:
    """The page, from the result files by name."""
    parts = [
        _head(),
        _switch(results),
        _dropped(results),
        _gaming(results),
        _selection(results),
        _extraction(results),
        _apart(results),
        _ours(),
    ]
    return '\n\n'.join(_wrapped(block) for block in '\n'.join(parts).split('\n\n')).rstrip() + '\n'


def _wrapped(block: str) -> str:
    """A paragraph in lines of at most 118 characters; tables, code, headings and pictures as they are."""
    if block.lstrip().startswith(('|', '#', '!', '```')):
        return block.strip('\n')
    return textwrap.fill(' '.join(block.split()), 118, break_long_words=False, break_on_hyphens=False)


def _head() -> str:
    return """# Open labels, measured so that they cannot be fooled

Written by `python measurements/open_vocabulary_page.py` from the files under `measurements/results/`; do not edit.
Every figure is this project's own measurement on released data, by the script that stands beside it; each published
score that can be checked here is first reproduced to the last stored digit (`tests/metrics/test_open_vocabulary.py`).

People describe feelings in free words. To score them, words are folded: *annoyances* → *annoyed* → a sector of an
emotion wheel. That is where six things go wrong.
"""


def _switch(results: Mapping[str, Any]) -> str:
    views = {view['name']: view for view in results['ovmer']['views']}
    rows = []
    for rank, name in enumerate(views['2025']['rankings'][MODE]['order'], 1):
        scores = [views[view]['rankings'][MODE]['systems'][name] for view in ('2025', '2026', 'affekt')]
        rows.append([name, rank, *(f'{percent(s["score"])} ({s["rank"]})' for s in scores)])
    qwen = [views[view]['rankings'][MODE]['systems'][QWEN]['score'] for view in ('2025', '2026')]
    meld = [
        results['unibench_released'][year]['sets']['meld']['checkpoints']['checkpoint_000030_loss_0.602']['headline']
        for year in ('2025', '2026')
    ]
    return f"""## 1. Two incompatible word tables, unnamed

The table of 2025 lists *fear* as a form of *fearless*, so that on wheel 2 *fear* is **happy**; that of 2026 does not.
Nothing in a published score says which one folded it. {QWEN}'s M-avg is {percent(qwen[0])} with one and
{percent(qwen[1])} with the other; MELD's published hit rate of {percent(meld[0])} becomes {percent(meld[1])}. In
affekt
every score prints the table's name, version and hash.

M-avg of ten systems by both official tables, and F1 with near misses by ours (ranks in brackets;
`measurements/open_vocabulary.py`,
{results['ovmer']['samples']} samples of OV-MERD):

{table(['system', 'rank', '2025', '2026', 'affekt, consistent'], rows)}

![M-avg of ten systems with intervals, and what one constant answer reaches](figures/open_vocabulary.svg)
"""


def _dropped(results: Mapping[str, Any]) -> str:
    words = results['word_table']
    rows = []
    for side in ('build', 'test'):
        for name, sets in words['coverage'][side].items():
            ours = sets['affekt']['tokens']
            rows.append(
                [
                    f'{name} ({"looked at while building" if side == "build" else "not looked at"})',
                    sets['tokens'],
                    percent(sets['2026']['tokens']['share'], 1),
                    percent(sets['2026']['tokens_on_W5'], 1),
                    f'{percent(ours["share"], 1)} [{", ".join(percent(end, 1) for end in ours["interval"])}]',
                ]
            )
    agreement = words['agreement_with_2026']['test']['mean_L1']
    verdicts = words['disagreements']
    unseen = words['unseen']['AffectGPT on MELD']
    return f"""## 2. True words are dropped without a word

A word that the table does not hold is removed from the truth and from the prediction; nothing is said. Share of words
that are held at all, and on wheel 5, where fewest are (`measurements/word_table.py`):

{table(['labels', 'words', 'official %', 'official, wheel 5 %', 'affekt %'], rows)}

Lists share most of their words. Of words of MELD that no list used for building holds, the official table knows
{percent(unseen['2026']['tokens'], 0)} %, ours {percent(unseen['affekt']['tokens'], 0)} %. Where both tables place a
word
of the unseen half, they agree on the sector for {percent(agreement['same'], 0)} % (kappa {agreement['kappa']:.2f}).
All
{verdicts['rows']} disagreements on the truth of OV-MERD are listed and judged in
[a table](../measurements/results/word_table_disagreements.tsv): {verdicts['rows_by_verdict']['ours']} for ours,
{verdicts['rows_by_verdict']['official']} for the official one, {verdicts['rows_by_verdict']['both']} either way,
{verdicts['rows_by_verdict']['neither']} for neither. Those for the official one stand: mending them would fit the
table to
what it was measured on. How the table is made, and its limits, are on [its card](../affekt/labels/affekt_table.md).
"""


def _gaming(results: Mapping[str, Any]) -> str:
    gaming = results['open_vocabulary_gaming']
    first = [
        [name, percent(row['EW-L1 f']), percent(row['near']['value']), f'≤ {percent(row["near_ceiling"])}']
        for name, row in gaming['ovmerd']['rows'].items()
    ]
    second = []
    for key, title in (('mer2023', 'MER2023'), ('meld', 'MELD')):
        for name, row in gaming[key]['rows'].items():
            second.append(
                [
                    title,
                    name,
                    percent(row['HIT']),
                    percent(row['sector']['value']),
                    f'≤ {percent(row["sector_ceiling"])}',
                ]
            )
    meld = gaming['meld']['rows']['AffectGPT, checkpoint 30']
    return f"""## 3. A constant answer wins

*Happy, angry, sad, worried, surprised, neutral*, said of every clip, has a hit rate of 100 %: extra words cost
nothing, and
*neutral* clips are skipped. In consistent mode every word counts, and affekt states what no constant answer can
exceed: exactly
for sets, as a bound for near misses (`affekt/metrics/trivial_answers.py`; checked against every possible
constant on
small sets). `measurements/open_vocabulary_gaming.py`, OV-MERD:

{table(['answer', 'official EW-L1 F %', 'consistent F1 %', 'any constant %'], first)}

Sets with one label a clip:

{table(['set', 'answer', 'official HIT %', 'consistent sector F1 %', 'any constant %'], second)}

Read the rows of MELD twice: nearly half of its clips are *neutral*, so that always answering *neutral* scores
{percent(meld['sector_ceiling'])} here, and the released system {percent(meld['sector']['value'])}. The hit rate
cannot
show that, because it never looks at a neutral clip.
"""


def _selection(results: Mapping[str, Any]) -> str:
    run = results['unibench_released']['2025']
    names = {
        'fixed': 'the last checkpoint', 'mean': 'mean over seven',
        'best single': 'best single one, chosen on test data',
        'oracle per set': 'best one of each set, chosen on test data: as published',
    }  # fmt: skip
    rows = []
    for row in run['rows']:
        spread = f' ± {percent(row["mean_sd"])}' if 'mean_sd' in row else ''
        if 'mean_interval' in row:
            spread = f' [{percent(row["mean_interval"][0], 1)}, {percent(row["mean_interval"][1], 1)}]'
        rows.append([names[row['protocol']], f'{percent(row["mean"])}{spread}'])
    matched = results['unibench_released']['published_row']
    gap = run['rows'][3]['mean'] - run['rows'][0]['mean']
    return f"""## 4. Checkpoints are chosen on the test data

The published evaluation scores every saved checkpoint on each test set and keeps the best one per set. On the
{len(matched)} of nine sets whose labels are public, that rule reproduces the published row to every printed digit
({', '.join(f'{run["sets"][key]["name"]} {percent(value["ours"])}' for key, value in matched.items())}). Mean of these
sets under four protocols (`measurements/open_vocabulary.py --released`):

{table(['protocol', 'mean %'], rows)}

Choosing on the test data is worth {percent(gap)} points, about as much as the interval of a score is wide.
`affekt bench unibench` prints all four and says of each how its checkpoint was chosen.
"""


def _extraction(results: Mapping[str, Any]) -> str:
    released = results['extraction_released']
    counts = released['templates']
    share = {
        key: percent(counts[key] / counts['answers'], 1) for key in counts if key not in ('sets', 'files', 'answers')
    }
    rows = [
        [f'{title}, checkpoint {number}', percent(value['language_model']), percent(value['template'])]
        for key, title in (('mer2023', 'MER2023'), ('meld', 'MELD'))
        for number, value in released['hit'][key].items()
    ]
    prose = released['prose']
    described = results['extraction']['truth']['odd']['scored by 2026']
    lexicon, constant = described['lexicon affekt'], described['always angry, sad, worried, happy']
    itself = results['extraction']['itself']
    text = f"""## 5. Labels are drawn by an unseeded language model

{share['by_template']} % of AffectGPT's {counts['answers']:,} released answers follow one template ("The character's
emotional state is
a, b."), which needs no model to be read. Yet a language model at temperature 0.7 extracted the labels again:
{share['same_labels']} % of
the label sets came out as they were, {share['same_sectors']} % in the same sectors of wheel 1; {share['emptied']} %
were emptied, and {share['added']} % hold
a word that the answer does not. Read by template, every checkpoint scores higher
(`measurements/extraction_released.py`):

{table(['official HIT %', 'extracted by the model', 'read by template'], rows)}

Free descriptions are another matter. On those of ten systems in three modes, read for the {prose['samples']} clips that
the word list's rules were not tuned on (their figures were seen once, before the last few stop words were added),
EW-L1 is {percent(prose['mean_language_model']['EW-L1 f'], 1)} % from the language model's
labels and
{percent(prose['mean_word_list']['EW-L1 f'], 1)} % from our word list, means of thirty runs that agree with r =
{prose['pearson_of_EW_L1_over_runs']:.2f}; the word
list names {prose['mean_word_list']['labels_per_answer']:.1f} words a clip where the model names
{prose['mean_language_model']['labels_per_answer']:.1f}, which near misses with one-to-one
matching punish ({percent(prose['mean_word_list']['near f1'], 1)} against
{percent(prose['mean_language_model']['near f1'], 1)} %). On the released descriptions of OV-MERD it reaches
EW-L1 F {described['lexicon affekt']['EW-L1'][2]:.1f} % (P {lexicon['EW-L1'][0]:.1f}, R {lexicon['EW-L1'][1]:.1f});
four constant words reach {constant['EW-L1'][2]:.1f} % (`measurements/extraction.py`, table
2026, the same half,
with the same reservation). It gives the same labels every time; with the sentences of a description shuffled,
{percent(itself['sentences shuffled']['same_bases'], 1)} %
keep the same set of words and {percent(itself['sentences shuffled']['same_W1_L1_groups'], 0)} % the same sectors.
"""
    if noise := results['extraction'].get('noise'):
        text += '\n' + _noise(noise)
    return text


def _noise(noise: Mapping[str, Any]) -> str:
    cold, warm = noise['temperature 0'], noise['temperature 0.7']
    return f"""How much drawing alone does, with a small language model that runs here ({noise['model']}, asked
twice for the labels of
{noise['descriptions']} descriptions): at temperature 0 {percent(cold['same_labels'], 0)} % of the label sets are
the same both times, at 0.7
{percent(warm['same_labels'], 0)} % (same sectors: {percent(warm['same_W1_L1_groups'], 0)} %). It is fifty times
smaller than the published pipeline's model, so the
size of that figure says little about it; that there is such a figure does.
"""


def _apart(results: Mapping[str, Any]) -> str:
    views = {view['name']: view for view in results['ovmer']['views']}
    systems = views['2025']['rankings'][MODE]['systems']
    order = views['2025']['rankings'][MODE]['order']
    first = systems[order[0]]['letters']
    same = [name for name in order if set(systems[name]['letters']) & set(first)]
    agreement = results['ovmer']['agreement_with_gpt']
    return f"""## 6. Ranks without intervals

With {results['ovmer']['samples']} clips, the first {len(same)} of ten systems cannot be told apart ({', '.join(same)};
paired tests of
all 45 pairs, Holm correction). Their published order is one of many. `affekt bench ovmer` prints intervals and which
systems share a letter. The yardstick that the wheels were justified by, agreement with a closed language model's
grouping
over ten systems, is r = {agreement['2025']['M-avg f']['pearson']:.3f} for M-avg with table 2025,
{agreement['2026']['M-avg f']['pearson']:.3f} with 2026, and
{agreement['affekt']['near+intensity f1']['pearson']:.3f} for F1 with near misses and our table; with ten points no
such difference means much.
"""


def _ours() -> str:
    return """## What affekt does instead

```sh
affekt score openvocab --truth truth.csv --prediction mine.csv                  # consistent, table affekt
affekt score openvocab --truth T --prediction P --tables 2025 --mode official   # the published figures
affekt score openvocab --truth T --prediction A --against B                     # two systems, paired test
affekt score words "The character's emotional state is happy, a bit worried."   # one answer, step by step
affekt bench unibench --predictions DIR --labels DIR
affekt bench ovmer --predictions DIR --truth FILE
affekt extract descriptions.csv --out labels.csv                                # no model needed
```

Consistent mode keeps every word: one that no table holds is a group of its own; *neutral* is a class; a wheel word
keeps its
own sector; scores are means of per-sample F1, beside micro and macro; near misses earn 3/4, 1/2 or 1/4 by how many
rings
apart two words are, matched one to one, less the difference of their intensities. Coverage, words not held, labels
an answer, trivial answers and the ceiling of constants always stand beside it. What it does not cure: words fold as
one
table says, and one person's judgement built ours; a label of the truth may itself be wrong or missing; English only.

`affekt extract` reads no labels in a description that is only a refusal (*I am sorry, but I cannot tell*) or nonsense;
the column `how` says so.

As a reward for reinforcement learning, `affekt.metrics.open_vocabulary_reward.Reward()` gives F1 of the sectors
less a price
for each label beyond the truth's number and a slack; without such a price, the published reward was met with ever
longer
lists (arXiv:2508.01318).

The official tables are for non-commercial use and are not part of affekt: `affekt weights get word-table-2025`
fetches them
from their release. Without a network, `--tables` takes the folder itself, from a copy of
[MERTools](https://github.com/zeroQiaoba/MERTools): `MER2025/MER2025_Track23/emotion_wheel` is the table 2025,
`MER2026/MER2026_Track2/emotion_wheel` the table 2026; or put its files into `word-table-2025/` in a folder named by
`AFFEKT_MODELS`.
"""


def figure(results: Mapping[str, Any]) -> str:
    """Ten systems with intervals on one axis, and the line that a constant answer reaches."""
    view = next(view for view in results['ovmer']['views'] if view['name'] == '2025')
    ranking = view['rankings'][MODE]
    floor_words, floor = max(view['floors'].items(), key=lambda item: item[1])
    left, top, step, width = 140, 50, 26, 460
    low, high = 0.25, 0.55
    height = top + step * len(ranking['order']) + 62

    def x(value: float) -> float:
        return round(left + (value - low) / (high - low) * width, 1)

    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 {height}" font-family="system-ui, sans-serif" '
        'font-size="13" role="img" aria-label="M-avg of ten systems with 95 % intervals">',
        '<rect width="100%" height="100%" fill="#fff"/>',
        '<text x="20" y="24" font-size="15" font-weight="600">M-avg on OV-MERD, table 2025, 95 % intervals</text>',
    ]
    bottom = top + step * len(ranking['order'])
    for tick in range(25, 60, 5):
        at = x(tick / 100)
        lines.append(f'<line x1="{at}" x2="{at}" y1="{top - 8}" y2="{bottom}" stroke="#e3e3e3"/>')
        lines.append(f'<text x="{at}" y="{bottom + 18}" text-anchor="middle" fill="#555">{tick} %</text>')
    at = x(floor)
    lines.append(f'<line x1="{at}" x2="{at}" y1="{top - 8}" y2="{bottom}" stroke="#b3261e" stroke-dasharray="5 4"/>')
    lines.append(
        f'<text x="20" y="{bottom + 44}" fill="#b3261e">dashed: “{escape(floor_words)}” said of every clip, '
        f'{percent(floor, 1)} %</text>'
    )
    for index, name in enumerate(ranking['order']):
        system, y = ranking['systems'][name], top + step * index + 10
        first, last = system['interval']
        lines += [
            f'<text x="{left - 12}" y="{y + 4}" text-anchor="end">{escape(name)}</text>',
            f'<line x1="{x(first)}" x2="{x(last)}" y1="{y}" y2="{y}" stroke="#33608c" stroke-width="2"/>',
            f'<circle cx="{x(system["score"])}" cy="{y}" r="5" fill="#33608c"/>',
        ]
    return '\n'.join([*lines, '</svg>', ''])


def load(results: Path = RESULTS) -> dict[str, Any]:
    """The result files by name."""
    return {name: json.loads((results / f'{name}.json').read_text(encoding='utf-8')) for name in NAMES}


def main() -> None:
    results = load()
    (DOCS / 'open_vocabulary.md').write_text(page(results), encoding='utf-8')
    (DOCS / 'figures' / 'open_vocabulary.svg').write_text(figure(results), encoding='utf-8')
    print(DOCS / 'open_vocabulary.md')


if __name__ == '__main__':
    main()
