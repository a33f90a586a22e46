"""Verbs that describe many clips with models on servers, and work on captions."""

from __future__ import annotations

import contextlib
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from affekt.cli.choices import SEED, Named, Pairs, refuse_unused, servers
from affekt.cli.features import Shard
from affekt.cli.group import AS_JSON, end_with, main, table_notes
from affekt.cli.help import VerbGroup
from affekt.terminal import StageBars, columns_table, say, say_json
from affekt.wording import counted, length, subject

if TYPE_CHECKING:
    from affekt.captioning import Captioned, Estimate
    from affekt.metrics import Interval

PATH = click.Path(path_type=Path)
RUN = 'run'


class _RunsByDefault(VerbGroup):
    """`affekt caption MANIFEST` is `affekt caption run MANIFEST`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """The arguments, with the verb `run` in front where none is named."""
        if args and args[0] not in (*self.commands, '-h', '--help'):
            args = [RUN, *args]
        return super().parse_args(ctx, args)


def _by_step(context: click.Context, option: click.Parameter, texts: tuple[str, ...]) -> dict[str, float]:
    """Step to price, from NUMBER or STEP=NUMBER; '' to the price of all other steps."""
    prices = {}
    for text in texts:
        step, _, number = text.rpartition('=')
        try:
            prices[step] = float(number)
        except ValueError:
            raise click.BadParameter(f'{text!r} is not a price such as 0.15 or audio=0.4', context, option) from None
    return prices


@main.group('caption', cls=_RunsByDefault)
def caption_group() -> None:
    """Describe the clips of a manifest with models on servers, filter and check.

    `affekt caption MANIFEST` is `affekt caption run MANIFEST`.
    """


@caption_group.command(RUN)
@click.argument('path', metavar='MANIFEST', type=PATH)
@click.option(
    '--audio-model', required=True, metavar='URL|PATH',
    help='Model for audio: URL, URL#NAME, or a local describer (a training folder, or small).',
)  # fmt: skip
@click.option('--video-model', required=True, metavar='URL|PATH', help='Model for video, given in the same way.')
@click.option('--merge-model', required=True, metavar='URL|PATH', help='Model that merges both clues with the words.')
@click.option('--label-model', metavar='URL|PATH', help="Model that lists the emotions (default: affekt's word table).")
@click.option(
    '--server',
    default='openai',
    type=Named(servers),
    help='Server behind the URLs: how media are sent (default openai).',
)
@click.option('--audio-server', type=Named(servers), help='Server of the audio model, if different.')
@click.option('--video-server', type=Named(servers), help='Server of the video model, if different.')
@click.option(
    '--trunk', default='', metavar='PATH', help='Language model of a describer, if its folder does not name it.'
)
@click.option(
    '--recipe',
    'recipes',
    type=Pairs(),
    multiple=True,
    help="Recipe of a describer's features, if its folder names none.",
)
@click.option('--out', required=True, type=PATH, metavar='DIR', help='Folder of captions; an existing run continues.')
@click.option('--estimate', 'only_estimate', is_flag=True, help='Stop after the first clips and the estimate.')
@click.option(
    '--first',
    type=click.IntRange(2),
    default=20,
    metavar='N',
    help='Number of clips for the estimate (default 20).',
)
@click.option(
    '--price-in', multiple=True, callback=_by_step, metavar='[STEP=]PRICE',
    help='Price per million prompt tokens; STEP is audio, visual, merge or labels.',
)  # fmt: skip
@click.option(
    '--price-out', multiple=True, callback=_by_step, metavar='[STEP=]PRICE', help='Price per million answer tokens.'
)
@click.option(
    '--subtitle', type=Named(('text', 'chinese', 'english')), default='text',
    help='Column of the spoken words (default text).',
)  # fmt: skip
@click.option('--words-alone', is_flag=True, help='Describe a clip without any clue by its words.')
@click.option(
    '--second-language', default='', metavar='NAME', help='Second language in which to write and read each description.'
)
@click.option('--frames', type=click.IntRange(1, 64), default=8, metavar='N', help='Frames per clip (default 8).')
@click.option('--max-side', type=int, default=512, metavar='PX', help='Longest side of a frame (default 512).')
@click.option('--tables', default='affekt', metavar='NAME|PATH', help='Word table that reads labels (default affekt).')
@click.option('--shard', type=Shard(), default=(1, 1), help='Shard to caption: the i-th of n (default 1/1).')
@click.option('--at-once', type=click.IntRange(1, 256), default=4, help='Clips in progress at once (default 4).')
@click.option(
    '--on', type=Named(('threads', 'ray')), default='threads',
    help='Engine: threads of this process (default), or Ray (the cluster that RAY_ADDRESS names, else this machine).',
)  # fmt: skip
@click.option('--workers', type=click.IntRange(1, 256), default=2, help='Workers of Ray (default 2).')
@click.option('--timeout', 'timeout_s', type=float, default=120.0, help='Seconds to wait for an answer (default 120).')
@click.option(
    '--attempts', type=click.IntRange(1, 100), default=6, help='Maximum attempts per question, with pauses (default 6).'
)
@click.option('--root', type=PATH, help='Folder that the media are in now, if they moved.')
@AS_JSON
@click.option('--raw-csv', is_flag=True, help='Write texts like =1+1 unchanged, without an apostrophe in front.')
def run(
    path: Path, out: Path, as_json: bool, price_in: Mapping[str, float], price_out: Mapping[str, float],
    root: Path | None, **options: Any,
) -> None:  # fmt: skip
    """Describe what is heard and seen in each clip of MANIFEST.

    Prints an estimate of the cost from the first clips before it goes on; with --estimate it stops there. Every answer
    is saved at once: after an interruption, run the same command again. A key for the servers is read from
    AFFEKT_LLM_KEY.
    """
    from affekt.captioning import PRICED, caption, price_of
    from affekt.corpora import Manifest

    _refuse_unused_options(options)
    settings = _settings(**{name: options.pop(name) for name in _OF_SETTINGS})
    prices = price_of(price_in, price_out, PRICED) if price_in or price_out else None

    def show_estimate(estimate: Estimate) -> None:
        for line in _estimate_lines(estimate):
            say(line, err=as_json)

    redirection = contextlib.redirect_stdout(sys.stderr) if options['on'] == 'ray' else contextlib.nullcontext()
    with StageBars(name_width=8) as bars, redirection:
        outcome = caption(
            Manifest.load(path, root), settings, out, prices=prices, on_estimate=show_estimate, progress=bars, **options
        )
    if as_json:
        say_json({**vars(outcome), 'folder': str(out), 'estimate': outcome.estimate and outcome.estimate.to_dict()})
    else:
        _show(outcome, options['only_estimate'])
    end_with(dict(outcome.failed) | dict(outcome.unreadable))


_OF_SETTINGS = (
    'audio_model', 'video_model', 'merge_model', 'label_model', 'server', 'audio_server', 'video_server', 'subtitle',
    'words_alone', 'second_language', 'frames', 'max_side', 'tables', 'timeout_s', 'attempts', 'trunk', 'recipes',
)  # fmt: skip


def _refuse_unused_options(options: Mapping[str, Any]) -> None:
    """Checks that the models and the engine use each given option."""
    from affekt.captioning import is_address

    if options['on'] != 'ray':
        refuse_unused('--on ray', 'workers')
    served = {step: is_address(options[f'{step}_model'] or '') for step in ('audio', 'video', 'merge', 'label')}
    for step in ('audio', 'video'):
        if not served[step]:
            refuse_unused(f'an address as --{step}-model', f'{step}_server')
    if served['audio'] and served['video']:
        refuse_unused('a describer as --audio-model or --video-model', 'trunk', 'recipes')
    if not any(served.values()):
        refuse_unused('an address of a server', 'server', 'timeout_s', 'attempts')


def _settings(
    audio_model: str, video_model: str, merge_model: str, label_model: str | None, server: str,
    audio_server: str | None, video_server: str | None, frames: int, max_side: int, tables: str, timeout_s: float,
    attempts: int, trunk: str, recipes: Sequence[tuple[str, str]], **options: Any,
) -> Any:  # fmt: skip
    from affekt.captioning import CaptionSettings, Models, Place, place_of
    from affekt.llm import ClipLimits

    def place(text: str, own_server: str | None = None) -> Place:
        return place_of(
            text, server=own_server or server, timeout_s=timeout_s, attempts=attempts, trunk=trunk, recipes=recipes
        )

    models = Models(
        place(audio_model, audio_server), place(video_model, video_server), place(merge_model),
        place(label_model) if label_model else None,
    )  # fmt: skip
    return CaptionSettings(models, ClipLimits(frames=frames, max_side=max_side), table=tables, **options)


def _estimate_lines(estimate: Estimate) -> list[str]:
    """The estimate of a run, in a few lines."""

    unknown = ' (no interval: the clips were equal)' if estimate.done > 1 else ''

    def with_interval(interval: Interval, digits: int = 0) -> str:
        value, low, high = (f'{bound:,.{digits}f}' for bound in (interval.value, interval.low, interval.high))
        if interval.low != interval.low:
            return value + unknown
        return f'{value} [{low}, {high}]'

    time = estimate.seconds
    lines = [
        f'estimate from {counted(estimate.done, "clip")} of {estimate.clips:,}, for the whole run; '
        + ('95 % intervals in brackets' if estimate.done > 1 else 'two clips give an interval'),
        f'  calls          {with_interval(estimate.calls)}',
        f'  prompt tokens  {with_interval(estimate.prompt_tokens)}',
        f'  answer tokens  {with_interval(estimate.answer_tokens)}',
        f'  time           {length(time.value)} [{length(max(0.0, time.low))} to {length(time.high)}], '
        f'{counted(estimate.at_once, "clip")} at once'
        if time.low == time.low
        else f'  time           {length(time.value)}' + unknown,
    ]
    if estimate.money is not None:
        lines.append(f'  money          {with_interval(estimate.money, 2 if estimate.money.value >= 1 else 4)}')
    if estimate.uncounted:
        lines.append(f'  {subject(estimate.uncounted, "call")} not counted in tokens by the server, and missing above')
    return lines


def _show(outcome: Captioned, only_estimate: bool) -> None:
    if only_estimate:
        say(f'{counted(outcome.done, "clip")} of {outcome.clips:,} done; continue without --estimate')
        return
    table = columns_table(('clips', 'right'), ('status', 'left'))
    for status, number in sorted(outcome.statuses.items(), key=lambda item: -item[1]):
        table.add_row(f'{number:,}', status)
    say(table)
    if outcome.lacking:
        clues = ', '.join(f'{clue} {number:,}' for clue, number in sorted(outcome.lacking.items()))
        say(f'clips without a clue: {clues}; see the column why', style='yellow')
    for reason, number in Counter(outcome.failed.values()).most_common(3):
        say(f'{counted(number, "clip")} without an answer: {reason}; the same command asks again', style='yellow')
    say(
        str(outcome.folder / 'captions.csv')
        if outcome.is_whole
        else f'{outcome.folder}: other shards are not finished yet'
    )


@caption_group.command('speaking')
@click.argument('captions', metavar='CAPTIONS', type=PATH)
@click.option('--processes', type=click.IntRange(1, 256), default=1, help='Number of scoring processes (default 1).')
@AS_JSON
def speaking(captions: Path, processes: int, as_json: bool) -> None:
    """Score whether the visible person in each clip is the speaker.

    Writes speaking.csv into the folder CAPTIONS, for `affekt caption filter --speaking`. After an interruption, run the
    same command again.
    """
    from affekt.captioning import score_speaking

    with StageBars(name_width=8) as bars:
        scores = score_speaking(captions, processes=processes, progress=bars)
    words = {True: 'speaks', False: 'does not speak'}
    counts = Counter(
        clip_score.why if (speaks := clip_score.speaks()) is None else words[speaks] for clip_score in scores
    )
    if as_json:
        say_json({'out': str(captions / 'speaking.csv'), 'clips': len(scores), 'counts': dict(counts)})
    else:
        for result, number in counts.most_common():
            say(f'{number:,} {result}')
        say(str(captions / 'speaking.csv'))
    end_with({clip_score.name: clip_score.why for clip_score in scores if clip_score.is_unreadable})


@caption_group.command('filter')
@click.argument('captions', metavar='CAPTIONS', type=PATH)
@click.option('--out', required=True, type=PATH, metavar='DIR', help='Folder for kept and left-out captions.')
@click.option('--votes', multiple=True, type=PATH, metavar='FILE', help='Predictions of a classifier; may be repeated.')
@click.option('--no-emotion', is_flag=True, help='Do not compare labels with the voted emotion.')
@click.option('--no-sentiment', is_flag=True, help='Do not compare labels with the voted sentiment.')
@click.option(
    '--neutral-within', type=click.FloatRange(0), default=0.0, metavar='X',
    help='Distance from 0 up to which a predicted value is neutral (default 0).',
)  # fmt: skip
@click.option(
    '--lengths', 'length_sd', type=click.FloatRange(0), default=2.0, metavar='SD',
    help='Maximum deviation of log length, in standard deviations; 0 keeps all (default 2).',
)  # fmt: skip
@click.option('--speaking', 'use_speaking', is_flag=True, help='Leave out clips whose visible person does not speak.')
@click.option('--threshold', type=float, metavar='SCORE', help='Minimum score of a speaker (default: as measured).')
@click.option('--keep-unknown', is_flag=True, help='Keep clips whose speaker is unknown.')
@click.option('--checks', type=PATH, metavar='DIR', help='Folder of `affekt annotate --check`: human decisions.')
@click.option('--tables', default='affekt', metavar='NAME|PATH', help='Word table with the wheels (default affekt).')
@AS_JSON
@click.option('--raw-csv', is_flag=True, help='Write texts like =1+1 unchanged, without an apostrophe in front.')
def filter_command(
    captions: Path, out: Path, votes: tuple[Path, ...], no_emotion: bool, no_sentiment: bool, neutral_within: float,
    length_sd: float, use_speaking: bool, threshold: float | None, keep_unknown: bool, checks: Path | None, tables: str,
    as_json: bool, raw_csv: bool,
) -> None:  # fmt: skip
    """Choose which captions to keep, with the reason for each one left out.

    CAPTIONS is a folder of `affekt caption`. Votes are predictions.parquet of `affekt bench merbench`, predictions.csv
    of `affekt track train`, or a table with name, emotion and sentiment.
    """
    from affekt.captioning import (
        THRESHOLD,
        FilterSettings,
        filter_captions,
        read_captions,
        read_speaking,
        read_struck,
        read_votes,
        with_checks,
        write_filtered,
    )
    from affekt.labels import load_table

    if not use_speaking:
        refuse_unused('--speaking', 'threshold', 'keep_unknown')
    if not votes:
        refuse_unused('--votes', 'no_emotion', 'no_sentiment', 'neutral_within', 'tables')
    settings = FilterSettings(
        speaking=use_speaking, threshold=THRESHOLD if threshold is None else threshold, keep_unknown=keep_unknown,
        length_sd=length_sd, emotion=not no_emotion, sentiment=not no_sentiment,
    )  # fmt: skip
    with table_notes() as notes:
        table = read_captions(captions)
        table = with_checks(table, checks) if checks else table
        filtered = filter_captions(
            table, settings, load_table(tables),
            speaking=read_speaking(captions) if use_speaking else None,
            votes=read_votes(votes, neutral_within=neutral_within) if votes else None,
            struck=read_struck(checks) if checks else None,
        )  # fmt: skip
        write_filtered(out, filtered, raw_csv=raw_csv)
    if as_json:
        counts = {'clips': len(table), 'kept': len(filtered.kept), 'left_out': filtered.counts()}
        say_json({'out': str(out), **counts, 'notes': [*notes, *filtered.notes]})
        return
    counts_table = columns_table(('clips', 'right'), ('', 'left'))
    counts_table.add_row(f'{len(filtered.kept):,}', 'kept')
    for reason, number in filtered.counts().items():
        counts_table.add_row(f'{number:,}', reason)
    say(counts_table)
    for note in filtered.notes:
        say(note, style='yellow')
    say(str(out / 'kept.csv'), str(out / 'left_out.csv'))


@caption_group.command('stats')
@click.argument('captions', metavar='CAPTIONS', type=PATH)
@click.option(
    '--filtered', type=PATH, metavar='DIR', help='Folder of `affekt caption filter`: adds the labels after filtering.'
)
@click.option('--truth', type=PATH, metavar='FILE', help='True labels (name, openset): adds the gain of merging.')
@click.option(
    '--second-language', 'second', type=PATH, metavar='FILE',
    help='Table of the second language (default: that of CAPTIONS, if it has one).',
)  # fmt: skip
@click.option('--tables', default='affekt', metavar='NAME|PATH', help='Word table (default affekt).')
@click.option('--html', 'page', type=PATH, metavar='FILE', help='Also write the statistics as a page.')
@click.option(
    '--resamples', type=click.IntRange(1, 100_000), default=1000, help='Resamples of intervals (default 1000).'
)
@click.option('--seed', type=SEED, default=0, help='Random seed of the resamples (default 0).')
@AS_JSON
def stats(
    captions: Path, filtered: Path | None, truth: Path | None, second: Path | None, tables: str, page: Path | None,
    resamples: int, seed: int, as_json: bool,
) -> None:  # fmt: skip
    """Show statistics of captions: labels, lengths, gain of merging.

    CAPTIONS is a folder or table of `affekt caption`.
    """
    import numpy as np

    from affekt.captioning import (
        LEFT_OUT,
        caption_file,
        read_captions,
        read_left_out,
        second_table,
        statistics_of,
        statistics_page,
        statistics_sheet,
    )
    from affekt.files import require_own_output
    from affekt.labels import load_table, read_answers
    from affekt.runs import write_atomically

    second = second or second_table(captions)
    if page:
        second_file = second and (second_table(second) or second)
        require_own_output(page, (caption_file(captions), filtered and filtered / LEFT_OUT, truth, second_file))
    if truth is None and second is None:
        refuse_unused('--truth or --second-language', 'resamples', 'seed')
    with table_notes() as notes:
        statistics = statistics_of(
            read_captions(captions), load_table(tables),
            left_out=read_left_out(filtered) if filtered else None,
            truth=read_answers(truth) if truth else None,
            second=second,
            rng=np.random.default_rng(seed), resamples=resamples,
        )  # fmt: skip
    if page:
        write_atomically(page, statistics_page(statistics, str(captions)).encode())
    if as_json:
        say_json(statistics.to_dict() | {'table_notes': notes})
        return
    sheet = statistics_sheet(statistics)
    for section in sheet.sections:
        say('')
        say(section.title, style='bold')
        table = columns_table(*((head, _side(index < section.left)) for index, head in enumerate(section.heads)))
        for index, column in enumerate(table.columns):
            column.no_wrap, column.overflow = index >= section.left, 'fold'
        for cells in section.cells:
            table.add_row(*cells)
        say(table)
    say('')
    for line in sheet.lines:
        say(line, style='yellow' if line in statistics.notes() else 'dim')
    if page:
        say(str(page))


def _side(is_word: bool) -> Literal['left', 'right']:
    return 'left' if is_word else 'right'
