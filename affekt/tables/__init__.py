"""Tables in files: any supported format to named columns, and rows to CSV that is safe to open in a spreadsheet.

`read_table(path)` reads every table of the package. The format is determined by the content: CSV as written by any
version of Excel (commas, semicolons or tabs, UTF-8, UTF-16 or Windows-1252), JSON, JSON Lines, Parquet, .npz or an
Excel sheet; other formats are refused by name. A `Table` maps each column's name to its cells and has the number of
each row; `Source` names rows in messages. `by_name` and `answers_by_name` read one column by the column of samples.
`number` reads a cell as a number, also with a decimal comma. Assumptions made in reading are in `Table.notes`;
`reading_notes` collects them from tables that are read within a computation. `table_bytes` writes a table as .csv,
.jsonl or .parquet, `csv_bytes` as CSV.

Read `reading.py` first.
"""

from affekt.tables.arrow_arrays import (
    arrow_array,
    empty_table,
    flag_array,
    flags,
    floats,
    joined_view,
    number_array,
    text_array,
    text_scalar,
)
from affekt.tables.arrow_messages import own_header, require_bounded_messages
from affekt.tables.by_sample import Columns, answers_by_name, by_name, read_columns
from affekt.tables.delimited import required_rows, table_of_lines
from affekt.tables.parquet_files import require_bounded
from affekt.tables.reading import ENDINGS, read_table
from affekt.tables.reading_notes import note, reading_notes
from affekt.tables.table import Source, Table, number, refuse_doubled, seen
from affekt.tables.workbooks import first_sheet
from affekt.tables.writing import (
    FORMULA_STARTS,
    as_written,
    csv_bytes,
    csv_line,
    require_written,
    spreadsheet_safe,
    storable,
    table_bytes,
)

__all__ = [
    'ENDINGS',
    'FORMULA_STARTS',
    'Columns',
    'Source',
    'Table',
    'answers_by_name',
    'arrow_array',
    'as_written',
    'by_name',
    'csv_bytes',
    'csv_line',
    'empty_table',
    'first_sheet',
    'flag_array',
    'flags',
    'floats',
    'joined_view',
    'note',
    'number',
    'number_array',
    'own_header',
    'read_columns',
    'read_table',
    'reading_notes',
    'refuse_doubled',
    'require_bounded',
    'require_bounded_messages',
    'require_written',
    'required_rows',
    'seen',
    'spreadsheet_safe',
    'storable',
    'table_bytes',
    'table_of_lines',
    'text_array',
    'text_scalar',
]
