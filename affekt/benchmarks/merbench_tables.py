"""The outcome of MERBench as plain tables, Markdown, a page, values for JSON, and Parquet with every prediction.

Read `merbench_sheet` first, which defines the contents of all forms.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from affekt.experiments import (
    ORACLE,
    SIMPLE,
    Gain,
    Outcome,
    Row,
    Section,
    Sheet,
    broken_runs,
    gain_cells,
    initials,
    named,
    outcome_facts,
    save_outcome,
    score_cells,
    sheet_markdown,
    sheet_page,
    signed_percent,
    slot_of,
)
from affekt.pages.figures import spread
from affekt.wording import counted, percent_in_five

HOW = {
    'fair': 'settings and epoch chosen on validation, the test part read once per seed',
    'reference': 'as published: the test read every epoch, settings shared by all folds, inputs as they come',
    ORACLE: 'the published loop had the test itself chosen the epoch: no result, it shows what reading it can add',
}
"""Protocol to its description in the notes of the tables."""
FEAT_TYPES = {
    'utt': 'the mean over time of each modality',
    'frm_align': 'sequences, a sixth as long, at the times of the text',
    'frm_unalign': 'sequences, a twelfth as long, each at its own times',
}
"""Type of features to its description in the notes of the tables."""


def merbench_sheet(outcome: Outcome) -> Sheet:
    """Title, tables and notes."""
    return Sheet(title(outcome), tuple(sections(outcome)), tuple(lines(outcome)))


def merbench_markdown(outcome: Outcome) -> str:
    """The sheet as Markdown."""
    return sheet_markdown(merbench_sheet(outcome))


def merbench_page(outcome: Outcome) -> str:
    """The sheet as one HTML page, with intervals drawn next to their values."""
    return sheet_page('MERBench', outcome.task, merbench_sheet(outcome), outcome.notes)


def merbench_facts(outcome: Outcome) -> dict[str, Any]:
    """All fields of the outcome as plain values; None if undefined."""
    content = outcome_facts('MERBench', outcome.task, outcome.settings, outcome.recipes, outcome.rows, outcome.notes)
    return {**content, 'feat_type': outcome.task.feat_type}


def save_merbench(folder: Path, outcome: Outcome, facts: dict[str, Any]) -> None:
    """Write `merbench.json`, `.md` and `.html`, `rows.parquet` and `predictions.parquet` into the folder of a run.

    Raises:
        StorageError: the folder cannot be written.
    """
    pages = {'md': merbench_markdown(outcome), 'html': merbench_page(outcome)}
    save_outcome(folder, 'merbench', outcome.task, outcome.rows, facts, pages, with_rows=True)


def sections(outcome: Outcome) -> list[Section]:
    """Scores of every test part, gains of fusion, and gains of the published protocol."""
    has_several_tests = len(outcome.task.tests) > 1
    tables = []
    for test in outcome.task.tests:
        rows = tuple(row for row in outcome.rows if row.test == test and not row.system.given)
        heads = ('on', 'model', 'protocol', 'mean [95 %]', 'sd', 'over simple', 'p')
        title = f'{test}: {rows[0].headline}' if has_several_tests else rows[0].headline
        tables.append(Section(title, heads, tuple(_scores(row) for row in rows), 3, rows))
    fusion_gains = [(row, gain) for row in outcome.rows if (gain := row.gain('alone')) is not None]
    if fusion_gains:
        heads = (*(('test',) if has_several_tests else ()), 'on', 'model', 'protocol', 'alone', 'gain [95 %]', 'p')
        cells = tuple(((row.test,) if has_several_tests else ()) + _fused(row, gain) for row, gain in fusion_gains)
        tables.append(Section('What more than one modality adds', heads, cells, len(heads) - 2))
    tables += _missing(outcome, has_several_tests)
    if differences := tuple(_protocol_differences(outcome.rows, has_several_tests)):
        first_heads = ('test', 'on') if has_several_tests else ('on',)
        heads = (*first_heads, 'fair', 'reference', 'difference', ORACLE, 'it would add')
        tables.append(Section('What the published protocol adds', heads, differences, 2 if has_several_tests else 1))
    return tables


def lines(outcome: Outcome) -> list[str]:
    """Sentences on how to read the tables."""
    settings, protocols = outcome.settings, {row.system.protocol for row in outcome.rows}
    sentences = ['on: ' + ', '.join(f'{initials((name,))} {_spelled(name)}' for name in outcome.recipes)]
    sentences += [f'{protocol}: {description}' for protocol, description in HOW.items() if protocol in protocols]
    tests = sum(len(row.gains) for row in outcome.rows)
    sentences += [
        f'figures in per cent; {settings.model} reads {FEAT_TYPES[outcome.task.feat_type]}; budget of each model: '
        f'{counted(settings.trials, "draw")} at most, {counted(settings.seeds, "seed")}, '
        f'{counted(settings.epochs, "epoch")} at most, patience '
        f'{settings.patience}',
        'over simple: the gain over the one of our simple models that is better on validation; intervals and tests '
        'draw whole groups (speakers, dialogues or recordings, where known); '
        f'{settings.resamples} resamples, p after Holm over {counted(tests, "test")}',
    ]
    return [*sentences, *broken_runs(outcome.rows), *outcome.notes]


def title(outcome: Outcome) -> str:
    """Title with corpus, model and features."""
    recipes = ', '.join(f'{slot_of(name)} {recipe.split()[0]}' for name, recipe in outcome.recipes.items())
    return f'{outcome.task.manifest.facts.corpus}: {outcome.settings.model} on {recipes}'


def _spelled(name: str) -> str:
    """`text`, or `text minilm-utt` where there are several sets of text features."""
    return f'{slot_of(name)} {name.partition(":")[2]}'.strip()


def _scores(row: Row) -> tuple[str, ...]:
    return (*named(row.system), *score_cells(row), *gain_cells(row.gain('simple')))


def _fused(row: Row, gain: Gain) -> tuple[str, ...]:
    return (*named(row.system), initials(gain.over.modalities), *gain_cells(gain))


def _missing(outcome: Outcome, has_several_tests: bool) -> Iterator[Section]:
    """For each test part, scores of the models of all modalities when some are missing, one column per model."""
    for test in outcome.task.tests:
        rows = [row for row in outcome.rows if row.test == test]
        reduced = [row for row in rows if row.system.given]
        if not reduced:
            continue
        names = list(dict.fromkeys(row.system.name for row in reduced))
        all_modalities = reduced[0].system.modalities
        scores = {(row.system.given, row.system.name): row.scores[row.headline] for row in reduced}
        scores |= {
            ('all', row.system.name): row.scores[row.headline]
            for row in rows
            if row.system.modalities == all_modalities and row.system.protocol == 'fair' and not row.system.given
        }
        cells = tuple(
            (_given(given), *(spread(scores[given, name].value, scores[given, name]) for name in names))
            for given in ('all', *dict.fromkeys(row.system.given for row in reduced))
        )
        yield Section(f'{test + ": " if has_several_tests else ""}With modalities missing', ('given', *names), cells, 1)


def _given(given: str) -> str:
    if given.startswith('any:'):
        return f'{100 * float(given.removeprefix("any:")):g} % missing'
    return given if given == 'all' else initials(given.split('+'))


def _protocol_differences(rows: Sequence[Row], has_several_tests: bool) -> Iterator[tuple[str, ...]]:
    """Scores by each protocol and their differences, for models that ran by all."""
    model_rows = [row for row in rows if row.system.name not in ('constant', *SIMPLE) and not row.system.given]
    by_key = {(row.system.modalities, row.test, row.system.protocol): row for row in model_rows}
    for modalities, test in dict.fromkeys((key[0], key[1]) for key in by_key):
        by_protocol = [by_key.get((modalities, test, protocol)) for protocol in HOW]
        if not all(by_protocol):
            continue
        fair, reference, oracle = (row.scores[row.headline].value for row in by_protocol if row)
        cells = (
            percent_in_five(fair),
            percent_in_five(reference),
            signed_percent(reference - fair),
            percent_in_five(oracle),
            signed_percent(oracle - reference),
        )
        yield (*((test,) if has_several_tests else ()), initials(modalities), *cells)
