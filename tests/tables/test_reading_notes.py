import io
import json
import zipfile

import pytest
from click.testing import CliRunner

from affekt.cli import main
from affekt.errors import ComparisonError, TableError
from affekt.ranking import read_comparisons
from affekt.tables import read_table, reading_notes, workbooks

GERMAN = 'name,openset\na,"fröhlich, müde"\nb,"glücklich über das Geschenk"\n'.encode('cp1252')
READ_AS = 'the text of {} is not UTF-8 and is read as cp1252, German'


def test_notes_of_tables_that_are_read_deep_inside_are_gathered_once(tmp_path):
    path = tmp_path / 'x.csv'
    path.write_bytes(GERMAN)
    with reading_notes() as around, reading_notes() as within:
        read_table(path)
        read_table(path)
    read_table(path)
    assert around == within == [READ_AS.format(path)]


def test_score_and_extract_say_how_tables_were_read(tmp_path):
    path, indexed = tmp_path / 'x.csv', tmp_path / 'i.csv'
    path.write_bytes(GERMAN)
    indexed.write_text(',name,openset\n0,a,happy\n1,b,sad\n')
    notes = [READ_AS.format(path), 'the first column of i.csv, which counts the rows and has no name, is left out']
    scored = CliRunner().invoke(
        main,
        ['score', 'openvocab', '--truth', str(path), '--prediction', str(indexed), '--resamples', '0', '--json'],
    )
    assert json.loads(scored.stdout)['notes'] == notes
    assert scored.stderr.splitlines()[-2:] == notes
    extracted = CliRunner().invoke(
        main, ['extract', str(path), '--column', 'openset', '--out', str(tmp_path / 'o.csv'), '--json']
    )
    assert json.loads(extracted.stdout)['notes'] == notes[:1]
    assert notes[0] in extracted.stderr


@pytest.mark.parametrize('column', ['weight', 'left_age'])
def test_a_comma_between_thousands_is_never_taken_for_a_decimal_comma(tmp_path, column):
    others = {'weight': 'weight', 'left_age': 'left_age,right_age'}[column]
    cells = {'weight': '"1,234"', 'left_age': '"1,234",30'}[column]
    (tmp_path / 'x.csv').write_text(f'left,right,outcome,{others}\na,b,left,{cells}\n')
    with pytest.raises(ComparisonError, match=f"without commas in the column {column}.*'1,234'.* in row 2"):
        read_comparisons(tmp_path / 'x.csv')


def _workbook(sheet: str, **parts: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, 'w', zipfile.ZIP_DEFLATED) as archive:
        archive.writestr('xl/workbook.xml', '<w xmlns:r="r"><sheets><sheet name="S" r:id="a"/></sheets></w>')
        archive.writestr('xl/_rels/workbook.xml.rels', '<R><Relationship Id="a" Target="worksheets/s.xml"/></R>')
        archive.writestr('xl/worksheets/s.xml', sheet)
        for name, text in parts.items():
            archive.writestr(f'xl/{name}.xml', text)
    return content.getvalue()


@pytest.mark.parametrize(
    ('sheet', 'parts'),
    [
        ('<w>' + '<row/>' * 60_000 + '</w>', {}),
        ('<w><row>' + '<c/>' * 60_000 + '</row></w>', {}),
        ('<w/>', {'styles': '<s>' + '<x/>' * 60_000 + '</s>'}),
        ('<w/>', {'sharedStrings': '<s>' + '<si/>' * 60_000 + '</s>'}),
    ],
    ids=['rows', 'cells', 'styles', 'texts'],
)
def test_a_workbook_of_more_elements_than_its_size_allows_is_refused(tmp_path, sheet, parts, monkeypatch):
    monkeypatch.setattr(workbooks, 'FREE_ELEMENTS', 20_000)
    (tmp_path / 'x.xlsx').write_bytes(_workbook(sheet, **parts))
    with pytest.raises(TableError, match='unfold to far more'):
        read_table(tmp_path / 'x.xlsx')


def test_elements_nested_without_end_are_a_damaged_workbook(tmp_path):
    (tmp_path / 'x.xlsx').write_bytes(_workbook('<w>' * 10_000))
    with pytest.raises(TableError, match='nested too deeply'):
        read_table(tmp_path / 'x.xlsx')


def test_a_sparse_sheet_padded_with_blanks_is_refused(tmp_path):
    rows = ''.join(f'<row><c r="A{row}"><v>1</v></c></row>' for row in range(1, 1000))
    sheet = f'<w>{" " * 20_000_000}{rows}<row><c r="XFD1000"><v>1</v></c></row></w>'
    (tmp_path / 'x.xlsx').write_bytes(_workbook(sheet))
    with pytest.raises(TableError, match=r'a tag without end|unfold to far more'):
        read_table(tmp_path / 'x.xlsx')
