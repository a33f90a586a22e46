"""Plugins: recipes, fusion models, corpora, metrics, judges and exports that other packages add by entry points.

Each registry is a `Members`: the built-in members and, by name, those of installed packages. No code of a package is
imported before one of its names is requested or a list of members is shown. A member that cannot be used raises an
error that names its package and entry point when it is requested, and affects nothing else.
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
"""Group to the word in the name of its check in `affekt.testing`."""
GROUPS = tuple(_CHECKS)
"""Kinds of members that can be added; their entry points are in the group `affekt.NAME`."""
NAME = re.compile(r'\w[\w.+-]*( [\w.+-]+)*')
"""A name that can be used on a command line, in a comma-separated list, and as a folder name."""

T = TypeVar('T')


@dataclass(frozen=True)
class Plugin:
    """An entry point of an installed package."""

    group: str
    """Group of the entry point without `affekt.`."""
    name: str
    value: str
    """Location of the member: `package.module:attribute`."""
    package: str
    version: str
    entry: EntryPoint | None = field(default=None, repr=False, compare=False)
    """None where the entry points of the package cannot be read."""

    def error(self, came: str) -> PluginError:
        """The error that names this plugin and says how to remove it."""
        return PluginError(
            expected=f'{self.name!r} of the package {self.package} {self.version} '
            f'(entry point affekt.{self.group}, {self.value})',
            came=came,
            todo=f'update that package, or remove it: pip uninstall {self.package}',
        )

    def load(self) -> Any:
        """Import and return the member.

        Raises:
            PluginError: it cannot be loaded, for any reason.
        """
        if self.entry is None or self.entry.pattern.match(self.value) is None:
            raise self.error('an entry point that is not NAME = MODULE:ATTRIBUTE')
        if not NAME.fullmatch(self.name):
            raise self.error('a name that is not letters, digits, and -, _, + or . between')
        try:
            with contextlib.redirect_stdout(sys.stderr):  # output of the module must not mix with results
                return self.entry.load()
        except (Exception, SystemExit) as error:  # foreign code may raise anything
            raise self.error(f'{type(error).__name__}: {_first_line(error)}') from error


@dataclass(frozen=True)
class Listed:
    """An entry point with the error of loading it, if any."""

    plugin: Plugin
    error: PluginError | None

    def to_dict(self) -> dict[str, str]:
        """Package, version, group, name, location of the member, and error ('' for none)."""
        plugin = self.plugin
        return {
            'package': plugin.package,
            'version': plugin.version,
            'group': plugin.group,
            'name': plugin.name,
            'value': plugin.value,
            'error': '' if self.error is None else str(self.error),
        }


Wrong = Callable[[str, Any], str]
"""Takes a name and the object that a package offers; returns the fault of the object, '' for none."""


_in_use: dict[Plugin, None] = {}
"""Plugins that this process has requested by name."""


class Members(Mapping[str, T], Generic[T]):
    """The members of a group by name, built-in ones first.

    Iteration gives all names; getting a member loads it, or raises the error for which it cannot be used. `items` and
    `values` give the usable members only.

    Args:
        group: one of `GROUPS`.
        own: name to built-in member.
        wrong: check of members of other packages.
        taken: returns further built-in names.
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
        """Name to the entry points that add it, more than one where packages conflict; nothing is loaded."""
        by_name: dict[str, tuple[Plugin, ...]] = {}
        offered = [plugin for plugin in installed() if plugin.group == self.group]
        built_in = {_folded(name) for name in (*self.own, *(self._taken() if offered else ()))}
        for plugin in offered:
            if _folded(plugin.name) not in built_in and NAME.fullmatch(plugin.name):
                by_name[plugin.name] = (*by_name.get(plugin.name, ()), plugin)
        return by_name

    def listed(self) -> tuple[Listed, ...]:
        """Every entry point of the group, loaded, with its error if it cannot be used."""
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
        """Within the block, attribute unexpected errors to the package of a member, if it is not built in.

        Raises:
            PluginError: in place of any error of such a member except AffektError, OSError and MemoryError.
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
        """Names and members, without members that cannot be used."""
        return self._usable().items()

    def values(self) -> ValuesView[T]:
        """Members, without those that cannot be used."""
        return self._usable().values()

    def _usable(self) -> dict[str, T]:
        added = {name: plugins[0] for name, plugins in self.added().items() if self._error(plugins[0]) is None}
        return {**self.own, **{name: self._member(plugin) for name, plugin in added.items()}}

    def _member(self, plugin: Plugin) -> T:
        member = self._loaded[plugin]
        assert not isinstance(member, PluginError)
        return member

    def _error(self, plugin: Plugin) -> PluginError | None:
        """The error for which an entry point cannot be used; None if it can. It is loaded only once."""
        rivals = [
            other.package
            for other in installed()
            if _group_and_name(other) == _group_and_name(plugin) and other != plugin
        ]
        if rivals:
            return plugin.error(f'the same name from {listed(rivals)}')
        if plugin not in self._loaded:
            self._loaded[plugin] = self._opened(plugin)
        member = self._loaded[plugin]
        return member if isinstance(member, PluginError) else None

    def _opened(self, plugin: Plugin) -> T | PluginError:
        if _folded(plugin.name) in {_folded(name) for name in (*self.own, *self._taken())}:
            return plugin.error(f'a name that affekt itself has in affekt.{self.group}')
        try:
            member: T = plugin.load()
            wrong = self._wrong(plugin.name, member)
        except PluginError as error:
            return error
        except Exception as error:  # foreign objects may raise on any access
            wrong = f'{type(error).__name__}: {_first_line(error)}'
        return plugin.error(wrong) if wrong else member


def called(name: str, member: Any) -> str:
    """The fault of a member that is not callable; '' if it is. The check where a function or class is needed."""
    return '' if callable(member) else f'{member!r:.80}, which cannot be called'


def named_as(wanted: type[Any]) -> Wrong:
    """A check that a member is an object of a class and has the name that it is offered under."""

    def wrong(name: str, member: Any) -> str:
        if not isinstance(member, wanted):
            return f'an object of type {type(member).__name__}, not {wanted.__name__}'
        return '' if member.name == name else f'a {wanted.__name__} that calls itself {member.name!r}'

    return wrong


def added_names(group: str) -> tuple[str, ...]:
    """The names that other packages add to a group, for packages of affekt that do not have its registry."""
    return tuple(plugin.name for plugin in installed() if plugin.group == group)


def blamed(error: BaseException) -> PluginError | None:
    """The error that attributes an unexpected one to the plugin in whose code it arose, or else to the one used last.

    Args:
        error: the exception, also one from a worker process.

    Returns:
        The error to show; None if no code of a plugin is involved and none has been requested by name.
    """
    plugins = installed()
    file_paths = re.findall(r'File "([^"]+)"', ''.join(traceback.format_exception(error))) if plugins else []
    in_use_first = sorted(plugins, key=lambda plugin: plugin not in _in_use)  # one module may define several members
    for file_path in reversed(file_paths):
        for plugin in in_use_first:
            module_name = re.split('[.:]', plugin.value)[0]
            module = sys.modules.get(module_name) if module_name != 'affekt' else None
            folders = [f'{folder}{os.sep}' for folder in getattr(module, '__path__', ())]
            if file_path == getattr(module, '__file__', None) or file_path.startswith(tuple(folders)):
                return plugin.error(f'{type(error).__name__} in its code: {_first_line(error)}')
    for plugin in reversed([plugin for plugin in _in_use if plugin in plugins]):
        check = f'affekt.testing.check_{_CHECKS[plugin.group]}'
        return plugin.error(
            f'{type(error).__name__} while it was in use ({_first_line(error)}), which {check} explains'
        )
    return None


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or ['no message'])[0][:300]


def strangers() -> tuple[Listed, ...]:
    """Entry points under `affekt.` whose group is not in `GROUPS`, or that cannot be read."""
    unknown = [plugin for plugin in installed() if plugin.group not in GROUPS]
    return tuple(
        Listed(plugin, plugin.error(f'no group of that name; {did_you_mean(plugin.group, GROUPS, _CHOOSE)}'))
        if plugin.entry
        else Listed(plugin, plugin.error('a list of entry points that cannot be read'))
        for plugin in unknown
    )


_CHOOSE = f'there are {", ".join(f"affekt.{group}" for group in GROUPS)}'


def installed() -> tuple[Plugin, ...]:
    """All entry points under `affekt.` of the installed packages, sorted; nothing is loaded."""
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
                by_package.setdefault(_folded(package), _plugins_of(distribution, package))  # the first one is imported
        except Exception:  # a damaged package, perhaps unrelated to affekt
            continue
    plugins = [plugin for of_package in by_package.values() for plugin in of_package]
    return tuple(sorted(plugins, key=lambda plugin: (plugin.group, plugin.name, plugin.package)))


def _plugins_of(distribution: Distribution, package: str) -> list[Plugin]:
    version = str(distribution.version)
    try:
        entries = list(distribution.entry_points)
    except Exception:  # a line is not a valid entry point
        return [Plugin('', 'entry points', 'entry_points.txt', package, version)]
    return [
        Plugin(entry.group.removeprefix('affekt.'), entry.name, entry.value, package, version, entry)
        for entry in entries
        if entry.group.startswith('affekt.')
    ]


def _group_and_name(plugin: Plugin) -> tuple[str, str]:
    return plugin.group, _folded(plugin.name)


def _folded(name: str) -> str:
    """A name in the form by which names are compared."""
    return re.sub(r'[-_. ]+', '-', name).casefold()
