"""Extraction of a whole corpus by one recipe: in batches, by processes or on Ray, in shards, and resumable.

A finished batch is a small file that appears complete and is then recorded in a journal; when all exist they are merged
into the shard's one file. Running again resumes; shards may run anywhere, each writes its own files. The engine does
not matter: files are identical byte for byte.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from affekt.corpora import Manifest, Sample, SampleTable
from affekt.errors import AffektError, CorpusError, FileError, RunError, UnknownNameError, ValueRangeError
from affekt.features.catalogue import recipe_named
from affekt.features.parts import Lost, Part, Parts, batch_key, is_damaged, provenance_of
from affekt.features.recipes import UNREADABLE, Features, Recipe, SampleEncoder, outcomes
from affekt.features.store import SUFFIX, Store, write_features
from affekt.progress import Progress
from affekt.runs import Run, file_sha256
from affekt.workers import as_finished, workers

MEDIA = 'media_sha256'
"""Key of the fact that identifies the content of the media that a file was made from."""
SIZES = 'media_sizes'
"""Key of the same in older files, by sizes alone."""
DIGESTED = (
    'sample', 'text', 'chinese', 'english', 'audio', 'video', 'frames', 'recording', 'start_s', 'end_s',
)  # fmt: skip
"""Columns that the features depend on."""
ENGINES = ('processes', 'ray')
"""Engines that can run the workers."""


@dataclass(frozen=True)
class Extraction:
    """Result of an extraction."""

    path: Path
    """Path of the shard's file."""
    samples: int
    missing: tuple[tuple[str, str], ...]
    """Samples without features, with the reason."""
    resumed: int
    """Number of batches that an earlier run had finished."""
    partial: tuple[tuple[str, str], ...] = ()
    """Samples that lack a modality, whose columns are then 0, or a part of their file, with the reason."""

    @property
    def unreadable(self) -> dict[str, str]:
        """Samples of which a file cannot be read, to the reason."""
        return {name: reason for name, reason in self.missing if reason.startswith(UNREADABLE)}


def extract(
    manifest: Manifest,
    recipe: Recipe | str,
    out: Path,
    *,
    processes: int = 1,
    on: str = 'processes',
    gpus: float = 0.0,
    shard: tuple[int, int] = (1, 1),
    batch: int | None = None,
    progress: Progress | None = None,
) -> Extraction:
    """Extract features of a manifest's samples into the folder `out`/recipe name.

    1. The shard's samples are divided into batches; finished ones are skipped.
    2. The others are encoded here, by a pool of processes that each load the recipe once, or by workers of Ray Data.
    3. All batches are merged into one file, and the small ones removed.

    Args:
        manifest: manifest of the corpus.
        recipe: recipe, or its name.
        out: folder of stores, one folder per recipe.
        processes: number of processes that encode; 1 is this one, or one worker of Ray.
        on: one of `ENGINES`; see `on_ray.py` for Ray, which replaces a worker that dies.
        gpus: number of GPUs per worker of Ray, such as 1 or 0.25; Ray hides GPUs from workers that request none.
        shard: number of the shard and of shards, (i, n): samples i, i + n, i + 2n … of the manifest, counted from 1.
        batch: samples per batch; None for the recipe's default.
        progress: called with 'features', samples done and total samples.

    Raises:
        UnknownNameError: unknown recipe or engine.
        MissingExtraError: Ray is requested and not installed.
        ValueRangeError: the shard's number is out of range.
        CorpusError: no sample has the input of the recipe.
        RunError: the folder has features of another corpus or recipe, another process works on the shard, or a worker
            died; finished batches are kept.
    """
    recipe = recipe_named(recipe) if isinstance(recipe, str) else recipe
    number, count = shard
    size = recipe.batch if batch is None else batch
    _require_possible(shard, size, processes, on, gpus)
    rows = manifest.samples[number - 1 :: count]
    _require_input(manifest, recipe, rows)
    folder = out / recipe.name
    path = folder / f'shard-{number}-of-{count}{SUFFIX}'
    names, content = _digest(rows, recipe), _media_digest(_media_paths(manifest, recipe, rows), _content)
    work = folder / f'.work-{number}-of-{count}'
    batches = Batches(rows, size)
    parts = Parts(work, recipe, manifest.facts.corpus, len(batches))
    if path.exists() and not is_damaged(path):
        finished = _finished(path, manifest, recipe, rows, (names, content), size)
        parts.remove()
        return finished
    absent = [each for each in (folder, out) if not each.exists()]
    settings = {'recipe': recipe.hash, 'samples': names, 'media': content, 'batch': size}
    with Run(work, settings, resume=work.exists()) as run:
        todo = [index for index in range(len(batches)) if not parts.adopted(run, index)]
        resumed, done = len(batches) - len(todo), len(rows) - sum(map(batches.size_of, todo))
        if progress is not None:
            progress('features', done, len(rows))
        with _kept_if_begun(run, parts, range(len(batches)), absent):
            for index, lost in _written(manifest, batches, todo, parts, processes, on, gpus):
                run.note(batch_key(index), parts.path(index).name, missing=lost)
                done += batches.size_of(index)
                if progress is not None:
                    progress('features', done, len(rows))
        entries = [entry for index in range(len(batches)) if (entry := run.finished(batch_key(index))) is not None]
        if len(entries) < len(batches):
            raise RunError(
                expected=f'all {len(batches)} finished batches in {work}', came=f'{len(entries)}: files went meanwhile',
                todo='run the same command again: what is missing is done again',
            )  # fmt: skip
        missing = [(name, reason) for entry in entries for name, reason in entry.facts['missing']]
        files = (work / entry.folder for entry in entries)
        made = provenance_of(manifest.facts.corpus, recipe, shard, missing)
        made = replace(made, samples=names, facts={**made.facts, MEDIA: content})
        write_features(path, _joined(files), made)
    parts.remove()
    return _extraction(path, Store(path, partial=True), resumed)


@contextlib.contextmanager
def _kept_if_begun(run: Run, parts: Parts, batches: range, absent: Sequence[Path]) -> Iterator[None]:
    """Context after whose failure nothing is left if no batch was begun, as with weights that cannot be opened.

    Otherwise the same command with other weights would be refused as another run.

    Args:
        absent: folders that did not exist before, inner ones first.
    """
    try:
        yield
    except Exception:
        if not any(run.finished(batch_key(index)) or parts.tries(index).exists() for index in batches):
            parts.remove()
            for folder in absent:
                with contextlib.suppress(OSError):  # has files of another shard or recipe
                    folder.rmdir()
        raise


def _require_possible(shard: tuple[int, int], size: int, processes: int, on: str, gpus: float) -> None:
    """Raise unless samples can be divided and encoded with these arguments; see `extract`."""
    number, count = shard
    if not 1 <= number <= count or processes < 1 or size < 1:
        raise ValueRangeError(
            expected='a shard i/n with i from 1 to n, at least one process and one sample at once',
            came=f'{number}/{count}, {processes} processes, {size} at once', todo='write for example --shard 1/4',
        )  # fmt: skip
    if gpus < 0 or (gpus and on != 'ray'):
        raise ValueRangeError(
            expected='no GPUs, or more than none for workers of Ray', came=f'{gpus:g} on {on}', todo='leave --gpus out'
        )
    if on not in ENGINES:
        raise UnknownNameError(expected=f'one of {", ".join(ENGINES)}', came=repr(on), todo='name one of these')


@dataclass(frozen=True)
class Batches:
    """Samples in batches; the samples of a batch are built when it is accessed."""

    rows: SampleTable
    size: int

    def __len__(self) -> int:
        return -(-len(self.rows) // self.size)

    def __getitem__(self, index: int) -> tuple[Sample, ...]:
        return tuple(self.rows[index * self.size : (index + 1) * self.size])

    def size_of(self, index: int) -> int:
        """Number of samples in a batch."""
        return min(self.size, len(self.rows) - index * self.size)


def _written(
    manifest: Manifest,
    batches: Batches,
    todo: Sequence[int],
    parts: Parts,
    processes: int,
    on: str,
    gpus: float,
) -> Iterator[tuple[int, Lost]]:
    """Batches in the order in which their files are written, each with its samples without features."""
    if on == 'ray' and todo:
        from affekt.features.on_ray import written_on_ray

        yield from written_on_ray(manifest, ((index, batches[index]) for index in todo), parts, processes, gpus)
        return
    for index, part in _encoded(manifest, parts.recipe, batches, todo, processes):
        yield index, parts.write(index, part)


def _encoded(
    manifest: Manifest, recipe: Recipe, batches: Batches, todo: Sequence[int], processes: int
) -> Iterator[tuple[int, Part]]:
    """Batches in the order in which they are encoded."""
    if not todo:
        return
    if processes == 1:
        encoder = recipe.open(recipe)
        for index in todo:
            yield index, outcomes(encoder, manifest, batches[index])
        return
    bare = Manifest(manifest.facts, ())  # workers need the root, but not the samples
    advice = 'run the same command again: finished batches are kept; fewer --processes need less memory'
    with workers(min(processes, len(todo)), _open_in_worker, (recipe, bare), todo=advice) as pool:
        left = ((index, batches[index]) for index in todo)
        for (index, _), part in as_finished(pool, _encode_in_worker, left, processes):
            yield index, part


_worker: tuple[SampleEncoder, Manifest] | None = None
_unopened: AffektError | None = None
"""Error that kept this worker from opening its encoder."""


def _open_in_worker(recipe: Recipe, manifest: Manifest) -> None:
    global _worker, _unopened
    try:
        _worker = recipe.open(recipe), manifest
    except AffektError as error:  # reported with the first batch: raised here it would look like a crash
        _unopened = error


def _encode_in_worker(batch: tuple[int, Sequence[Sample]]) -> Part:
    if _worker is None:
        raise _unopened or RuntimeError('the worker was not opened')
    encoder, manifest = _worker
    return outcomes(encoder, manifest, batch[1])


def _joined(paths: Iterator[Path]) -> Iterator[Features]:
    for path in paths:
        store = Store(path, partial=True)
        for name in store.names:
            yield store[name]


def _require_input(manifest: Manifest, recipe: Recipe, rows: SampleTable) -> None:
    columns = recipe.media or (str(recipe.facts.get('column', 'text')),)
    if not any(rows.known(column).any() for column in columns):
        raise CorpusError(
            expected=f'{" or ".join(columns)} in the manifest, which {recipe.name} reads',
            came=f'{len(rows)} samples of {manifest.facts.corpus} without',
            todo='see `affekt corpus check`',
        )


def _finished(
    path: Path, manifest: Manifest, recipe: Recipe, rows: SampleTable, digests: tuple[str, str], size: int
) -> Extraction:
    """The existing shard, if it matches the request."""
    store = Store(path, partial=True)
    names, content = digests
    known = {*store.names, *store.missing}
    is_other = store.provenance.samples not in ('', names) or known != set(rows.column('sample'))
    stated = store.provenance.facts
    if MEDIA in stated:
        is_other |= stated[MEDIA] != content
    elif SIZES in stated:
        is_other |= stated[SIZES] != _media_digest(_media_paths(manifest, recipe, rows), _size)
    if store.provenance.hash != recipe.hash or is_other:
        raise RunError(
            expected=f'features of {recipe.name} for these {len(rows)} samples, or nothing yet',
            came=f'{path} with others, or of other texts, files or windows '
            f'({store.provenance.recipe} {store.provenance.hash[:8]}, {len(known)} samples)',
            todo='choose another --out, or remove the file',
        )
    return _extraction(path, store, resumed=-(-len(rows) // size))


def _extraction(path: Path, store: Store, resumed: int) -> Extraction:
    return Extraction(path, len(store), tuple(store.missing.items()), resumed, tuple(store.partial.items()))


def _media_paths(manifest: Manifest, recipe: Recipe, rows: SampleTable) -> list[Path]:
    """Files and folders that a recipe reads, in the order of the samples."""
    return [Path(manifest.facts.root, path) for cells in rows.cells(recipe.media) for path in cells if path]


def _media_digest(paths: Sequence[Path], read: Callable[[Path], object]) -> str:
    """Hash of the content of each file, which changes when a clip is cut anew. A file of many samples is read once."""
    known = {path: read(path) for path in dict.fromkeys(paths)}
    return hashlib.sha256(repr([known[path] for path in paths]).encode()).hexdigest()[:16]


def _content(path: Path) -> object:
    """SHA-256 of a file, or of every file of a folder by name; the reason where it cannot be read."""
    try:
        if path.is_dir():
            return [(file.name, file_sha256(file)) for file in sorted(path.iterdir()) if file.is_file()]
        return file_sha256(path)
    except (FileError, OSError) as error:
        return type(error).__name__


def _size(path: Path) -> object:
    return path.stat().st_size if path.is_file() else -1


def _digest(rows: SampleTable, recipe: Recipe) -> str:
    """Hash of the manifest's entries for the samples; for a recipe of clips also of what is withheld."""
    columns = (*DIGESTED, 'missing') if recipe.reads else DIGESTED
    digest = hashlib.sha256(b'[')  # hash of the list of all rows, without building the list
    for number, cells in enumerate(rows.cells(columns)):
        digest.update(f'{", " if number else ""}{cells!r}'.encode())
    digest.update(b']')
    return digest.hexdigest()
