"""Many clips described into one folder: any describer, failures, resuming, tables, and the verb."""

from __future__ import annotations

import csv
import json
import shutil
import wave

import numpy as np
import pytest
from click.testing import CliRunner

from affekt.analysis import Described, DescribedClue
from affekt.batch import Describing, clips_of, default_describer, describe_many, measured, open_describing
from affekt.batch import describing as module
from affekt.cli import main
from affekt.corpora import Facts, Manifest, Sample
from affekt.errors import CorpusError, MediaError, RunError, TableError, ValueRangeError
from affekt.media import write_video
from affekt.runs import file_sha256

NAMES = ('a.wav', 'b.wav', 'deep/c.wav', 'd.wav', 'e.wav')


class _Answering:
    """Answers by the name of a clip; counts what it is asked."""

    name, batch_size = 'test', 2

    def __init__(self, *, broken=(), killed_at=''):
        self.asked, self._broken, self._killed_at = [], broken, killed_at

    def record(self):
        return {'describer': 'test'}

    def digest(self, manifest, sample):
        return file_sha256(manifest.media(sample, 'audio') or manifest.media(sample, 'video'))

    def described(self, manifest, samples):
        answers = []
        for sample in samples:
            if sample.sample == self._killed_at:
                raise KeyboardInterrupt
            self.asked.append(sample.sample)
            if sample.sample in self._broken:
                answers.append(Described('test', '', form='empty', failure='no sound in it'))
                continue
            clue = DescribedClue('The voice is low.', ('voice',))
            text = f'The person seems sad in {sample.sample}. The voice is low.'
            answers.append(
                Described('test', text, ('sad',), evidence=(clue,), lacking={'words': 'none', 'face': 'no picture'})
            )
        return answers


@pytest.fixture
def media(tmp_path):
    folder = tmp_path / 'media'
    for number, name in enumerate(NAMES):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        with wave.open(str(folder / name), 'wb') as file:
            file.setparams((1, 2, 16_000, 0, 'NONE', ''))
            file.writeframes(np.full(160, number, '<i2').tobytes())
    return folder


def _texts(folder):
    return [(folder / name).read_bytes() for name in ('descriptions.csv', 'descriptions.jsonl')]


def test_a_killed_run_goes_on_to_tables_that_are_equal_byte_for_byte(media, tmp_path):
    whole = list(describe_many([media], out=tmp_path / 'whole', describer=_Answering()))
    assert [clip.name for clip in whole] == ['a.wav', 'b.wav', 'd.wav', 'deep/c.wav', 'e.wav']
    killed = _Answering(killed_at='deep/c.wav')
    with pytest.raises(KeyboardInterrupt):
        list(describe_many([media], out=tmp_path / 'killed', describer=killed))
    with pytest.raises(RunError, match='--resume'):
        list(describe_many([media], out=tmp_path / 'killed', describer=_Answering()))
    again = _Answering()
    resumed = list(describe_many([media], out=tmp_path / 'killed', describer=again, resume=True))
    assert again.asked == ['d.wav', 'deep/c.wav', 'e.wav']  # the batch at hand is not half kept
    assert [clip.resumed for clip in resumed] == [True, True, False, False, False]
    assert _texts(tmp_path / 'killed') == _texts(tmp_path / 'whole')
    assert {tuple(clip.described.lacking) for clip in (*whole, *resumed)} == {('face', 'words')}
    (media / 'a.wav').write_bytes((media / 'b.wav').read_bytes())
    changed = _Answering()
    list(describe_many([media], out=tmp_path / 'killed', describer=changed, resume=True))
    assert changed.asked == ['a.wav']


def test_a_failed_clip_is_kept_apart_and_tried_again(media, tmp_path):
    clips = list(describe_many([media], out=tmp_path / 'run', describer=_Answering(broken=['b.wav'])))
    assert [clip.name for clip in clips if clip.described.failure] == ['b.wav']
    rows = list(csv.DictReader((tmp_path / 'run' / 'descriptions.csv').read_text().splitlines()))
    assert (rows[1]['description'], rows[1]['failure'], rows[0]['labels']) == ('', 'no sound in it', 'sad')
    again = _Answering()
    list(describe_many([media], out=tmp_path / 'run', describer=again, resume=True))
    assert again.asked == ['b.wav']
    lines = [json.loads(line) for line in (tmp_path / 'run' / 'descriptions.jsonl').read_text().splitlines()]
    assert [line['failure'] for line in lines] == [''] * 5
    assert lines[0]['evidence'] == [{'text': 'The voice is low.', 'of': ['voice']}]


def test_an_entry_that_cannot_be_read_is_a_failure_of_its_own(media):
    (media / 'link.wav').symlink_to(media / 'nowhere.wav')
    shutil.copy(media / 'a.wav', media / b'caf\xe9.wav'.decode('utf-8', 'surrogateescape'))
    clips = list(describe_many([media], describer=_Answering()))
    failed = [clip for clip in clips if clip.described.failure]
    assert [clip.name for clip in failed] == ['link.wav', r'caf\xe9.wav']
    assert 'rename' in failed[1].described.failure
    assert len(clips) == 7
    assert len(list(describe_many([media], describer=_Answering(), limit=2))) == 4
    with pytest.raises(ValueRangeError, match='a limit of 0 clips or more; got -1'):
        list(describe_many([media], describer=_Answering(), limit=-1))


def test_clips_come_from_files_folders_or_one_manifest(media, tmp_path):
    rows = [Sample(name, audio=name, text=name) for name in NAMES]
    Manifest(Facts('own', root=str(media)), rows).save(tmp_path / 'm.parquet')
    manifest, problems = clips_of([tmp_path / 'm.parquet'])
    assert (list(manifest.names), problems) == (list(NAMES), [])
    with pytest.raises(CorpusError, match='a folder that the media'):
        clips_of([tmp_path / 'm.parquet'], tmp_path / 'moved')
    (tmp_path / 'moved').mkdir()
    moved, _ = clips_of([tmp_path / 'm.parquet'], tmp_path / 'moved')
    assert moved.media(moved.samples[0], 'audio') == tmp_path / 'moved' / 'a.wav'
    with pytest.raises(TableError, match='one manifest'):
        clips_of([tmp_path / 'm.parquet', media])
    with pytest.raises(MediaError):
        clips_of([tmp_path / 'nowhere'])
    clips = list(describe_many([tmp_path / 'm.parquet'], describer=_Answering()))
    assert [clip.name for clip in clips] == list(NAMES)


def test_settings_that_mean_nothing_are_refused(media, tmp_path, monkeypatch):
    with pytest.raises(ValueRangeError):
        Describing(batch_size=0)
    (tmp_path / 't.txt').write_text('I am fine.')
    with pytest.raises(ValueRangeError, match='one clip for a transcript'):
        list(describe_many([media], Describing(transcript=str(tmp_path / 't.txt')), describer=_Answering()))
    monkeypatch.setattr(module, 'has_shipped_describer', lambda: False)
    with pytest.raises(ValueRangeError, match='--model'):
        open_describing(Describing(question='What?'))
    assert open_describing(Describing()).name == measured.PLAIN


@pytest.mark.parametrize(
    ('reaches', 'packages', 'trunk', 'answers', 'note'),
    [
        (True, True, 'verified', True, ''),
        (True, True, 'missing', False, 'affekt weights get smollm2-135m-instruct.gguf'),
        (True, False, 'verified', False, 'pip install'),
        (False, True, 'missing', False, ''),  # it would not be the default: nothing is to be got for it
    ],
)
def test_the_small_describer_answers_where_it_is_good_enough_and_whole(
    reaches, packages, trunk, answers, note, tmp_path, monkeypatch
):
    place = tmp_path / 'describer.json'
    place.write_text(json.dumps({'trunk': 'smollm2-135m-instruct.gguf', 'notes': {'reaches_targets': reaches}}))
    monkeypatch.setattr(default_describer, 'SHIPPED', place)
    monkeypatch.setattr(default_describer, 'state', lambda model: trunk)
    monkeypatch.setattr(default_describer, 'PACKAGES', ('json',) if packages else ('json', 'no_such_package'))
    monkeypatch.setattr(module.ModelClips, 'open', lambda settings: 'the small describer')
    assert default_describer.has_shipped_describer() is answers
    describer = open_describing(Describing(asr='none'))
    if answers:
        assert describer == 'the small describer'
        with pytest.raises(ValueRangeError, match='got --at-once'):
            open_describing(Describing(at_once=9))
    else:
        assert (describer.name, note in describer.note, bool(describer.note)) == (measured.PLAIN, True, bool(note))
    by_name = open_describing(Describing(model='plain', asr='none'))
    assert (by_name.name, by_name.note) == (measured.PLAIN, '')
    with pytest.raises(ValueRangeError, match=r'description from measurements uses .*got --question; leave it out, or'):
        open_describing(Describing(model='plain', question='What?'))
    with pytest.raises(ValueRangeError, match=r'description from measurements uses .*got --frames;'):
        Describing(model='plain', frames=4)
    with pytest.raises(ValueRangeError, match=r'uses \(--endpoint, --model, --server'):  # a model of that name there
        Describing(model='plain', endpoint='http://localhost:1/v1', question='What?')


def test_without_a_model_sentences_come_from_measurements(media, tmp_path, monkeypatch):
    monkeypatch.setattr(module, 'has_shipped_describer', lambda: False)
    (clip,) = describe_many([media / 'a.wav'], Describing(asr='none'))
    assert clip.described.form == 'plain'
    assert 'nobody is heard' in clip.described.text
    rows = [Sample('cut', audio='a.wav', start_s=0.0, end_s=0.005), Sample('text', text='Fine.')]
    Manifest(Facts('own', root=str(media)), rows).save(tmp_path / 'm.parquet')
    clips = list(describe_many([tmp_path / 'm.parquet'], Describing(asr='none')))
    assert [
        'a segment of one' in clips[0].described.failure,
        'neither video nor audio' in clips[1].described.failure,
    ] == [True, True]


@pytest.mark.parametrize(
    ('chosen', 'unused'),
    [
        ({'device': 'cuda', 'tokens': 5}, '--tokens, --device'), ({'precision': 'float16'}, '--precision'),
        ({'batch_size': 3}, '--batch-size'), ({'at_once': 9}, '--at-once'), ({'is_probed': False}, '--no-probe'),
        ({'frames': 3}, '--frames'), ({'is_sound_sent': False}, '--no-sound'),
        ({'recipes': {'voice': 'acoustics-utt'}}, '--recipe'), ({'table': '2025'}, 'table'),
        ({'server': 'vllm'}, '--server'), ({'model': 'm', 'timeout_s': 3.0}, '--timeout'),
        ({'model': 'm', 'seed': 3}, 'a seed'),
        ({'model': 'm', 'endpoint': 'http://h/v1', 'device': 'cuda'}, '--device'),
        ({'model': 'm', 'endpoint': 'http://h/v1', 'temperature': 0.5}, 'temperature'),
    ],
)  # fmt: skip
def test_an_option_that_changes_nothing_is_refused_by_name(chosen, unused, monkeypatch):
    monkeypatch.setattr(module, 'has_shipped_describer', lambda: False)
    with pytest.raises(ValueRangeError, match=f'got {unused}'):
        open_describing(Describing(**chosen))


def test_a_root_without_a_manifest_is_refused(media):
    with pytest.raises(ValueRangeError, match='a manifest, whose media --root locates'):
        list(describe_many([media], root=media, describer=_Answering()))


def test_without_a_model_the_words_of_a_manifest_are_read_and_what_it_withholds_is_not_measured(
    media, tmp_path, monkeypatch
):
    monkeypatch.setattr(module, 'has_shipped_describer', lambda: False)
    rows = [
        Sample('said', audio='a.wav', text='I am so happy today!'),
        Sample('laughs', audio='a.wav', text='(laughs)'),
        Sample('other', audio='a.wav', text='Leave me alone.'),
        Sample('silent', audio='a.wav', text='I am happy.', missing='text'),
        Sample('withheld', audio='a.wav', missing='audio'),
    ]  # fmt: skip
    Manifest(Facts('own', root=str(media)), rows).save(tmp_path / 'm.parquet')
    *measured_ones, withheld = (
        each.described for each in describe_many([tmp_path / 'm.parquet'], Describing(asr='none'))
    )
    assert [each.words for each in measured_ones] == ['I am so happy today!', '', 'Leave me alone.', '']
    assert not any(each.failure for each in measured_ones)
    assert 'the manifest withholds' in withheld.failure


# The verb


def _describe(monkeypatch, answering, *words):
    monkeypatch.setattr(module, 'open_describing', lambda settings: answering)
    monkeypatch.setattr('affekt.batch.open_describing', lambda settings: answering)
    return CliRunner().invoke(main, ['describe', *map(str, words)])


def test_the_verb_shows_answers_and_ends_with_2_where_one_failed(media, monkeypatch):
    (media / 'notes.txt').touch()
    result = _describe(monkeypatch, _Answering(broken=['b.wav']), media)
    assert result.exit_code == 2
    assert 'left out, since affekt reads no such files: 1 .txt' in result.stderr
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert 'The person seems sad in a.wav.' in result.stdout
    assert 'not described: no sound in it' in result.stdout
    assert 'face: no picture' in result.stdout
    assert '4 clips described by test, 1 failed' in result.stdout
    labels = _describe(monkeypatch, _Answering(), media, '--labels')
    assert labels.exit_code == 0
    assert labels.stdout.splitlines()[0] == 'a.wav: sad'
    listed = json.loads(_describe(monkeypatch, _Answering(), media, '--labels', '--json').stdout)
    assert listed['clips'][0] == {'name': 'a.wav', 'labels': ['sad'], 'failure': ''}


def test_json_stands_alone_on_standard_output(media, monkeypatch, tmp_path):
    result = _describe(monkeypatch, _Answering(), media, '--json', '--out', tmp_path / 'out')
    answer = json.loads(result.stdout)
    assert (answer['describer'], answer['failed'], len(answer['clips'])) == ('test', 0, 5)
    assert answer['clips'][0]['labels'] == ['sad']


def test_a_verb_below_is_told_from_a_file_of_its_name(media, monkeypatch):
    (media / 'inspect').write_bytes((media / 'a.wav').read_bytes())
    monkeypatch.chdir(media)
    assert 'inspect' in _describe(monkeypatch, _Answering(), './inspect').stdout
    result = _describe(monkeypatch, _Answering(), 'inspect', 'nowhere')
    assert result.exit_code == 2
    assert 'expected a checkpoint' in result.stderr
    assert _describe(monkeypatch, _Answering()).exit_code == 2


# A model on a server


class _Server:
    """Stands for a server; keeps what it was asked."""

    model, url = 'omni', 'http://localhost:1/v1'

    def __init__(self, text):
        from affekt.llm import form_of

        self.form, self.text, self.requests, self.is_open = form_of('openai'), text, [], True

    def ask(self, request):
        from affekt.llm import Reply

        self.requests.append(request)
        return Reply(self.text, self.model)

    def close(self):
        self.is_open = False


def test_a_model_on_a_server_is_asked_and_its_inventions_are_struck_out(media, tmp_path):
    from affekt.batch.asking import EndpointClips

    server = _Server("The character's emotional state is sad. Her voice is low. She smiles. She says so.")
    rows = [Sample('a', audio='a.wav', text='I am fine.'), Sample('b', audio='b.wav', text=''), Sample('c')]
    Manifest(Facts('own', root=str(media)), rows).save(tmp_path / 'm.parquet')
    clips = list(describe_many([tmp_path / 'm.parquet'], describer=EndpointClips(server, asr='none', is_probed=False)))
    with_words, without, nothing = (clip.described for clip in clips)
    assert with_words.labels == ('sad',)
    assert [clue.text for clue in with_words.invented] == ['She smiles.']
    assert [clue.text for clue in without.invented] == ['She smiles.', 'She says so.']
    assert without.lacking == {'face': 'no video', 'words': 'no words'}
    assert 'neither' in nothing.failure
    assert {part['type'] for part in server.requests[0].messages[0]['content']} == {'input_audio', 'text'}
    assert server.is_open  # its owner closes it
    with pytest.raises(ValueRangeError, match='--model'):
        Describing(endpoint='http://localhost:1/v1')


def test_media_that_clips_have_are_probed_once_and_what_is_not_sent_is_not_perceived(media, tmp_path, monkeypatch):
    from affekt.batch import asking
    from affekt.llm import ClipLimits

    probed = []
    monkeypatch.setattr(asking, 'require_media', lambda endpoint, wanted: probed.append(tuple(wanted)))
    rows = [Sample(f'{at:02d}', audio='a.wav', text='I am fine.') for at in range(9)]  # more than one batch
    Manifest(Facts('own', root=str(media)), rows).save(tmp_path / 'm.parquet')
    server = _Server("The character's emotional state is sad. Her voice is low. She says so.")
    list(describe_many([tmp_path / 'm.parquet'], describer=asking.EndpointClips(server, asr='none')))
    assert probed == [('audio',)]
    words_alone = asking.EndpointClips(server, asr='none', limits=ClipLimits(frames=0))
    (clip,) = describe_many([tmp_path / 'm.parquet'], describer=words_alone, limit=1)
    assert len(probed) == 1
    assert isinstance(server.requests[-1].messages[0]['content'], str)
    assert clip.described.lacking == {'face': 'no video', 'voice': 'not sent'}
    assert [clue.text for clue in clip.described.invented] == ['Her voice is low.']


def test_the_words_of_a_segment_are_recognised_in_it_and_the_audio_beside_a_silent_video_is_perceived(media):
    from affekt.batch.asking import EndpointClips

    write_video(media / 'a.mp4', [np.zeros((64, 64, 3), np.uint8)] * 4, 10)
    rows = [
        Sample('both', video='a.mp4', audio='a.wav', text='Hi.'),
        Sample('part', audio='b.wav', recording='b', start_s=0.0, end_s=0.005),
    ]
    manifest = Manifest(Facts('own', root=str(media)), rows)
    server = _Server("The character's emotional state is sad. Her voice is low. She smiles.")
    clips = EndpointClips(server, asr='none', is_probed=False)
    clips._recognize = lambda recording, span: f'{recording.name} {span}'
    (media / 'broken.mp4').write_bytes(b'no video')
    unseen = Sample('unseen', video='broken.mp4', audio='a.wav', text='Hi.', missing='video')
    assert [each.failure for each in clips.described(manifest, [unseen])] == ['']  # what is withheld is not opened
    both, part = clips.described(manifest, manifest.samples)
    assert (both.lacking, both.invented) == ({}, ())
    assert part.lacking == {'face': 'no video'}
    assert sum('b.wav (0.0, 0.005)' in str(request.messages) for request in server.requests) == 1


def test_of_a_segment_without_audio_no_voice_is_perceived_and_each_file_is_opened_once(media, monkeypatch):
    from affekt.batch.asking import EndpointClips
    from affekt.media import Recording

    opened, original = [], Recording.open.__func__
    monkeypatch.setattr(
        Recording, 'open', classmethod(lambda cls, path, *more: opened.append(path.name) or original(cls, path, *more))
    )
    write_video(media / 'a.mp4', [np.zeros((64, 64, 3), np.uint8)] * 20, 10)
    part = Sample('part', video='a.mp4', audio='a.wav', text='Hi.', recording='a', start_s=0.5, end_s=1.5)
    manifest = Manifest(Facts('own', root=str(media)), [part])  # the audio ends at 0.01 s
    server = _Server("The character's emotional state is sad. Her voice is low. She smiles.")
    (described,) = EndpointClips(server, asr='none', is_probed=False).described(manifest, manifest.samples)
    assert {each['type'] for each in server.requests[0].messages[0]['content']} == {'image_url', 'text'}
    assert described.lacking == {'voice': 'no audio in this segment'}
    assert [clue.text for clue in described.invented] == ['Her voice is low.']
    assert opened == ['a.mp4', 'a.wav']


def test_answers_before_a_server_goes_away_are_kept_and_the_rest_is_asked_again(media, tmp_path):
    from affekt.batch.asking import EndpointClips
    from affekt.errors import LLMError

    class Leaving(_Server):
        """Answers so many questions, and then none."""

        left = 3

        def ask(self, request):
            if self.left <= 0:
                raise LLMError(expected='an answer', came='no connection', todo='start it')
            self.left -= 1
            return super().ask(request)

    server = Leaving("The character's emotional state is sad.")
    rows = [Sample(f'{at:02d}', text=f'I say {at}.') for at in range(20)]
    Manifest(Facts('own', root=str(media)), rows).save(tmp_path / 'm.parquet')

    def run():
        describer = EndpointClips(server, asr='none', is_probed=False, at_once=1)
        return list(describe_many([tmp_path / 'm.parquet'], describer=describer, out=tmp_path / 'out', resume=True))

    with pytest.raises(LLMError, match='no connection'):
        run()
    server.left = 100
    clips = run()
    assert [clip.resumed for clip in clips].count(True) == 3
    assert not any(clip.described.failure for clip in clips)
    assert server.left == 100 - 17


def test_resume_without_a_folder_is_refused():
    result = CliRunner().invoke(main, ['describe', 'clip.mp4', '--resume'])
    assert result.exit_code == 2
    assert '--out' in result.output


def test_answers_that_came_one_by_one_are_kept_where_the_next_never_comes(media, tmp_path):
    class Asked(_Answering):
        batch_size = 8

        def described(self, manifest, samples):
            for sample in samples:
                yield from super().described(manifest, [sample])

    with pytest.raises(KeyboardInterrupt):
        list(describe_many([media], out=tmp_path / 'run', describer=Asked(killed_at='d.wav')))
    again = Asked()
    list(describe_many([media], out=tmp_path / 'run', describer=again, resume=True))
    assert again.asked == ['d.wav', 'deep/c.wav', 'e.wav']
