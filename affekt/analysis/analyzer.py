"""The main path: faces, voice and words of a recording, observed in parallel and then fused.

`Analyzer` loads its models when they are first needed and keeps them for further files. One thread observes faces,
another voice and words, each in its own pass over the file; both decode ahead in further threads, and spend their time
in native code. Memory stays nearly flat: a row per face and frame, a row per turn, ten readings per second of
speech; stills are on disk.
"""

from __future__ import annotations

import dataclasses
import math
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from affekt.analysis.analysis import Analysis
from affekt.analysis.assemble import assemble
from affekt.analysis.description import Describer, WordsOfModel, open_model_words
from affekt.analysis.model_cache import LONG_S, LoadedModels, return_freed_pages
from affekt.analysis.model_choice import licence_notes, models_used, trust_of
from affekt.analysis.observations import FACES, TURNS, UTTERANCES, VOICE, Observed, conform
from affekt.analysis.open_labels import word_table
from affekt.analysis.records import Lost, Source, Spoken
from affekt.analysis.settings import AnalysisSettings
from affekt.analysis.stills import Stills, Watched
from affekt.analysis.utterances import given_words, read_words
from affekt.containers import DecodeReport
from affekt.errors import LimitError, MediaError
from affekt.media import Recording
from affekt.people import LEAST_TOLD_APART, Returned, speakers_heard, speakers_sentence
from affekt.progress import Progress
from affekt.tables import empty_table, storable
from affekt.wording import counted
from affekt.workers import awaited, yields_to_others

IMAGE_S = 1.0
"""Nominal length of a photograph in seconds."""
VOICE_NICENESS = 2
"""Niceness of the thread for voice and words. Faces take twice their work, frame after frame: without it, audio is
finished after two thirds of the time, and the remaining faces alone do not keep two cores busy."""
TIDY_EVERY_S = 60.0
"""Seconds of recording after which freed pages are returned to the system, since native heaps grow otherwise."""
LARGE_PIXELS = 4_000_000
"""Frames with at least this many pixels are read before the audio, not in parallel: decoding 4K takes 140 MB, as much
as the models of the voice."""


@dataclass
class _FaceResults:
    """Results of the thread for faces; `end_s` is the end of the video in seconds."""

    table: pa.Table = field(default_factory=lambda: empty_table(FACES))
    thumbnails: dict[str, bytes] = field(default_factory=dict)
    rate_hz: float = 0.0
    end_s: float = 0.0
    notes: list[str] = field(default_factory=list)
    has_frames: bool = False
    returned: dict[str, Returned] = field(default_factory=dict)
    has_compared: bool = False
    """True if faces were compared for identity."""


@dataclass
class _SpeechResults:
    """Results of the thread for voice and words; `end_s` is the end of the audio in seconds."""

    turns: pa.Table = field(default_factory=lambda: empty_table(TURNS))
    voice: pa.Table = field(default_factory=lambda: empty_table(VOICE))
    utterances: pa.Table = field(default_factory=lambda: empty_table(UTTERANCES))
    spoken: tuple[Spoken, ...] = ()
    end_s: float = 0.0
    notes: list[str] = field(default_factory=list)
    has_audio: bool = False
    was_recognized: bool = False
    speakers: tuple[str, ...] = ()
    was_read: bool = False
    was_foreign: bool = False


class _Stopped(Exception):
    """Ends a thread after the other has failed."""


class Analyzer:
    """Loaded models and settings, for one recording at a time.

    Args:
        settings: the defaults if None.
        describer: writes the description; `PlainDescriber` if None.
        vocal_head: folder of the voice's model, as a recipe writes it; the packaged one if None.
        keep_models: keep the models in memory after a short recording; False saves 60 MB.
    """

    def __init__(
        self,
        settings: AnalysisSettings | None = None,
        describer: Describer | None = None,
        *,
        vocal_head: Path | None = None,
        keep_models: bool = True,
    ) -> None:
        self.settings = settings or AnalysisSettings()
        self._describer = describer
        self._words_of_model: WordsOfModel | None = None
        self._models = LoadedModels(self.settings, vocal_head, long_s=LONG_S if keep_models else 0.0)

    def analyze(
        self, path: str | Path, *, progress: Progress | None = None, spill: str | Path | None = None
    ) -> Analysis:
        """The analysis of one recording.

        1. Open. 2. Observe faces and voice, in parallel, or one after the other where frames are large. 3. Fuse and
        conclude. 4. Describe by a model, if requested.

        Args:
            path: a video, an audio file or a photograph.
            progress: called with each stage; calls come from several threads, but never at once.
            spill: folder for landmarks, if `settings.keep_landmarks`.

        Raises:
            MediaError: the file is missing, unusably damaged, or of an unknown kind.
            LimitError: it is larger than allowed.
            UnknownNameError: it has no audio stream of the number in the settings.
            TranscriptError: the transcript cannot be read.
            WeightsError: a model file is not available.
        """
        # 1.
        recording = Recording.open(path)
        if self.settings.sound_stream is not None:
            recording.sound_stream(self.settings.sound_stream)
        if self.settings.describe and self._words_of_model is None:
            self._words_of_model = open_model_words(self.settings.describe_model)
        stop, report = threading.Event(), _reporter(progress, total_s=recording.duration_s or 0.0)
        report('probe', 1.0, 1.0)
        stills = Stills() if self.settings.keep_frames and recording.video is not None else None
        landmarks = Path(spill) / 'landmarks.parquet' if spill is not None else None
        try:
            # 2.
            with ThreadPoolExecutor(1 if _has_large_frames(recording) else 2, thread_name_prefix='affekt') as pool:
                face_job = pool.submit(
                    _result_or_stop, stop, self._read_faces, recording, stills, landmarks, report, stop
                )
                speech_job = pool.submit(_result_or_stop, stop, self._read_speech, recording, report, stop)
                faces, speech = _results(face_job, speech_job, stop)
            # 3.
            report('fuse', 0.0, 1.0)
            if not faces.table.num_rows and speech.turns.num_rows >= LEAST_TOLD_APART:
                self._assign_speakers(recording, speech)
            observed = self._observed(recording, faces, speech, stills)
            analysis = assemble(observed, self.settings, self._describer)
            analysis = dataclasses.replace(analysis, recording=_absolute(recording.path))
            report('fuse', 1.0, 1.0)
            # 4.
            if self._words_of_model is not None and recording.path is not None:
                transcript = ' '.join(
                    utterance.text.strip() for utterance in analysis.utterances if not utterance.reason
                )
                described = self._words_of_model(recording.path, transcript)
                analysis = dataclasses.replace(analysis, described=(described,))
                report('describe', 1.0, 1.0)
            return analysis
        finally:
            if stills is not None:
                stills.close()

    def _read_faces(
        self, recording: Recording, stills: Stills | None, landmarks: Path | None, report: Any, stop: threading.Event
    ) -> _FaceResults:
        """The readings of faces; empty if the recording has no video."""
        if recording.video is None:
            return _FaceResults()
        from affekt.faces import in_source_pixels, observe_faces

        settings = self.settings
        identity = self._models.get('identity')
        watched = Watched(recording, settings.max_side, stills)
        try:
            faces = observe_faces(
                watched,
                rate_hz=None if recording.kind == 'image' else settings.fps,
                max_people=settings.max_people,
                landmarker=self._models.get('landmarker'),
                expression=self._models.expression_later(),
                identity=identity,
                keep_thumbnails=settings.keep_frames,
                spill=landmarks if settings.keep_landmarks and settings.keep_frames else None,
                progress=lambda time_s: _checked(stop, report, 'faces', time_s),
            )
        except MediaError as error:
            if isinstance(error, LimitError) or not recording.audio:
                raise
            return _FaceResults(notes=[f'video: {error}'])
        report('faces', 1.0, 1.0)
        self._models.done_with(recording.duration_s, 'landmarker', 'expression', 'identity')
        span_s = watched.last_s - (watched.first_s or 0.0)
        step_s = span_s / (watched.frames_seen - 1) if watched.frames_seen > 1 else IMAGE_S
        return _FaceResults(
            table=in_source_pixels(faces.table, watched.scale),
            thumbnails={p.name: p.thumbnail_jpeg for p in faces.people if p.thumbnail_jpeg},
            returned=_returned(faces),
            has_compared=identity is not None and sum(person.stretches for person in faces.people) > 1,
            rate_hz=1.0 / step_s if step_s > 0 else 0.0,
            end_s=IMAGE_S if recording.is_still else recording.pictures_end_s,
            notes=_face_notes(faces, can_compare=identity is not None),
            has_frames=faces.frames > 0,
        )

    def _read_speech(self, recording: Recording, report: Any, stop: threading.Event) -> _SpeechResults:
        """The readings of voice and words; without audio, those of given words alone."""
        given_utterances, notes = given_words(recording, self.settings, recording.duration_s)
        if not recording.audio:
            return self._with_words(recording, _SpeechResults(notes=notes), given_utterances or (), report)
        from affekt.voice import observe_voice

        if recording.video is not None:
            yields_to_others(VOICE_NICENESS)
        recognizes = given_utterances is None and self.settings.asr != 'none'
        emotion = self._models.get('vocal')
        needs_encoder = emotion is not None or recognizes
        try:
            voice = observe_voice(
                recording,
                encoder=self._models.get('encoder') if needs_encoder else None,
                emotion=emotion,
                recognizer=self._models.get('recognizer') if recognizes else None,
                detector=self._models.fresh_detector(),
                stream=self.settings.sound_stream,
                progress=lambda time_s: _checked(stop, report, 'voice', time_s),
            )
        except MediaError as error:
            if isinstance(error, LimitError) or recording.video is None:
                raise
            return self._with_words(
                recording, _SpeechResults(notes=[*notes, f'audio: {error}']), given_utterances or (), report
            )
        report('voice', 1.0, 1.0)
        self._models.done_with(recording.duration_s, 'detector', 'encoder', 'vocal', 'recognizer')
        speech = _SpeechResults(
            turns=conform(voice.turns, 'turns'), voice=conform(voice.frames, 'voice'), end_s=voice.heard_s, notes=notes,
            has_audio=True, was_recognized=recognizes,
        )  # fmt: skip
        return self._with_words(
            recording, speech, voice.utterances if given_utterances is None else given_utterances, report
        )

    def _assign_speakers(self, recording: Recording, speech: _SpeechResults) -> None:
        """Assigns a speaker to each turn by voice, in a second pass over the audio."""
        network = self._models.get('speakers')
        if network is None:
            speech.notes.append('voices were not compared with each other, as the model for it is not installed')
            return
        blocks = recording.samples(rate_hz=16000, block_s=10.0, stream=self.settings.sound_stream)
        spans = zip(speech.turns['start_s'].to_pylist(), speech.turns['end_s'].to_pylist(), strict=True)
        speech.speakers = tuple(speakers_heard(network, blocks, list(spans)))
        speech.notes += filter(None, [speakers_sentence(speech.speakers)])
        self._models.done_with(recording.duration_s, 'speakers')

    def _with_words(self, recording: Recording, speech: _SpeechResults, utterances: Any, report: Any) -> _SpeechResults:
        """The results with the emotion of the words added."""
        report('words', 0.0, 1.0)
        if utterances:
            words = read_words(utterances, self._models.get)
            speech.utterances, speech.spoken = words.table, words.spoken
            speech.notes += words.notes
            speech.was_read, speech.was_foreign = words.was_read, words.was_foreign
            self._models.done_with(recording.duration_s, 'text', 'foreign_text')
        word_table()  # read here, beside the thread for faces, since nothing else runs while people are described
        report('words', 1.0, 1.0)
        return speech

    def _observed(
        self, recording: Recording, faces: _FaceResults, speech: _SpeechResults, stills: Stills | None
    ) -> Observed:
        """All measurements, the description of the source and the models used."""
        video = recording.video
        is_image = recording.kind == 'image'
        end_s = max(faces.end_s, speech.end_s)
        duration_s = IMAGE_S if is_image else end_s if end_s > 0 else float(recording.duration_s or 0.0)
        notes = [*_kind_notes(recording, faces, speech), *recording.decoded.sentences, *faces.notes, *speech.notes]
        notes += licence_notes(
            self.settings, saw=faces.table.num_rows > 0, heard=speech.turns.num_rows > 0, read=bool(speech.spoken)
        )
        source = Source(
            storable(recording.name), recording.kind, round(duration_s, 6), recording.sha256(),
            video.width if video else 0,
            video.height if video else 0, float(video.rate_hz or 0.0) if video else 0.0, round(faces.rate_hz, 4),
            tuple(dict.fromkeys(storable(_sentence(note)) for note in notes)),
            _lost(recording.decoded),
        )  # fmt: skip
        return Observed(
            source=source,
            faces=conform(faces.table, 'faces'),
            turns=speech.turns,
            voice=speech.voice,
            utterances=speech.utterances,
            spoken=speech.spoken,
            thumbnails=faces.thumbnails,
            returned=faces.returned,
            speakers=speech.speakers,
            trust=trust_of(self.settings),
            models=models_used(
                self.settings, saw=faces.has_frames, heard=speech.has_audio, read=speech.was_read,
                recognized=speech.was_recognized, foreign=speech.was_foreign, joined=faces.has_compared,
                told_apart=bool(speech.speakers),
            ),
            still_at=stills.at if stills is not None else lambda time_s: None,
        )  # fmt: skip


def analyze(
    path: str | Path, *, settings: AnalysisSettings | None = None, progress: Progress | None = None, **named: Any
) -> Analysis:
    """The analysis of one recording: a video, an audio file or a photograph.

    Args:
        path: the file.
        settings: the defaults if None. To reuse models for many files, use `Analyzer`.
        progress: called with each stage.
        named: settings by name, such as `fps=5, asr='base'`; they override `settings`.

    Raises:
        UnknownNameError: no setting of this name.
        MediaError, LimitError, TranscriptError, WeightsError: see `Analyzer.analyze`.
    """
    return Analyzer((settings or AnalysisSettings()).changed(named), keep_models=False).analyze(path, progress=progress)


def _has_large_frames(recording: Recording) -> bool:
    video = recording.video
    return video is not None and not recording.is_still and video.width * video.height >= LARGE_PIXELS


def _absolute(path: Path | None) -> Path | None:
    return None if path is None else Path(os.path.abspath(path))


def _reporter(progress: Progress | None, total_s: float) -> Callable[[str, float, float], None]:
    """A function that calls `progress` from one thread at a time, and returns freed memory at intervals.

    A total of 0 stands for that of the recording, in seconds.
    """
    lock = threading.Lock()
    released_at: dict[str, float] = {}

    def report(stage: str, done: float, total: float) -> None:
        if total <= 0 and done - released_at.get(stage, 0.0) >= TIDY_EVERY_S:
            released_at[stage] = done
            return_freed_pages()
        if progress is not None:
            with lock:
                progress(stage, *((done, total) if total > 0 else (min(done, total_s), max(total_s, 1e-9))))

    return report


def _checked(stop: threading.Event, report: Any, stage: str, time_s: float) -> None:
    """Reports the progress of a stage; ends it if the other thread has failed."""
    if stop.is_set():
        raise _Stopped
    report(stage, time_s, 0.0)


def _result_or_stop(stop: threading.Event, job: Callable[..., Any], *arguments: Any) -> Any:
    """The job's result; a failure stops the other thread."""
    try:
        return job(*arguments)
    except BaseException:
        stop.set()
        raise


def _results(face_job: Any, speech_job: Any, stop: threading.Event) -> tuple[_FaceResults, _SpeechResults]:
    """Both results, or the first error."""
    try:
        awaited(lambda timeout_s: not wait((face_job, speech_job), timeout_s).not_done)
        errors = [error for future in (face_job, speech_job) if (error := future.exception()) is not None]
    except BaseException:
        stop.set()
        raise
    causes = [error for error in errors if not isinstance(error, _Stopped)]
    if causes:
        raise causes[0]
    return face_job.result(), speech_job.result()


def _lost(decoded: DecodeReport) -> Lost:
    """The losses of a decoded file, as a record."""
    streams = [stream for stream in (decoded.video, decoded.audio) if stream is not None]
    return Lost(
        decoded.unread_bytes, round(decoded.lost_s, 3), sum(stream.damaged_packets for stream in streams),
        sum(stream.corrupt_frames for stream in streams), decoded.is_complete,
    )  # fmt: skip


def _kind_notes(recording: Recording, faces: _FaceResults, speech: _SpeechResults) -> list[str]:
    """Notes on streams, faces or speech that the recording lacks."""
    notes = []
    if recording.kind == 'image':
        notes.append('an image has no duration: the one second that it takes up in the tables is nominal')
    elif recording.video is None:
        notes.append('there is no video, so nothing is said about faces')
    elif faces.has_frames and not faces.table.num_rows:
        notes.append('no face was found')
    if recording.kind == 'video' and not recording.audio:
        notes.append('there is no audio, so nothing is said about voices')
    elif speech.has_audio and not speech.turns.num_rows:
        notes.append('no speech was heard')
    return notes


def _returned(faces: Any) -> dict[str, Returned]:
    """People tracked in several stretches, with the certainty that they are one person."""
    return {
        person.name: Returned(
            person.stretches, None if math.isnan(person.identity_certainty) else round(person.identity_certainty, 4)
        )
        for person in faces.people
        if person.stretches > 1
    }


def _face_notes(faces: Any, *, can_compare: bool) -> list[str]:
    """Notes on faces that could not be read or compared."""
    notes = []
    if too_small := faces.frames_too_small:
        notes.append(f'{counted(too_small, "frame")} {"was" if too_small == 1 else "were"} too small to hold a face')
    if len(faces.people) > 1 and not can_compare:
        notes.append(
            'faces were not compared with each other, as the model for it is not installed or its licence is left out: '
            'a person who leaves the frame and comes back may count twice'
        )
    return notes


def _sentence(note: str) -> str:
    """A note as a sentence with capital and full stop."""
    text = note.strip()
    return text[:1].upper() + text[1:] + ('' if text.endswith(('.', '!', '?')) else '.')
