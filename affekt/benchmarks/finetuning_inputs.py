"""Samples of a manifest as inputs of an encoder: word pieces, audio samples, faces, or clips.

Every sample must have its input; the error names those that do not. torch is imported where it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from affekt.clips import sample_clip
from affekt.corpora import Manifest, Sample
from affekt.errors import AffektError, CorpusError, listed
from affekt.features import Features, Unable, audio_encoder, face_pictures
from affekt.progress import Progress

if TYPE_CHECKING:
    from affekt.encoders import Backbone
    from affekt.training import Sequences

Rows = npt.NDArray[Any]


def prepared(manifest: Manifest, backbone: Backbone, column: str, progress: Progress | None = None) -> Sequences:
    """Inputs of every sample, in the manifest's order.

    Args:
        manifest: manifest of the corpus.
        backbone: encoder, which prepares its inputs.
        column: column of the manifest for a text encoder.
        progress: called with 'read', samples done and total samples.

    Raises:
        CorpusError: a sample lacks or withholds the input of the encoder, or it is unreadable.
    """
    from affekt.training import Sequences

    rows: list[Rows] = []
    unusable: list[str] = []
    kept = manifest.keep_mask(backbone.modality)
    for done, row in enumerate(manifest.samples):
        try:
            inputs = _rows(manifest, row, backbone, column) if kept[done] else Unable(row.sample, 'withheld')
        except AffektError as error:
            inputs = Unable(row.sample, error.came)
        except MemoryError:
            raise
        except Exception as error:  # libraries raise anything on unusual files
            inputs = Unable(row.sample, f'{type(error).__name__}: {error}')
        if isinstance(inputs, Unable):
            unusable.append(f'{inputs.sample} ({inputs.reason})')
        else:
            rows.append(inputs)
        if progress:
            progress('read', done + 1, len(manifest))
    if unusable:
        raise CorpusError(
            expected=f'{backbone.modality} of every sample of {manifest.facts.corpus}',
            came=f'none of {len(unusable)} of {len(manifest)}: {listed(unusable, 2)}',
            todo='leave these samples out of the manifest, or correct its paths',
        )
    return Sequences.of(rows)


def _rows(manifest: Manifest, row: Sample, backbone: Backbone, column: str) -> Rows | Unable:
    """Inputs of one sample, or the reason why there are none."""
    if backbone.clips is not None:
        return backbone.prepare(sample_clip(manifest, row, backbone.clips))
    if backbone.modality == 'text':
        text = getattr(row, column)
        return Unable(row.sample, f'no {column}') if text is None else backbone.prepare(text)
    if backbone.modality == 'audio':
        read_audio = audio_encoder(lambda sample, samples: Features(sample, backbone.prepare(samples)))
        (audio_rows,) = read_audio(manifest, [row])
        return audio_rows if isinstance(audio_rows, Unable) else audio_rows.values
    images = face_pictures(manifest, row)
    return images if isinstance(images, Unable) else backbone.prepare(images.images)
