"""The main path on real media: a face, a voice, neither, and damage. Skips where models or data are absent."""

from __future__ import annotations

import subprocess
import sys
import threading
import wave

import numpy as np
import pytest

from affekt.analysis import AnalysisSettings, Analyzer, models_needed
from affekt.analysis import analyzer as analyzer_module
from affekt.analysis.utterances import given_words
from affekt.errors import MediaError, TranscriptError, UnknownNameError
from affekt.labels import EKMAN
from affekt.media import Recording
from affekt.media.synthetic import numbered_images
from affekt.media.writing import write_video
from affekt.weights import MODELS, state


@pytest.fixture(scope='module')
def analyzer():
    settings = AnalysisSettings(fps=6.0)
    absent = [name for name in models_needed(settings) if state(MODELS[name]) != 'verified']
    if absent:
        pytest.skip(f'model files are absent: {", ".join(absent)} (run `affekt weights get`)')
    return Analyzer(settings)


@pytest.fixture
def tone(tmp_path):
    """Two seconds of a tone: sound without speech."""
    path = tmp_path / 'tone.wav'
    samples = (6000 * np.sin(2 * np.pi * 220 * np.arange(32000) / 16000)).astype('<i2')
    with wave.open(str(path), 'wb') as file:
        file.setparams((1, 2, 16000, 0, 'NONE', ''))
        file.writeframes(samples.tobytes())
    return path


def test_a_clip_of_a_face_gives_a_person_with_seconds_and_a_picture(analyzer, shared_data):
    told = []
    analysis = analyzer.analyze(
        shared_data / 'test_media' / 'single_face.mp4', progress=lambda *step: told.append(step)
    )
    assert [p.name for p in analysis.people][:1] == ['person 1']
    assert analysis.people[0].thumbnail_jpeg[:2] == b'\xff\xd8'
    assert analysis.source.kind == 'video'
    assert analysis.people[0].seen_s == pytest.approx(analysis.source.duration_s, rel=0.1)
    seconds = analysis.timeline.select(person='person 1', source='face', name='happiness')
    assert len(seconds) == int(np.ceil(analysis.source.duration_s))
    assert {'probe', 'faces', 'voice', 'words', 'fuse'} >= {stage for stage, _, _ in told} >= {'probe', 'faces', 'fuse'}
    assert 'face_landmarker.task' in [m.name for m in analysis.models]
    assert len(analysis.description) >= 3


@pytest.mark.parametrize('reason', ['licence', 'absent'])
def test_without_the_model_that_compares_faces_several_people_may_be_one_and_that_is_said(
    analyzer, shared_data, monkeypatch, reason
):
    if reason == 'absent':
        monkeypatch.setattr('affekt.weights._unavailable', {'face-identity'})
    settings = AnalysisSettings(asr='none', license='commercial-ok' if reason == 'licence' else 'research')
    analysis = Analyzer(settings).analyze(shared_data / 'test_media' / 'multi_face.jpg')
    assert len(analysis.people) == 5
    assert any('may count twice' in note for note in analysis.source.notes)
    assert 'face-identity' not in [model.name for model in analysis.models]


def test_speech_without_pictures_gives_turns_words_and_no_face(analyzer, shared_data):
    analysis = analyzer.analyze(shared_data / 'test_media' / 'beckett.wav')
    assert analysis.source.kind == 'audio'
    assert sum(lane.heard_s for lane in analysis.lanes) > 3
    assert not any(person.seen_s > 0 for person in analysis.lanes)
    said = ' '.join(u.text for u in analysis.utterances).lower()
    assert 'try again' in said
    assert 'fail' in said
    assert len(analysis.timeline.select(source='face')) == 0
    assert any('no video' in note for note in analysis.source.notes)


def joined(shared_data, tmp_path, *clips):
    """Clips of nEMO one after the other, with pauses, as one recording."""
    samples = []
    for clip in clips:
        blocks = Recording.open(shared_data / 'nemo' / clip[:3] / f'{clip}.opus').samples(rate_hz=16000, block_s=10.0)
        samples += [np.concatenate([block.samples for block in blocks]), np.zeros(16000, np.float32)]
    path = tmp_path / 'joined.wav'
    with wave.open(str(path), 'wb') as file:
        file.setparams((1, 2, 16000, 0, 'NONE', ''))
        file.writeframes((np.concatenate(samples) * 32000).clip(-32768, 32767).astype('<i2').tobytes())
    return path


@pytest.fixture(scope='module')
def listener():
    if state(MODELS['speaker-identity.pt']) != 'verified':
        pytest.skip('model files are absent: affekt weights get speaker-identity.pt')
    return Analyzer(AnalysisSettings(asr='none', license='commercial-ok'))


def test_two_speakers_whom_nobody_sees_are_told_apart_by_voice(listener, shared_data, tmp_path):
    clips = [f'{who}_neutral_{number}' for number in range(10, 16) for who in ('WR0', 'EB0')]
    clips = [clip for clip in clips if (shared_data / 'nemo' / clip[:3] / f'{clip}.opus').exists()]
    analysis = listener.analyze(joined(shared_data, tmp_path, *clips))
    assert sorted(person.name for person in analysis.people) == ['speaker 1', 'speaker 2']
    assert any(note.startswith('Two speakers were told apart by voice') for note in analysis.source.notes)
    turns = analysis.tables['turns']['person'].to_pylist()
    told = [(who, clip[:3]) for who, clip in zip(turns, clips, strict=True) if who != 'voice']
    assert len(told) > len(clips) / 2
    assert set(told) == {('speaker 1', 'WR0'), ('speaker 2', 'EB0')}
    assert 'two speakers' in analysis.description[0].text
    assert 'speaker-identity.pt' in [model.name for model in analysis.models]


def test_one_speaker_in_several_emotions_is_not_taken_for_two(listener, shared_data, tmp_path):
    emotions = ('neutral', 'anger', 'sadness', 'happiness', 'fear', 'surprised')
    clips = [f'EB0_{emotion}_{number}' for number in (10, 11) for emotion in emotions]
    clips = [clip for clip in clips if (shared_data / 'nemo' / 'EB0' / f'{clip}.opus').exists()]
    analysis = listener.analyze(joined(shared_data, tmp_path, *clips))
    assert analysis.people == ()
    assert [voice.name for voice in analysis.voices] == ['voice']


def test_a_picture_gives_its_faces_over_a_nominal_second(analyzer, shared_data):
    analysis = analyzer.analyze(shared_data / 'test_media' / 'single_face.jpg')
    assert (analysis.source.kind, analysis.source.duration_s) == ('image', 1.0)
    assert len(analysis.people) == 1
    fused = analysis.timeline.select(source='fused', name=EKMAN)
    assert len(fused) == 7
    assert any('nominal' in note for note in analysis.source.notes)
    assert analysis.moments == ()


@pytest.mark.parametrize(('pictures', 'fps'), [(10, 12.5), (11, 12.5), (11, 5), (3, 0.5), (1, 12.5), (11, None)])
def test_a_run_ends_where_its_file_ends_whichever_pictures_were_looked_at(analyzer, tmp_path, pictures, fps):
    clip = write_video(tmp_path / 'short.mp4', numbered_images(pictures, 96, 72), 25)
    analysis = Analyzer(analyzer.settings.changed({'fps': fps, 'asr': 'none'})).analyze(clip)
    assert analysis.source.duration_s == pytest.approx(pictures / 25, abs=1e-3)
    assert not analysis.timeline.end_s > pictures / 25 + 1e-3


def test_a_clip_without_faces_says_so_and_never_neutral(analyzer, shared_data):
    analysis = analyzer.analyze(shared_data / 'test_media' / 'no_face.mp4')
    assert not [p for p in analysis.people if p.seen_s > 0]
    assert len(analysis.timeline.select(source='face')) == 0
    assert 'No face was found.' in analysis.source.notes
    assert 'neutral' not in analysis.text


def test_sound_without_speech_has_no_turns(analyzer, tone):
    analysis = analyzer.analyze(tone)
    assert analysis.people == ()
    assert len(analysis.timeline) == 0
    assert 'No speech was heard.' in analysis.source.notes
    assert analysis.source.duration_s == pytest.approx(2.0, abs=0.05)


def test_a_transcript_replaces_recognition(analyzer, shared_data, tmp_path):
    script = tmp_path / 'words.srt'
    script.write_text('1\n00:00:00,500 --> 00:00:02,000\nThank you, this is wonderful!\n')
    other = Analyzer(AnalysisSettings(fps=6.0, transcript=str(script)))
    analysis = other.analyze(shared_data / 'test_media' / 'beckett.wav')
    assert [u.text for u in analysis.utterances] == ['Thank you, this is wonderful!']
    assert 'utterances' in analysis.tables
    script.write_bytes(b'\x00\x01')
    with pytest.raises(TranscriptError):
        other.analyze(shared_data / 'test_media' / 'beckett.wav')


def test_a_transcript_in_an_old_encoding_is_read_in_the_one_that_is_named(tmp_path):
    script = tmp_path / 'words.srt'
    script.write_bytes('1\n00:00:00,500 --> 00:00:02,000\nÄ\n'.encode('cp437'))
    settings = AnalysisSettings(transcript=str(script), encoding='cp437')
    utterances, _ = given_words(None, settings, 3.0)
    assert [row.text for row in utterances] == ['Ä']
    with pytest.raises(UnknownNameError, match='klingon'):
        AnalysisSettings(encoding='klingon')


def test_an_analysis_of_one_file_leaves_no_trace_in_the_next(analyzer, shared_data, tone):
    first = analyzer.analyze(shared_data / 'test_media' / 'beckett.wav')
    analyzer.analyze(tone)
    second = analyzer.analyze(shared_data / 'test_media' / 'beckett.wav')
    assert first.to_dict() == second.to_dict()
    assert first.timeline == second.timeline


def test_without_frames_and_with_a_commercial_licence_nothing_else_is_kept_or_loaded(analyzer, shared_data, tmp_path):
    settings = AnalysisSettings(fps=4.0, keep_frames=False, license='commercial-ok', asr='none')
    analysis = Analyzer(settings).analyze(shared_data / 'test_media' / 'single_face.mp4', spill=tmp_path)
    assert analysis.people[0].thumbnail_jpeg is None
    assert list(tmp_path.iterdir()) == []
    assert 'face_expression' not in [m.name for m in analysis.models]
    assert not [m for m in analysis.models if m.card.get('commercial_ok') is False]
    assert any('prototypes' in note for note in analysis.source.notes)


def test_what_is_no_medium_raises(analyzer, tmp_path):
    path = tmp_path / 'note.mp4'
    path.write_text('not a video')
    with pytest.raises(MediaError):
        analyzer.analyze(path)
    with pytest.raises(MediaError):
        analyzer.analyze(tmp_path / 'absent.mp4')


def test_polish_is_shown_as_not_understood_and_takes_no_part(analyzer, shared_data):
    path = shared_data / 'nemo' / 'EB0' / 'EB0_sadness_15.opus'
    if not path.exists():
        pytest.skip('nemo is absent')
    analysis = analyzer.analyze(path)
    assert {u.reason for u in analysis.utterances} == {'not understood'}
    assert any('--asr base' in note for note in analysis.source.notes)
    assert len(analysis.timeline.select(source='words')) == 0
    rows = analysis.tables['utterances'].to_pylist()
    assert not any(row['is_understood'] for row in rows)
    assert np.isnan([row['valence'] for row in rows]).all()


def test_chinese_subtitles_are_read_by_the_model_of_many_languages(shared_data, tmp_path):
    if state(MODELS['use-multilingual-3']) != 'verified':
        pytest.skip('use-multilingual-3 is absent: run `affekt weights get use-multilingual-3`')
    script = tmp_path / 'words.srt'
    script.write_text('1\n00:00:00,500 --> 00:00:02,000\n我太高兴了，谢谢你！\n', encoding='utf-8')
    sound = shared_data / 'test_media' / 'beckett.wav'
    analysis = Analyzer(AnalysisSettings(transcript=str(script))).analyze(sound)
    row = analysis.tables['utterances'].to_pylist()[0]
    assert (row['language'], row['reason']) == ('zh', '')
    assert row['happiness'] > 0.5
    names = {model.name for model in analysis.models}
    assert {'use-multilingual-3', 'textual_emotion_multilingual'} <= names
    assert 'textual_emotion' not in names  # no English word, so the model of English words is not loaded
    commercial = Analyzer(AnalysisSettings(transcript=str(script), license='commercial-ok')).analyze(sound)
    assert [u.reason for u in commercial.utterances] == ['language']
    assert any('in Chinese' in note for note in commercial.source.notes)


def test_recordings_are_analyzed_saved_and_shown_without_pandas(analyzer, shared_data, tmp_path):
    pytest.importorskip('pandas', reason='pandas is absent')
    code = """
import sys
from affekt.analysis import AnalysisSettings, Analyzer
analyzer = Analyzer(AnalysisSettings())
for name in ('single_face.jpg', 'beckett.wav'):
    analysis = analyzer.analyze(f'{sys.argv[1]}/{name}')
    analysis.save(sys.argv[2])
    analysis.report(sys.argv[2] + '/report.html')
print('pandas' in sys.modules)
"""
    words = [sys.executable, '-c', code, str(shared_data / 'test_media'), str(tmp_path)]
    ran = subprocess.run(words, capture_output=True, text=True)
    assert ran.stdout == 'False\n', ran.stderr  # a quarter of a second and 40 MB in every process


@pytest.mark.parametrize('are_large', [False, True])
def test_sound_is_heard_beside_the_pictures_and_after_them_where_they_are_large(tmp_path, monkeypatch, are_large):
    video = write_video(tmp_path / 'a.mp4', numbered_images(3, 64, 48), 10)
    monkeypatch.setattr(analyzer_module, 'LARGE_PIXELS', 64 * 48 if are_large else 64 * 48 + 1)
    happened, both = [], threading.Barrier(2, timeout=60)

    def watch(self, *given):
        happened.append('watch')
        if not are_large:
            both.wait()
        happened.append('watched')
        return analyzer_module._FaceResults()

    def listen(self, *given):
        if not are_large:
            both.wait()
        happened.append('heard')
        return analyzer_module._SpeechResults()

    monkeypatch.setattr(Analyzer, '_read_faces', watch)
    monkeypatch.setattr(Analyzer, '_read_speech', listen)
    Analyzer(AnalysisSettings()).analyze(video)
    assert happened == ['watch', 'watched', 'heard'] if are_large else sorted(happened) == ['heard', 'watch', 'watched']
