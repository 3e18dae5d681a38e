"""Writes the fixtures that pyarrow makes, each with its rows as JSON beside it, in the plain form that
rows.ts describes. Never reads them back: what a file holds is what went in.
Usage: pip install pyarrow==26.0.1 && python make_fixtures.py fixtures
"""

import datetime as dt
import decimal
import json
import pathlib
import sys

import pyarrow as pa
import pyarrow.parquet as pq

out = pathlib.Path(sys.argv[1])
out.mkdir(parents=True, exist_ok=True)


def plain(rows=200):
    return pa.table(
        {
            "id": pa.array(range(rows), pa.int64()),
            "small": pa.array([k % 7 - 3 for k in range(rows)], pa.int16()),
            "price": pa.array([None if k % 11 == 0 else k * 0.25 for k in range(rows)], pa.float64()),
            "name": pa.array([None if k % 13 == 0 else f"name-{k % 20}-é" for k in range(rows)]),
            "yes": pa.array([k % 3 == 0 for k in range(rows)]),
        }
    )


def plain_value(value, kind):
    """The form of rows.ts: numbers as text, times to the microsecond, bytes in hexadecimal."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, float):
        text = {"inf": "Infinity", "-inf": "-Infinity", "nan": "NaN"}.get(repr(value), repr(value))
        return text.removesuffix(".0")
    if isinstance(value, (int, decimal.Decimal)):
        return f"{value:f}" if isinstance(value, decimal.Decimal) else str(value)
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dt.datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S.%f")
    if isinstance(value, dt.time):
        return value.strftime("%H:%M:%S.%f")
    if isinstance(value, dt.date):
        return value.isoformat()
    if pa.types.is_map(kind):
        return {str(key): plain_value(item, kind.item_type) for key, item in value}
    if isinstance(value, list):
        return [plain_value(item, kind.value_type) for item in value]
    return {key: plain_value(item, kind.field(key).type) for key, item in value.items()}


def tag(kind):
    for name in ["decimal", "time", "timestamp", "date"]:
        if getattr(pa.types, f"is_{name}")(kind):
            return name
    return None


def describe(name, table):
    kinds = {field.name: tag(field.type) for field in table.schema}
    kinds = {column: kind for column, kind in kinds.items() if kind is not None}
    values = [[plain_value(v, c.type) for v in c.to_pylist()] for c in table.columns]
    rows = [list(row) for row in zip(*values)]
    text = json.dumps({"columns": table.column_names, "kinds": kinds, "rows": rows}, ensure_ascii=False, separators=(",", ":"))
    (out / f"pyarrow-{name}.json").write_text(text + "\n", encoding="utf-8")


def write(name, table, **options):
    pq.write_table(table, out / f"pyarrow-{name}.parquet", **options)
    describe(name, table)


for codec in ["none", "snappy", "gzip", "lz4", "zstd", "brotli"]:
    write(f"{codec}-v1", plain(), compression=codec, data_page_version="1.0")
for codec in ["snappy", "gzip", "lz4", "zstd"]:
    write(f"{codec}-v2", plain(), compression=codec, data_page_version="2.0")

write("no-dictionary", plain(), use_dictionary=False)
write(
    "delta",
    plain(),
    use_dictionary=False,
    column_encoding={
        "id": "DELTA_BINARY_PACKED",
        "small": "DELTA_BINARY_PACKED",
        "price": "BYTE_STREAM_SPLIT",
        "name": "DELTA_BYTE_ARRAY",
    },
)
write("delta-length", plain(), use_dictionary=False, column_encoding={"name": "DELTA_LENGTH_BYTE_ARRAY"})
write("page-checksum", plain(), write_page_checksum=True)
write(
    "page-checksum-v2",
    plain(),
    write_page_checksum=True,
    data_page_version="2.0",
    data_page_size=512,
)
write("small-pages", plain(1000), data_page_size=256, row_group_size=500)

write(
    "decimal",
    pa.table(
        {
            "d9": pa.array([decimal.Decimal("1234567.89"), None, decimal.Decimal("-0.01")], pa.decimal128(9, 2)),
            "d18": pa.array([decimal.Decimal("123456789012.345678"), None, decimal.Decimal("0")], pa.decimal128(18, 6)),
            "d38": pa.array(
                [decimal.Decimal("12345678901234567890123456789.123456789"), None, decimal.Decimal("-1")],
                pa.decimal128(38, 9),
            ),
        }
    ),
)
times = [dt.datetime(2026, 11, 21, 12, 34, 56, 789012), None, dt.datetime(1969, 7, 20, 20, 17, 40)]
write("int96", pa.table({"at": pa.array(times, pa.timestamp("us"))}), use_deprecated_int96_timestamps=True)
write(
    "times",
    pa.table(
        {
            "ms": pa.array(times, pa.timestamp("us")).cast(pa.timestamp("ms"), safe=False),
            "us": pa.array(times, pa.timestamp("us")),
            "utc": pa.array(times, pa.timestamp("us", tz="UTC")),
            "day": pa.array([dt.date(2026, 11, 21), None, dt.date(1900, 1, 1)]),
            "clock": pa.array([dt.time(23, 59, 59, 999999), None, dt.time(0)], pa.time64("us")),
        }
    ),
)
write(
    "nested",
    pa.table(
        {
            "id": pa.array([1, 2, 3, 4]),
            "tags": pa.array([["a", "b"], [], None, [None, "c"]]),
            "point": pa.array([{"x": 1.5, "y": None}, None, {"x": None, "y": "far"}, {"x": 0.0, "y": ""}],
                              pa.struct([("x", pa.float64()), ("y", pa.string())])),
            "matrix": pa.array([[[1, 2], [3]], [[]], None, [None, [4]]], pa.list_(pa.list_(pa.int32()))),
            "lines": pa.array([[{"sku": 1, "n": 2}], [], None, [{"sku": None, "n": 3}]],
                              pa.list_(pa.struct([("sku", pa.int32()), ("n", pa.int32())]))),
            "attributes": pa.array([[("k", 1)], [], None, [("a", 1), ("b", None)]], pa.map_(pa.string(), pa.int32())),
        }
    ),
)
write("empty", plain(0))

schema = pa.schema([("id", pa.int64()), ("name", pa.string())])
with pq.ParquetWriter(out / "pyarrow-empty-row-group.parquet", schema) as writer:
    writer.write_table(pa.table({"id": [1, 2], "name": ["a", "b"]}, schema))
    writer.write_table(schema.empty_table())
    writer.write_table(pa.table({"id": [3], "name": [None]}, schema))
describe("empty-row-group", pa.table({"id": [1, 2, 3], "name": ["a", "b", None]}, schema))

write("all-null", pa.table({"id": [1, 2, 3], "nothing": pa.nulls(3, pa.int32()), "unsure": pa.nulls(3, pa.string())}))
write("long-name", pa.table({"n" * 1024: [1, 2, 3], "id": [4, 5, 6]}))
write(
    "wide",
    pa.table({f"c{k:05}": pa.array([k], pa.int32()) for k in range(10_000)}),
    compression="none",
    use_dictionary=False,
    write_statistics=False,
    store_schema=False,
)
write(
    "integers",
    pa.table(
        {
            "i8": pa.array([-128, 127, None], pa.int8()),
            "u8": pa.array([0, 255, None], pa.uint8()),
            "u16": pa.array([0, 65535, None], pa.uint16()),
            "u32": pa.array([0, 4294967295, None], pa.uint32()),
            "i64": pa.array([-(2**63), 2**63 - 1, None], pa.int64()),
            "u64": pa.array([0, 2**64 - 1, None], pa.uint64()),
            "f16": pa.array([1.5, float("inf"), None], pa.float16()),
            "f32": pa.array([0.1, float("nan"), None], pa.float32()),
        }
    ),
)
write(
    "binary",
    pa.table({"bytes": pa.array([b"\x00\xff", b"", None], pa.binary()), "fixed": pa.array([b"abcd", b"\x00\x01\x02\x03", None], pa.binary(4))}),
)
