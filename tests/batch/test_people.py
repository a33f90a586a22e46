"""`affekt people`: in report and exports of a run, also after others were made, and back again."""

from __future__ import annotations

import csv
import dataclasses
import json
from functools import cache

import pytest
from click.testing import CliRunner

from affekt.analysis import Analysis, AnalysisSettings
from affekt.analysis.assemble import assemble
from affekt.batch import change_people, export_run, report_run
from affekt.batch import running as batch
from affekt.batch.running import analyze_many
from affekt.cli import main
from affekt.errors import RunError, UnknownNameError
from affekt.people import CHANGES_FILE, Merge, Rename
from affekt.runs import Run, file_sha256, read_settings
from tests.analysis.conftest import RATE, face_rows, table, turn_row, utterance_row, voice_rows

SETTINGS = AnalysisSettings(asr='none')


@cache
def analysis_of(name, sha256):
    """Two people who take turns, and a voice."""
    from affekt.analysis.observations import Observed
    from affekt.analysis.records import Source

    faces = [*face_rows('person 1', 0, 6, 'happiness', 0.9, talks=True), *face_rows('person 2', 6, 12, 'sadness')]
    return assemble(
        Observed(
            source=Source(name, 'video', 12.0, sha256, 640, 360, 25.0, RATE),
            faces=table(faces, 'faces'), turns=table([turn_row(2, 6, 'happiness')], 'turns'),
            voice=table(voice_rows(2, 6), 'voice'),
            utterances=table([utterance_row(2, 6, 'Hello.', 'happiness')][:0], 'utterances'),
        ),
        SETTINGS,
    )  # fmt: skip


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run of two recordings."""

    class Analyzer:
        def __init__(self, settings, *, keep_models=True):
            pass

        def analyze(self, path, *, progress=None, spill=None):
            return analysis_of(path.name, file_sha256(path))

    monkeypatch.setattr(batch, 'Analyzer', Analyzer)
    for name in ('a.mp4', 'b.mp4'):
        (tmp_path / 'clips' / name).parent.mkdir(exist_ok=True)
        (tmp_path / 'clips' / name).write_bytes(name.encode())
    analyze_many([tmp_path / 'clips'], tmp_path / 'run', SETTINGS)
    return tmp_path / 'run'


def people(*words):
    return CliRunner().invoke(main, ['people', *map(str, words)])


def names_in_csv(run, file):
    paths = export_run(run, 'csv').paths
    texts = [path.read_text(encoding='utf-8-sig') for path in paths if file in str(path)]
    return {row['person'] for text in texts for row in csv.DictReader(text.splitlines())}


def test_the_example_merges_and_names_in_report_and_exports(run):
    done = people(run, '--file', 'a.mp4', '--merge', 1, 2, '--name', 1, 'A.')
    assert done.exit_code == 0, done.output
    folder = next(path for path in run.iterdir() if path.name.startswith('a-'))
    page = (folder / 'report.html').read_text()
    assert 'A.' in page
    assert 'person 2' not in page
    assert names_in_csv(run, '/a-') == {'A.'}
    assert names_in_csv(run, '/b-') == {'person 1', 'person 2'}


def test_changes_survive_report_export_and_resume_and_reset_takes_them_back(run, tmp_path):
    change_people(run, [Rename('1', 'A.')], file='a.mp4')
    change_people(run, [Merge('A.', '2')], file='a.mp4')
    report_run(run)
    outcomes = analyze_many([tmp_path / 'clips'], run, SETTINGS, resume=True)
    assert [person.name for person in outcomes[0].load().people] == ['A.']
    folder = change_people(run, file='a.mp4', reset=True).folder
    assert not (folder / CHANGES_FILE).exists()
    assert 'person 2' in (folder / 'report.html').read_text()
    # results are whole as noted: nothing is analyzed again
    again = analyze_many([tmp_path / 'clips'], run, SETTINGS, resume=True)
    assert all(outcome.analysis is None for outcome in again)
    assert names_in_csv(run, '/a-') == {'person 1', 'person 2'}


def test_an_export_between_two_changes_is_no_damage_to_the_results(run, tmp_path):
    change_people(run, [Rename('1', 'A.')], file='a.mp4')
    export_run(run, 'csv')
    report_run(run)
    change_people(run, [Rename('1', 'a longer name')], file='a.mp4')
    export_run(run, 'csv')
    again = analyze_many([tmp_path / 'clips'], run, SETTINGS, resume=True)
    assert all(outcome.analysis is None for outcome in again)
    assert names_in_csv(run, '/a-') == {'a longer name', 'person 2'}


def test_a_name_that_somebody_has_already_is_no_change(run):
    change_people(run, [Rename('1', 'A.')], file='a.mp4')
    assert change_people(run, [Rename('1', ' A. ')], file='a.mp4').changes == (Rename('person 1', 'A.'),)


def test_a_run_that_is_being_written_is_not_changed(run):
    with Run(run, read_settings(run)['settings'], resume=True):
        assert change_people(run, file='a.mp4').changes == ()
        with pytest.raises(RunError, match='in use'):
            change_people(run, [Rename('1', 'A.')], file='a.mp4')
    assert not list(run.rglob(CHANGES_FILE))


def test_a_list_that_does_not_fit_is_to_blame_and_reset_forgets_it(run):
    folder = change_people(run, [Rename('1', 'A.')], file='a.mp4').folder
    (folder / CHANGES_FILE).write_text('{"format": 1, "changes": [{"name": ["person 9", "B"]}]}')
    for changes in ([], [Rename('2', 'C')]):
        with pytest.raises(RunError, match=r'people\.json.*person 9.*--reset'):
            change_people(run, changes, file='a.mp4')
    assert change_people(run, [Rename('2', 'C')], file='a.mp4', reset=True).changes == (Rename('person 2', 'C'),)


def test_results_stay_as_they_were_analyzed(run):
    folder = change_people(run, file='b.mp4').folder
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix in ('.json', '.parquet')}
    change_people(run, [Merge('1', '2')], file='b.mp4')
    assert {name: (folder / name).read_bytes() for name in before} == before


def test_a_run_of_several_files_asks_which(run):
    with pytest.raises(UnknownNameError, match=r"'a\.mp4', 'b\.mp4'.*such as --file a\.mp4"):
        change_people(run, [Rename('1', 'A.')])
    with pytest.raises(UnknownNameError, match=r'did you mean'):
        change_people(run, [Rename('1', 'A.')], file='a.mp3')
    assert change_people(next(run.glob('a-*'))).analysis.source.name == 'a.mp4'


@pytest.mark.parametrize(
    ('words', 'told'),
    [(('--merge', '1', '9'), "'9'"), (('--name', '1', 'person 2'), 'the name of somebody else'),
     (('--merge', '1', 'Person 1'), "'1' and 'Person 1', who are one"),
     (('--name', '7', 'A.'), "'7'"), (('--name', '1', 'voice'), 'gives itself')],
)  # fmt: skip
def test_what_cannot_be_is_two_lines_and_changes_nothing(run, words, told):
    done = people(run, '--file', 'a.mp4', *words)
    assert done.exit_code == 2
    assert told in done.output
    assert not list(run.rglob(CHANGES_FILE))


def test_a_wrong_change_after_a_right_one_changes_nothing(run):
    assert people(run, '--file', 'a.mp4', '--merge', 1, 2, '--name', 2, '').exit_code == 2
    assert not list(run.rglob(CHANGES_FILE))


def test_two_who_are_on_screen_together_are_merged_with_a_warning(run, tmp_path):
    folder = next(run.glob('a-*'))
    analysis = Analysis.load(folder)
    faces = table([*face_rows('person 1', 0, 6, 'happiness'), *face_rows('person 2', 2, 8, 'sadness')], 'faces')
    dataclasses.replace(analysis, tables={**analysis.tables, 'faces': faces}).save(tmp_path / 'alone')
    changed = change_people(tmp_path / 'alone', [Merge('1', '2')])
    assert len(changed.remarks) == 1
    assert 'on screen together for 4.0 s, first at 0:02' in changed.remarks[0]


def test_programs_get_one_object(run):
    done = people(run, '--file', 'a.mp4', '--merge', 1, 2, '--json')
    told = json.loads(done.stdout)
    assert told['changes'] == [{'merge': ['person 1', 'person 2']}]
    assert [person['name'] for person in told['people']] == ['person 1']
