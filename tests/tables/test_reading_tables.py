"""Any file of a table to columns: every dialect gives the same cells, every damage one error that says where."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import zipfile

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from affekt.errors import ArchiveError, TableError
from affekt.tables import csv_bytes, number, read_table, require_bounded, required_rows
from affekt.tables.parquet_footers import footer_of
from affekt.tables.parquet_pages import unfolded_at_most

NAMES = ['clip1', 'clip2', 'Zoë']
ANSWERS = ["['joyful', 'thrilled']", 'über\nmütig; sehr', '“sad”']


def _text(separator: str, ends: str = '\r\n') -> str:
    """The two columns as Excel writes them: quotes where a cell holds the separator, a quote or a line."""
    rows = [f'name{separator}openset']
    for name, answer in zip(NAMES, ANSWERS, strict=True):
        quoted = f'"{answer}"' if {separator, '\n'} & set(answer) else answer
        rows.append(f'{name}{separator}{quoted}')
    return ends.join(rows) + ends


def _workbook(path, sheets, *, shared=None, compression=zipfile.ZIP_DEFLATED):
    """A workbook of sheets of XML, as small as its reader takes."""
    main = 'http://schemas.openxmlformats.org/spreadsheetml/2006/main'
    office = 'http://schemas.openxmlformats.org/officeDocument/2006/relationships'
    package = 'http://schemas.openxmlformats.org/package/2006'
    kinds = [('worksheet', f'worksheets/sheet{n}.xml') for n in range(1, len(sheets) + 1)]
    kinds += [('sharedStrings', 'sharedStrings.xml')] if shared is not None else []
    links = ''.join(
        f'<Relationship Id="rId{n}" Type="{office}/{kind}" Target="{target}"/>'
        for n, (kind, target) in enumerate(kinds, 1)
    )
    listed = ''.join(f'<sheet name="{name}" sheetId="{n}" r:id="rId{n}"/>' for n, name in enumerate(sheets, 1))
    with zipfile.ZipFile(path, 'w', compression) as archive:
        document = f'<Relationship Id="rId1" Type="{office}/officeDocument" Target="xl/workbook.xml"/>'
        archive.writestr('_rels/.rels', f'<Relationships xmlns="{package}/relationships">{document}</Relationships>')
        archive.writestr('[Content_Types].xml', f'<Types xmlns="{package}/content-types"/>')
        archive.writestr(
            'xl/workbook.xml', f'<workbook xmlns="{main}" xmlns:r="{office}"><sheets>{listed}</sheets></workbook>'
        )
        archive.writestr(
            'xl/_rels/workbook.xml.rels', f'<Relationships xmlns="{package}/relationships">{links}</Relationships>'
        )
        for n, rows in enumerate(sheets.values(), 1):
            archive.writestr(
                f'xl/worksheets/sheet{n}.xml', f'<worksheet xmlns="{main}"><sheetData>{rows}</sheetData></worksheet>'
            )
        if shared is not None:
            texts = ''.join(f'<si><t>{text}</t></si>' for text in shared)
            archive.writestr('xl/sharedStrings.xml', f'<sst xmlns="{main}">{texts}</sst>')
    return path


def _row(number, *cells):
    """A row of a sheet: texts inline, numbers as they are."""
    parts = []
    for column, cell in enumerate(cells):
        place = f'{chr(65 + column)}{number}'
        if isinstance(cell, str):
            parts.append(f'<c r="{place}" t="inlineStr"><is><t xml:space="preserve">{cell}</t></is></c>')
        else:
            parts.append(f'<c r="{place}"><v>{cell}</v></c>')
    return f'<row r="{number}">{"".join(parts)}</row>'


@pytest.mark.parametrize('encoding', ['utf-8', 'utf-8-sig', 'utf-16', 'utf-16-le', 'utf-16-be', 'utf-32', 'cp1252'])
@pytest.mark.parametrize('separator', [',', ';', '\t', '|'])
def test_every_dialect_of_csv_gives_the_same_columns(tmp_path, encoding, separator):
    path = tmp_path / 'x.csv'
    path.write_bytes(_text(separator).encode(encoding))
    table = read_table(path)
    assert dict(table) == {'name': tuple(NAMES), 'openset': tuple(ANSWERS)}
    assert table.rows == [2, 3, 5]
    assert bool(table.notes) == (encoding == 'cp1252')


def test_every_other_kind_gives_the_same_columns(tmp_path):
    rows = [{'name': name, 'openset': answer} for name, answer in zip(NAMES, ANSWERS, strict=True)]
    (tmp_path / 'x.json').write_text(json.dumps(rows, indent=2))
    (tmp_path / 'x.jsonl').write_text('\n'.join(map(json.dumps, rows)))
    (tmp_path / 'x.tsv').write_text(_text('\t', '\n'))
    (tmp_path / 'x.txt').write_bytes(_text('\t').encode('utf-16'))
    parquet.write_table(pa.Table.from_pylist(rows), tmp_path / 'x.parquet')
    np.savez(tmp_path / 'x.npz', name=np.array(NAMES), openset=np.array(ANSWERS))
    cells = ''.join(_row(n, name, answer) for n, (name, answer) in enumerate(zip(NAMES, ANSWERS, strict=True), 3))
    _workbook(tmp_path / 'x.xlsx', {'Tabelle1': _row(2, 'name', 'openset') + cells, 'Tabelle2': ''})
    for path in sorted(tmp_path.iterdir()):
        table = read_table(path)
        assert {name: list(column) for name, column in table.items()} == {'name': NAMES, 'openset': ANSWERS}, path


def test_content_counts_more_than_the_ending(tmp_path):
    table = pa.table({'a': [1]})
    parquet.write_table(table, tmp_path / 'x.csv')
    (tmp_path / 'y.csv').write_text('[{"a": 1}]')
    (tmp_path / 'z.json').write_text('{"a": 1}\n{"a": 2}\n')
    assert [list(read_table(tmp_path / name)['a']) for name in ('x.csv', 'y.csv', 'z.json')] == [[1], [1], [1, 2]]


def test_the_line_by_which_excel_names_its_separator_is_no_row(tmp_path):
    (tmp_path / 'x.csv').write_text('sep=;\nname;a,b\nx;1,2\n')
    table = read_table(tmp_path / 'x.csv')
    assert dict(table) == {'name': ('x',), 'a,b': ('1,2',)}
    assert table.row(0) == 'row 3 of x.csv'


def test_rows_are_numbered_as_a_spreadsheet_and_an_editor_show_them(tmp_path):
    (tmp_path / 'x.csv').write_text('\nname,text\n\na,"two\nlines"\n,\nb,one\n')
    assert read_table(tmp_path / 'x.csv').rows == [4, 7]
    _workbook(tmp_path / 'x.xlsx', {'S': _row(3, 'name', 'text') + _row(7, 'a', 0.5) + _row(9, 1, 'b')})
    table = read_table(tmp_path / 'x.xlsx')
    assert (table.rows, list(table['name']), list(table['text'])) == ([7, 9], ['a', 1], [0.5, 'b'])


def test_cells_keep_their_spaces_and_headers_do_not(tmp_path):
    (tmp_path / 'x.csv').write_text(' name , text\n a ,  b\n')
    assert dict(read_table(tmp_path / 'x.csv')) == {'name': (' a ',), 'text': ('  b',)}


def test_what_was_written_safe_for_spreadsheets_is_read_as_it_was(tmp_path):
    cells = ['=1+1', "'=1", '-0.5', "'tis", '@x']
    (tmp_path / 'x.csv').write_bytes(csv_bytes(['a', 'b'], [(cell, 'x') for cell in cells]))
    assert list(read_table(tmp_path / 'x.csv')['a']) == cells


def test_empty_columns_and_an_index_without_a_name_are_left_out(tmp_path):
    (tmp_path / 'x.csv').write_text(',name,text,,\n0,a,b,,\n1,c,d,,\n')
    table = read_table(tmp_path / 'x.csv')
    assert dict(table) == {'name': ('a', 'c'), 'text': ('b', 'd')}
    assert table.notes == ('the first column of x.csv, which counts the rows and has no name, is left out',)
    (tmp_path / 'x.csv').write_text('name,\na,b\n')
    with pytest.raises(TableError, match='row 2 has a cell in column 2, which has no name'):
        read_table(tmp_path / 'x.csv')


def _doubled(tmp_path, kind):
    path = tmp_path / f'x.{kind}'
    if kind in ('csv', 'tsv'):
        path.write_text('name,label,label\na,b,c\n'.replace(',', ',' if kind == 'csv' else '\t'))
    elif kind == 'parquet':
        parquet.write_table(pa.Table.from_arrays([pa.array(['a'])] * 2, names=['label', 'label']), path)
    elif kind == 'xlsx':
        _workbook(path, {'S': _row(1, 'name', 'label', 'label') + _row(2, 'a', 'b', 'c')})
    else:
        row = '{"name": "a", "label": "b", "label": "c"}'
        path.write_text(f'[{row}]' if kind == 'json' else row)
    return path


@pytest.mark.parametrize('kind', ['csv', 'tsv', 'json', 'jsonl', 'parquet', 'xlsx'])
def test_a_column_that_stands_twice_is_refused_by_every_kind(tmp_path, kind):
    with pytest.raises(TableError, match="'label'"):
        read_table(_doubled(tmp_path, kind))


def test_columns_that_differ_in_case_or_space_only_are_one_name_twice(tmp_path):
    (tmp_path / 'x.csv').write_text('name,Label, label\na,b,c\n')
    with pytest.raises(TableError, match=r"3 columns 'name', 'Label', 'label'.*columns 2 and 3 are both"):
        read_table(tmp_path / 'x.csv')


@pytest.mark.parametrize(
    ('content', 'name'),
    [
        (b'<!DOCTYPE html><html><body>404</body></html>', 'web page'),
        (b'\n <html>', 'web page'),
        (b'\x1f\x8b\x08\x00rest', 'gzip'),
        (b'BZh91AY', 'bzip2'),
        (b'%PDF-1.7', 'PDF'),
        (b'\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1', 'old workbook'),
        (b'version https://git-lfs.github.com/spec/v1\noid', 'Git LFS'),
        (b'\x80\x04\x95\x10', 'pickle'),
        (b'ARROW1\0\0', 'Arrow'),
        (b'\x89PNG\r\n', 'image'),
        (b'SQLite format 3\0', 'SQLite'),
        (b'PK\x03\x04rest', 'zip archive'),
    ],
)
def test_what_is_no_table_is_refused_by_its_name(tmp_path, content, name):
    (tmp_path / 'x.csv').write_bytes(content)
    with pytest.raises(TableError, match=name):
        read_table(tmp_path / 'x.csv')


@pytest.mark.parametrize(
    ('member', 'name'),
    [
        ('word/document.xml', 'Word'),
        ('content.xml', 'OpenDocument'),
        ('xl/workbook.bin', 'xlsb'),
        ('a.csv', 'a zip archive'),
    ],
)
def test_other_documents_in_zip_are_refused_by_their_name(tmp_path, member, name):
    with zipfile.ZipFile(tmp_path / 'x.xlsx', 'w') as archive:
        archive.writestr(member, 'x')
    with pytest.raises(TableError, match=name):
        read_table(tmp_path / 'x.xlsx')


@pytest.mark.parametrize(
    ('text', 'encoding'),
    [
        ('имя,ответ\nа,радость\n', 'cp1251'),
        ('name,answer\na,他很高兴\n', 'gbk'),
        ('name,answer\na,嬉しい\n', 'shift_jis'),
        ('name,answer\na,smutny żółw; łzy\n', 'cp1250'),
        ('name,answer\na,é\nb,\xff\xfe\n', 'latin-1'),
        ('name,answer\na,schön\n', 'mac_roman'),
        ('name,answer\na,schön\n', 'cp850'),
    ],
)
def test_a_text_in_another_old_encoding_is_refused_or_read_and_never_read_as_other_letters(tmp_path, text, encoding):
    (tmp_path / 'x.csv').write_bytes(text.encode(encoding))
    try:
        letters = read_table(tmp_path / 'x.csv')
    except TableError:
        letters = {}
    head, *rows = [line.split(',') for line in text.splitlines()]
    assert letters == {} or dict(letters) == dict(zip(head, zip(*rows, strict=True), strict=True))


def test_utf8_with_one_broken_byte_is_damage_and_no_other_encoding(tmp_path):
    (tmp_path / 'x.csv').write_bytes('name,text\na,größer\nb,'.encode() + b'\xe9t\n')
    with pytest.raises(TableError, match='not UTF-8'):
        read_table(tmp_path / 'x.csv')


def test_zero_bytes_are_refused_by_their_row(tmp_path):
    (tmp_path / 'x.csv').write_bytes(b'name,text\na,b\nc,\0\n')
    with pytest.raises(TableError, match='zero bytes'):
        read_table(tmp_path / 'x.csv')


def test_a_ragged_row_says_where_and_how_many_cells_were_expected(tmp_path):
    (tmp_path / 'x.csv').write_text('name;openset\na;b\nc;d;e\n')
    with pytest.raises(TableError, match=r"2 columns 'name', 'openset', between semicolons.*3 cells in row 3 of x.csv"):
        read_table(tmp_path / 'x.csv')


def test_only_regular_files_are_opened(tmp_path):
    os.mkfifo(tmp_path / 'pipe.csv')
    (tmp_path / 'folder.csv').mkdir()
    (tmp_path / 'link.csv').symlink_to(tmp_path / 'nowhere.csv')
    for name, reason in (('pipe.csv', 'no regular file'), ('folder.csv', 'a folder'), ('link.csv', 'not there')):
        with pytest.raises(TableError, match=reason):
            read_table(tmp_path / name)


@pytest.mark.parametrize(
    ('cell', 'expected'),
    [('0,5', 0.5), ('-1,25', -1.25), (',5', 0.5), ('1,5e2', 150.0), (' 3 ', 3.0), ('0.5', 0.5), (2, 2.0)],
)
def test_a_comma_may_be_a_decimal_comma(cell, expected):
    assert number(cell) == expected


@pytest.mark.parametrize('cell', ['1.234,5', '1,234,567', '1_000', '', 'x', True, None, '１'])
def test_what_could_be_another_number_is_none(cell):
    with pytest.raises(ValueError, match='no number'):
        number(cell)


def test_one_long_text_in_a_million_rows_of_parquet_is_held_once(tmp_path):
    text = pa.array(['x' * 1_000_000])
    column = pa.DictionaryArray.from_arrays(pa.array(np.zeros(100_000, np.int32)), text)
    parquet.write_table(pa.table({'name': np.arange(100_000), 'text': column}), tmp_path / 'x.parquet')
    cells = read_table(tmp_path / 'x.parquet')['text']  # 100 GB, were each cell a text of its own
    assert len(cells) == 100_000
    assert all(cell is cells[0] for cell in cells)


@pytest.mark.parametrize('nested', [False, True])
def test_a_reader_that_wants_arrow_is_kept_from_texts_that_unfold(tmp_path, nested):
    text = pa.array(['x' * 1_000_000])
    column = pa.DictionaryArray.from_arrays(pa.array(np.zeros(1000, np.int32)), text)
    column = pa.ListArray.from_arrays(pa.array(np.arange(1001, dtype=np.int32)), column) if nested else column
    parquet.write_table(pa.table({'text': column}), tmp_path / 'x.parquet')
    for read in (require_bounded, read_table) if nested else (require_bounded,):
        with pytest.raises(TableError, match='texts of 1,000,0'):
            read(tmp_path / 'x.parquet')
    few = pa.table({'text': ['x' * 1000] * 500, 'list': [['a', None], []] * 250, 'of': [{'a': 'b'}] * 500})
    parquet.write_table(few, tmp_path / 'y.parquet')
    require_bounded(tmp_path / 'y.parquet')


@pytest.mark.parametrize('codec', ['none', 'snappy', 'gzip', 'brotli', 'zstd', 'lz4'])
@pytest.mark.parametrize('page', ['1.0', '2.0'])
def test_honest_texts_are_bounded_by_their_pages_without_being_unfolded(tmp_path, codec, page):
    texts = [f'what was said in number {at}' for at in range(20_000)]
    few = [f'a speaker of a longer name, number {at % 50}' for at in range(20_000)]
    table = pa.table({'text': texts, 'few': few, 'none': pa.nulls(20_000, pa.string())})
    path = tmp_path / 'x.parquet'
    parquet.write_table(table, path, compression=codec, data_page_version=page, dictionary_pagesize_limit=100_000)
    chunks = [chunk for chunk in footer_of(path)[1] if chunk.is_text]
    true = sum(map(len, texts)) + sum(map(len, few))
    # the longest text of a dictionary stands for every one; plain texts of the first column are counted in their pages
    assert true < unfolded_at_most(path, chunks) < 4 * true


def test_pages_that_say_nothing_certain_bound_nothing(tmp_path):
    table = pa.table({'text': ['x' * 100 + str(at) for at in range(1000)]})
    path = tmp_path / 'x.parquet'
    # in this encoding each text repeats the one before
    parquet.write_table(table, path, use_dictionary=False, column_encoding={'text': 'DELTA_BYTE_ARRAY'})
    assert unfolded_at_most(path, footer_of(path)[1]) == np.inf
    parquet.write_table(table, path)
    (chunk,) = footer_of(path)[1]
    for wrong in (
        {'begin': -1},
        {'begin': chunk.begin + 3},
        {'codec': 3},
        {'codec': 6},
        {'unfolded': 10},
        {'size': 1 << 40},
    ):
        assert unfolded_at_most(path, [dataclasses.replace(chunk, **wrong)]) == np.inf


def test_the_footer_is_read_as_the_library_reads_it(tmp_path):
    table = pa.table({'a': ['x', 'y', None], 'b': [[1, 2], [], [3]], 'c': [{'d': 'e'}] * 3, 'f': [1.5, 2.5, 3.5]})
    parquet.write_table(table, tmp_path / 'x.parquet', row_group_size=2)
    rows, chunks = footer_of(tmp_path / 'x.parquet')
    metadata = parquet.read_metadata(tmp_path / 'x.parquet')
    stated = [metadata.row_group(group).column(at) for group in range(2) for at in range(4)]
    assert rows == 3
    assert [(chunk.path, chunk.is_text, chunk.values, chunk.unfolded) for chunk in chunks] == [
        (one.path_in_schema, one.physical_type == 'BYTE_ARRAY', one.num_values, one.total_uncompressed_size)
        for one in stated
    ]


def test_a_damaged_footer_that_would_end_the_process_is_one_error(tmp_path):
    # Aborted: "Definition level histogram size mismatch", raised where nothing could catch it
    rows = [{'name': f'c{n}', 'openset': 'happy ' * (n % 3), 'l': ['a', 'b'][: n % 3]} for n in range(40)]
    parquet.write_table(pa.Table.from_pylist(rows), tmp_path / 'x.parquet')
    content = (tmp_path / 'x.parquet').read_bytes()
    footer = int.from_bytes(content[-8:-4], 'little')
    for at in range(len(content) - 8 - footer, len(content) - 8, 3):
        (tmp_path / 'y.parquet').write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        with contextlib.suppress(TableError):
            read_table(tmp_path / 'y.parquet')


def test_a_parquet_of_a_few_bytes_and_many_rows_is_refused_before_it_is_read(tmp_path):
    zeros = np.zeros(10_000_000, np.int8)
    parquet.write_table(pa.table({'a': zeros}), tmp_path / 'x.parquet', compression='zstd')
    assert (tmp_path / 'x.parquet').stat().st_size < 100_000
    with pytest.raises(TableError, match='10,000,000 cells'):
        read_table(tmp_path / 'x.parquet')


def test_a_workbook_of_a_few_bytes_takes_no_gigabytes(tmp_path):
    far = '<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'
    _workbook(tmp_path / 'far.xlsx', {'S': _row(1, 'name') + far})
    cells = ''.join(f'<row r="{n}"><c r="A{n}" t="s"><v>0</v></c></row>' for n in range(1, 2000))
    _workbook(tmp_path / 'often.xlsx', {'S': cells}, shared=['x' * 1_000_000])
    _workbook(tmp_path / 'zeros.xlsx', {'S': _row(1, 'a' * (200 << 20))})
    for name, said in (('far', 'row 1048576.*no name'), ('often', 'to far more'), ('zeros', 'to far more')):
        with pytest.raises(TableError, match=said):
            read_table(tmp_path / f'{name}.xlsx')


def test_cells_in_two_sheets_leave_open_which_is_meant(tmp_path):
    _workbook(tmp_path / 'x.xlsx', {'A': _row(1, 'name') + _row(2, 'a'), 'B': _row(1, 'name')})
    with pytest.raises(TableError, match=r"one sheet.*'A', 'B'"):
        read_table(tmp_path / 'x.xlsx')


def test_two_maps_in_an_archive_leave_open_which_is_meant(tmp_path):
    np.savez(tmp_path / 'x.npz', a=np.array({'x': 1}, dtype=object), b=np.array({'y': 1}, dtype=object))
    with pytest.raises(TableError, match="'a', 'b'"):
        read_table(tmp_path / 'x.npz')


@pytest.mark.parametrize('name', ['x.json', 'x.jsonl'])
def test_json_that_is_nested_too_deeply_is_one_error(tmp_path, name):
    (tmp_path / name).write_text('[{"a": ' + '[' * 100_000 if name == 'x.json' else '{"a": ' * 100_000)
    with pytest.raises(TableError, match='nested too deeply'):
        read_table(tmp_path / name)


def test_one_line_without_an_end_is_not_read_to_its_end(tmp_path):
    (tmp_path / 'x.csv').write_text('a,b\n' + '1,' * 9_000_000)
    with pytest.raises(TableError, match='a longer one, line 2'):
        read_table(tmp_path / 'x.csv')


@settings(max_examples=120, deadline=None)
@given(
    damage=st.binary(max_size=30), at=st.integers(0, 2000),
    kind=st.sampled_from(['csv', 'tsv', 'json', 'jsonl', 'parquet', 'xlsx', 'npz']),
)  # fmt: skip
def test_damage_anywhere_gives_a_table_or_one_error(tmp_path_factory, damage, at, kind):
    folder = tmp_path_factory.mktemp('damaged')
    path = folder / f'x.{kind}'
    rows = [{'name': name, 'openset': answer} for name, answer in zip(NAMES, ANSWERS, strict=True)]
    if kind in ('csv', 'tsv'):
        path.write_text(_text(';' if kind == 'csv' else '\t'))
    elif kind in ('json', 'jsonl'):
        path.write_text(json.dumps(rows) if kind == 'json' else '\n'.join(map(json.dumps, rows)))
    elif kind == 'parquet':
        parquet.write_table(pa.Table.from_pylist(rows), path)
    elif kind == 'xlsx':
        _workbook(path, {'S': _row(1, 'name', 'openset') + _row(2, *rows[0].values())}, compression=zipfile.ZIP_STORED)
    else:
        np.savez(path, name=np.array(NAMES), openset=np.array(ANSWERS, dtype=object))
    content = path.read_bytes()
    path.write_bytes(content[:at] + damage + content[at + len(damage) :])
    said, widths, rows = 'a table', set(), 0
    try:
        table = read_table(path)
        widths, rows = {len(column) for column in table.values()}, len(table.rows)
    except (TableError, ArchiveError) as error:
        said = str(error)
    assert 0 < len(said) < 1000
    assert widths <= {rows}


def test_the_columns_that_were_seen_are_counted_and_named(tmp_path, shared_data):
    from affekt.labels import read_answers

    path = shared_data / 'faults' / 'tables' / 'score_semicolon_csv_1_cell.csv'
    assert read_answers(path)['clip1'] == "['joyful', 'thrilled']"
    (tmp_path / 'x.csv').write_text('clip:words\na:b\n')
    with pytest.raises(TableError, match="1 column 'clip:words'"):
        read_answers(tmp_path / 'x.csv')


def test_a_workbook_is_read_as_excel_shows_it(tmp_path):
    main = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    cells = (
        '<row r="1"><c r="A1" t="s"><v>0</v></c><c r="B1" t="s"><v>1</v></c><c r="C1" t="s"><v>2</v></c></row>'
        '<row r="2"><c r="A2"><v>7</v></c><c r="B2" s="1"><v>45413</v></c><c r="C2" t="b"><v>1</v></c></row>'
        '<row r="3"><c r="A3" t="str"><f>1</f><v>a_x000A_b</v></c><c r="C3" t="e"><v>#N/A</v></c></row>'
        '<row><c><v>0.5</v></c><c s="2"><v>0.75</v></c></row>'
    )
    path = _workbook(tmp_path / 'x.xlsx', {'S': cells}, shared=['na</t><t>me', 'when', 'what'])
    with zipfile.ZipFile(path, 'a') as archive:
        styles = '<xf numFmtId="0"/><xf numFmtId="14"/><xf numFmtId="164"/>'
        formats = '<numFmts><numFmt numFmtId="164" formatCode="hh:mm"/></numFmts>'
        archive.writestr('xl/styles.xml', f'<styleSheet {main}>{formats}<cellXfs>{styles}</cellXfs></styleSheet>')
    table = read_table(path)
    assert {name: list(column) for name, column in table.items()} == {
        'name': [7, 'a\nb', 0.5],
        'when': ['2024-05-01', '', '18:00:00'],  # day 45,413 after 30 December 1899; three quarters of a day
        'what': [True, '#N/A', ''],
    }
    assert table.rows == [2, 3, 4]


def test_a_workbook_that_declares_entities_is_refused(tmp_path):
    path = _workbook(tmp_path / 'x.xlsx', {'S': _row(1, 'name')})
    with zipfile.ZipFile(path) as archive:
        parts = {info.filename: archive.read(info) for info in archive.infolist()}
    parts['xl/worksheets/sheet1.xml'] = b'<!DOCTYPE x [<!ENTITY a "b">]>' + parts['xl/worksheets/sheet1.xml']
    with zipfile.ZipFile(path, 'w') as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    with pytest.raises(TableError, match='declares'):
        read_table(path)


def test_halves_of_characters_are_replaced_with_a_note(tmp_path):
    (tmp_path / 'x.jsonl').write_text('{"name": "a\\ud800", "labels": ["b\\udfff", "\\ud83d\\ude00"]}\n')
    np.savez(tmp_path / 'x.npz', name=np.array(['a\ud800']), labels=np.array(['b']))
    for name in ('x.jsonl', 'x.npz'):
        table = read_table(tmp_path / name)
        assert list(table['name']) == ['a\N{REPLACEMENT CHARACTER}']
        assert 'halves of characters' in table.notes[0]
    assert read_table(tmp_path / 'x.jsonl')['labels'] == [['b\N{REPLACEMENT CHARACTER}', '\N{GRINNING FACE}']]


def test_a_table_knows_its_rows_as_records_and_by_number(tmp_path):
    path = tmp_path / 'x.csv'
    path.write_text('name,value\n\na,1\nb,2\n')
    table = read_table(path)
    assert list(table.records()) == [{'name': 'a', 'value': '1'}, {'name': 'b', 'value': '2'}]
    assert (table.row(1), table.source.row(1)) == ('row 4 of x.csv', 'row 4 of x.csv')


@pytest.mark.parametrize(
    ('text', 'rows', 'problems'),
    [
        ('name,x\na,1\n', [(2, ['a', '1'])], []),
        ('name;x\na;1\n', [], ['columns name;x where name, x belong']),
        ('', [], ['columns (none) where name, x belong']),
        ('name,x\na\n', [(2, ['a'])], ['row 2: 1 cells']),
        ('name,x\n"a,1\n', [], ['not a csv: unexpected end of data']),
    ],
)
def test_a_file_that_must_have_one_form_is_not_mended(text, rows, problems):
    said: list[str] = []
    assert required_rows(text, ('name', 'x'), said) == rows
    assert said == problems


def test_columns_of_an_archive_follow_the_rules_of_other_tables(tmp_path):
    np.savez(tmp_path / 'x.npz', **{' name': np.array(['a']), 'value ': np.array([1])})
    assert dict(read_table(tmp_path / 'x.npz')) == {'name': ['a'], 'value': [1]}
    np.savez(tmp_path / 'y.npz', **{'name': np.array(['a']), 'Name ': np.array(['b'])})
    with pytest.raises(TableError, match='columns 1 and 2 are both'):
        read_table(tmp_path / 'y.npz')
    np.savez(tmp_path / 'z.npz', name=np.array({'x': 'happy'}, dtype=object))
    with pytest.raises(TableError, match='columns 1 and 2 are both'):
        read_table(tmp_path / 'z.npz')
