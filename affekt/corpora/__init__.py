"""Importers: media, transcripts and labels of the field's corpora, one manifest each.

The folder of an official release comes in (`import_corpus`), a `Manifest` comes out: one row per sample with media,
text, labels, speaker, dialogue, split and fold, and notes on what was missing. `folds.py` makes new folds, `leaks.py`
finds overlap between parts. Read `manifest.py` first, then `importers.py`; `made_up.py` is a small corpus with known
answers, `made_up_faces.py` one of rendered faces with known curves, `made_up_affwild2.py` one annotated frame by frame.
`described.py` imports and checks corpora with free descriptions.
"""

from affekt.corpora.affwild2 import FrameCheck, check_frames, copy_frames, crop_numbers, frames_path
from affekt.corpora.checks import CorpusCheck, check_corpus
from affekt.corpora.described import REASONS, DescriptionCheck, check_descriptions, fit_to_learn, openset_of
from affekt.corpora.folds import published_folds, seeded_folds, shuffled_folds, with_folds
from affekt.corpora.importers import CORPORA, corpus_named, import_corpus, import_with_frames
from affekt.corpora.leaks import Leak, find_leaks, require_no_leaks, sides_of
from affekt.corpora.listed_clips import ListedClip, PathsBelow, listed_clips
from affekt.corpora.made_up import made_up_corpus
from affekt.corpora.made_up_affwild2 import (
    AWAY,
    AffWild2Settings,
    Cast,
    FrameTruth,
    MadeUpCast,
    Part,
    Room,
    Shot,
    dealt,
    fewest_people,
    frame_truth,
    made_up_affwild2,
)
from affekt.corpora.made_up_faces import FaceCorpus, made_up_face_corpus
from affekt.corpora.manifest import Facts, Manifest, Sample
from affekt.corpora.own import own_manifest
from affekt.corpora.release import Corpus, Layout
from affekt.corpora.sample_table import SampleTable
from affekt.frames import TrueCurves, true_curves

__all__ = [
    'AWAY',
    'CORPORA',
    'REASONS',
    'AffWild2Settings',
    'Cast',
    'Corpus',
    'CorpusCheck',
    'DescriptionCheck',
    'FaceCorpus',
    'Facts',
    'FrameCheck',
    'FrameTruth',
    'Layout',
    'Leak',
    'ListedClip',
    'MadeUpCast',
    'Manifest',
    'Part',
    'PathsBelow',
    'Room',
    'Sample',
    'SampleTable',
    'Shot',
    'TrueCurves',
    'check_corpus',
    'check_descriptions',
    'check_frames',
    'copy_frames',
    'corpus_named',
    'crop_numbers',
    'dealt',
    'fewest_people',
    'find_leaks',
    'fit_to_learn',
    'frame_truth',
    'frames_path',
    'import_corpus',
    'import_with_frames',
    'listed_clips',
    'made_up_affwild2',
    'made_up_corpus',
    'made_up_face_corpus',
    'openset_of',
    'own_manifest',
    'published_folds',
    'require_no_leaks',
    'seeded_folds',
    'shuffled_folds',
    'sides_of',
    'true_curves',
    'with_folds',
]
