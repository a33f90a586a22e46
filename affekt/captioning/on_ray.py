"""Clips captioned on Ray Data, by actors on one or more machines that each call the models.

A worker stores every answer, and each finished batch, in the folder of the run, so that none is lost when it or the
starting process dies. Ray restarts a dead worker and gives it the batch again, which resumes from its answers. All
machines must see that folder and the media under the same paths, and read the key of the servers from their own
environment.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

from affekt.captioning.captioner import Captioner, CaptionSettings
from affekt.captioning.captions import FAILED, Caption
from affekt.corpora import Manifest, Sample
from affekt.errors import AffektError
from affekt.features import counted_tries, quiet_ray, raise_failure, ray_data
from affekt.llm import ReplayCache, in_order
from affekt.runs import write_atomically

BATCH = 8
"""Clips per batch of a worker."""
MOST_BLOCKS = 2_000
WORK = 'ray'


def captions_on_ray(
    manifest: Manifest,
    settings: CaptionSettings,
    batches: Mapping[int, Sequence[Sample]],
    folder: Path,
    workers: int,
    at_once: int,
) -> Generator[Caption]:
    """Yield captions as workers finish them; a caption is not kept in memory afterwards.

    Args:
        manifest: manifest of the corpus; workers receive its facts (`Manifest.facts`).
        settings: settings of captioning.
        batches: number of a batch, the same in every run, to its clips still to do.
        folder: folder of the run, which all machines share.
        workers: number of actors.
        at_once: clips in progress at the same time in each.

    Raises:
        MissingExtraError: Ray is not installed.
        RunError: a batch killed its worker three times.
        AffektError: an error that a worker raised.
    """
    settings = settings.absolute()
    rooted = dataclasses.replace(manifest.facts, root=str(Path(manifest.facts.root).resolve()))
    work = folder.resolve() / WORK
    work.mkdir(exist_ok=True)
    items = [
        {'batch': number, 'samples': json.dumps([dataclasses.asdict(row) for row in rows])}
        for number, rows in batches.items()
    ]
    workers = min(workers, len(items))
    with ray_data(workers) as data, quiet_ray():
        done = data.from_items(items, override_num_blocks=min(len(items), MOST_BLOCKS)).map_batches(
            _Worker,
            fn_constructor_args=(Manifest(rooted, ()), settings, str(work), at_once),
            batch_size=1,
            compute=data.ActorPoolStrategy(size=workers),
        )
        for row in done.iter_rows():
            raise_failure(row['failure'])
            for line in json.loads(row['captions']):
                caption = Caption.from_dict(line)
                yield caption
                _caption_path(work, caption.name).unlink(missing_ok=True)


class _Worker:
    """One actor, which captions a batch at a time."""

    def __init__(self, manifest: Manifest, settings: CaptionSettings, work: str, at_once: int) -> None:
        self._manifest, self._settings, self._work, self._at_once = manifest, settings, Path(work), at_once

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        failure, captions = '', '[]'
        rows = [Sample(**row) for row in json.loads(batch['samples'][0])]
        try:
            captions = json.dumps(self._captions(int(batch['batch'][0]), rows))
        except AffektError as error:
            failure = json.dumps([type(error).__name__, error.expected, error.came, error.todo])
        return {'captions': [captions], 'failure': [failure]}

    def _captions(self, batch: int, rows: Sequence[Sample]) -> list[dict[str, Any]]:
        """The captions of a batch, those already written included."""
        done = {row.sample: _stored_caption(_caption_path(self._work, row.sample)) for row in rows}
        todo = [row for row in rows if done[row.sample] is None]
        with (
            counted_tries(self._work / f'tries-{batch}'),
            ReplayCache(self._work / f'answers-{batch}') as cache,
            contextlib.ExitStack() as servers,
        ):
            captioner = Captioner(self._settings, cache, servers)
            captions = in_order(lambda row: captioner.caption(self._manifest, row), todo, self._at_once, 'caption')
            for caption in captions:
                done[caption.name] = line = caption.to_dict()
                if caption.status != FAILED:
                    write_atomically(_caption_path(self._work, caption.name), json.dumps(line).encode())
        return [line for line in done.values() if line is not None]


def _caption_path(work: Path, sample: str) -> Path:
    """The file of a caption until the journal has it."""
    return work / f'caption-{hashlib.sha256(sample.encode("utf-8", "surrogatepass")).hexdigest()[:32]}.json'


def _stored_caption(path: Path) -> dict[str, Any] | None:
    with contextlib.suppress(OSError, ValueError, TypeError, LookupError):
        line: dict[str, Any] = json.loads(path.read_text())
        Caption.from_dict(line)
        return line
    return None
