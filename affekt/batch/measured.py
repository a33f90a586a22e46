"""Clips described from measurements alone, by the analysis: deterministic, and without torch."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from affekt.analysis import Analysis, AnalysisSettings, Analyzer, Described, DescribedClue
from affekt.corpora import Manifest, Sample
from affekt.errors import AffektError, MediaError, StorageError, TranscriptError, listed
from affekt.files import LOG
from affekt.runs import file_sha256, write_atomically
from affekt.tables import storable
from affekt.text import open_transcript

PLAIN = 'affekt, from measurements'
"""Name of the deterministic describer."""


class PlainClips:
    """Sentences from measurements alone, always the same for the same clip; see `affekt.analysis`.

    The words of a clip come from its manifest if that has any, otherwise by the settings.

    Args:
        settings: settings of the analysis.
        note: sentence for users on why no other describer answers; '' if none was expected.
    """

    name = PLAIN
    batch_size = 1

    def __init__(self, settings: AnalysisSettings, note: str = '') -> None:
        self._settings, self.note = settings, note
        self._analyzers: dict[AnalysisSettings, Analyzer] = {}
        self._texts: Path | None = None

    def close(self) -> None:
        """Removes the transcripts that were written for the analysis."""
        if self._texts is not None:
            shutil.rmtree(self._texts, ignore_errors=True)
            self._texts = None

    def record(self) -> Mapping[str, Any]:
        """The settings of the analysis."""
        return {'describer': PLAIN, **self._settings.recorded()}

    def digest(self, manifest: Manifest, sample: Sample) -> str:
        """Hash of the file, of the known words, and of what is withheld."""
        content = file_sha256(_whole_file(manifest, sample))
        return hashlib.sha256(repr((content, sample.text, sample.missing)).encode()).hexdigest()

    def described(self, manifest: Manifest, samples: Sequence[Sample]) -> list[Described]:
        """Descriptions of the samples, one after the other."""
        return [self._described(manifest, sample) for sample in samples]

    def _described(self, manifest: Manifest, sample: Sample) -> Described:
        try:
            path = _whole_file(manifest, sample)
            settings = self._settings_for(sample)
            analyzer = self._analyzers.setdefault(settings, Analyzer(settings))
            analysis = analyzer.analyze(path)
            for loss in analysis.source.losses:
                LOG.warning('%s: %s', sample.sample, loss)
            return plainly_described(analysis)
        except StorageError:
            raise
        except AffektError as error:
            return Described(PLAIN, '', form='empty', failure=storable(str(error)))

    def _settings_for(self, sample: Sample) -> AnalysisSettings:
        """The settings, with the words of a sample as the transcript if its manifest has any."""
        is_withheld = 'text' in (sample.missing or '').split(',')
        if self._settings.transcript or (sample.text is None and not is_withheld):
            return self._settings
        text = '' if is_withheld else ' '.join((sample.text or '').split())
        without_words = dataclasses.replace(self._settings, asr='none', subtitles=False)
        if not text:
            return without_words
        if self._texts is None:
            self._texts = Path(tempfile.mkdtemp(prefix='affekt-'))
            weakref.finalize(self, shutil.rmtree, self._texts, ignore_errors=True)
        path = self._texts / 'words.txt'
        write_atomically(path, text.encode('utf-8', 'replace'))
        try:
            open_transcript(path, encoding='utf-8')
        except TranscriptError:  # it contains no words, as in '(laughs)'
            return without_words
        return dataclasses.replace(without_words, transcript=str(path), encoding='utf-8')


def _whole_file(manifest: Manifest, sample: Sample) -> Path:
    """The file of a sample that is a whole file without withheld audio or video.

    Raises:
        MediaError: the sample is not such a file.
    """
    if withheld := {'audio', 'video'} & set((sample.missing or '').split(',')):
        raise MediaError(
            expected='a clip with its video and audio',
            came=f'one whose {listed(sorted(withheld))} the manifest withholds',
            todo='name a describer with --model, which leaves withheld media out',
        )  # fmt: skip
    path = manifest.media(sample, 'video') or manifest.media(sample, 'audio')
    if path is None or manifest.window_s(sample, 'video' if sample.video else 'audio'):
        raise MediaError(
            expected='a clip that is a file of its own', came='a segment of one' if path else 'neither video nor audio',
            todo='cut it out of the recording, or name a describer with --model',
        )  # fmt: skip
    return path


def plainly_described(analysis: Analysis) -> Described:
    """The deterministic description of an analysis in the form of other descriptions."""
    labels = dict.fromkeys(label.word for label in analysis.labels if label.scope == 'whole')
    evidence = [
        DescribedClue(sentence.text, tuple(dict.fromkeys(part.source for part in sentence.evidence)))
        for sentence in analysis.description
        if sentence.evidence
    ]
    words = ' '.join(spoken.text for spoken in analysis.utterances if not spoken.reason)
    return Described(PLAIN, analysis.text, tuple(labels), 'plain', tuple(evidence), words=words)
