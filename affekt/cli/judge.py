"""The verb that has descriptions compared by a model: judge."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from affekt.cli.choices import SERVER, Named, judge_strategies, reference_judges
from affekt.cli.group import AS_JSON, main, table_notes
from affekt.cli.rank import judge_tables
from affekt.terminal import StageBars, say, say_json

if TYPE_CHECKING:
    from affekt.judging import Judge, Price
    from affekt.llm import Chat, ReplayCache


def _prices(context: click.Context, option: click.Parameter, given: tuple[str, ...]) -> dict[str, Price]:
    """MODEL=PROMPT,ANSWER to prices by model."""
    from affekt.judging import Price

    prices = {}
    for text in given:
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
@click.option('--media', type=click.Path(path_type=Path), help='Folder of clips, named after their samples.')
@click.option(
    '--pairs', type=click.Path(path_type=Path), help='Table sample,left,right (default every two describers).'
)
@click.option('--column', metavar='NAME', help='Column of descriptions (default description, reason, english …).')
@click.option(
    '--strategy', default='s1', type=Named(judge_strategies), help='Strategy; all but s1 need --media (default s1).'
)
@click.option('--endpoint', metavar='URL', help='Server of the models, such as http://localhost:8000/v1.')
@click.option('--model', metavar='NAME', help='Name of the model at the endpoint.')
@SERVER
@click.option('--probe', is_flag=True, help='Check first that what is sent of a clip reaches the model.')
@click.option('--judge-model', metavar='NAME', help='Model that reads, in s3 and s4 (default: --model).')
@click.option('--judge-endpoint', metavar='URL', help='Server of that model (default: --endpoint).')
@click.option('--local', metavar='PATH', help='Model in this process: a folder or a .gguf file; s1 without media.')
@click.option(
    '--reference',
    '--judge',
    type=Named(reference_judges),
    metavar='NAME',
    help='Judge by name, instead of a model: a reference that reads nothing, or one that a package adds.',
)
@click.option('--replay', is_flag=True, help='Use saved answers only; fail where one is missing.')
@click.option('--cache', type=click.Path(path_type=Path), help='Folder of answers (default: beside --out).')
@click.option(
    '--frames', type=int, default=8, metavar='N', help='Maximum number of frames per clip; 0 sends none (default 8).'
)
@click.option('--max-side', type=int, default=512, metavar='PX', help='Longest side of a frame (default 512).')
@click.option('--sound', is_flag=True, help='Send sound too, as WAV of at most 30 s; many servers refuse it.')
@click.option('--no-schema', is_flag=True, help='Do not ask for a JSON schema; for servers that refuse one.')
@click.option('--price', 'prices', multiple=True, metavar='M=P,A', callback=_prices,
              help='Price of a million prompt and answer tokens of model M.')  # fmt: skip
@click.option('--at-once', type=click.IntRange(1, 256), default=4, help='Pairs judged at once (default 4).')
@click.option('--timeout', 'timeout_s', type=float, default=120.0, help='Seconds to wait for an answer (default 120).')
@AS_JSON
@click.option('--raw-csv', is_flag=True, help='Texts like =1+1 as they are, without an apostrophe for spreadsheets.')
def judge(
    descriptions: tuple[Path, ...], out: Path, as_json: bool, media: Path | None, pairs: Path | None,
    column: str | None, prices: dict[str, Price], at_once: int, raw_csv: bool, **chosen: Any,
) -> None:  # fmt: skip
    """Have a model say which of two descriptions of emotion is better.

    DESCRIPTIONS are two or more tables (csv, xlsx, jsonl …: name, description), one per describer; or one table of
    pairs: name,a1,a2[,preference,model1,model2]. Every pair is shown in both orders; where the two verdicts disagree,
    the pair is a tie. `affekt rank` reads the verdicts. Every answer is saved at once: after an interruption, run the
    same command again, and only what is missing is asked. A key for the endpoint is read from AFFEKT_LLM_KEY.
    """
    from affekt.judging import judge_descriptions

    with table_notes() as notes, _judge(out, bool(media), **chosen) as rater, StageBars() as bars:
        report = judge_descriptions(
            descriptions, rater, out=out, media=media, pairs=pairs, column=column, at_once=at_once, prices=prices,
            settings={name: value for name, value in chosen.items() if name in SAVED}, progress=bars,
            raw_csv=raw_csv,
        )  # fmt: skip
    if as_json:
        say_json({'out': str(out), **report.to_dict(), 'notes': notes})
    else:
        say(judge_tables(report), '', str(out), columns=80)


SAVED = ('strategy', 'model', 'judge_model', 'local', 'reference', 'server', 'frames', 'max_side', 'sound', 'no_schema')
"""Options that decide verdicts and are saved beside them."""


@contextlib.contextmanager
def _judge(
    out: Path, has_media: bool, reference: str | None, local: str | None, cache: Path | None, **chosen: Any
) -> Iterator[Judge]:
    """The judge that was chosen: a reference, or models that remember."""
    from affekt.judging import reference_judge
    from affekt.llm import ReplayCache

    if reference is not None:
        yield reference_judge(reference)
        return
    if local is None and not (chosen['model'] and (chosen['endpoint'] or chosen['replay'])):
        raise click.UsageError('Name a model: --endpoint and --model, --replay and --model, --local, or --reference.')
    if local is not None and (chosen['endpoint'] or has_media):
        raise click.UsageError('--local asks a model that reads only text: leave --endpoint and --media out.')
    with ReplayCache(cache or out.with_name(f'{out.name}.answers')) as answers, contextlib.ExitStack() as servers:
        yield _language_judge(answers, servers, has_media, local, **chosen)


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
    from affekt.llm import ClipLimits, Endpoint, LocalModel, NobodyToAsk, RememberingChat, form_of, require_media

    limits = ClipLimits(frames=frames, max_side=max_side, sound=sound)

    def remembering(name: str, url: str | None, sees: bool = False) -> Chat:
        chat: Chat
        if replay:
            chat = NobodyToAsk(name, answers.folder)
        elif local is not None:
            chat = LocalModel(Path(local), name)
        else:
            key = os.environ.get('AFFEKT_LLM_KEY') or None
            chat = Endpoint(str(url), name, server=server, api_key=key, timeout_s=timeout_s)
            servers.enter_context(chat)
            if probe and sees and has_media:
                require_media(chat, limits.media, answers.folder)
        return RememberingChat(chat, answers)

    seeing = remembering(model or Path(str(local)).name, endpoint, sees=True)
    is_another = judge_model or judge_endpoint
    reading = remembering(judge_model or str(model), judge_endpoint or endpoint) if is_another else seeing
    panel = Panel(seeing, reading, uses_schema=not no_schema)
    return LanguageModelJudge(panel, strategy, limits, form_of(server))
