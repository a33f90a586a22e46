"""Inputs of ABAW: labels, features and the clock of an imported corpus, or of a synthetic one.

`abaw_inputs` opens a manifest, its labels of frames and stores of features; `made_up_inputs` renders a synthetic
Aff-Wild2 in the official layout, imports it and extracts its features first, and resumes after a kill.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from affekt.benchmarks.abaw import Abaw, Unlabelled, run_abaw
from affekt.benchmarks.abaw_scores import AbawSettings
from affekt.corpora import (
    AffWild2Settings,
    Cast,
    Manifest,
    Sample,
    frames_path,
    import_with_frames,
    made_up_affwild2,
)
from affekt.errors import LeakError, TableError, UnknownNameError, listed
from affekt.features import Store, extract, frame_rate_hz, recipe_named
from affekt.frames import FrameLabels, FrameTable, TrueCurves, read_affwild2, true_curves
from affekt.progress import Progress
from affekt.voice import BorrowedSpeech

KEY, CURVES = 'key', 'curves.parquet'
"""In a synthetic corpus: the folder with the truth of its test videos, and the file of all curves in that folder."""
RECIPES = ('faces-all-frm', 'acoustics-frm', 'voice-emotion-frm')
"""Recipes extracted from a synthetic corpus: all that need only affekt's own weights."""
MADE_UP_FEATURES = tuple(name.removesuffix('-frm') for name in RECIPES)
"""Names of these features."""


@dataclass(frozen=True)
class AbawInputs:
    """All inputs of `run_abaw`."""

    corpus: str
    table: FrameTable
    features: Mapping[str, Store]
    clock: Mapping[str, float]
    truth: FrameTable | None = None
    curves: Mapping[str, TrueCurves] = field(default_factory=dict)

    @property
    def shared(self) -> tuple[str, ...]:
        """Modalities that two people of one recording share: audio."""
        return tuple(name for name, store in self.features.items() if store.modality == 'audio')

    def run(
        self, settings: AbawSettings, *, unlabelled: Unlabelled | None = None, carried_over: Path | None = None,
        folder: Path | None = None, resume: bool = False, progress: Progress | None = None,
    ) -> Abaw:  # fmt: skip
        """`run_abaw` on these inputs."""
        return run_abaw(
            self.table, self.features, self.clock, settings, corpus=self.corpus, truth=self.truth, curves=self.curves,
            shared=self.shared, unlabelled=unlabelled, carried_over=carried_over, folder=folder, resume=resume,
            progress=progress,
        )  # fmt: skip


def abaw_inputs(
    manifest: Path, features: Sequence[str], *, labels: Path | None = None, key: Path | None = None
) -> AbawInputs:
    """Inputs from files.

    Args:
        manifest: manifest of the corpus, written by `affekt corpus import affwild2`.
        features: stores with rows over time, `STORE` or `NAME=STORE`; the default name is the recipe's.
        labels: table of frames; None for the one next to the manifest.
        key: folder with annotations of the test videos, and `curves.parquet` for a synthetic corpus.

    Raises:
        CorpusError, TableError: a file is missing or damaged, or no video of the labels is in the manifest.
        UnknownNameError: two stores have the same name.
    """
    opened = Manifest.load(manifest)
    table = FrameTable.load(labels or frames_path(manifest))
    return _inputs(opened, table, _stores(features), key)


def unlabelled_inputs(manifest: Path, features: Sequence[str]) -> Unlabelled:
    """Videos for pseudo-labels, from files.

    Args:
        manifest: manifest of any corpus; its labels are not read.
        features: as for `abaw_inputs`, by the same recipes.

    Raises:
        CorpusError: the manifest is missing or damaged.
        LeakError: a sample is of a validation or test part.
        UnknownNameError: two stores have the same name, or there are none.
    """
    opened = Manifest.load(manifest)
    held_out = [row.sample for row in opened.samples if row.split not in (None, '', 'train')]
    if held_out:
        raise LeakError(
            expected='unlabelled videos of no validation or test part',
            came=f'{len(held_out)} that are: {listed(held_out)}', todo='leave them out of that manifest',
        )  # fmt: skip
    stores = _stores(features)
    clock = {row.sample: frame_rate_hz(opened, row) for row in opened.samples}
    labels = tuple(
        _with_frame_count(opened, row, FrameLabels(row.sample, 'train'), clock[row.sample], 0) for row in opened.samples
    )
    return Unlabelled(labels, stores, clock)


def made_up_inputs(
    folder: Path, corpus: AffWild2Settings, *, cast: Cast | None = None, speech: BorrowedSpeech | None = None,
    recipes: Sequence[str] = RECIPES, processes: int = 1, progress: Progress | None = None,
) -> AbawInputs:  # fmt: skip
    """Render a synthetic corpus, import it and extract its features; finished parts are reused.

    Args:
        folder: folder for `corpus`, `corpus.parquet`, its labels, and `features`.
        corpus: settings of the corpus.
        cast: people to show; None for synthetic people.
        speech: their speech; None for tones.
        recipes: features to extract, with rows over time.
        processes: number of processes for rendering and extraction.
        progress: called with the stage, units done and total units.

    Raises:
        RunError: the folder holds another corpus.
        WeightsError: a recipe's weights are missing.
    """
    corpus_folder = folder / 'corpus'
    made_up_affwild2(
        corpus_folder,
        corpus,
        cast=cast,
        speech=speech,
        processes=processes,
        resume=corpus_folder.exists(),
        progress=progress,
    )
    manifest, table = import_with_frames('affwild2', corpus_folder)
    if table is None:
        raise TableError(expected='labels of frames', came='none', todo='remove the folder, and make it anew')
    path = folder / 'corpus.parquet'
    manifest.save(path)
    table.save(frames_path(path))
    for name in recipes:
        extract(manifest, recipe_named(name), folder / 'features', processes=processes, progress=progress)
    inputs = _inputs(
        manifest, table, _stores([str(folder / 'features' / name) for name in recipes]), corpus_folder / KEY
    )
    return replace(inputs, corpus=f'made-up Aff-Wild2{"" if cast is None else " of portraits"}')


def _stores(features: Sequence[str]) -> dict[str, Store]:
    stores: dict[str, Store] = {}
    for argument in features:
        given_name, has_name, path = argument.partition('=')
        store = Store(Path(path if has_name else argument))
        name = given_name if has_name else store.provenance.recipe.removesuffix('-frm').replace('.', '_')
        if name in stores:
            raise UnknownNameError(
                expected='stores of different names', came=f'two of {name}', todo='write NAME=STORE for one of them'
            )
        stores[name] = store
    if not stores:
        raise UnknownNameError(expected='at least one store of features', came='none', todo='name one')
    return stores


def _inputs(manifest: Manifest, table: FrameTable, stores: Mapping[str, Store], key: Path | None) -> AbawInputs:
    rows = {row.sample: row for row in manifest.samples}
    if absent := [name for name in table.names if name not in rows]:
        raise TableError(
            expected='every video of the labels in the manifest', came=f'{len(absent)} that are not: {listed(absent)}',
            todo='give the labels that were imported with this manifest',
        )  # fmt: skip
    clock = {name: frame_rate_hz(manifest, rows[name]) for name in table.names}
    truth = None if key is None else read_affwild2(key)
    annotated = {} if truth is None else {video.video: video.frames for video in truth}
    labels = tuple(
        _with_frame_count(
            manifest,
            rows[video.video],
            video,
            clock[video.video],
            annotated.get(video.video, 0),
        )
        for video in table
    )
    curves = true_curves(key / CURVES) if key is not None and (key / CURVES).is_file() else {}
    return AbawInputs(manifest.facts.corpus, replace(table, labels=labels), stores, clock, truth, curves)


def _with_frame_count(
    manifest: Manifest, row: Sample, labels: FrameLabels, rate_hz: float, annotated: int
) -> FrameLabels:
    """Empty labels of a test video, whose annotations are not released, with the number of frames of its video.

    Args:
        annotated: number of frames of its annotation in the key, used if the video is missing.
    """
    from affekt.media import Recording

    if labels.frames or labels.tasks:
        return labels
    path = manifest.media(row, 'video')
    if path is None or not path.is_file():
        return replace(labels, frames=annotated)
    recording = Recording.open(path)
    declared = recording.video.pictures if recording.video is not None else None
    frames = declared if declared is not None else round((recording.duration_s or 0.0) * rate_hz)
    return replace(labels, frames=frames)
