"""Every error that affekt raises on purpose. Each says what was expected, what came, and what to do.

The command line turns any of them into one sentence and exit code 2; a traceback is a bug.
"""

from __future__ import annotations

import difflib
import importlib.util
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

LONGEST_PART = 2000
"""Characters: a name from a stranger's file may have millions."""
LONGEST_FAULT = 400
"""Characters of one fault of many."""
SHOWN_FAULTS = 20
"""Faults of a file that one error lists in full; the rest is counted."""


class AffektError(Exception):
    """Base of all deliberate errors: `expected …; got …; …`."""

    def __init__(
        self, *, expected: str, came: str, todo: str, steps: tuple[str, ...] = (), faults: tuple[str, ...] = ()
    ) -> None:
        self.expected, self.came, self.todo = _shortened(expected), _shortened(came), _shortened(todo)
        self.steps = steps
        """Lines to type, where they say more than a sentence does."""
        self.faults = tuple(_shortened(fault, LONGEST_FAULT) for fault in faults)
        """What is wrong line by line, where `came` says how much; as `shown_faults` has it."""
        super().__init__(str(self))

    def __str__(self) -> str:
        each = ':' + ''.join(f'\n  {fault}' for fault in self.faults) if self.faults else ''
        return f'expected {self.expected}; got {self.came}{each}; {self.todo}'

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.expected, self.came, self.todo, self.steps, self.faults))


def _shortened(part: str, most: int = LONGEST_PART) -> str:
    """The part with both ends, where it is too long to be read; what it is about often stands at the end."""
    if len(part) <= most:
        return part
    return f'{part[: most // 2]} … ({len(part):,} characters) … {part[-most // 4 :]}'


def _rebuild(
    error_class: type[AffektError],
    expected: str,
    came: str,
    todo: str,
    steps: tuple[str, ...],
    faults: tuple[str, ...] = (),
) -> AffektError:
    return error_class(expected=expected, came=came, todo=todo, steps=steps, faults=faults)


def shown_faults(faults: Sequence[str], count: int | None = None) -> tuple[str, ...]:
    """The first `SHOWN_FAULTS` of what is wrong with a file, and a line on how many more there are.

    Args:
        faults: a sentence each.
        count: of all faults, where not all of them are there.
    """
    shown = tuple(faults[:SHOWN_FAULTS])
    more = (len(faults) if count is None else count) - len(shown)
    return (*shown, f'and {more:,} more') if more > 0 else shown


class ShapeError(AffektError, ValueError):
    """An array has the wrong shape or type."""


class ValueRangeError(AffektError, ValueError):
    """A number lies outside its range, or is not a number."""


class UnknownNameError(AffektError, LookupError):
    """A name is not among the known ones."""


class MediaError(AffektError, OSError):
    """A media file is missing, empty, damaged or of an unsupported kind."""


class LimitError(MediaError):
    """A media file declares or holds more pixels, seconds, streams or bytes than allowed."""


class FileError(AffektError, OSError):
    """A path names a folder, a pipe, a device or a socket where only a regular file may be read."""


class WeightsError(AffektError, OSError):
    """A model file is missing, damaged, or not the one that was asked for."""


class ArchiveError(AffektError, ValueError):
    """A NumPy archive is damaged, or holds more than arrays and plain values."""


class TableError(AffektError, ValueError):
    """A table of words, labels or predictions cannot be read, or its names do not match."""


class CorpusError(AffektError, OSError):
    """A folder holds no release of the corpus that was asked for, or too little of it."""


class LeakError(AffektError, ValueError):
    """Samples that belong together stand on both sides of a split."""


class TranscriptError(AffektError, ValueError):
    """A transcript or subtitle file cannot be read."""


class ComparisonError(TableError):
    """A comparison, or a table of comparisons or of pairs, cannot be read."""


class UnrankableError(AffektError, ValueError):
    """Comparisons have no finite strengths, or an effect that they cannot tell."""


class VoteError(AffektError, ValueError):
    """A vote contradicts a stored one, or answers nothing that was shown."""


class RunError(AffektError, OSError):
    """A run folder is missing, foreign, in use, or made with other settings."""


class StorageError(RunError):
    """A file or folder cannot be written: no room, no right, or something else in its place."""


class TrainingError(AffektError, RuntimeError):
    """Training cannot go on, or its model is not one to report: its numbers are not finite, or its answers all one."""


class LLMError(AffektError, OSError):
    """A language model's server gave no answer, or the folder of answers cannot be used."""


class QuestionRefusedError(LLMError):
    """A server that answers refuses this very question, and would refuse it again."""


class PurposeError(AffektError, ValueError):
    """The stated purpose is one for which emotion inference is refused."""


class PortraitError(AffektError, ValueError):
    """A picture shows no face, or none that can be moved."""


class ConsentError(AffektError, ValueError):
    """A face may not be animated: nothing was stated on the person, or it is a child's by the user's own statement."""


class ProvenanceError(AffektError, ValueError):
    """A file's manifest cannot be written or read, or a signing key does not fit its certificate."""


class MissingExtraError(AffektError, ImportError):
    """An optional part is not installed."""


def missing_extra(part: str, extra: str, *, came: str = 'none installed', instead: str = '') -> MissingExtraError:
    """The one sentence on an optional part that is not installed, to be raised.

    Args:
        part: what is missing, such as 'torch, which trains'.
        extra: of affekt, which brings it.
        came: what was there instead, such as the error of the import.
        instead: what may be done without it.
    """
    todo = f"install it: pip install 'affekt[{extra}]'{', or ' * bool(instead)}{instead}"
    return MissingExtraError(expected=part, came=came, todo=todo)


def require_torch() -> None:
    """Nothing where torch can be imported; it is not, so that asking costs nothing.

    Raises:
        MissingExtraError: it is not installed.
    """
    if importlib.util.find_spec('torch') is None:
        raise missing_extra('torch, which trains', 'torch')


class PluginError(AffektError, RuntimeError):
    """What another package adds to affekt cannot be used."""


class ContractError(AffektError, AssertionError):
    """A recipe, model, corpus, metric, judge or export does not do what every one of them must."""


class UnexpectedError(AffektError, RuntimeError):
    """Something went wrong in one file that nobody foresaw; the others go on."""


@contextmanager
def raised_as(wanted: type[AffektError], *caught: type[AffektError]) -> Iterator[None]:
    """Errors of the block under the class that a caller was promised, with the same sentence.

    Args:
        wanted: the class to raise.
        caught: the classes that are turned into it.

    Raises:
        AffektError: of the class `wanted`, where one of `caught` was raised.
    """
    try:
        yield
    except caught as error:
        raise wanted(expected=error.expected, came=error.came, todo=error.todo, faults=error.faults) from error


def did_you_mean(name: str, known: Iterable[str], otherwise: str = 'choose one of them') -> str:
    """The name that was probably meant, as advice; `otherwise` where none is near.

    >>> did_you_mean('fusd', ['face', 'voice', 'fused'])
    "did you mean 'fused'?"
    """
    plain = {other.casefold(): other for other in known}
    near = difflib.get_close_matches(name.casefold(), plain, n=1, cutoff=0.6)
    return f'did you mean {plain[near[0]]!r}?' if near else otherwise


def listed(names: Iterable[str], most: int = 5) -> str:
    """The first few names, quoted, and how many more there are: for messages."""
    every = list(names)
    more = f' and {len(every) - most} more' if len(every) > most else ''
    return ', '.join(map(repr, every[:most])) + more


def short(text: object, most: int = 60) -> object:
    """A text cut to what a message can hold; anything else as it is."""
    return text[: most - 1] + '…' if isinstance(text, str) and len(text) > most else text
