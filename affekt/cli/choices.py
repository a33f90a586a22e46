"""Parameters that take names: listed in help, completed in a shell, with suggestions for misspelt ones.

`Named` takes the names, or a function that returns them, so that their room is loaded only when needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import click
from click.core import ParameterSource
from click.shell_completion import CompletionItem

from affekt.errors import UnknownNameError, did_you_mean

INLINE = 44
"""Maximum characters of names shown beside an option; more are listed at the end of the help."""
MOST = 20
"""Maximum number of names that an error lists."""
LARGEST_SEED = 2**63 - 1
"""Generators of torch take 64 bits; further runs count on from the seed."""


class Seed(click.IntRange):
    """A seed: a whole number that every generator takes."""

    def __init__(self) -> None:
        super().__init__(min=0)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number.

        Raises:
            click.BadParameter: it is negative, or has more than 63 bits.
        """
        seed = super().convert(value, param, ctx)
        if seed > LARGEST_SEED:
            self.fail(f'{seed} is larger than {LARGEST_SEED}, the largest seed.', param, ctx)
        return seed


SEED = Seed()
"""Type of every option `--seed`."""


class Named(click.ParamType[str]):
    """A parameter that takes one of some names or, with `others`, anything that is not a misspelt name.

    Args:
        names: the names, or a function without arguments that gives them.
        others: what else is accepted, in capitals, such as PATH; '' for nothing.
        several: whether several names may be given, separated by commas.
        in_help: the names as listed at the end of the help, if not simply one after another.
        spelled: maps allowed alternative spellings to the name.
    """

    name = 'name'

    def __init__(
        self,
        names: Iterable[str] | Callable[[], Iterable[str]],
        *,
        others: str = '',
        several: bool = False,
        in_help: Callable[[], str] | None = None,
        spelled: Callable[[str], str] = str,
    ) -> None:
        self._names = names
        self._in_help = in_help
        self._spelled = spelled
        self.others = others
        self.several = several

    def names(self) -> tuple[str, ...]:
        """All names, in their order."""
        return tuple(self._names() if callable(self._names) else self._names)

    def listed(self) -> str:
        """The names as listed at the end of the help."""
        if self._in_help:
            return self._in_help()
        text = ', '.join(self.names())
        return f'{text}, or a {self.others}' if self.others else text

    def is_long(self) -> bool:
        """Whether there are too many names to show beside the option."""
        return len('|'.join(self.names())) > INLINE

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str | None:
        """The names if they are few, else NAME, or the parameter's own metavar."""
        if self.is_long():
            return param.metavar or 'NAME'
        shown = '|'.join((*self.names(), *([self.others] if self.others else [])))
        return f'[{shown}]' if isinstance(param, click.Option) else f'{{{shown}}}'

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The value, unchanged, if it is a name or accepted otherwise.

        Raises:
            UnknownNameError: it is neither.
        """
        names = self.names()
        if not names:  # their room lacks a package, which the verb will report
            return str(value)
        for part in str(value).split(',') if self.several else [str(value)]:
            if self._spelled(part) in names or (self.others and not self._is_slip(part, names)):
                continue
            is_option = isinstance(param, click.Option)
            label = param.opts[0] if param and is_option else param.human_readable_name.strip('[].') if param else 'it'
            raise UnknownNameError(
                expected=f'one of {self._some(names)}', came=f'{part!r} for {label}', todo=did_you_mean(part, names)
            )
        return str(value)

    def _some(self, names: tuple[str, ...]) -> str:
        """The names for a sentence; of more than MOST, the first."""
        placeholders = [f'a {self.others}'] if self.others else []
        if len(names) > MOST:
            return ', '.join([*names[:MOST], f'{len(names) - MOST} more that --help lists', *placeholders])
        return ', '.join([*names, *placeholders])

    def _is_slip(self, part: str, names: Iterable[str]) -> bool:
        """Whether a part is a misspelt name: similar to one, and no path or address."""
        is_path_or_address = any(mark in part for mark in ('/', '\\', '.', ':', '='))
        return not is_path_or_address and bool(did_you_mean(part, names, ''))

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """The names that begin with the incomplete text; files if there are none and others are accepted."""
        earlier, comma, prefix = incomplete.rpartition(',') if self.several else ('', '', incomplete)
        items = [CompletionItem(f'{earlier}{comma}{name}') for name in self.names() if name.startswith(prefix)]
        return items + ([CompletionItem(incomplete, type='file')] if self.others and not items else [])


class Pairs(click.ParamType[tuple[str, str]]):
    """NAME=VALUE."""

    name = 'SOURCE=RECIPE'

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """('voice', 'acoustics-utt') from 'voice=acoustics-utt'"""
        if isinstance(value, tuple):
            return value
        name, equals, recipe = str(value).partition('=')
        if not (name and equals and recipe):
            self.fail(f'{value!r} is not {self.name}', param, ctx)
        return name, recipe


UNUSED_BY_PROBES = (
    'epochs', 'patience', 'last', 'batch_size', 'accumulation', 'learning_rate', 'layer_decay', 'drop_path',
    'no_augmentation', 'precision', 'workers', 'readers',
)  # fmt: skip
"""Parameters of commands that have no effect on a linear probe, whose head is fitted to features computed once."""


def refuse_unused(partner: str, *names: str) -> None:
    """Checks that none of these options was given; called where they have no effect.

    Args:
        partner: the option or case that uses them, such as `--on ray`.
        names: parameter names of the current command.

    Raises:
        UsageError: some were given.
    """
    context = click.get_current_context()
    options = {param.name: max(param.opts, key=len) for param in context.command.params}
    given = [name for name in names if context.get_parameter_source(name) is ParameterSource.COMMANDLINE]
    if given:
        given_options = [options[name] for name in given]
        listed = (
            ' and '.join([', '.join(given_options[:-1]), given_options[-1]])
            if len(given_options) > 1
            else given_options[0]
        )
        verb, pronoun = ('go', 'them') if len(given_options) > 1 else ('goes', 'it')
        raise click.UsageError(f'{listed} {verb} with {partner}: here nothing reads {pronoun}.')


def refuse_unused_tuning(method: str, chooses_epoch: str) -> None:
    """Checks that no option of fine-tuning was given that the method does not use.

    Args:
        method: `full`, `lora` or `linear`.
        chooses_epoch: the case that chooses an epoch, and so needs `--patience`; '' if this one does.

    Raises:
        UsageError: some were given.
    """
    if method == 'linear':
        refuse_unused('--kind full or lora', *UNUSED_BY_PROBES)
    elif chooses_epoch:
        refuse_unused(chooses_epoch, 'patience')


def recipes() -> list[str]:
    """Every recipe of features; encoders also without a suffix, which means one vector per clip."""
    from affekt.features import RECIPES, listed_recipes

    rows = listed_recipes(added=False)
    full = [name for row in rows for name in row.names]
    encoders = [name for row in rows if row.kind != 'own' for name in row.names]
    return [*full, *RECIPES.added(), *(name.removesuffix('-utt') for name in encoders if name.endswith('-utt'))]


def recipe_families() -> str:
    """The recipes without their suffixes, and the meaning of the suffixes."""
    families = dict.fromkeys(
        name.removeprefix('merbench-').removesuffix('-utt').removesuffix('-frm') for name in recipes()
    )
    endings = 'With -utt one vector per clip, with -frm a sequence; merbench- before an encoder: as published.'
    return f'{", ".join(families)}. {endings}'


def corpora() -> tuple[str, ...]:
    """Every corpus that can be imported."""
    from affekt.corpora import CORPORA

    return tuple(CORPORA)


def columns() -> tuple[str, ...]:
    """Every column of a manifest."""
    from affekt.corpora.manifest import COLUMNS

    return tuple(COLUMNS)


def leaks() -> tuple[str, ...]:
    """Every kind of leak that fails a check; 'recording' applies to labels by frame."""
    from affekt.corpora.checks import TRUSTED

    return (*TRUSTED, 'recording')


def reasons() -> tuple[str, ...]:
    """Every reason for which a description may be left out."""
    from affekt.corpora import REASONS

    return tuple(REASONS)


def unibench_sets() -> tuple[str, ...]:
    """Every set of MER-UniBench, by its name in files and folders."""
    from affekt.benchmarks import UNIBENCH

    return tuple(release.key for release in UNIBENCH)


def unibench_key(name: str) -> str:
    """The key of a set by its published name or folder; the name itself if it is unknown."""
    from affekt.benchmarks import set_named

    try:
        return set_named(name).key
    except UnknownNameError:
        return name


def model_files() -> tuple[str, ...]:
    """Every model file."""
    from affekt.weights import MODELS

    return tuple(MODELS)


def tracks() -> tuple[str, ...]:
    """Every track of a challenge."""
    from affekt.challenges import TRACKS

    return tuple(TRACKS)


def tracks_of_all() -> tuple[str, ...]:
    """Every track of a challenge, those that answer for each frame included."""
    from affekt.challenges import FRAME_TRACKS

    return (*tracks(), *FRAME_TRACKS)


def fusion_models() -> tuple[str, ...]:
    """Every fusion model; none without torch."""
    try:
        from affekt.fusion import FUSION_MODELS
    except ImportError:
        return ()
    return tuple(FUSION_MODELS)


def frame_clocks() -> tuple[str, ...]:
    """Every method of resampling features to the frames of a video; the last is learned with a model."""
    from affekt.frames import CLOCK_METHODS

    return (*CLOCK_METHODS, 'learned')


def sequence_models() -> tuple[str, ...]:
    """Every model of frames; none without torch."""
    try:
        from affekt.sequence_models import SEQUENCE_MODELS
    except ImportError:
        return ()
    return tuple(SEQUENCE_MODELS)


def frame_losses() -> tuple[str, ...]:
    """The loss settings of frame-level models, each with `=` at its end; () without torch."""
    try:
        from affekt.sequence_models import LOSS_SETTINGS
    except ImportError:
        return ()
    return tuple(f'{name}=' for name in LOSS_SETTINGS)


def frame_loss_values() -> str:
    """The loss settings of frame-level models with the possible values of each."""
    values = {
        'affect_loss=': 'ccc|mse|both', 'affect_across=': 'batch|window', 'affect_moments=': 'population|published',
        'unit_balance=': 'yes|no',
    }  # fmt: skip
    return ', '.join(f'{name}{values.get(name, "NUMBER")}' for name in frame_losses())


def exports() -> tuple[str, ...]:
    """Every format of timelines."""
    from affekt.analysis import EXPORTS

    return tuple(EXPORTS)


def recognisers() -> tuple[str, ...]:
    """Every speech recogniser by name."""
    from affekt.analysis import ASR_NAMES

    return tuple(ASR_NAMES)


def tie_models() -> tuple[str, ...]:
    """Every model of ties."""
    from affekt.ranking.ties import TIE_MODELS

    return tuple(TIE_MODELS)


def interval_methods() -> tuple[str, ...]:
    """Every method for intervals of a ranking."""
    from affekt.ranking.leaderboard import BOOTSTRAP
    from affekt.ranking.uncertainty import METHODS

    return (*METHODS, BOOTSTRAP)


def judge_strategies() -> tuple[str, ...]:
    """Every strategy of a judge."""
    from affekt.judging.strategies import STRATEGIES

    return tuple(STRATEGIES)


def servers() -> tuple[str, ...]:
    """Every server software whose form of images, audio and video is known."""
    from affekt.llm import SERVERS

    return tuple(SERVERS)


def reference_judges() -> tuple[str, ...]:
    """Every judge by name: the references, and those of other packages."""
    from affekt.judging.plain_judges import REFERENCES

    return tuple(REFERENCES)


def metrics() -> tuple[str, ...]:
    """Every metric of categories or values."""
    from affekt.metrics import METRICS

    return tuple(METRICS)


def licenses() -> tuple[str, ...]:
    """Every setting of the licence of models."""
    from affekt.analysis import LICENSES

    return tuple(LICENSES)


def noises() -> tuple[str, ...]:
    """Every synthetic noise."""
    from affekt.corruption.noises import NAMED

    return tuple(NAMED)


def noise_presets() -> tuple[str, ...]:
    """Every challenge whose noisy clips can be reproduced."""
    from affekt.corruption import PRESETS

    return tuple(PRESETS)


SERVER = click.option(
    '--server', default='openai', type=Named(servers), help='Server that runs at the endpoint (default openai).'
)
"""Determines the form of images, audio and video in requests; see `affekt.llm.forms`."""
WORD_TABLES = ('affekt', '2025', '2026')
