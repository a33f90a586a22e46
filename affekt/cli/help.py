"""Formatting of help: names and examples at its end, verbs grouped by purpose."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import click

from affekt.cli.choices import Named
from affekt.errors import did_you_mean
from affekt.terminal import say

HAS_RESUME = 'affekt.has_resume'
LONG = (
    'analyze', 'stream', 'demo', 'extract', 'judge', 'corrupt', 'features extract', 'bench unibench', 'bench ovmer',
    'bench merbench', 'bench finetune', 'track train', 'prefer train', 'annotate', 'weights get',
    'bench analyze', 'bench describers', 'bench abaw', 'bench dfer', 'bench reenact',
    'describe', 'describe train', 'describe inspect', 'caption run', 'caption speaking', 'reenact',
    'reenact train-refiner', 'pretrain', 'finetune', 'checkpoint inspect', 'checkpoint convert', 'corpus make',
    'corpus vocals',
)  # fmt: skip
"""Verbs that load for long before they print anything."""
EXAMPLES: Mapping[str, tuple[str, ...]] = {
    'analyze': (
        'affekt analyze interview.mp4',
        'affekt analyze recordings/ --out study --resume',
        'affekt analyze talk.mkv --transcript talk.srt --asr none',
    ),
    'stream': (
        'affekt stream --page',
        'affekt stream clip.mp4 --seconds 10 --out live',
        'affekt stream rtsp://camera.local/stream --json > readings.jsonl',
    ),
    'report': ('affekt report study',),
    'export': ('affekt export study --to eaf', 'affekt export study --to csv --out tables'),
    'demo': ('affekt demo', 'affekt demo --out first --silent'),
    'extract': (
        'affekt extract descriptions.csv --out labels.csv',
        'affekt extract descriptions.csv --out labels.csv --endpoint http://localhost:8000/v1 --model NAME',
    ),
    'corpus list': ('affekt corpus list',),
    'corpus check': ('affekt corpus check meld.parquet', 'affekt corpus check meld.parquet --accept dialogue'),
    'corpus folds': (
        'affekt corpus folds clips.parquet --out folds.parquet --count 5',
        'affekt corpus folds clips.parquet --by speaker --by dialogue --out folds.parquet',
    ),
    'corpus show': ('affekt corpus show meld.parquet --samples 10',),
    'features list': ('affekt features list --runs',),
    'features import': (
        'affekt features import clip-vit-large-UTT --out features --manifest meld.parquet',
        'affekt features import egemaps.csv --modality audio --out features',
    ),
    'features check': ('affekt features check features/minilm-utt --manifest meld.parquet',),
    'track write': (
        'affekt track write mer2024-semi predictions.csv --out submission.csv',
        'affekt track write abaw6-va answers.parquet --out VA.txt --frames sample.txt',
    ),
    'track check': (
        'affekt track check mer2024-semi submission.csv --candidates names.csv',
        'affekt track check abaw6-va VA.txt --frames sample.txt',
        'affekt track check abaw6-va VA.txt',
    ),
    'track score': (
        'affekt track score mer2024-semi submission.csv --truth truth.csv',
        'affekt track score abaw6-va VA.txt --truth affwild2.parquet',
    ),
    'finetune': (
        'affekt finetune --from run --manifest m.parquet --label emotion --out tuned',
        'affekt finetune --from checkpoint.pth --manifest m.parquet --kind linear --validation 0.2 --out quick',
    ),
    'checkpoint inspect': ('affekt checkpoint inspect checkpoint-99.pth', 'affekt checkpoint inspect model.pt --all'),
    'checkpoint convert': (
        'affekt checkpoint convert checkpoint-99.pth --out hicmae.safetensors --licence MIT',
        'affekt checkpoint convert model.bin --out model.safetensors --dtype float16',
        'affekt checkpoint convert hicmae.pth --out hicmae.onnx',
    ),
    'caption run': (
        'affekt caption run clips.parquet --audio-model http://localhost:8000/v1 '
        '--video-model http://localhost:8001/v1 --merge-model http://localhost:8002/v1 --out captions --estimate',
    ),
    'caption speaking': ('affekt caption speaking captions --processes 4',),
    'caption filter': ('affekt caption filter captions --votes run/predictions.parquet --speaking --out kept',),
    'caption stats': ('affekt caption stats captions --filtered kept --truth truth.csv --html stats.html',),
    'rank': ('affekt rank votes.csv --control length --html ranking.html',),
    'judge': (
        'affekt judge a.csv b.csv --endpoint http://localhost:8000/v1 --model NAME',
        'affekt judge a.csv b.csv --reference "longer text"',
    ),
    'annotate': ('affekt annotate pairs.csv --media clips', 'affekt annotate --out pairs-votes --export-only'),
    'prefer train': ('affekt prefer train judged.csv --out model --control length',),
    'prefer evaluate': ('affekt prefer evaluate model judged.csv',),
    'prefer predict': ('affekt prefer predict model candidates.csv --out submission.csv',),
    'prefer check': ('affekt prefer check submission.csv --candidates candidates.csv',),
    'prefer score': ('affekt prefer score submission.csv --truth truth.csv',),
    'doctor': (
        'affekt doctor --thorough',
        'affekt doctor --endpoint http://localhost:8000/v1 --model NAME --server vllm',
    ),
    'plugins': ('affekt plugins --json',),
    'weights list': ('affekt weights list',),
    'weights get': ('affekt weights get', 'affekt weights get whisper-base'),
    'weights verify': ('affekt weights verify',),
    'notice': ('affekt notice > notice.txt',),
}
"""Verb to its examples, if its description shows none; a test parses each."""


def name_of(ctx: click.Context) -> str:
    """The verb without the program's name, such as 'bench merbench'."""
    words: list[str] = []
    while ctx.parent is not None:
        words.insert(0, str(ctx.info_name))
        ctx = ctx.parent
    return ' '.join(words)


def _lines(example: str, width: int) -> list[str]:
    """An example wrapped into lines before options, never between an option and its value."""
    bound = re.sub(r'(?<= )(--\S+) (?!--)', '\\1\xa0', example)
    lines = textwrap.wrap(bound, width, break_on_hyphens=False, break_long_words=False)
    return [line.replace('\xa0', ' ') for line in lines]


class _NamesInHelp(click.Command):
    """A command whose help ends with the names that an option or an argument can take."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """The parsed arguments; slow commands first print that they load, since checking an option may load a room."""
        self.say_loading(ctx, args)
        given = list(args)  # the parser empties its list
        left = super().parse_args(ctx, args)
        self.note_repeated(ctx, given)
        self.refuse_nan(ctx)
        return left

    def note_repeated(self, ctx: click.Context, args: Sequence[str]) -> None:
        """Print which options with one value were given several times: their last value is used, as scripts expect."""
        if ctx.resilient_parsing:
            return
        _, _, order = self.make_parser(ctx).parse_args(args=list(args))
        for option in self.params:
            takes_one = isinstance(option, click.Option) and not (option.multiple or option.count)
            is_plain_flag = isinstance(option, click.Option) and option.is_flag and not option.secondary_opts
            if takes_one and not is_plain_flag and order.count(option) > 1:
                name = max(option.opts, key=len)
                say(f'{name} was given {order.count(option)} times, but takes one value: the last is used', err=True)

    def refuse_nan(self, ctx: click.Context) -> None:
        """Raise click.BadParameter for an option that is nan, which passes every comparison with a bound."""
        if ctx.resilient_parsing:
            return
        for param in self.params:
            value = ctx.params.get(param.name or '')
            values = value if isinstance(value, tuple) else (value,)
            if any(isinstance(each, float) and math.isnan(each) for each in values):
                raise click.BadParameter("'nan' is not a number.", ctx, param)

    def say_loading(self, ctx: click.Context, args: Sequence[str]) -> None:
        """Print that a slow command is loading, unless help or completion is wanted; note whether it has --resume."""
        ctx.meta[HAS_RESUME] = any(param.name == 'resume' for param in self.params)
        name = name_of(ctx)
        lacks_all = not args and any(param.required for param in self.params)  # only its usage is shown
        if name in LONG and not (lacks_all or ctx.resilient_parsing or {'-h', '--help'} & set(args)):
            say(f'{name}: loading …', err=True, style='dim')

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The examples, if the description shows none."""
        super().format_epilog(ctx, formatter)
        examples = EXAMPLES.get(name_of(ctx), ())
        if examples:
            with formatter.section('Example' if len(examples) == 1 else 'Examples'):
                for example in examples:
                    formatter.write('  ' + ' \\\n      '.join(_lines(example, formatter.width - 8)) + '\n')

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The options, then names that are too many to show beside one."""
        super().format_options(ctx, formatter)
        for param in self.get_params(ctx):
            if isinstance(param.type, Named) and param.type.is_long():
                label = param.opts[0] if isinstance(param, click.Option) else param.make_metavar(ctx).strip('[].')
                with formatter.section(f'{label} can be'):
                    width = formatter.width - formatter.current_indent
                    for line in textwrap.wrap(param.type.listed(), width, break_on_hyphens=False):
                        formatter.write(f'{"":{formatter.current_indent}}{line}\n')


class Verb(_NamesInHelp):
    """A command without subcommands."""


class VerbGroup(click.Group):
    """A group of verbs, in `sections` if given; misspelt verbs get a suggestion."""

    command_class = Verb
    sections: Mapping[str, Sequence[str]] = {}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands in the order of the sections, not alphabetically."""
        order = [name for names in self.sections.values() for name in names]
        return sorted(self.commands, key=lambda name: order.index(name) if name in order else len(order))

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """One line per verb, under the heading of its section."""
        sections = self.sections or {'Commands': self.list_commands(ctx)}
        for heading, names in sections.items():
            rows = [(name, self.commands[name].get_short_help_str(500)) for name in names if name in self.commands]
            width = max(map(len, self.commands))
            with formatter.section(heading):
                formatter.write_dl([(name.ljust(width), text) for name, text in rows])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command named by the first word.

        Raises:
            click.UsageError: there is none.
        """
        if args and self.get_command(ctx, args[0]) is None and not args[0].startswith('-'):
            advice = did_you_mean(args[0], self.commands, f'see `{ctx.command_path} --help`')
            raise click.UsageError(f'No such command {args[0]!r}; {advice}', ctx)
        return super().resolve_command(ctx, args)


VerbGroup.group_class = VerbGroup


class OwnArgument(click.Argument):
    """An argument of a verb with subcommands, which is not part of their usage."""

    def get_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Its own metavar, if its verb is the one that is run."""
        return super().get_usage_pieces(ctx) if self in ctx.command.params else []


class VerbWithVerbs(_NamesInHelp, VerbGroup):
    """A verb that runs by itself and has subcommands: `describe clip.mp4`, and `describe train`.

    A first word that equals a subcommand runs it; write a file of that name with its folder, `./train`.
    """

    allow_extra_args = False
    allow_interspersed_args = True

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """The remaining arguments belong to the subcommand if one is named, else to this verb."""
        if args and args[0] in self.commands:
            ctx.args = args
            return args
        self.say_loading(ctx, args)
        given = list(args)  # the parser empties its list
        left = click.Command.parse_args(self, ctx, args)
        self.note_repeated(ctx, given)
        self.refuse_nan(ctx)
        return left

    def invoke(self, ctx: click.Context) -> Any:
        """Run the named subcommand, else this verb."""
        if not ctx.args:
            with ctx:
                return click.Command.invoke(self, ctx)
        with ctx:
            name, command, args = self.resolve_command(ctx, ctx.args)
            assert command is not None  # an unknown one was a usage error
            ctx.invoked_subcommand = name
            with command.make_context(name, args, parent=ctx) as subcontext:
                return command.invoke(subcontext)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Its own options and arguments."""
        return click.Command.collect_usage_pieces(self, ctx)
