"""Members that other packages add by entry points: recipes, fusion models, corpora, metrics, judges, exports.

Every table to choose from is a `Members`: the built-in ones and, by the same names, those of installed packages.
Nothing of a package is imported before one of its names is asked for, or a list of members is shown. A member that
cannot be used says so when it is asked for, by package and entry point, and spoils nothing else.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import traceback
from collections.abc import Callable, ItemsView, Iterable, Iterator, Mapping, ValuesView
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from affekt.errors import AffektError, PluginError, did_you_mean, listed

if TYPE_CHECKING:
    from importlib.metadata import Distribution, EntryPoint

_CHECKS = {
    'recipes': 'recipe', 'fusion': 'fusion', 'corpora': 'corpus', 'metrics': 'metric', 'judges': 'judge',
    'exports': 'export',
}  # fmt: skip
"""Group to what its contract in `affekt.testing` is called after."""
GROUPS = tuple(_CHECKS)
"""What can be added; the entry points of each stand under `affekt.` and its name."""
NAME = re.compile(r'\w[\w.+-]*( [\w.+-]+)*')
"""A name that can stand on a command line, in a list with commas, and as the name of a folder."""

T = TypeVar('T')


@dataclass(frozen=True)
class Plugin:
    """One entry point of an installed package."""

    group: str
    """Below `affekt.`."""
    name: str
    value: str
    """Where the member is: `package.module:attribute`."""
    package: str
    version: str
    entry: EntryPoint | None = field(default=None, repr=False, compare=False)
    """None where the package's list of entry points cannot be read."""

    def error(self, came: str) -> PluginError:
        """What is wrong with it, and how to be rid of it."""
        return PluginError(
            expected=f'{self.name!r} of the package {self.package} {self.version} '
            f'(entry point affekt.{self.group}, {self.value})',
            came=came,
            todo=f'update that package, or remove it: pip uninstall {self.package}',
        )

    def load(self) -> Any:
        """The member.

        Raises:
            PluginError: it cannot be loaded, whatever the reason.
        """
        if self.entry is None or self.entry.pattern.match(self.value) is None:
            raise self.error('an entry point that is not NAME = MODULE:ATTRIBUTE')
        if not NAME.fullmatch(self.name):
            raise self.error('a name that is not letters, digits, and -, _, + or . between')
        try:
            with contextlib.redirect_stdout(sys.stderr):  # what a module prints is no part of an answer
                return self.entry.load()
        except (Exception, SystemExit) as error:  # a stranger's module may raise anything
            raise self.error(f'{type(error).__name__}: {_first_line(error)}') from error


@dataclass(frozen=True)
class Listed:
    """An entry point and what became of it."""

    plugin: Plugin
    error: PluginError | None

    def to_dict(self) -> dict[str, str]:
        """Package, version, group, name, where the member is, and the error; '' for none."""
        of = self.plugin
        return {
            'package': of.package, 'version': of.version, 'group': of.group, 'name': of.name, 'value': of.value,
            'error': '' if self.error is None else str(self.error),
        }  # fmt: skip


Wrong = Callable[[str, Any], str]
"""Takes a name and what a package offers under it; says what that is instead of a member, '' for nothing."""


_in_use: dict[Plugin, None] = {}
"""What this process has asked for by name."""


class Members(Mapping[str, T], Generic[T]):
    """The members of a group by name, built-in ones first.

    All names stand in it, and by its name each member is loaded or says why it cannot be. `items` and `values` give
    those that can be used.

    Args:
        group: one of `GROUPS`.
        own: the built-in members.
        wrong: tells what is no member.
        taken: gives names that are built in besides.
    """

    def __init__(
        self,
        group: str,
        own: Mapping[str, T],
        wrong: Wrong,
        taken: Callable[[], Iterable[str]] = tuple,
    ) -> None:
        self.group, self.own = group, own
        self._wrong, self._taken = wrong, taken
        self._loaded: dict[Plugin, T | PluginError] = {}

    def added(self) -> dict[str, tuple[Plugin, ...]]:
        """Name to the entry points that add it, one each but for a quarrel; nothing is loaded."""
        by_name: dict[str, tuple[Plugin, ...]] = {}
        offered = [plugin for plugin in installed() if plugin.group == self.group]
        built_in = {_plain(name) for name in (*self.own, *(self._taken() if offered else ()))}
        for plugin in offered:
            if _plain(plugin.name) not in built_in and NAME.fullmatch(plugin.name):
                by_name[plugin.name] = (*by_name.get(plugin.name, ()), plugin)
        return by_name

    def listed(self) -> tuple[Listed, ...]:
        """Every entry point of the group, loaded, with its error where it cannot be used."""
        return tuple(Listed(plugin, self._error(plugin)) for plugin in installed() if plugin.group == self.group)

    def __getitem__(self, name: str) -> T:
        if name in self.own:
            return self.own[name]
        plugins = self.added()[name]
        if (error := self._error(plugins[0])) is not None:
            raise error
        _in_use[plugins[0]] = None
        return self._member(plugins[0])

    @contextlib.contextmanager
    def blaming(self, name: str) -> Iterator[None]:
        """Within it, what the code of another package's member raises is said to be its own.

        Raises:
            PluginError: in place of what nobody foresaw.
        """
        try:
            yield
        except (AffektError, OSError, MemoryError):
            raise
        except Exception as error:
            if name in self.own:
                raise
            came = f'{type(error).__name__} in its code: {_first_line(error)}'
            raise self.added()[name][0].error(came) from error

    def __iter__(self) -> Iterator[str]:
        yield from self.own
        yield from self.added()

    def __len__(self) -> int:
        return len(self.own) + len(self.added())

    def __contains__(self, name: object) -> bool:
        return name in self.own or name in self.added()

    def items(self) -> ItemsView[str, T]:
        """Names and members, without those that cannot be used."""
        return self._usable().items()

    def values(self) -> ValuesView[T]:
        """The members, without those that cannot be used."""
        return self._usable().values()

    def _usable(self) -> dict[str, T]:
        added = {name: plugins[0] for name, plugins in self.added().items() if self._error(plugins[0]) is None}
        return {**self.own, **{name: self._member(plugin) for name, plugin in added.items()}}

    def _member(self, plugin: Plugin) -> T:
        member = self._loaded[plugin]
        assert not isinstance(member, PluginError)
        return member

    def _error(self, plugin: Plugin) -> PluginError | None:
        """Why an entry point cannot be used; loads it once."""
        rivals = [other.package for other in installed() if _names(other) == _names(plugin) and other != plugin]
        if rivals:
            return plugin.error(f'the same name from {listed(rivals)}')
        if plugin not in self._loaded:
            self._loaded[plugin] = self._opened(plugin)
        member = self._loaded[plugin]
        return member if isinstance(member, PluginError) else None

    def _opened(self, plugin: Plugin) -> T | PluginError:
        if _plain(plugin.name) in {_plain(name) for name in (*self.own, *self._taken())}:
            return plugin.error(f'a name that affekt itself has in affekt.{self.group}')
        try:
            member: T = plugin.load()
            wrong = self._wrong(plugin.name, member)
        except PluginError as error:
            return error
        except Exception as error:  # a stranger's object may raise anything when it is looked at
            wrong = f'{type(error).__name__}: {_first_line(error)}'
        return plugin.error(wrong) if wrong else member


def called(name: str, member: Any) -> str:
    """What is wrong where a function, or a class, is wanted."""
    return '' if callable(member) else f'{member!r:.80}, which cannot be called'


def named_as(wanted: type[Any]) -> Wrong:
    """What is wrong where an object of a class is wanted that knows its own name."""

    def wrong(name: str, member: Any) -> str:
        if not isinstance(member, wanted):
            return f'an object of type {type(member).__name__}, not {wanted.__name__}'
        return '' if member.name == name else f'a {wanted.__name__} that calls itself {member.name!r}'

    return wrong


def added_names(group: str) -> tuple[str, ...]:
    """The names that other packages add to a group, for rooms that do not have its table."""
    return tuple(plugin.name for plugin in installed() if plugin.group == group)


def blamed(error: BaseException) -> PluginError | None:
    """An error that nobody foresaw as that of the package in whose code it arose, or whose member was in use.

    Returns:
        The error to show; None where no member of a package was asked for by its name.

    Args:
        error: as it was caught, or as a process beside this one sent it.
    """
    plugins = installed()
    places = re.findall(r'File "([^"]+)"', ''.join(traceback.format_exception(error))) if plugins else []
    in_use_first = sorted(plugins, key=lambda plugin: plugin not in _in_use)  # one module may hold several members
    for place in reversed(places):
        for plugin in in_use_first:
            top = re.split('[.:]', plugin.value)[0]
            module = sys.modules.get(top) if top != 'affekt' else None
            folders = [f'{folder}{os.sep}' for folder in getattr(module, '__path__', ())]
            if place == getattr(module, '__file__', None) or place.startswith(tuple(folders)):
                return plugin.error(f'{type(error).__name__} in its code: {_first_line(error)}')
    for plugin in reversed([each for each in _in_use if each in plugins]):
        check = f'affekt.testing.check_{_CHECKS[plugin.group]}'
        return plugin.error(
            f'{type(error).__name__} while it was in use ({_first_line(error)}), which {check} explains'
        )
    return None


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or ['without a word'])[0][:300]


def strangers() -> tuple[Listed, ...]:
    """Entry points under `affekt.` whose group is none of `GROUPS`, or that cannot be read."""
    unknown = [plugin for plugin in installed() if plugin.group not in GROUPS]
    return tuple(
        Listed(plugin, plugin.error(f'no group of that name; {did_you_mean(plugin.group, GROUPS, _CHOOSE)}'))
        if plugin.entry
        else Listed(plugin, plugin.error('a list of entry points that cannot be read'))
        for plugin in unknown
    )


_CHOOSE = f'there are {", ".join(f"affekt.{group}" for group in GROUPS)}'


def installed() -> tuple[Plugin, ...]:
    """Every entry point under `affekt.` of the packages that Python finds now, sorted; nothing is loaded."""
    return _installed(tuple(sys.path))


@lru_cache(maxsize=8)
def _installed(path: tuple[str, ...]) -> tuple[Plugin, ...]:
    from importlib.metadata import distributions

    by_package: dict[str, list[Plugin]] = {}
    for distribution in distributions(path=list(path)):
        try:
            text = distribution.read_text('entry_points.txt') or ''
            if '[affekt.' in text:
                package = distribution.metadata['Name']
                by_package.setdefault(_plain(package), _plugins_of(distribution, package))  # the first one is imported
        except Exception:  # a damaged package that may have nothing to do with affekt
            continue
    plugins = [plugin for each in by_package.values() for plugin in each]
    return tuple(sorted(plugins, key=lambda plugin: (plugin.group, plugin.name, plugin.package)))


def _plugins_of(distribution: Distribution, package: str) -> list[Plugin]:
    version = str(distribution.version)
    try:
        entries = list(distribution.entry_points)
    except Exception:  # a line of it is no entry point
        return [Plugin('', 'entry points', 'entry_points.txt', package, version)]
    return [
        Plugin(entry.group.removeprefix('affekt.'), entry.name, entry.value, package, version, entry)
        for entry in entries
        if entry.group.startswith('affekt.')
    ]


def _names(plugin: Plugin) -> tuple[str, str]:
    return plugin.group, _plain(plugin.name)


def _plain(name: str) -> str:
    """Names that nobody would tell apart are one."""
    return re.sub(r'[-_. ]+', '-', name).casefold()
