"""A benchmark's outcome on disk: the scores, and beside them the settings, versions and hashes of what was read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from affekt.runs import file_sha256, versions, write_atomically
from affekt.typed_json import json_file


def save_outcome(
    folder: Path, name: str, facts: Mapping[str, Any], settings: Mapping[str, Any], inputs: Sequence[Path]
) -> None:
    """Write `<name>.json` and `settings.json` into a folder, which is made where it is missing.

    Raises:
        StorageError: the folder cannot be written.
    """
    beside = {
        'settings': dict(settings),
        'versions': versions(),
        'inputs': {str(path): file_sha256(path) for path in dict.fromkeys(inputs)},
    }
    for stem, saved in ((name, facts), ('settings', beside)):
        write_atomically(folder / f'{stem}.json', json_file(saved))
