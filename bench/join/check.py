"""Compares an engine's answer with the reference, and prints what differs as one line of JSON.

Rows meet by row_id. An answer in spine order has row_id as its position. Values must be equal,
null for null; counts of values and sums of hashes are told as well, and are all that
is compared where --brief is given.
"""

import argparse
import json
import os
import sys

import duckdb

import cases


def names_of(case):
    return [name for view in range(1, case.views + 1) for name in cases.feature_names(view)]


def from_arrays(folder, spine, names):
    """The columns that memory.c wrote, as a table; NaN is null."""
    import numpy
    import pyarrow

    columns = {"row_id": duckdb.sql(f"SELECT row_id FROM '{spine}'").fetchnumpy()["row_id"]}
    for name in names:
        values = numpy.fromfile(os.path.join(folder, f"{name}.data"))
        columns[name] = pyarrow.array(values, mask=numpy.isnan(values))
    return pyarrow.table(columns)


def summary(connection, table, names):
    """Rows, and per column its values and a sum of their hashes: independent of order."""
    parts = ["count(*)"]
    for name in names:
        parts.append(f"count({name})")
        parts.append(f"sum(hash({name})::HUGEINT) FILTER ({name} IS NOT NULL)")
    return connection.execute(f"SELECT {', '.join(parts)} FROM {table}").fetchone()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--case", required=True)
    parser.add_argument("--spine", required=True)
    parser.add_argument("--answer", required=True)
    parser.add_argument("--reference", required=True)
    parser.add_argument("--in-order", action="store_true", help="row_id must be the position")
    parser.add_argument("--brief", action="store_true")
    arguments = parser.parse_args()
    names = names_of(cases.CASES[arguments.case])

    connection = duckdb.connect()
    if os.path.isdir(arguments.answer):
        connection.register("answer", from_arrays(arguments.answer, arguments.spine, names))
    else:
        connection.execute(f"""
            CREATE VIEW answer AS SELECT * RENAME (file_row_number AS position)
            FROM read_parquet('{arguments.answer}', file_row_number = true)""")
    connection.execute(f"CREATE VIEW reference AS FROM '{arguments.reference}'")

    got, wanted = (summary(connection, table, names) for table in ("answer", "reference"))
    result = {
        "rows": got[0],
        "same_rows": got[0] == wanted[0],
        "same_counts": got[1::2] == wanted[1::2],
        "same_hashes": got[2::2] == wanted[2::2],
    }
    if arguments.in_order:
        moved = "SELECT count(*) FROM answer WHERE row_id IS DISTINCT FROM position"
        result["moved"] = connection.execute(moved).fetchone()[0]
    if not arguments.brief:
        unlike = " OR ".join(f"a.{name} IS DISTINCT FROM r.{name}" for name in names)
        result["unlike"] = connection.execute(f"""
            SELECT count(*) FILTER (a.row_id IS NULL OR r.row_id IS NULL OR {unlike})
            FROM answer a FULL JOIN reference r ON a.row_id = r.row_id""").fetchone()[0]
    json.dump(result, sys.stdout)
    print()


if __name__ == "__main__":
    main()
