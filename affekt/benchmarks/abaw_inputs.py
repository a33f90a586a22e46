"""What ABAW is run on: labels, features and the clock of a corpus that was imported, or of one that is made up here.

`abaw_inputs` opens a manifest, the labels of frames beside it and stores of features; `made_up_inputs` films a made-up
Aff-Wild2 in the official layout, imports it and extracts its features first, and goes on where it was killed.
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
"""Folder of a made-up corpus with what its test videos hide, and the file of all curves in it."""
RECIPES = ('faces-all-frm', 'acoustics-frm', 'voice-emotion-frm')
"""What is extracted of a made-up corpus: all that needs no weights but affekt's own."""
MADE_UP_FEATURES = tuple(name.removesuffix('-frm') for name in RECIPES)
"""What these features are called."""


@dataclass(frozen=True)
class AbawInputs:
    """Everything that `run_abaw` reads."""

    corpus: str
    table: FrameTable
    features: Mapping[str, Store]
    clock: Mapping[str, float]
    truth: FrameTable | None = None
    curves: Mapping[str, TrueCurves] = field(default_factory=dict)

    @property
    def shared(self) -> tuple[str, ...]:
        """Modalities that two people of one recording share: sounds."""
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
        manifest: of the corpus, as `affekt corpus import affwild2` writes it.
        features: stores with rows in time, `STORE` or `NAME=STORE`; without a name the recipe's counts.
        labels: table of frames; None for the one beside the manifest.
        key: folder with annotations of the test videos, and `curves.parquet` where a corpus is made up.

    Raises:
        CorpusError, TableError: a file is missing or damaged, or no video of the labels is in the manifest.
        UnknownNameError: two stores of one name.
    """
    opened = Manifest.load(manifest)
    table = FrameTable.load(labels or frames_path(manifest))
    return _inputs(opened, table, _stores(features), key)


def unlabelled_inputs(manifest: Path, features: Sequence[str]) -> Unlabelled:
    """Videos for pseudo-labels, from files.

    Args:
        manifest: of any corpus; labels that it has are not read.
        features: as for `abaw_inputs`, by the same recipes.

    Raises:
        CorpusError: the manifest is missing or damaged.
        LeakError: a sample is of a validation or test part.
        UnknownNameError: two stores of one name, or none.
    """
    opened = Manifest.load(manifest)
    judged = [row.sample for row in opened.samples if row.split not in (None, '', 'train')]
    if judged:
        raise LeakError(
            expected='unlabelled videos of no validation or test part',
            came=f'{len(judged)} that are: {listed(judged)}', todo='leave them out of that manifest',
        )  # fmt: skip
    stores = _stores(features)
    clock = {row.sample: frame_rate_hz(opened, row) for row in opened.samples}
    labels = tuple(
        _counted(opened, row, FrameLabels(row.sample, 'train'), clock[row.sample], 0) for row in opened.samples
    )
    return Unlabelled(labels, stores, clock)


def made_up_inputs(
    folder: Path, corpus: AffWild2Settings, *, cast: Cast | None = None, speech: BorrowedSpeech | None = None,
    recipes: Sequence[str] = RECIPES, processes: int = 1, progress: Progress | None = None,
) -> AbawInputs:  # fmt: skip
    """Film a made-up corpus, import it and extract features of it; what is there already is taken.

    Args:
        folder: gets `corpus`, `corpus.parquet`, the labels beside it, and `features`.
        corpus: what to make.
        cast: who is filmed; None for made-up people.
        speech: what is heard of them; None for tones.
        recipes: features to extract, with rows in time.
        processes: that draw and extract.
        progress: called with the stage, what is done and the total.

    Raises:
        RunError: the folder holds another corpus.
        WeightsError: a recipe's weights are missing.
    """
    films = folder / 'corpus'
    made_up_affwild2(
        films, corpus, cast=cast, speech=speech, processes=processes, resume=films.exists(), progress=progress
    )
    manifest, table = import_with_frames('affwild2', films)
    if table is None:
        raise TableError(expected='labels of frames', came='none', todo='remove the folder, and make it anew')
    path = folder / 'corpus.parquet'
    manifest.save(path)
    table.save(frames_path(path))
    for name in recipes:
        extract(manifest, recipe_named(name), folder / 'features', processes=processes, progress=progress)
    inputs = _inputs(manifest, table, _stores([str(folder / 'features' / name) for name in recipes]), films / KEY)
    return replace(inputs, corpus=f'made-up Aff-Wild2{"" if cast is None else " of portraits"}')


def _stores(features: Sequence[str]) -> dict[str, Store]:
    stores: dict[str, Store] = {}
    for each in features:
        before, has_name, path = each.partition('=')
        store = Store(Path(path if has_name else each))
        name = before if has_name else store.provenance.recipe.removesuffix('-frm').replace('.', '_')
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
    if lost := [name for name in table.names if name not in rows]:
        raise TableError(
            expected='every video of the labels in the manifest', came=f'{len(lost)} that are not: {listed(lost)}',
            todo='give the labels that were imported with this manifest',
        )  # fmt: skip
    clock = {name: frame_rate_hz(manifest, rows[name]) for name in table.names}
    truth = None if key is None else read_affwild2(key)
    annotated = {} if truth is None else {each.video: each.frames for each in truth}
    labels = tuple(
        _counted(manifest, rows[each.video], each, clock[each.video], annotated.get(each.video, 0)) for each in table
    )
    curves = true_curves(key / CURVES) if key is not None and (key / CURVES).is_file() else {}
    return AbawInputs(manifest.facts.corpus, replace(table, labels=labels), stores, clock, truth, curves)


def _counted(manifest: Manifest, row: Sample, labels: FrameLabels, rate_hz: float, annotated: int) -> FrameLabels:
    """Labels of a test video, whose annotations are not given out, with as many frames as its video has.

    Args:
        annotated: frames that its annotation in the key has, for a video that is not here.
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
