"""What an importer is: a corpus's facts and, for each layout that it is found in, a function from folder to samples."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from affekt.corpora.manifest import Sample
from affekt.corpora.release import Release


@dataclass(frozen=True)
class Layout:
    """One way in which a release lies in its folder."""

    needs: tuple[str, ...]
    """Files or folders; one of them tells the layout, those that are absent are noted as missing."""
    read: Callable[[Release], Iterable[Sample]]
    version: str
    """Goes into the manifest."""
    says_missing: bool = False
    """Whether `read` itself notes what is absent."""


@dataclass(frozen=True)
class Corpus:
    """One corpus that can be imported."""

    name: str
    """How the command line calls it."""
    title: str
    language: str
    layouts: tuple[Layout, ...]
    """The first that fits a folder is read."""
    source: str
    """Where to get it."""
    cite: str
    categories: tuple[str, ...] = ()
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    published: Mapping[str, int] = field(default_factory=dict)
    """Split to its published number of samples; '' is the whole corpus."""
    by_frame: bool = False
    """Whether labels are those of frames, in a table of their own."""
    folders: tuple[str, ...] = ()
    """Folders below the one that is named, in which the release may lie."""
