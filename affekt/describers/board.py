"""A leaderboard of several describers: labels against a truth, MER-UniBench, verdicts and their biases.

The input is models or tables of their answers, the output a `Board`, as tables and plain values (`board_tables.py`) and
as a page (`board_page.py`). Pairs are formed from clips that both describe; the number of clips of each is stated.

1. Descriptions: requested and stored, or read from tables. 2. Labels, extracted from each. 3. Open labels against a
truth, by every available word table. 4. Verdicts: of people, of a judging model, of a learned preference model, and of
baselines that do not read; each is ranked as it is, and controlled for length and order.
5. MER-UniBench.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from affekt.benchmarks import CONSTANTS, Ovmer, rank_systems, run_ovmer, set_named
from affekt.benchmarks import Ranking as Systems
from affekt.containers import AUDIO, is_media_name
from affekt.corpora import Facts, Manifest, Sample, own_manifest
from affekt.describers.answers import answered, labels_of
from affekt.describers.classes import columns_of, sample_scores
from affekt.describers.models import ClipAnswer, ModelChoice
from affekt.describers.running import Open
from affekt.describers.unibench import ModelsBench
from affekt.errors import AffektError, ComparisonError, CorpusError, UnrankableError, ValueRangeError
from affekt.judging import Judge, JudgeReport, judge_descriptions
from affekt.labels import load_table, without_thinking
from affekt.llm import Extraction, LabelExtractor, read_descriptions
from affekt.progress import Progress
from affekt.ranking import LENGTH, OWN, Comparisons, Ranking, RankSettings, own_model, rank, read_comparisons
from affekt.runs import record_beside, versions, write_atomically
from affekt.tables import csv_bytes
from affekt.typed_json import json_file

WEAK_PRIOR = 1.0
"""Standard deviation in log-odds of the prior on strengths, used if verdicts determine no finite ones."""
LARGEST_STRENGTH = 8.0
"""Log-odds (3,000 to 1) beyond which a controlled strength is an extrapolation, such as to texts of equal length where
the longer one won nearly every time."""


@dataclass(frozen=True)
class Describer:
    """One describer's descriptions of the clips."""

    name: str
    texts: Mapping[str, str] = field(repr=False)
    """Clip to description, for the clips that it describes."""
    labels: Mapping[str, Extraction] = field(repr=False)
    failures: Mapping[str, str]
    """Clip to the reason why there is no description."""
    record: Mapping[str, Any]
    """Everything its descriptions depend on, as far as known."""


@dataclass(frozen=True)
class Verdicts:
    """One source of verdicts, ranked."""

    source: str
    plain: Ranking
    controlled: Ranking | None
    """Ranking controlled for length, order and own models; None if these effects cannot be estimated."""
    report: JudgeReport | None
    """Report on a judging model: position bias, consistency of both orders, cost."""
    file: Path
    is_reference: bool = False
    """Whether it is a baseline that does not read, which a judge has to beat."""

    @property
    def controlled_for(self) -> str:
        """Effects for which the second ranking is controlled, such as length and order; '' if there is none."""
        if self.controlled is None:
            return ''
        settings = self.controlled.settings
        return _in_words(_effects(settings.control, settings.order))


@dataclass(frozen=True)
class Board:
    """A leaderboard: describers compared."""

    describers: tuple[Describer, ...]
    clips: int
    """Number of clips to describe."""
    shared: tuple[str, ...] = field(repr=False)
    """Clips that every describer describes."""
    open_labels: Ovmer | None
    """Scores against the truth by every table; None without a truth."""
    by_sample: Systems | None
    """Ranking of describers by F1 per clip on the five wheels; None without a truth."""
    constant: tuple[str, float] | None
    """The constant answer with the best F1 per clip, and that F1; None without a truth."""
    truth_labels: float
    """Mean number of labels in a true answer; nan without a truth."""
    verdicts: tuple[Verdicts, ...]
    unibench: ModelsBench | None
    notes: tuple[str, ...]
    out: Path


@dataclass(frozen=True)
class Sources:
    """Sources of verdicts.

    Args:
        votes: files of existing verdicts, in any form that `affekt rank` reads.
        judges: judges for every pair in both orders.
        references: baselines that do not read.
    """

    votes: Sequence[Path] = ()
    judges: Sequence[Judge] = ()
    references: Sequence[Judge] = ()


def clips_of(path: Path) -> Manifest:
    """The clips of a manifest, of a table with a column of names, or of a folder of media files.

    Raises:
        TableError, CorpusError: the path is none of these.
    """
    if path.suffix.lower() == '.parquet':
        return Manifest.load(path)
    if path.is_file():
        return own_manifest(path)
    if not path.is_dir():
        raise CorpusError(expected='a manifest, a table or a folder of clips', came=str(path), todo='check --media')
    samples = []
    for file in sorted(file for file in path.iterdir() if is_media_name(file.name) and not file.name.startswith('.')):
        is_audio = file.name.lower().endswith(AUDIO)
        samples.append(Sample(file.stem, audio=file.name) if is_audio else Sample(file.stem, video=file.name))
    if not samples:
        raise CorpusError(expected='clips', came=f'{path} without media files', todo='name the folder that holds them')
    return Manifest(Facts(path.name, root=str(path.resolve())), samples)


def compare_describers(
    choices: Sequence[ModelChoice],
    out: Path,
    *,
    clips: Manifest | None,
    open_model: Open,
    extractor: LabelExtractor,
    rng: np.random.Generator,
    truth: Mapping[str, Any] | None = None,
    sources: Sources | None = None,
    media: Path | None = None,
    unibench: ModelsBench | None = None,
    tables: Sequence[str | Path] = (),
    at_once: int = 1,
    resamples: int = 2000,
    progress: Progress | None = None,
) -> Board:
    """Describe, score, judge and rank.

    Args:
        choices: two or more models or tables of descriptions.
        out: folder of the run.
        clips: manifest of the clips to be described; None if all choices are tables.
        open_model: opens a model; see `opened`.
        extractor: extracts labels from descriptions.
        rng: draws resamples.
        truth: clip to its true labels; None for the manifest's own labels.
        sources: sources of verdicts; None for none.
        media: folder of clips for judges, with files named after them; None for texts alone.
        unibench: the same models on MER-UniBench.
        tables: word tables of open labels; if empty, all available ones.
        at_once: answers processed, and pairs judged, concurrently.
        resamples: number of resamples for intervals.
        progress: called with the stage, units done and total units.

    Raises:
        ValueRangeError: fewer than two describers, or a model without clips to describe.
        ComparisonError: no two describe the same clip.
        AffektError: a model, a table or a judge cannot be used.
    """
    if len(choices) < 2:
        raise ValueRangeError(expected='two describers or more', came=str(len(choices)), todo='name another one')
    # 1. and 2. Descriptions and labels.
    describers = [_described(choice, out, clips, open_model, extractor, at_once, progress) for choice in choices]
    mentioned = (name for describer in describers for name in (*describer.texts, *describer.failures))
    names = list(clips.names) if clips else list(dict.fromkeys(mentioned))
    shared = tuple(name for name in names if all(name in describer.texts for describer in describers))
    if not shared:
        raise ComparisonError(
            expected='a clip that every describer describes', came='none', todo='check the names of the clips'
        )
    paths = _write_descriptions(describers, out)
    notes: list[str] = []
    if len(shared) < len(names):
        lacking = len(names) - len(shared)
        notes.append(
            f'{lacking} of {len(names)} clips {"is" if lacking == 1 else "are"} not described by every describer'
        )
    # 3. Open labels.
    truth = truth or _truth_of(clips)
    open_labels, by_sample, constant = (
        _open_labels(describers, truth, out, rng, tables, resamples, progress, notes) if truth else (None, None, None)
    )
    # 4. Verdicts.
    served = {choice.name: choice.served for choice in choices if choice.served}
    verdicts = _verdicts(sources or Sources(), paths, served, out, media, at_once, progress, notes)
    sizes = [float(len(labels)) for labels in (truth or {}).values()]
    return Board(
        tuple(describers), len(names), shared, open_labels, by_sample, constant,
        float(np.mean(sizes)) if sizes else float('nan'), verdicts, unibench, tuple(notes), out,
    )  # fmt: skip


def _described(
    choice: ModelChoice,
    out: Path,
    clips: Manifest | None,
    open_model: Open,
    extractor: LabelExtractor,
    at_once: int,
    progress: Progress | None,
) -> Describer:
    """One describer's descriptions, read from a table or requested, and their labels."""
    if choice.form == 'table':
        path = Path(choice.where)
        texts = read_descriptions(path)
        answers = [ClipAnswer(name, text, '' if text.strip() else 'empty in the table') for name, text in texts.items()]
        record = record_beside(path) or {'table': path.name, 'versions': versions()}
    elif clips is None:
        raise ValueRangeError(expected=f'clips for {choice.name}', came='none', todo='name them with --media')
    else:
        folder = out / choice.name
        with open_model(choice, folder) as model:
            answers = list(answered(model, clips, folder / 'answers', progress=_stage(progress, choice.name)))
            record = model.record()
        write_atomically(folder / 'record.json', json_file({**record, 'label_reader': extractor.name}))
    answered_clips = [answer for answer in answers if not answer.failure]
    extractions = labels_of(
        answered_clips, extractor, at_once=at_once, progress=_stage(progress, f'{choice.name} labels')
    )
    return Describer(
        choice.name,
        {answer.name: without_thinking(answer.text).text for answer in answered_clips},
        {answer.name: extraction for answer, extraction in zip(answered_clips, extractions, strict=True)},
        {answer.name: answer.failure for answer in answers if answer.failure},
        {**record, 'label_reader': extractor.name},
    )


def _stage(progress: Progress | None, name: str) -> Progress | None:
    return None if progress is None else lambda _, done, total: progress(name, done, total)


def _write_descriptions(describers: Sequence[Describer], out: Path) -> list[Path]:
    """Write a table of descriptions and labels per describer, for `affekt judge` and `affekt score openvocab`."""
    folder = out / 'descriptions'
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for describer in describers:
        rows = [
            {
                'name': name,
                'description': text,
                'openset': describer.labels[name].openset,
                'how': describer.labels[name].how,
            }
            for name, text in describer.texts.items()
        ]
        paths.append(folder / f'{describer.name}.csv')
        write_atomically(paths[-1], csv_bytes(('name', 'description', 'openset', 'how'), rows))
    return paths


def _truth_of(clips: Manifest | None) -> dict[str, list[str]]:
    """Clip to its free labels in a manifest, or else its category; clips without either are absent."""
    if clips is None:
        return {}
    labels = {row.sample: list(row.labels) or ([row.category] if row.category else []) for row in clips.samples}
    return {name: clip_labels for name, clip_labels in labels.items() if clip_labels}


def _open_labels(
    describers: Sequence[Describer],
    truth: Mapping[str, Any],
    out: Path,
    rng: np.random.Generator,
    tables: Sequence[str | Path],
    resamples: int,
    progress: Progress | None,
    notes: list[str],
) -> tuple[Ovmer, Systems, tuple[str, float]]:
    """Scores of labels by every word table, a ranking of describers, and the best constant answer with its mean F1.

    They are computed over the clips that have a truth; a clip without a description counts as one without labels.
    """
    folder = out / 'open_labels'
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(out / 'truth.csv', csv_bytes(('name', 'openset'), [
        {'name': name, 'openset': json_file(labels).decode().replace('\n', ' ')} for name, labels in truth.items()
    ]))  # fmt: skip
    for describer in describers:
        rows = [
            {'name': name, 'openset': describer.labels[name].openset if name in describer.labels else '[]'}
            for name in truth
        ]
        write_atomically(folder / f'{describer.name}.csv', csv_bytes(('name', 'openset'), rows))
    outcome = run_ovmer(folder, out / 'truth.csv', rng=rng, tables=tables, resamples=resamples, progress=progress)
    notes.extend(outcome.notes)
    table = load_table(tables[0] if tables else 'affekt')
    free = set_named('ovmerdplus')
    scores = {
        describer.name: sample_scores(
            free, truth, {name: list(extraction.labels) for name, extraction in describer.labels.items()}, table
        )
        for describer in describers
    }
    names = list(next(iter(scores.values())))
    columns = {name: columns_of(scores_of_one, names) for name, scores_of_one in scores.items()}
    ranking = rank_systems(
        columns, dict.fromkeys(columns, lambda sums: sums[:, 1] / sums[:, 0]), rng=rng, resamples=resamples
    )
    means = {
        ', '.join(words): float(np.mean(list(sample_scores(free, truth, dict.fromkeys(truth, words), table).values())))
        for words in CONSTANTS
    }
    return outcome, ranking, max(means.items(), key=lambda pair: pair[1])


def _verdicts(
    sources: Sources,
    paths: Sequence[Path],
    served: Mapping[str, str],
    out: Path,
    media: Path | None,
    at_once: int,
    progress: Progress | None,
    notes: list[str],
) -> tuple[Verdicts, ...]:
    """The sources of verdicts, ranked; one that cannot be ranked is left out with a note."""
    ranked: list[Verdicts] = []
    for path in sources.votes:
        _rank_verdicts(ranked, path.stem, path, None, served, notes, shown=path)
    folder = out / 'verdicts'
    folder.mkdir(parents=True, exist_ok=True)
    for judge, is_reference in [*((j, False) for j in sources.judges), *((j, True) for j in sources.references)]:
        file = folder / f'{"".join(c if c.isalnum() else "-" for c in judge.name)}.csv'
        report = judge_descriptions(
            paths, judge, out=file, media=media if not is_reference else None, at_once=at_once, progress=progress
        )
        _rank_verdicts(ranked, judge.name, file, report, served, notes, is_reference=is_reference)
    return tuple(ranked)


def _rank_verdicts(
    ranked: list[Verdicts],
    name: str,
    path: Path,
    report: JudgeReport | None,
    served: Mapping[str, str],
    notes: list[str],
    *,
    shown: Path | None = None,
    is_reference: bool = False,
) -> None:
    """Rank one file of verdicts; if they determine no finite strengths, with a weak prior and a note."""
    try:
        comparisons = _with_own_models(read_comparisons(path), served)
        if LENGTH not in comparisons.covariates:
            notes.append(f'{name}: no lengths (left_length, right_length), so that length is not controlled for')
        try:
            plain = rank(comparisons)
            prior = None
        except UnrankableError as error:
            prior = WEAK_PRIOR
            plain = rank(comparisons, RankSettings(prior=prior))
            notes.append(f'{name}: {error.came}, so that only a weak prior keeps the strengths finite')
        controlled = _controlled(comparisons, name, prior, notes)
        notes += _self_preference(name, plain, controlled)
    except AffektError as error:
        notes.append(f'{name} left out: {error}')
        return
    ranked.append(Verdicts(name, plain, controlled, report, shown or path, is_reference))


def _with_own_models(comparisons: Comparisons, served: Mapping[str, str]) -> Comparisons:
    """The comparisons with self-preference as a covariate, also for raters with the name of a describer's model."""
    if comparisons.rater is None or not served:
        return comparisons
    models = [served.get(item, item) for item in comparisons.items]
    left, right = ([models[item] for item in side.tolist()] for side in (comparisons.left, comparisons.right))
    own = own_model(left, right, [comparisons.raters[rater] for rater in comparisons.rater.tolist()])
    return replace(comparisons, covariates={**comparisons.covariates, OWN: own}) if own.any() else comparisons


def _controlled(comparisons: Comparisons, name: str, prior: float | None, notes: list[str]) -> Ranking | None:
    """The ranking controlled for length, order and own models, or for those that can be estimated; None if none can.

    Notes say why it is not controlled for order, or at all, and whether it has a weak prior.
    """
    known = tuple(effect for effect in (LENGTH, OWN) if effect in comparisons.covariates)
    has_order = bool(np.any(comparisons.first))
    choices = [(known, has_order), (known[:1], has_order), (known, False), (known[:1], False)]
    choices = [choice for choice in dict.fromkeys(choices) if any(choice)]
    all_effects = _effects(known, has_order)
    came = ''
    for control, order in choices:
        try:
            controlled = rank(comparisons, RankSettings(control=control, order=order, prior=prior))
            effects = _effects(control, order)
            if prior is None and max(abs(standing.strength) for standing in controlled.standings) > LARGEST_STRENGTH:
                controlled = rank(comparisons, RankSettings(control=control, order=order, prior=WEAK_PRIOR))
                notes.append(
                    f'{name}: {_in_words(effects)} nearly separate{"s" * (len(effects) == 1)} winners from losers, so '
                    'that controlled strengths have a weak prior'
                )
            if 'order' in all_effects and 'order' not in effects:
                notes.append(f'{name}: controlled for {_in_words(effects)}, but not for order: {came}')
            return controlled
        except AffektError as error:
            came = came or error.came
    if choices:
        notes.append(f'{name}: cannot be controlled for {_in_words(all_effects)}: {came}')
    return None


def _effects(control: Sequence[str], order: bool) -> list[str]:
    """Names of the effects for which a ranking is controlled."""
    return ['own model' if name == OWN else name for name in control] + ['order'] * order


def _in_words(names: Sequence[str]) -> str:
    """Names in a sentence; '' for none."""
    return ' and '.join([*filter(None, [', '.join(names[:-1])]), *names[-1:]])


def _self_preference(name: str, plain: Ranking, controlled: Ranking | None) -> list[str]:
    """A note on raters that compared descriptions of their own model; none if there are none."""
    own = next((bias for bias in plain.biases if bias.name == OWN), None)
    if own is None:
        return []
    is_out = controlled is not None and OWN in controlled.settings.control
    outcome = 'that effect is controlled for' if is_out else 'these verdicts cannot tell that effect from its strength'
    return [
        f'{name}: a rater compared descriptions of its own model, which won {100 * own.share:.0f} % of '
        f'{own.decided:,.0f} decided verdicts; {outcome}'
    ]
