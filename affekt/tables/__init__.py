"""Tables in files: any of them to named columns, and rows to CSV that a spreadsheet may open.

`read_table(path)` is the one reader of the package. What a file is, its content says: CSV as every Excel writes it
(commas, semicolons or tabs, UTF-8, UTF-16 or Windows-1252), JSON, JSON Lines, Parquet, an .npz, a sheet of Excel; else
it is refused by its name. A `Table` maps each column's name to its cells and knows the number of each row. `number`
reads a cell as a number, with a decimal comma too. What reading took for granted stands in `Table.notes`;
`reading_notes` gathers it where tables are read deep inside. `csv_bytes` writes a table.

Read first: `reading.py`.
"""

from affekt.tables.parquet_files import require_bounded
from affekt.tables.reading import ENDINGS, read_table
from affekt.tables.reading_notes import reading_notes
from affekt.tables.table import Table, number
from affekt.tables.workbooks import first_sheet
from affekt.tables.writing import FORMULA_STARTS, as_written, csv_bytes, spreadsheet_safe, storable

__all__ = [
    'ENDINGS',
    'FORMULA_STARTS',
    'Table',
    'as_written',
    'csv_bytes',
    'first_sheet',
    'number',
    'read_table',
    'reading_notes',
    'require_bounded',
    'spreadsheet_safe',
    'storable',
]
