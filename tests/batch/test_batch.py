"""Runs over folders with an analyzer that measures nothing: outcomes, identity, resuming, exports, pages."""

from __future__ import annotations

import csv
import dataclasses
import errno
import json
import shutil
from typing import ClassVar

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from affekt.analysis import Analysis, AnalysisSettings, Timeline
from affekt.analysis.records import Lost, Source
from affekt.batch import running as batch
from affekt.batch.exports import export_run, report_run
from affekt.batch.running import LOG, analyze_many
from affekt.cli import main
from affekt.errors import MediaError, RunError, UnexpectedError
from affekt.runs import JOURNAL, file_sha256

SETTINGS = AnalysisSettings(asr='none')
CAFE = b'caf\xe9.wav'.decode('utf-8', 'surrogateescape')


class _Analyzer:
    """Takes every file for a sound of one second; `does` may do something else for a file of this name."""

    does: ClassVar[dict] = {}

    def __init__(self, settings, *, keep_models=True):
        self.settings = settings

    def analyze(self, path, *, progress=None, spill=None):
        if path.name in self.does:
            self.does[path.name](path)
        row = {'start_s': 0.0, 'end_s': 1.0, 'person': '=SUM(1)', 'source': 'voice', 'name': 'speech', 'value': -0.5}
        source = Source(batch.storable(path.name), 'audio', 1.0, file_sha256(path))
        return Analysis(
            source=source, timeline=Timeline.from_rows([row]), people=(), labels=(), moments=(), description=(),
            utterances=(), tables={name: Timeline.empty().table.slice(0, 0).select([]) for name in
                                   ('faces', 'turns', 'voice', 'utterances')}, models=(), settings=self.settings,
        )  # fmt: skip


@pytest.fixture
def analyzer(monkeypatch):
    monkeypatch.setattr(batch, 'Analyzer', _Analyzer)
    monkeypatch.setattr(_Analyzer, 'does', {})
    return _Analyzer


@pytest.fixture
def clips(tmp_path):
    folder = tmp_path / 'clips'
    for number, name in enumerate(('a.wav', 'a_.wav', 'a.mp3', 'happy/a.wav', 'sad/a.wav', CAFE)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b'RIFF%d' % number)
    return folder


def _run(clips, tmp_path, **more):
    return analyze_many([clips], tmp_path / 'run', SETTINGS, **more)


def _raises(error):
    def raise_it(path):
        raise error

    return raise_it


def _deep(path):
    _deep(path)


def test_similar_names_and_subfolders_have_folders_of_their_own(analyzer, clips, tmp_path):
    outcomes = _run(clips, tmp_path)
    assert len({outcome.folder for outcome in outcomes}) == len(outcomes) == 6
    assert [o.load().source.file for o in outcomes] == [o.file for o in outcomes]
    assert r'caf\xe9.wav' in {o.file for o in outcomes}
    again = analyze_many([clips], tmp_path / 'other', SETTINGS)
    assert [o.folder.name for o in again] == [o.folder.name for o in outcomes]


@pytest.mark.parametrize(
    'fault',
    [ValueError('odd'), MemoryError(), UnicodeEncodeError('utf-8', '\ud800', 0, 1, 'no'), KeyError('exif'), _deep,
     type('PanicException', (BaseException,), {})('rust'), RuntimeError('x' * 10_000)],
    ids=lambda fault: getattr(fault, '__name__', type(fault).__name__),
)  # fmt: skip
def test_whatever_happens_in_one_file_is_its_outcome_and_a_resumed_run_tries_again(analyzer, clips, tmp_path, fault):
    analyzer.does['a.mp3'] = fault if callable(fault) else _raises(fault)
    outcomes = _run(clips, tmp_path)
    (failed,) = outcomes.failed
    assert failed.file == 'a.mp3'
    assert isinstance(failed.error, UnexpectedError)
    assert len(str(failed.error)) < 600
    assert LOG in failed.error.todo
    log = (tmp_path / 'run' / LOG).read_text()
    assert 'a.mp3' in log
    assert 'Traceback' in log
    assert len(log) < 40_000
    assert len(outcomes.analyzed) == 5
    assert any('a.mp3 could not be analyzed' in remark for remark in export_run(tmp_path / 'run', 'json').remarks)
    analyzer.does.clear()
    resumed = _run(clips, tmp_path, resume=True)
    assert [outcome.resumed for outcome in resumed] == [outcome.file != 'a.mp3' for outcome in resumed]
    assert export_run(tmp_path / 'run', 'json').remarks == ()


def test_an_interrupt_and_a_full_disk_stop_the_run(analyzer, clips, tmp_path):
    analyzer.does['a.mp3'] = _raises(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        _run(clips, tmp_path)
    analyzer.does['a.mp3'] = _raises(OSError(errno.ENOSPC, 'No space left on device'))
    with pytest.raises(RunError, match='--resume'):
        _run(clips, tmp_path, resume=True)
    analyzer.does['a.mp3'] = _raises(PermissionError(errno.EACCES, 'Permission denied'))
    (failed,) = _run(clips, tmp_path, resume=True).failed
    assert isinstance(failed.error, MediaError)


def test_a_file_that_is_swapped_while_it_is_read_is_not_taken_for_done(analyzer, clips, tmp_path):
    analyzer.does['a.mp3'] = lambda path: path.write_bytes(b'another')
    (failed,) = _run(clips, tmp_path).failed
    assert 'stays as it is' in str(failed.error)


def test_equal_content_is_analyzed_once_and_named(analyzer, clips, tmp_path):
    shutil.copy(clips / 'a.wav', clips / 'z.wav')
    outcomes = _run(clips, tmp_path)
    assert [(o.file, o.same_as) for o in outcomes.copies] == [('z.wav', 'a.wav')]
    written = export_run(tmp_path / 'run', 'csv')
    assert len(written) == 6
    assert written.remarks == ('z.wav has the same content as a.wav: it counts once',)
    # A name that sorts before the one that was analyzed changes nothing.
    shutil.copy(clips / 'a.wav', clips / 'A.wav')
    assert all(outcome.resumed for outcome in _run(clips, tmp_path, resume=True) if outcome.file != 'A.wav')


def test_the_remaining_copy_is_analyzed_when_the_first_is_gone(analyzer, clips, tmp_path):
    shutil.copy(clips / 'a.wav', clips / 'z.wav')
    _run(clips, tmp_path)
    (clips / 'a.wav').unlink()
    _run(clips, tmp_path, resume=True)
    files = {Analysis.load(path.parent).source.file for path in export_run(tmp_path / 'run', 'csv')}
    assert 'z.wav' in files
    assert 'a.wav' not in files


@pytest.mark.parametrize('resumes', [True, False])
def test_a_clip_that_was_cut_anew_or_removed_is_not_exported_and_that_is_said(analyzer, clips, tmp_path, resumes):
    _run(clips, tmp_path)
    (clips / 'sad' / 'a.wav').unlink()
    (clips / 'happy' / 'a.wav').write_bytes(b'cut anew')
    if resumes:
        outcomes = _run(clips, tmp_path, resume=True)
        assert any('sad/a.wav is gone' in remark for remark in outcomes.remarks)
        assert any('happy/a.wav has changed' in remark for remark in outcomes.remarks)
    written = export_run(tmp_path / 'run', 'json', tmp_path / 'out')
    contents = [json.loads(path.read_text()) for path in written]
    assert 'sad/a.wav' not in [content['file'] for content in contents]
    happy = [content['sha256'] for content in contents if content['file'] == 'happy/a.wav']
    assert happy == ([file_sha256(clips / 'happy' / 'a.wav')] if resumes else [])
    assert any('sad/a.wav is gone' in remark for remark in written.remarks)
    assert any('happy/a.wav has changed' in remark for remark in written.remarks)
    assert written.lacking == (() if resumes else ('happy/a.wav', 'sad/a.wav'))  # what exit code 2 says


def test_a_subfolder_that_was_removed_is_gone(analyzer, clips, tmp_path):
    _run(clips, tmp_path)
    shutil.rmtree(clips / 'sad')
    written = export_run(tmp_path / 'run', 'csv', tmp_path / 'out')
    assert len(written) == 5
    assert any('sad/a.wav is gone' in remark for remark in written.remarks)


def test_a_copy_that_was_cut_anew_is_no_copy_any_more(analyzer, clips, tmp_path):
    shutil.copy(clips / 'a.wav', clips / 'z.wav')
    _run(clips, tmp_path)
    (clips / 'z.wav').write_bytes(b'cut anew')
    assert export_run(tmp_path / 'run', 'csv').remarks == ('z.wav has changed since; go on with --resume',)
    resumed = _run(clips, tmp_path, resume=True)
    assert resumed.copies == ()
    assert len(export_run(tmp_path / 'run', 'csv')) == 7
    assert export_run(tmp_path / 'run', 'csv').remarks == ()
    (clips / 'a.wav').unlink()
    shutil.copy(clips / 'z.wav', clips / 'y.wav')
    _run(clips, tmp_path, resume=True)
    (clips / 'y.wav').unlink()
    assert not any('y.wav' in remark for remark in export_run(tmp_path / 'run', 'csv').remarks)


def test_a_copy_of_what_is_left_out_is_not_lost_in_silence(analyzer, clips, tmp_path):
    shutil.copy(clips / 'a.wav', clips / 'z.wav')
    _run(clips, tmp_path)
    (clips / 'a.wav').unlink()
    written = export_run(tmp_path / 'run', 'csv')
    assert 'z.wav has the same content as a.wav, which is left out; go on with --resume' in written.remarks
    assert written.lacking == ('a.wav', 'z.wav')


def test_a_failure_that_was_overcome_is_not_told_any_more_and_a_later_one_is(analyzer, clips, tmp_path):
    _run(clips, tmp_path)
    before = (clips / 'a.mp3').read_bytes()
    (clips / 'a.mp3').write_bytes(b'damaged')
    analyzer.does['a.mp3'] = _raises(ValueError('odd'))
    assert [outcome.file for outcome in _run(clips, tmp_path, resume=True).failed] == ['a.mp3']
    assert any('a.mp3 could not be analyzed' in remark for remark in export_run(tmp_path / 'run', 'csv').remarks)
    assert export_run(tmp_path / 'run', 'csv').lacking == ('a.mp3',)
    (clips / 'a.mp3').write_bytes(before)
    assert _run(clips, tmp_path, resume=True).failed == ()
    assert export_run(tmp_path / 'run', 'csv').remarks == ()


def test_the_second_condition_added_to_a_run_does_not_replace_the_first(analyzer, clips, tmp_path):
    run = tmp_path / 'run'
    analyze_many([clips / 'happy'], run, SETTINGS)
    added = analyze_many([clips / 'sad'], run, SETTINGS, resume=True)
    assert any('a.wav for' in remark and 'happy' in remark for remark in added.remarks)
    assert len(export_run(run, 'csv', tmp_path / 'out')) == 2
    # Analyzed again from the folder above both, they are told apart, and nothing is measured twice.
    whole = analyze_many([clips], run, SETTINGS, resume=True)
    assert {outcome.file for outcome in whole if outcome.resumed} == {'happy/a.wav', 'sad/a.wav'}
    written = export_run(run, 'csv', tmp_path / 'out')
    assert len(written) == len(whole) == 6
    (remark,) = written.remarks
    assert remark.startswith('2 files remain from earlier exports')
    assert len(export_run(run, 'csv', tmp_path / 'new')) == len(list((tmp_path / 'new').rglob('*.csv'))) == 6


def test_a_folder_that_may_not_be_looked_into_is_not_gone(analyzer, clips, tmp_path, monkeypatch):
    _run(clips, tmp_path)
    stat = type(clips).stat

    def refuse(path, **more):
        if 'sad' in path.parent.parts:
            raise PermissionError(errno.EACCES, 'Permission denied', str(path))
        return stat(path, **more)

    monkeypatch.setattr(type(clips), 'stat', refuse)
    assert len(export_run(tmp_path / 'run', 'csv')) == 6
    assert not any('gone' in remark for remark in _run(clips, tmp_path, resume=True).remarks)


def test_files_of_an_earlier_export_that_no_longer_count_are_named_and_left(analyzer, clips, tmp_path):
    _run(clips, tmp_path)
    (before,) = [path for path in export_run(tmp_path / 'run', 'csv', tmp_path / 'out') if path.parent.name == 'sad']
    (clips / 'sad' / 'a.wav').write_bytes(b'cut anew')
    _run(clips, tmp_path, resume=True)
    remarks = export_run(tmp_path / 'run', 'csv', tmp_path / 'out').remarks
    assert f'1 file remains from earlier exports whose results are not valid: {before}; remove it' in remarks
    assert before.exists()


def test_the_page_of_one_file_made_again_leaves_its_result_whole(analyzer, clips, tmp_path):
    (first, *_) = _run(clips, tmp_path)
    assert report_run(first.folder).paths == (first.report_page.resolve(),)
    assert all(outcome.resumed for outcome in _run(clips, tmp_path, resume=True))


def test_a_page_that_is_missing_or_changed_is_written_again_and_no_clip_analyzed(analyzer, clips, tmp_path, caplog):
    first, second, *_ = _run(clips, tmp_path)
    first.report_page.unlink()
    second.report_page.write_text('edited')
    report_run(tmp_path / 'run')
    assert first.report_page.stat().st_size > 1000 < second.report_page.stat().st_size
    assert 'is done again' not in caplog.text
    assert all(outcome.resumed for outcome in _run(clips, tmp_path, resume=True))


@pytest.mark.parametrize('as_json', [True, False])
def test_what_was_just_analyzed_is_shown_without_being_read_back(analyzer, clips, tmp_path, monkeypatch, as_json):
    monkeypatch.setattr('affekt.cli.recordings.fetch', lambda names, required=True: None)
    named = [str(clips / 'a.wav'), str(clips / 'happy'), '--out', str(tmp_path / 'run'), *['--json'] * as_json]
    with monkeypatch.context() as patched:
        patched.setattr(Analysis, 'load', lambda folder: pytest.fail(f'{folder} was read back'))
        patched.setattr(batch, 'read_json', lambda path: pytest.fail(f'{path} was read back'))
        first = CliRunner().invoke(main, ['analyze', *named])
    assert first.exit_code == 0, first.output
    again = CliRunner().invoke(main, ['analyze', *named, '--resume'])
    assert again.stdout.replace(', 2 of them before', '') == first.stdout


def test_outcomes_hold_an_analysis_only_while_they_are_told(analyzer, clips, tmp_path):
    seen = []
    outcomes = _run(clips, tmp_path, advanced=lambda outcome, done, total: seen.append(outcome))
    assert [outcome.analysis is not None for outcome in seen[1:]] == [True] * 6
    assert [outcome.analysis for outcome in outcomes] == [None] * 6
    assert [outcome.load().summary() for outcome in seen[1:]] == [outcome.load().summary() for outcome in outcomes]


def test_what_a_file_lost_is_told_by_its_outcome(analyzer, clips, tmp_path):
    (first, *_) = _run(clips, tmp_path)
    assert first.losses == ()
    (first, *_) = _run(clips, tmp_path, resume=True)  # now what the folder says counts
    content = json.loads((first.folder / 'analysis.json').read_text())
    content['source']['lost'] |= {'bytes': 12, 'seconds': 1.5, 'is_complete': False}
    content['source']['notes'] = ['There is no audio.']
    (first.folder / 'analysis.json').write_text(json.dumps(content))
    assert first.losses == ('Not read whole: 12 bytes, 1.5 s.',)
    content['source']['notes'] += ['Not read: 12 bytes follow.', 'Damaged: a frame.']
    (first.folder / 'analysis.json').write_text(json.dumps(content))
    assert first.losses == ('Not read: 12 bytes follow.', 'Damaged: a frame.')


def test_what_each_of_many_files_lost_is_printed_below_it_and_counted(analyzer, clips, tmp_path, monkeypatch):
    notes = (
        'There is no audio.',
        *(f'{start}: {start.lower()} bytes.' for start in ('Damaged', 'Missing', 'Not read')),
    )
    lost = {'a.wav': notes, 'a_.wav': notes[:2]}
    analyze = analyzer.analyze

    def lossy(self, path, **more):
        analysis = analyze(self, path, **more)
        if path.parent != clips or path.name not in lost:
            return analysis
        source = dataclasses.replace(analysis.source, notes=lost[path.name], lost=Lost(1, is_complete=False))
        return dataclasses.replace(analysis, source=source)

    monkeypatch.setattr(analyzer, 'analyze', lossy)
    monkeypatch.setattr('affekt.cli.recordings.fetch', lambda names, required=True: None)
    words = ['analyze', str(clips), '--out', str(tmp_path / 'run'), '--asr', 'none']
    lines = CliRunner().invoke(main, words).stdout.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith('a.wav: '))
    assert lines[at + 1 : at + 4] == [
        '  Damaged: damaged bytes.',
        '  Missing: missing bytes.',
        '  and 1 more, in the report',
    ]
    assert [line for line in lines if line.startswith('  ')] == [*lines[at + 1 : at + 4], '  Damaged: damaged bytes.']
    assert lines[-1] == '2 files were not read whole'


def test_content_that_comes_back_counts_again(analyzer, clips, tmp_path):
    before = (clips / 'a.wav').read_bytes()
    _run(clips, tmp_path)
    (clips / 'a.wav').write_bytes(b'cut anew')
    _run(clips, tmp_path, resume=True)
    (clips / 'a.wav').write_bytes(before)
    outcomes = _run(clips, tmp_path, resume=True)
    assert all(outcome.resumed for outcome in outcomes)
    files = [Analysis.load(path.parent).source.sha256 for path in export_run(tmp_path / 'run', 'csv')]
    assert file_sha256(clips / 'a.wav') in files
    assert len(files) == 6


def test_a_run_that_was_copied_elsewhere_is_exported_whole(analyzer, clips, tmp_path):
    _run(clips, tmp_path)
    shutil.rmtree(clips)
    assert len(export_run(tmp_path / 'run', 'csv')) == 6


def test_path_parts_and_hash_are_columns_and_exports_keep_subfolders(analyzer, clips, tmp_path):
    _run(clips, tmp_path)
    out = tmp_path / 'out'
    export_run(tmp_path / 'run', 'csv', out)
    export_run(tmp_path / 'run', 'parquet', out)
    assert {path.parent.relative_to(out).as_posix() for path in out.rglob('*.csv')} == {'.', 'happy', 'sad'}
    (path,) = (out / 'sad').glob('*.csv')
    with path.open(newline='') as file:
        (row,) = csv.DictReader(file)
    assert (row['file'], row['part1'], row['sha256']) == ('sad/a.wav', 'sad', file_sha256(clips / 'sad' / 'a.wav'))
    tables = [pq.read_table(path) for path in out.rglob('*.parquet')]
    assert {tuple(table.column_names) for table in tables} == {tuple(tables[0].column_names)}
    assert tables[0].column_names[:5] == ['file', 'start_s', 'end_s', 'part1', 'sha256']
    assert len({table['file'][0].as_py() for table in tables}) == 6
    kept = pq.read_table(next((tmp_path / 'run').glob('*/timeline.parquet')))
    assert {'file', 'sha256'} <= set(kept.column_names)
    assert all(len(Timeline.read_parquet(path)) == 1 for path in out.rglob('*.parquet'))


def test_formulas_in_texts_are_quoted_and_numbers_are_not(analyzer, clips, tmp_path):
    _run(clips, tmp_path)
    for raw, person in ((False, "'=SUM(1)"), (True, '=SUM(1)')):
        path = export_run(tmp_path / 'run', 'csv', tmp_path / 'out', raw_csv=raw)[0]
        with path.open(newline='') as file:
            (row,) = csv.DictReader(file)
        assert (row['person'], row['value']) == (person, '-0.5')


@pytest.mark.parametrize('folder', ['../outside', '/tmp', '..', '.', '', 'a/b', 'link'])
def test_a_run_that_leads_outside_is_refused(analyzer, clips, tmp_path, folder):
    run = tmp_path / 'run'
    (good, *_) = _run(clips, tmp_path)
    shutil.copytree(good.folder, tmp_path / 'outside')
    (run / 'link').symlink_to(tmp_path / 'outside')
    line = {'key': 'k', 'folder': folder, 'input': '/x/y.wav', 'sha256': 'ab'}
    with (run / JOURNAL).open('a') as journal:
        journal.write(json.dumps(line) + '\n')
    for verb in (lambda: export_run(run, 'csv'), lambda: report_run(run)):
        with pytest.raises(RunError, match='inside the run folder'):
            verb()
    assert not (tmp_path / 'outside' / 'exported.csv').exists()


@pytest.mark.parametrize('file', ['../../etc/x.wav', '/etc/x.wav', 'a/../../x.wav', './x/y.wav', 7, ['a']])
def test_a_path_that_leads_outside_writes_nothing_there(analyzer, clips, tmp_path, file):
    run, out = tmp_path / 'run', tmp_path / 'deep' / 'out'
    (good, *_) = _run(clips, tmp_path)
    line = {'key': 'k', 'folder': good.folder.name, 'input': '/x/y.wav', 'sha256': 'ab', 'file': file}
    (run / JOURNAL).write_text(json.dumps(line) + '\n')
    with pytest.raises(RunError, match=r'trust|affekt wrote'):
        export_run(run, 'csv', out)
    assert not list(tmp_path.rglob('*.csv'))


def test_runs_that_named_files_alone_are_opened_and_resumed(analyzer, clips, tmp_path):
    _run(clips, tmp_path)
    journal = tmp_path / 'run' / JOURNAL
    old = []
    for line in journal.read_text().splitlines():
        entry = json.loads(line)
        name = entry['file'].rsplit('/', 1)[-1]
        old.append({'key': f'{entry["sha256"]}:{name}', **{key: entry[key] for key in ('folder', 'input', 'sha256')}})
    journal.write_text(''.join(json.dumps(entry) + '\n' for entry in old))
    assert len(export_run(tmp_path / 'run', 'csv')) == 6
    assert all(outcome.resumed for outcome in _run(clips, tmp_path, resume=True))
    files = {json.loads(path.read_text())['file'] for path in export_run(tmp_path / 'run', 'json')}
    assert 'sad/a.wav' in files


def test_pages_are_made_again_and_say_when_the_recording_is_missing(analyzer, clips, tmp_path):
    outcomes = _run(clips, tmp_path)
    for outcome in outcomes:
        outcome.report_page.unlink()
    shutil.rmtree(clips)
    written = report_run(tmp_path / 'run')
    assert len(written) == 6
    assert all(path.stat().st_size > 10_000 for path in written)
    assert len(written.remarks) == 6
    assert all('no longer where' in remark for remark in written.remarks)


def test_a_damaged_result_does_not_keep_the_others_back(analyzer, clips, tmp_path):
    (first, *_) = _run(clips, tmp_path)
    (first.folder / 'analysis.json').write_text('{}')
    written = export_run(tmp_path / 'run', 'csv')
    assert len(written) == 5
    assert first.folder.name in str(written.errors[0])
    resumed = _run(clips, tmp_path, resume=True)
    assert [outcome.resumed for outcome in resumed] == [False] + [True] * 5
    assert len(export_run(tmp_path / 'run', 'csv')) == 6


def test_a_page_that_was_made_again_leaves_the_result_whole(analyzer, clips, tmp_path):
    _run(clips, tmp_path)
    assert len(report_run(tmp_path / 'run')) == 6
    assert all(outcome.resumed for outcome in _run(clips, tmp_path, resume=True))


def test_names_that_are_no_utf8_are_in_every_format(analyzer, clips, tmp_path):
    _run(clips, tmp_path)
    for to in ('csv', 'parquet', 'json', 'eaf', 'textgrid', 'vtt'):
        assert len(export_run(tmp_path / 'run', to, tmp_path / to)) == 6
    assert r'caf\xe9.wav' in {
        pq.read_table(path)['file'][0].as_py() for path in (tmp_path / 'parquet').rglob('*.parquet')
    }
