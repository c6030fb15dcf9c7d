"""Writes one table by the programs that people use, for the tests of the readers.

pip install pandas pyarrow polars openpyxl XlsxWriter odfpy xlwt
python3 make.py
"""

import datetime
import sqlite3

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import xlwt

ROWS = 60
TOWNS = ["Oslo", "Bergen", "Ærø, by", 'the "north"', None]


def table():
    day = datetime.datetime(2023, 12, 28, 6, 30)
    rows = range(ROWS)
    return {
        "size": [None if i % 11 == 5 else i * 0.37 - 4 for i in rows],
        "rooms": [i * 7 % 5 for i in rows],
        "town": [TOWNS[i * 3 % 5] for i in rows],
        "lift": [i % 3 == 1 for i in rows],
        "sold": [day + datetime.timedelta(hours=7 * i) for i in rows],
        "number": [9007199254740993 + i % 4 * 2 for i in rows],
        "dear": ["yes" if i * 5 % 7 > 3 else "no" for i in rows],
    }


def main():
    columns = table()
    frame = pd.DataFrame(columns)
    arrow = pa.table(columns)
    polars = pl.DataFrame(columns)

    frame.to_csv("pandas.csv", index=False)
    frame.to_parquet("pandas.parquet")
    frame.to_feather("pandas.feather")
    frame.to_json("pandas.json", orient="records", date_format="iso")
    frame.to_json("pandas.jsonl", orient="records", lines=True, date_format="iso")
    # Spreadsheets keep 15 digits of a number.
    sheets = frame.assign(number=frame["number"].astype(str))
    sheets.to_excel("openpyxl.xlsx", index=False, engine="openpyxl")
    sheets.to_excel("xlsxwriter.xlsx", index=False, engine="xlsxwriter")
    sheets.to_excel("odfpy.ods", index=False, engine="odf")

    polars.write_csv("polars.csv")
    polars.write_parquet("polars.parquet")
    polars.write_ipc("polars.arrow", compression="zstd")
    polars.write_ndjson("polars.ndjson")

    kinds = {
        "size": pa.float64(),
        "rooms": pa.uint8(),
        "town": pa.dictionary(pa.int16(), pa.large_string()),
        "lift": pa.bool_(),
        "sold": pa.timestamp("ms", tz="Europe/Oslo"),
        "number": pa.uint64(),
        "dear": pa.string_view(),
    }
    cast = pa.table({name: pa.chunked_array([pa.array(columns[name], kind)]) for name, kind in kinds.items()})
    pa.parquet.write_table(cast, "pyarrow.parquet", row_group_size=17, compression="brotli")
    with pa.ipc.new_stream("pyarrow.arrows", cast.schema) as stream:
        for batch in cast.to_batches(max_chunksize=13):
            stream.write_batch(batch)
    pa.feather.write_feather(cast, "pyarrow.feather", compression="uncompressed", chunksize=25)

    database = sqlite3.connect("sqlite3.db")
    with database:
        database.execute("DROP TABLE IF EXISTS houses")
        database.execute(
            "CREATE TABLE houses (size REAL, rooms INTEGER, town TEXT, lift TEXT, sold TEXT, number INTEGER, dear TEXT)"
        )
        for row in zip(*columns.values()):
            size, rooms, town, lift, sold, number, dear = row
            values = (size, rooms, town, str(lift), sold.isoformat(" "), number, dear)
            database.execute("INSERT INTO houses VALUES (?, ?, ?, ?, ?, ?, ?)", values)
    database.execute("VACUUM")
    database.close()

    book = xlwt.Workbook()
    sheet = book.add_sheet("houses")
    style = xlwt.easyxf(num_format_str="YYYY-MM-DD HH:MM")
    for c, (name, cells) in enumerate(columns.items()):
        sheet.write(0, c, name)
        for r, cell in enumerate(cells):
            if isinstance(cell, datetime.datetime):
                sheet.write(r + 1, c, cell, style)
            elif cell is not None:
                sheet.write(r + 1, c, str(cell) if name == "number" else cell)
    book.save("xlwt.xls")

    # What only some programs write: other widths, decimals, times, nested and empty columns.
    odd = pa.table(
        {
            "half": pa.array([0.5, None, -2.0], pa.float16()),
            "decimal": pa.array([1, None, -7], pa.int32()).cast(pa.decimal128(20, 3)),
            "wide": pa.array(["12345678901234567890.25", None, "-0.5"]).cast(pa.decimal256(50, 4)),
            "date32": pa.array([0, None, 19723], pa.int32()).cast(pa.date32()),
            "date64": pa.array([0, None, 86400000], pa.int64()).cast(pa.date64()),
            "time32": pa.array([1500, None, 0], pa.int32()).cast(pa.time32("ms")),
            "time64": pa.array([1500000001, None, 0], pa.int64()).cast(pa.time64("ns")),
            "stamp": pa.array([1700000000123456789, None, -1], pa.int64()).cast(pa.timestamp("ns")),
            "lasted": pa.array([90, None, -5], pa.int64()).cast(pa.duration("s")),
            "bytes": pa.array([b"text", None, b"more"], pa.large_binary()),
            "blob": pa.array([b"\xff\xfe", None, b"\x00"], pa.binary()),
            "code": pa.array([b"ab", None, b"cd"], pa.binary(2)),
            "nothing": pa.nulls(3),
            "list": pa.array([[1], None, []], pa.list_(pa.int8())),
            "map": pa.array([[("a", 1)], None, []], pa.map_(pa.string(), pa.int8())),
            "struct": pa.array([{"a": 1}, None, {"a": 2}], pa.struct({"a": pa.int8()})),
            "ids": pa.array([1, None, 2**63], pa.uint64()),
        }
    )
    pa.feather.write_feather(odd, "odd.feather", compression="lz4")
    with pa.ipc.new_stream("odd.arrows", odd.schema) as stream:
        stream.write_table(odd)
    pa.parquet.write_table(odd.drop_columns(["half"]), "odd.parquet")


if __name__ == "__main__":
    main()
