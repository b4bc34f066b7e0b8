"""Makes the tables of one case as Parquet: the same bytes on every run.

Every value is drawn from a hash of its row's number, so that no state is passed from row to row. Rows
have 90 days of event times in microseconds and are created up to an hour later. One row in fifty is
a correction: key and event time of the row before it, created at another time. One in a thousand is
created at the same time as well, so that only arrival decides.
"""

import argparse
import os

import cases

START = "2026-01-01"


def unit(row, stream):
    """SQL of a draw from [0, 1)."""
    return f"((hash(({row}) * 64 + {stream}) >> 11)::DOUBLE / 9007199254740992.0)"


def key_number(case, row):
    draw = f"floor({unit(row, 1)} * {cases.KEYS})::BIGINT"
    if case.spread == "zipf":  # rank r with probability 1 / r, by its continuous form
        draw = f"floor(exp({unit(row, 1)} * ln({cases.KEYS})))::BIGINT - 1"
    elif case.spread == "hot":
        draw = f"CASE WHEN {unit(row, 2)} < 0.1 THEN 0 ELSE {draw} END"
    return draw


def key(case, row):
    number = key_number(case, row)
    if case.key == "string":
        return f"printf('user_%08d', ({number}) * 977)"
    return f"(({number}) * 2654435761) % 1099511627776"  # distinct and far apart


def event_time(row):
    microseconds = cases.DAYS * 86_400_000_000
    return f"TIMESTAMP '{START}' + to_microseconds(floor({unit(row, 3)} * {microseconds})::BIGINT)"


def spine_query(case, rows):
    order = "ORDER BY event_timestamp, i" if case.ordered else ""
    return f"""
    SELECT row_number() OVER () - 1 AS row_id, user_id, event_timestamp, label
    FROM (
      SELECT i, {key(case, 'i')} AS user_id, {event_time('i')} AS event_timestamp,
             {unit('i', 5)} AS label
      FROM (SELECT range + {1 << 40} AS i FROM range({rows})) {order})"""


def view_query(case, view, rows):
    features = [
        f'{unit("i", 10 + number)} AS {name}'
        for number, name in enumerate(cases.feature_names(view))
    ]
    features[-1] = (
        f'CASE WHEN i % 50 <> 7 THEN {unit("i", 9 + cases.FEATURES)} END'
        f" AS {cases.feature(view, cases.FEATURES)}"
    )
    order = "ORDER BY event_timestamp, created, i" if case.ordered else ""
    return f"""
    SELECT * EXCLUDE (i) FROM (
      SELECT i, {key(case, 'j')} AS user_id, {event_time('j')} AS event_timestamp,
             {event_time('j')} + to_microseconds(floor({unit('c', 4)} * 3600000000)::BIGINT)
               AS created,
             {', '.join(features)}
      FROM (
        SELECT i, CASE WHEN i % 50 = 49 THEN i - 1 ELSE i END AS j,
               CASE WHEN i % 1000 = 999 THEN i - 1 ELSE i END AS c
        FROM (SELECT range + {view << 42} AS i FROM range({rows}))) {order})"""


def write(connection, query, path):
    """Writes a file once; what is there under its name is whole."""
    if not os.path.exists(path):
        connection.execute(f"COPY ({query}) TO '{path}.tmp' (FORMAT parquet)")
        os.rename(f"{path}.tmp", path)


def write_column(table, name, folder, prefix):
    """A column as plain arrays: NAME.data, for strings with NAME.offsets; null numbers as NaN."""
    import numpy
    import pyarrow

    column = table.column(name).combine_chunks()
    path = os.path.join(folder, f"{prefix}_{name}")
    if pyarrow.types.is_string(column.type):
        _, offsets, text = column.cast(pyarrow.large_string()).buffers()
        numpy.frombuffer(offsets, dtype=numpy.int64)[: len(column) + 1].tofile(f"{path}.offsets")
        numpy.frombuffer(text, dtype=numpy.uint8).tofile(f"{path}.data")
    elif pyarrow.types.is_timestamp(column.type):
        column.cast(pyarrow.timestamp("us")).cast(pyarrow.int64()).to_numpy().tofile(f"{path}.data")
    else:
        column.to_numpy(zero_copy_only=False).tofile(f"{path}.data")


def write_arrays(folder):
    """Spine and first view as arrays, for the kernel in memory."""
    import pyarrow.parquet

    target = os.path.join(folder, "arrays")
    if os.path.exists(target):
        return
    os.makedirs(f"{target}.tmp", exist_ok=True)
    for prefix, name in (("spine", "spine.parquet"), ("view", cases.view_file(1))):
        file = pyarrow.parquet.ParquetFile(os.path.join(folder, name))
        for column in file.schema_arrow.names:
            if column not in ("row_id", "label"):
                write_column(file.read([column]), column, f"{target}.tmp", prefix)
    os.rename(f"{target}.tmp", target)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", required=True)
    parser.add_argument("--case", required=True)
    parser.add_argument("--folder", required=True)
    parser.add_argument("--arrays", action="store_true")
    arguments = parser.parse_args()
    import duckdb

    size, case = cases.SIZES[arguments.size], cases.CASES[arguments.case]
    os.makedirs(arguments.folder, exist_ok=True)
    connection = duckdb.connect(config={"memory_limit": "6GB", "temp_directory": arguments.folder})
    write(connection, spine_query(case, size.spine_rows), f"{arguments.folder}/spine.parquet")
    for view in range(1, case.views + 1):
        path = os.path.join(arguments.folder, cases.view_file(view))
        write(connection, view_query(case, view, size.view_rows), path)
    if arguments.arrays:
        write_arrays(arguments.folder)


if __name__ == "__main__":
    main()
