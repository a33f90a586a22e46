"""All errors that affekt raises deliberately. Each says what was expected, what was found, and what to do.

The command line prints any of them as one sentence and exits with code 2; a traceback is a bug.
"""

from __future__ import annotations

import difflib
import importlib.util
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

LONGEST_PART = 2000
"""Maximum number of characters of a part: a name from an untrusted file may have millions."""
LONGEST_FAULT = 400
"""Maximum number of characters of one fault in a list."""
SHOWN_FAULTS = 20
"""Number of faults of a file that an error lists; the others are counted."""


_USER_INFO = re.compile(
    r"""(\b(?:https?|rtsps?|rtmps?|ftp|wss?|udp|srt):/+|://)
    (?:[^\s/:@]+:(?!\d+(?:[/?#\s]|$))[^\s'"]{0,300}@|[^\s/]*@)""",
    re.VERBOSE,
)
"""User name and password of an address, up to the last @. A password may hold / and @ although it should not; a number
behind the colon is a port. An address made a `Path` has one slash after the colon."""
_SYSTEM_ERROR = re.compile(
    r"""\[(?:Errno|WinError)\ -?\d+\]\ (?P<reason>[^:\n\[]+)
    (?::\ (?P<path>'[^'\n]*'|"[^"\n]*")(?:\ ->\ (?:'[^'\n]*'|"[^"\n]*"))?)?""",
    re.IGNORECASE | re.VERBOSE,
)
"""An OSError as text: `[Errno 2] No such file or directory: 'a/b'`; a renaming has a second path."""


class AffektError(Exception):
    """Base of all deliberate errors: `expected …; got …; …`."""

    def __init__(
        self, *, expected: str, came: str, todo: str, steps: tuple[str, ...] = (), faults: tuple[str, ...] = ()
    ) -> None:
        self.expected, self.came, self.todo = _shortened(expected), _shortened(came), _shortened(todo)
        self.steps = steps
        """Commands to type, one per line; printed after the advice."""
        self.faults = tuple(_shortened(fault, LONGEST_FAULT) for fault in faults)
        """One sentence per fault, where `came` gives only their number; limited by `shown_faults`."""
        super().__init__(str(self))
        if isinstance(self, OSError):
            as_os_error: OSError = self
            as_os_error.strerror = self.came  # code that reports the reason of any OSError quotes no whole sentence

    def __str__(self) -> str:
        fault_lines = ':' + ''.join(f'\n  {fault}' for fault in self.faults) if self.faults else ''
        return f'expected {self.expected}; got {self.came}{fault_lines}; {self.todo}'

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.expected, self.came, self.todo, self.steps, self.faults))


def without_error_numbers(part: str) -> str:
    """A text in which errors of the system are reasons in words, after their path if the text does not name it.

    >>> without_error_numbers("a/b: [Errno 2] No such file or directory: 'a/b'")
    'a/b: No such file or directory'
    >>> without_error_numbers("[Errno 13] Permission denied: 'a/b'")
    'a/b: Permission denied'
    """

    def worded(match: re.Match[str]) -> str:
        path = (match['path'] or '')[1:-1]
        is_named = re.search(rf'(?<!\w){re.escape(path)}(?!\w)', part[: match.start()])
        return match['reason'] if not path or is_named else f'{path}: {match["reason"]}'

    return _SYSTEM_ERROR.sub(worded, part)


def _shortened(part: str, longest: int = LONGEST_PART) -> str:
    """A part whose middle is cut out if it is too long, without names and passwords of addresses or error numbers.

    The end is kept, since libraries often put the reason there.
    """
    part = without_error_numbers(_USER_INFO.sub(r'\1…@', part))
    if len(part) <= longest:
        return part
    return f'{part[: longest // 2]} … ({len(part):,} characters) … {part[-longest // 4 :]}'


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
    """The first `SHOWN_FAULTS` faults of a file, and a line with the number of the others.

    Args:
        faults: one sentence each.
        count: number of all faults, if `faults` holds only some of them.
    """
    shown = tuple(faults[:SHOWN_FAULTS])
    more = (len(faults) if count is None else count) - len(shown)
    return (*shown, f'and {more:,} more') if more > 0 else shown


class ShapeError(AffektError, ValueError):
    """An array has the wrong shape or type."""


class ValueRangeError(AffektError, ValueError):
    """A number is out of range, or is not a number."""


class UnknownNameError(AffektError, LookupError):
    """A name is not among the known ones."""


class MediaError(AffektError, OSError):
    """A media file is missing, empty, damaged or of an unsupported kind."""


class LimitError(MediaError):
    """A media file declares or holds more pixels, seconds, streams or bytes than allowed."""


class FileError(AffektError, OSError):
    """A path names a folder, a pipe, a device or a socket where only a regular file may be read."""


class WeightsError(AffektError, OSError):
    """A model file is missing, damaged, or not the requested one."""


class ArchiveError(AffektError, ValueError):
    """A NumPy archive is damaged, or holds more than arrays and plain values."""


class TableError(AffektError, ValueError):
    """A table of words, labels or predictions cannot be read, or its names do not match."""


class CorpusError(AffektError, OSError):
    """A folder holds no release of the requested corpus, or an incomplete one."""


class LeakError(AffektError, ValueError):
    """Samples that belong together are on both sides of a split."""


class TranscriptError(AffektError, ValueError):
    """A transcript or subtitle file cannot be read."""


class ComparisonError(TableError):
    """A comparison, or a table of comparisons or of pairs, cannot be read."""


class UnrankableError(AffektError, ValueError):
    """The comparisons determine no finite strengths, or not the effect of a covariate."""


class VoteError(AffektError, ValueError):
    """A vote contradicts a stored one, or answers a task that was not shown."""


class RunError(AffektError, OSError):
    """A run folder is missing, not affekt's, in use, or made with other settings."""


class StorageError(RunError):
    """A file or folder cannot be written: no space, no permission, or another kind of file at its path."""


class TrainingError(AffektError, RuntimeError):
    """Training cannot continue, or its model is unusable: its values are not finite, or its answers all equal."""


class LLMError(AffektError, OSError):
    """The server of a language model gave no answer, or the folder of answers cannot be used."""


class QuestionRefusedError(LLMError):
    """A working server refuses this question, and would refuse it again."""


class PurposeError(AffektError, ValueError):
    """The stated purpose is one for which emotion inference is refused."""


class PortraitError(AffektError, ValueError):
    """An image shows no face, or none that can be animated."""


class ConsentError(AffektError, ValueError):
    """A face may not be animated: no consent was stated, or the user states that it is a child's."""


class ProvenanceError(AffektError, ValueError):
    """A file's manifest cannot be written or read, or a signing key does not fit its certificate."""


class MissingExtraError(AffektError, ImportError):
    """An optional dependency is not installed."""


def missing_extra(part: str, extra: str, *, came: str = 'none installed', instead: str = '') -> MissingExtraError:
    """The error to raise for an optional dependency that is not installed.

    Args:
        part: the dependency and its use, such as 'torch, which trains'.
        extra: the extra of affekt that installs it.
        came: what was found, such as the error of the import.
        instead: what works without it; '' for nothing.
    """
    todo = f"install it: pip install 'affekt[{extra}]'{', or ' * bool(instead)}{instead}"
    return MissingExtraError(expected=part, came=came, todo=todo)


def require_torch() -> None:
    """Check that torch can be imported, without importing it.

    Raises:
        MissingExtraError: torch is not installed.
    """
    if importlib.util.find_spec('torch') is None:
        raise missing_extra('torch, which trains', 'torch')


class PluginError(AffektError, RuntimeError):
    """A plugin, added to affekt by another package, cannot be used."""


class ContractError(AffektError, AssertionError):
    """A recipe, model, corpus, metric, judge or export does not meet the contract of its kind."""


class UnexpectedError(AffektError, RuntimeError):
    """An unexpected error in one file; the others are still processed."""


@contextmanager
def raised_as(wanted: type[AffektError], *caught: type[AffektError]) -> Iterator[None]:
    """Raise errors of the block as another class, the one that the calling function documents, with the same message.

    Args:
        wanted: class to raise.
        caught: classes that are converted to it.

    Raises:
        AffektError: of the class `wanted`, where one of `caught` was raised.
    """
    try:
        yield
    except caught as error:
        raise wanted(expected=error.expected, came=error.came, todo=error.todo, faults=error.faults) from error


def did_you_mean(name: str, known: Iterable[str], otherwise: str = 'choose one of them') -> str:
    """Advice that names the known name nearest to a misspelt one; `otherwise` where none is near.

    >>> did_you_mean('fusd', ['face', 'voice', 'fused'])
    "did you mean 'fused'?"
    """
    by_folded_name = {other.casefold(): other for other in known}
    matches = difflib.get_close_matches(name.casefold(), by_folded_name, n=1, cutoff=0.6)
    return f'did you mean {by_folded_name[matches[0]]!r}?' if matches else otherwise


def listed(names: Iterable[str], most: int = 5) -> str:
    """The first `most` names, quoted, and the number of the others; '' for none.

    >>> listed(['a', 'b', 'c'], most=2)
    "'a', 'b' and 1 more"
    """
    all_names = list(names)
    more = f' and {len(all_names) - most} more' if len(all_names) > most else ''
    return ', '.join(map(repr, all_names[:most])) + more


def short(text: object, most: int = 60) -> object:
    """A text cut to at most `most` characters, the last then an ellipsis; other values unchanged."""
    return text[: most - 1] + '…' if isinstance(text, str) and len(text) > most else text
