"""Extraction on Ray Data: batches go to actors on one or many machines, each with the recipe open once.

A worker writes a finished batch itself, so that neither its own death nor that of the main process loses one. Ray
restarts a dead worker and gives it the batch again; a batch that kills its worker three times ends the run. All
machines must see the output folder and the media under the same paths, and have the same affekt installed: only rows of
the manifest are sent.

Without RAY_ADDRESS, and where the program has not called `ray.init` itself, Ray runs on this machine alone: on the
loopback address, with its own token, without dashboard and usage reports, and ends with the extraction.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from affekt import errors
from affekt.corpora import Manifest, Sample
from affekt.errors import AffektError, RunError, missing_extra
from affekt.features.parts import Lost, Parts
from affekt.features.recipes import SampleEncoder, outcomes

TRIES = 3
"""Number of times that a batch may kill its worker before the run ends."""
MOST_BLOCKS = 2_000
"""Number of batches above which they are sent in blocks of at least two."""
_ALONE = {
    'RAY_USAGE_STATS_ENABLED': '0',
    'RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER': '0',  # despite the name, everything listens on 127.0.0.1 alone
    'RAY_AUTH_MODE': 'token',
    'RAY_AUTH_TOKEN': secrets.token_hex(32),
    'RAY_BACKEND_LOG_LEVEL': 'fatal',
}
_STORE_BYTES = 128 << 20
"""Size of the object store of a Ray on this machine; only names are sent."""


def written_on_ray(
    manifest: Manifest, batches: Iterable[tuple[int, Sequence[Sample]]], parts: Parts, workers: int, gpus: float = 0.0
) -> Iterator[tuple[int, Lost]]:
    """Yield the index of each batch when a worker has written its file, with its samples without features.

    Args:
        manifest: manifest of the corpus; workers get its facts.
        batches: index and samples of each batch, at least one.
        parts: files of the batches.
        workers: number of concurrent actors.
        gpus: number of GPUs per actor.

    Raises:
        MissingExtraError: Ray is not installed.
        RunError: a batch killed its worker `TRIES` times, a file written by a worker is not visible here, or there are
            fewer GPUs than one worker needs.
        AffektError: opening the recipe, encoding, or writing the features failed.
    """
    rooted = dataclasses.replace(manifest.facts, root=str(Path(manifest.facts.root).resolve()))
    parts = dataclasses.replace(parts, folder=parts.folder.resolve())
    items = [{'index': index, 'samples': _packed(rows)} for index, rows in batches]
    workers = min(workers, len(items))
    with ray_data(workers) as data, quiet_ray():
        _require_gpus(gpus)
        done = data.from_items(items, override_num_blocks=min(len(items), MOST_BLOCKS)).map_batches(
            _Worker,
            fn_constructor_args=(Manifest(rooted, ()), parts),
            batch_size=1,
            compute=data.ActorPoolStrategy(size=workers),
            num_gpus=gpus or None,
        )
        for row in done.iter_rows():
            raise_failure(row['failure'])
            yield int(row['index']), _checked(parts, int(row['index']), row['lost'])


class _Worker:
    """An actor that opens the recipe, then encodes one batch at a time."""

    def __init__(self, manifest: Manifest, parts: Parts) -> None:
        self._manifest, self._parts = manifest, parts
        self._encoder: SampleEncoder | None = None

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        index, failure, lost = int(batch['index'][0]), '', self._parts.lost(int(batch['index'][0]))
        try:
            if lost is None:  # else it was written before its block was sent again
                lost = self._encoded(index, [Sample(**row) for row in json.loads(batch['samples'][0])])
        except AffektError as error:
            failure = json.dumps([type(error).__name__, error.expected, error.came, error.todo])
        return {'index': [index], 'lost': [json.dumps(lost)], 'failure': [failure]}

    def _encoded(self, index: int, rows: Sequence[Sample]) -> Lost:
        with counted_tries(self._parts.tries(index)):
            if self._encoder is None:
                self._encoder = self._parts.recipe.open(self._parts.recipe)
            return self._parts.write(index, outcomes(self._encoder, self._manifest, rows))


@contextmanager
def counted_tries(tries: Path) -> Iterator[None]:
    """Context that counts in a file the attempts at one batch that killed their worker; a next run counts anew.

    Raises:
        RunError: this attempt exceeds the limit.
    """
    with tries.open('ab') as file:
        file.write(b'.')
        count = file.tell()
    if count > TRIES:
        tries.unlink(missing_ok=True)
        raise RunError(
            expected='workers that survive',
            came=f'a batch whose worker died {TRIES} times (killed, or out of memory)',
            todo='run the same command again: finished batches are kept; fewer --processes need less memory',
        )
    try:
        yield
    except Exception:  # the worker lives
        tries.unlink(missing_ok=True)
        raise
    tries.unlink(missing_ok=True)


def _require_gpus(needed: float) -> None:
    import ray

    available = ray.cluster_resources().get('GPU', 0.0)
    if needed > available:  # Ray would wait forever
        raise RunError(
            expected=f'{needed:g} GPUs for a worker',
            came=f'{available:g} in this Ray',
            todo='leave --gpus out, or ask for less',
        )


def _packed(rows: Sequence[Sample]) -> str:
    return json.dumps([dataclasses.asdict(row) for row in rows])


def raise_failure(failure: str) -> None:
    """Raise the error that a worker reported, if any."""
    if failure:
        name, expected, came, todo = json.loads(failure)
        raise getattr(errors, name)(expected=expected, came=came, todo=todo)


def _checked(parts: Parts, index: int, lost: str) -> Lost:
    if not parts.path(index).exists():
        raise RunError(
            expected='an output folder that all machines of the Ray cluster share',
            came=f'{parts.path(index)}, written by a worker and not visible here', todo='choose a shared --out',
        )  # fmt: skip
    return [(name, reason) for name, reason in json.loads(lost)]


@contextmanager
def ray_data(workers: int) -> Iterator[Any]:
    """Context with Ray Data, on the Ray that the program or RAY_ADDRESS provides, or else on one that ends with it."""
    alone = not os.environ.get('RAY_ADDRESS')
    with _environment(_ALONE if alone else {}):
        try:
            import ray
            import ray.data
        except ImportError as error:
            raise missing_extra('Ray Data', 'ray', instead='leave out --on ray') from error
        if ray.is_initialized():
            yield ray.data
            return
        if alone:
            ray.init(
                address='local',
                num_cpus=workers,
                include_dashboard=False,
                object_store_memory=_STORE_BYTES,
                logging_level='error',
                log_to_driver=False,
                _node_ip_address='127.0.0.1',
            )
        else:
            ray.init(logging_level='warning')
        try:
            yield ray.data
        finally:
            ray.shutdown()


@contextmanager
def _environment(wanted: Mapping[str, str]) -> Iterator[None]:
    """Context with environment variables set."""
    previous = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in previous.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def quiet_ray() -> Iterator[None]:
    """Context without the progress bars and reports of Ray Data."""
    from ray.data import DataContext

    context, log = DataContext.get_current(), logging.getLogger('ray.data')
    previous = context.enable_progress_bars, context.print_on_execution_start, log.level
    context.enable_progress_bars, context.print_on_execution_start = False, False
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        context.enable_progress_bars, context.print_on_execution_start = previous[:2]
        log.setLevel(previous[2])
