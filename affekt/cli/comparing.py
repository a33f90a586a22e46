"""Verbs that compare descriptions: judge asks a model, annotate asks people, bench describers combines all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from affekt.cli.bench import (
    PATH,
    TABLES,
    TABLES_HELP,
    bench,
    label_reader,
    model_query_options,
    opening,
    refuse_unused_model_options,
    with_notes,
)
from affekt.cli.choices import SEED, SERVER, Named, judge_strategies, reference_judges, refuse_unused
from affekt.cli.group import AS_JSON, end_with, main, table_notes
from affekt.cli.rank import judge_tables
from affekt.terminal import StageBars, say, say_json
from affekt.wording import counted, subject

if TYPE_CHECKING:
    from affekt.judging import Judge, Price
    from affekt.llm import Chat, ReplayCache


def _prices(context: click.Context, option: click.Parameter, texts: tuple[str, ...]) -> dict[str, Price]:
    """MODEL=PROMPT,ANSWER to prices by model."""
    from affekt.judging import Price

    prices = {}
    for text in texts:
        model, _, numbers = text.rpartition('=')
        try:
            prompt, answer = (float(number) for number in numbers.split(','))
        except ValueError:
            raise click.BadParameter(f'{text!r} is not MODEL=PROMPT,ANSWER', context, option) from None
        prices[model] = Price(prompt, answer)
    return prices


@main.command()
@click.argument('descriptions', nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    '--out', default='verdicts.csv', type=click.Path(path_type=Path), help='Table of verdicts (default verdicts.csv).'
)
@click.option('--media', type=click.Path(path_type=Path), help='Folder of clips, named like their samples.')
@click.option(
    '--pairs', type=click.Path(path_type=Path), help='Table sample,left,right (default every pair of describers).'
)
@click.option('--column', metavar='NAME', help='Column of descriptions (default description, reason, english …).')
@click.option(
    '--strategy', default='s1', type=Named(judge_strategies), help='Strategy; all but s1 need --media (default s1).'
)
@click.option('--endpoint', metavar='URL', help='Server of the models, such as http://localhost:8000/v1.')
@click.option('--model', metavar='NAME', help='Name of the model at the endpoint.')
@SERVER
@click.option('--probe', is_flag=True, help='First check that media reach the model.')
@click.option('--judge-model', metavar='NAME', help='Text-only model in s3 and s4 (default: --model).')
@click.option('--judge-endpoint', metavar='URL', help='Server of that model (default: --endpoint).')
@click.option('--local', metavar='PATH', help='Model in this process: a folder or a .gguf file; s1 without media.')
@click.option(
    '--reference',
    '--judge',
    type=Named(reference_judges),
    metavar='NAME',
    help='Judge by name, instead of a model: a reference judge, or one that a package adds.',
)
@click.option('--replay', is_flag=True, help='Use only saved answers; fail if one is missing.')
@click.option('--cache', type=click.Path(path_type=Path), help='Folder of answers (default: beside --out).')
@click.option(
    '--frames', type=int, default=8, metavar='N', help='Maximum number of frames per clip; 0 sends none (default 8).'
)
@click.option('--max-side', type=int, default=512, metavar='PX', help='Longest side of a frame (default 512).')
@click.option('--sound', is_flag=True, help='Also send audio, as WAV of at most 30 s; many servers refuse it.')
@click.option('--no-schema', is_flag=True, help='Do not ask for a JSON schema; for servers that refuse one.')
@click.option('--price', 'prices', multiple=True, metavar='M=P,A', callback=_prices,
              help='Price of a million prompt and answer tokens of model M.')  # fmt: skip
@click.option('--at-once', type=click.IntRange(1, 256), default=4, help='Pairs judged at once (default 4).')
@click.option('--timeout', 'timeout_s', type=float, default=120.0, help='Seconds to wait for an answer (default 120).')
@AS_JSON
@click.option('--raw-csv', is_flag=True, help='Write texts like =1+1 unchanged, without an apostrophe in front.')
def judge(
    descriptions: tuple[Path, ...], out: Path, as_json: bool, media: Path | None, pairs: Path | None,
    column: str | None, prices: dict[str, Price], at_once: int, raw_csv: bool, **options: Any,
) -> None:  # fmt: skip
    """Ask a model which of two descriptions of emotion is better.

    DESCRIPTIONS are two or more tables (csv, xlsx, jsonl …: name, description), one per describer; or one table of
    pairs: name,a1,a2[,preference,model1,model2]. Every pair is shown in both orders; if the two verdicts disagree,
    the pair is a tie. `affekt rank` reads the verdicts. Every answer is saved at once: after an interruption, run the
    same command again, and only missing answers are requested. A key for the endpoint is read from AFFEKT_LLM_KEY.
    """
    from affekt.judging import judge_descriptions

    with table_notes() as notes, _judge(out, bool(media), **options) as rater, StageBars() as bars:
        report = judge_descriptions(
            descriptions, rater, out=out, media=media, pairs=pairs, column=column, at_once=at_once, prices=prices,
            settings={name: value for name, value in options.items() if name in SAVED}, progress=bars,
            raw_csv=raw_csv,
        )  # fmt: skip
    if as_json:
        say_json({'out': str(out), **report.to_dict(), 'notes': notes})
    else:
        say(judge_tables(report), '', str(out), columns=80)
    end_with(report.unanswered)


SAVED = ('strategy', 'model', 'judge_model', 'local', 'reference', 'server', 'frames', 'max_side', 'sound', 'no_schema')
"""Options that affect verdicts and are saved with them."""


OF_MODELS = (
    'strategy', 'model', 'judge_model', 'endpoint', 'judge_endpoint', 'local', 'server', 'probe', 'replay', 'cache',
    'frames', 'max_side', 'sound', 'no_schema', 'timeout_s',
)  # fmt: skip


@contextlib.contextmanager
def _judge(
    out: Path, has_media: bool, reference: str | None, local: str | None, cache: Path | None, **options: Any
) -> Iterator[Judge]:
    """The chosen judge: a reference judge, or a language model with stored answers."""
    from affekt.judging import reference_judge
    from affekt.llm import ReplayCache

    if reference is not None:
        refuse_unused('a model that is asked (without --reference)', *OF_MODELS)
        yield reference_judge(reference)
        return
    if local is None and not (options['model'] and (options['endpoint'] or options['replay'])):
        raise click.UsageError('Name a model: --endpoint and --model, --replay and --model, --local, or --reference.')
    if local is not None and (options['endpoint'] or has_media):
        raise click.UsageError('--local asks a model that reads only text: leave --endpoint and --media out.')
    if options['strategy'] not in ('s3', 's4'):
        refuse_unused('--strategy s3 or s4', 'judge_model', 'judge_endpoint')
    if local is not None:
        refuse_unused('--endpoint', 'server', 'timeout_s')
    if not has_media:
        refuse_unused('--media', 'probe', 'frames', 'max_side', 'sound')
    with ReplayCache(cache or out.with_name(f'{out.name}.answers')) as answers, contextlib.ExitStack() as servers:
        yield _language_judge(answers, servers, has_media, local, **options)


def _language_judge(
    answers: ReplayCache,
    servers: contextlib.ExitStack,
    has_media: bool,
    local: str | None,
    strategy: str,
    model: str | None,
    judge_model: str | None,
    endpoint: str | None,
    judge_endpoint: str | None,
    server: str,
    probe: bool,
    replay: bool,
    frames: int,
    max_side: int,
    sound: bool,
    no_schema: bool,
    timeout_s: float,
) -> Judge:
    from affekt.judging import LanguageModelJudge, Panel
    from affekt.llm import (
        LEFT_OUT_BY,
        ClipLimits,
        Endpoint,
        LocalModel,
        NobodyToAsk,
        RememberingChat,
        form_of,
        require_media,
    )  # fmt: skip

    limits = ClipLimits(frames=frames, max_side=max_side, sound=sound)

    def remembering(name: str, url: str | None, is_shown_clips: bool = False) -> Chat:
        chat: Chat
        if replay:
            chat = NobodyToAsk(name, answers.folder)
        elif local is not None:
            chat = LocalModel(Path(local), name)
        else:
            key = os.environ.get('AFFEKT_LLM_KEY') or None
            chat = Endpoint(
                str(url), name, server=server, api_key=key, timeout_s=timeout_s,
                left_out_by={medium: LEFT_OUT_BY[medium] for medium in ('image', 'video')},
            )  # fmt: skip
            servers.enter_context(chat)
            if probe and is_shown_clips and has_media:
                require_media(chat, limits.media, answers.folder)
        return RememberingChat(chat, answers)

    visual_chat = remembering(model or Path(str(local)).name, endpoint, is_shown_clips=True)
    has_text_model = judge_model or judge_endpoint
    text_chat = remembering(judge_model or str(model), judge_endpoint or endpoint) if has_text_model else visual_chat
    panel = Panel(visual_chat, text_chat, uses_schema=not no_schema)
    return LanguageModelJudge(panel, strategy, limits, form_of(server))


@main.command()
@click.argument('pairs', nargs=-1, type=click.Path(path_type=Path))
@click.option('--media', type=click.Path(path_type=Path), metavar='DIR', help='Folder of clips, found by name.')
@click.option('--without-media', is_flag=True, help='Show only the texts where a clip is missing.')
@click.option('--gold', type=click.Path(path_type=Path), metavar='FILE', help='Pairs with known verdicts.')
@click.option('--out', type=click.Path(path_type=Path), metavar='DIR', help='Folder of votes (default PAIRS-votes).')
@click.option('--resume', is_flag=True, help='Continue in that folder, with the same votes and links.')
@click.option('--export-only', is_flag=True, help='Write the votes of --out as files and stop.')
@click.option(
    '--check', is_flag=True, help='Have captions checked instead: PAIRS is a folder or table of `affekt caption`.'
)
@click.option('--test-items', type=int, default=12, metavar='N', help='Number of gold items at the start (default 12).')
@click.option(
    '--test-share',
    type=float,
    default=0.75,
    metavar='SHARE',
    help='Share of gold items to answer correctly (default 0.75).',
)
@click.option(
    '--gold-every',
    type=int,
    default=10,
    metavar='N',
    help='Votes between later gold items; 0 for none (default 10).',
)
@click.option(
    '--floor', type=int, default=2, metavar='N', help='Minimum number of votes per pair of describers (default 2).'
)
@click.option('--seed', type=SEED, default=0, metavar='N', help='Random seed of orders and sides (default 0).')
@click.option(
    '--host', default='127.0.0.1', metavar='ADDRESS', help='Address to listen on (default 127.0.0.1: this machine).'
)
@click.option('--port', type=int, default=0, metavar='N', help='Port to listen on; 0 takes any free one (default 0).')
@click.option('--token', metavar='TEXT', help='Token that raters need (default: a random one).')
@click.option('--json', 'as_json', is_flag=True, help='Print the links as one JSON object.')
@click.option('--raw-csv', is_flag=True, help='Write texts like =1+1 unchanged, without an apostrophe in front.')
def annotate(
    pairs: tuple[Path, ...], out: Path | None, export_only: bool, as_json: bool, host: str, port: int,
    token: str | None, raw_csv: bool, check: bool, **options: Any,
) -> None:  # fmt: skip
    """Ask people which of two descriptions fits a clip better, on a local
    web page; or have captions checked.

    \b
    PAIRS  name,a1,a2[,model1,model2]                 EmoPrefer
           name,left,right,left_text,right_text
           several files of descriptions (name,text), one for each describer
           tasks.json, .csv                           from Label Studio
           a folder or table of captions, with --check
    """
    if export_only:
        refuse_unused('a page (without --export-only)', 'host', 'port', 'token')
    if check:
        refuse_unused('pairs (without --check)', 'test_items', 'test_share', 'gold_every', 'floor', 'seed')
        address = {'host': host, 'port': port, 'token': token}
        media = {name: options[name] for name in ('media', 'without_media', 'resume')}
        _check(pairs, out, export_only, as_json, raw_csv, options['gold'], address, media)
        return
    from affekt.annotation import StudySettings, export_notes, export_votes, prepare
    from affekt.annotation import annotate as serve
    from affekt.serve import require_serving_parts

    if not pairs and not (export_only and out):
        raise click.UsageError('give PAIRS, or --export-only with --out')
    folder = out or _beside(pairs[0], 'votes')
    options['without_media'] |= export_only
    names = [field.name for field in fields(StudySettings)]
    settings = StudySettings(**{name: options.pop(name) for name in names if name in options})
    if export_only and (not pairs or (folder.exists() and not options['resume'])):
        if pairs:
            say(f'{folder} holds a study, so PAIRS are not read; --resume reads them', err=True, style='yellow')
        written = export_votes(folder, raw=raw_csv)
    else:
        if not export_only:
            require_serving_parts()
        prepared = prepare(pairs, folder, settings=settings, **options)
        if export_only:
            prepared.study.close()
            for note in prepared.notes:
                say(note, err=True, style='yellow')
            written = export_votes(folder, raw=raw_csv)
        else:
            started = partial(_show_links, as_json=as_json)
            written = serve(prepared, host=host, port=port, token=token, started=started, raw_csv=raw_csv)
            say(f'every vote is kept in {folder}; the same command with --resume goes on', err=True)
    for path in written:
        say(str(path), err=as_json)
    for note in export_notes(folder):
        say(note, err=True, style='yellow')


def _beside(path: Path, suffix: str) -> Path:
    """A folder beside a file or folder, named after it."""
    path = path if path.name not in ('', '..') else path.resolve()  # `.` has no name of its own
    return path.with_name(f'{path.stem}-{suffix}')


def _check(
    captions: tuple[Path, ...], out: Path | None, export_only: bool, as_json: bool, raw_csv: bool, gold: Path | None,
    address: dict[str, Any], media: dict[str, Any],
) -> None:  # fmt: skip
    """Serve captions to check, or only export the checks."""
    from affekt.annotation import check_captions, export_checks, prepare_checks
    from affekt.serve import require_serving_parts

    if len(captions) > 1 or not (captions or (export_only and out)) or gold:
        raise click.UsageError('with --check, give one folder or table of captions, and no --gold')
    folder = out or _beside(captions[0], 'checks')
    if export_only:
        written = export_checks(folder, raw=raw_csv)
    else:
        require_serving_parts()
        started = partial(_show_check_links, as_json=as_json)
        prepared = prepare_checks(captions[0], folder, **media)
        written = check_captions(prepared, started=started, raw_csv=raw_csv, **address)
        say(f'every mark is kept in {folder}; the same command with --resume goes on', err=True)
    for path in written:
        say(str(path), err=as_json)


def _show_check_links(links: Any, as_json: bool) -> None:
    if as_json:
        say_json(links.to_dict())
        return
    say(f'{counted(links.clips, "caption")} to check; marks in {links.out}')
    if links.without_clip:
        say(f'{subject(links.without_clip, "clip")} missing; texts are shown alone there')
    for note in links.notes:
        say(note, style='yellow')
    say(f'checkers  {links.checkers}')
    if links.is_open:
        say('other machines reach this page, unencrypted: use it in a network that you trust')
    say('Ctrl-C stops; --resume goes on.')


def _show_links(links: Any, as_json: bool) -> None:
    if as_json:
        say_json(links.to_dict())
        return
    test = f', a test of {links.test_items}' if links.test_items else ', no test (no --gold)'
    say(f'{counted(links.pairs, "pair")}, {links.gold} gold{test}; votes in {links.out}')
    if links.without_clip:
        say(f'{subject(links.without_clip, "clip")} missing; texts are shown alone there')
    for note in links.notes:
        say(note, style='yellow')
    say(f'raters       {links.raters}')
    say(f'leaderboard  {links.board}')
    if links.is_open:
        say('other machines reach this page, unencrypted: use it in a network that you trust')
    say('Ctrl-C stops; --resume goes on.')


@bench.command()
@click.argument('models', nargs=-1, required=True, metavar='NAME=WHERE...')
@click.option('--out', type=PATH, default=Path('describers-run'), help='Folder for answers, tables and the page.')
@click.option('--media', type=PATH, help='Clips to describe: manifest, table (name, text, file) or folder of files.')
@click.option('--truth', type=PATH, help='Table of true labels, name and openset (default: those of --media).')
@click.option(
    '--votes', multiple=True, type=PATH, help='Existing verdicts, in a form that affekt rank reads. Repeatable.'
)
@click.option('--judge', metavar='URL', help='Server of a model that compares descriptions, in both orders.')
@click.option('--judge-model', metavar='NAME', help='Name of that model.')
@click.option('--judge-sees', is_flag=True, help='Also show the judge the clips; --media is then a folder of files.')
@click.option('--preference', type=PATH, help='Preference model from affekt prefer train, as a further judge.')
@click.option('--labels', type=PATH, help='Labels of MER-UniBench: also run it, on models that can be asked.')
@click.option('--set-media', type=PATH, help='Clips of MER-UniBench, as for --media of bench unibench.')
@click.option('--tables', multiple=True, type=TABLES, help=f'{TABLES_HELP} May be repeated; default all present.')
@model_query_options
@click.option('--resamples', type=click.IntRange(0, 100_000), default=2000, help='Resamples (default 2000).')
@click.option('--seed', type=SEED, default=0, help='Random seed (default 0).')
@AS_JSON
def describers(
    models: Sequence[str], out: Path, media: Path | None, truth: Path | None, votes: Sequence[Path],
    judge: str | None, judge_model: str | None, judge_sees: bool, preference: Path | None, labels: Path | None,
    set_media: Path | None, tables: Sequence[str], resamples: int, seed: int, as_json: bool, **model_options: Any,
) -> None:  # fmt: skip
    """Several describers on one leaderboard, with its possible biases.

    \b
    affekt bench describers a=a.csv b=b.csv --truth truth.csv --votes votes.csv
    affekt bench describers mine=run qwen=http://localhost:8000/v1 \\
        --server qwen=vllm --media clips --judge http://localhost:8001/v1 \\
        --judge-model NAME --out board

    A model is a describer's folder (or small), a server's address, or a table of descriptions. OUT gets board.html,
    board.md and board.json: labels against a truth, verdicts raw and without the effects of length, order and
    self-preference, MER-UniBench, coverage, and reference judges that read nothing. The same command continues after
    an interruption.
    """
    import numpy as np

    from affekt.cli.bench_tables import sheet_tables
    from affekt.describers import (
        Sources,
        bench_models,
        board_facts,
        board_page,
        board_sheet,
        clips_of,
        compare_describers,
        model_choices,
    )  # fmt: skip
    from affekt.experiments import sheet_markdown
    from affekt.judging import reference_judge
    from affekt.labels import read_answers
    from affekt.metrics import official_parse
    from affekt.runs import write_atomically
    from affekt.typed_json import json_file

    if bool(judge) != bool(judge_model):
        raise click.UsageError('--judge and --judge-model belong together.')
    choices = model_choices(models, served=model_options.pop('served'), servers=model_options.pop('servers'))
    refuse_unused_model_options(choices, asks_a_server=bool(model_options['reader'] or judge), shows_a_judge=judge_sees)
    if not judge:
        refuse_unused('--judge', 'judge_sees')
    if judge_sees and media is None:
        raise click.UsageError('--judge-sees shows clips to the judge: give their folder as --media.')
    if labels is None:
        refuse_unused('--labels', 'set_media')
    rng, open_model = np.random.default_rng(seed), opening(model_options)
    with table_notes() as notes, StageBars(name_width=14) as bars, contextlib.ExitStack() as stack:
        extractor = stack.enter_context(label_reader(out, **model_options))
        scored = None
        if labels is not None:
            askable = [choice for choice in choices if choice.form != 'table']
            scored, _ = bench_models(
                askable, out / 'unibench', labels=labels, media=set_media or media, open_model=open_model,
                extractor=extractor, rng=rng, table=tables[0] if tables else '2025', at_once=model_options['at_once'],
                resamples=resamples, progress=bars,
            )  # fmt: skip
        texts: Mapping[str, Any] = read_answers(truth) if truth else {}
        board = compare_describers(
            choices, out, clips=clips_of(media) if media else None, open_model=open_model, extractor=extractor,
            rng=rng, truth={sample: official_parse(text) for sample, text in texts.items()} if truth else None,
            media=media if judge_sees else None, unibench=scored, tables=tables,
            sources=Sources(
                votes, _judges(judge, judge_model, preference, out, judge_sees, stack, model_options),
                [reference_judge('longer text')] if judge or preference else (),
            ),
            at_once=model_options['at_once'], resamples=resamples, progress=bars,
        )  # fmt: skip
    sheet, answer = board_sheet(board), with_notes({**board_facts(board), 'run': str(out)}, notes)
    write_atomically(out / 'board.json', json_file(answer))
    write_atomically(out / 'board.md', sheet_markdown(sheet).encode())
    write_atomically(out / 'board.html', board_page(board).encode())
    if as_json:
        say_json(answer)
    else:
        say(sheet_tables(sheet), columns=80)
        say('', f'page {out / "board.html"}')
    failures = [(row.name, clip, reason) for row in board.describers for clip, reason in row.failures.items()]
    end_with({f'{name}, {clip}': reason for name, clip, reason in failures})


def _judges(
    url: str | None, model: str | None, preference: Path | None, out: Path, is_shown_clips: bool,
    stack: contextlib.ExitStack,    model_options: Mapping[str, Any],
) -> list[Judge]:  # fmt: skip
    """The named judges: a model on a server with stored answers, and a learned preference model."""
    from affekt.judging import LanguageModelJudge, Panel, PreferenceJudge
    from affekt.llm import LEFT_OUT_BY, ClipLimits, Endpoint, RememberingChat, ReplayCache, require_media

    judges: list[Judge] = []
    if url and model:
        key = os.environ.get('AFFEKT_LLM_KEY') or None
        served = stack.enter_context(
            Endpoint(url, model, api_key=key, timeout_s=model_options['timeout_s'], left_out_by=LEFT_OUT_BY)
        )
        limits = ClipLimits(frames=model_options['frames'], sound=not model_options['no_sound'])
        if is_shown_clips and not model_options['no_probe']:
            require_media(served, limits.media, out / 'judge')
        chat = RememberingChat(served, stack.enter_context(ReplayCache(out / 'judge')))
        judges.append(LanguageModelJudge(Panel(chat, chat), 's1', limits, served.form))
    if preference is not None:
        from affekt.preference import load_preferences

        judges.append(PreferenceJudge(load_preferences(preference), f'preference {preference.stem}'))
    return judges
