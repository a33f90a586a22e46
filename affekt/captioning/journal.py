"""Captions in journals, read from disk one by one to save memory."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from affekt.captioning.captions import Caption
from affekt.runs import JOURNAL, Entry, entry_at, only_regular, placed_entries


class CaptionJournal:
    """The captions of some runs; the last line of a name counts.

    Args:
        folders: folders of the runs.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = tuple(folders)
        self._places: dict[str, tuple[int, int]] = {}
        for number, folder in enumerate(self._folders):
            for begin, entry in placed_entries(folder):
                if (caption := caption_of(entry)) is not None:
                    self._places[caption.name] = (number, begin)

    def in_order(self, names: Sequence[str], others: Mapping[str, Caption]) -> Iterator[Caption]:
        """A caption for each name.

        Args:
            names: names of the clips, in the wanted order.
            others: captions that replace those of the journals, or that these lack.
        """
        with contextlib.ExitStack() as stack:
            journals = [
                stack.enter_context(open(folder / JOURNAL, 'rb', opener=only_regular))
                if (folder / JOURNAL).exists()
                else None
                for folder in self._folders
            ]
            for name in names:
                if name in others:
                    yield others[name]
                    continue
                number, begin = self._places[name]
                journal: Any = journals[number]
                caption = caption_of(entry_at(journal, begin))
                assert caption is not None  # checked when the journal was indexed
                yield caption

    def __getitem__(self, name: str) -> Caption:
        number, begin = self._places[name]
        with open(self._folders[number] / JOURNAL, 'rb', opener=only_regular) as journal:
            caption = caption_of(entry_at(journal, begin))
        assert caption is not None  # checked when the journal was indexed
        return caption

    def __contains__(self, name: str) -> bool:
        return name in self._places


def caption_of(entry: Entry) -> Caption | None:
    """The caption in a journal's entry; None if it is not a caption of that clip, such as a line of another program."""
    try:
        caption = Caption.from_dict(entry.facts['caption'])
    except (ValueError, TypeError, LookupError, AttributeError):
        return None
    return caption if caption.name == entry.key else None
