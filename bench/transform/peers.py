"""DuckDB's SQL and pandas doing what bench/transform/ours.lua does, over columns in memory."""

import sys
import time

import duckdb
import numpy
import pandas

ROWS = int(sys.argv[1])
REPEATS = 5  # the best counts

random = numpy.random.default_rng(1)


def numbers():
    values = random.random(ROWS) * 100
    values[random.random(ROWS) < 0.05] = numpy.nan
    return values


frame = pandas.DataFrame(
    {
        "a": numbers(),
        "b": numbers(),
        "c": numbers(),
        "country": random.choice(["us-ca", "us-ny", "de-be", "fr-75"], ROWS),
    }
)

ARITHMETIC = "a + b AS x, a * c AS y, (a - b) / (c + 1) AS z"
SQL = {
    "arithmetic": f"SELECT {ARITHMETIC} FROM rows",
    "arithmetic and a prefix": f"SELECT {ARITHMETIC}, left(country, 2) = 'us' AS us FROM rows",
    "arithmetic and upper case": f"SELECT {ARITHMETIC}, upper(country) AS upper FROM rows",
}


# The same without storing anything: the results are only added up.
SUMS = {
    "arithmetic": "sum(x + y + z)",
    "arithmetic and a prefix": "sum(x + y + z), count(*) FILTER (us)",
    "arithmetic and upper case": "sum(x + y + z), max(upper)",
}


def arithmetic(rows):
    return {
        "x": rows.a + rows.b,
        "y": rows.a * rows.c,
        "z": (rows.a - rows.b) / (rows.c + 1),
    }


PANDAS = {
    "arithmetic": lambda rows: pandas.DataFrame(arithmetic(rows)),
    "arithmetic and a prefix": lambda rows: pandas.DataFrame(
        {**arithmetic(rows), "us": rows.country.str[:2] == "us"}
    ),
    "arithmetic and upper case": lambda rows: pandas.DataFrame(
        {**arithmetic(rows), "upper": rows.country.str.upper()}
    ),
}


def report(who, name, work):
    best = float("inf")
    for _ in range(REPEATS):
        began = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - began)
    ns = best / ROWS * 1e9
    print(f"{who:<9} {name:<28} {ns:8.1f} ns/row {1e3 / ns:8.1f} M rows/s", flush=True)


db = duckdb.connect()
db.execute("SET threads = 1")
db.execute(
    "CREATE TABLE rows AS SELECT nullif(a, 'nan') AS a, nullif(b, 'nan') AS b,"
    " nullif(c, 'nan') AS c, country FROM frame"
)
for name, sql in SQL.items():
    # Into a table: every value is computed and stored, as ours are.
    report("duckdb", name, lambda: db.execute(f"CREATE OR REPLACE TEMP TABLE out AS {sql}"))
for name, sums in SUMS.items():
    query = f"SELECT {sums} FROM ({SQL[name]})"
    report("duckdb +", name, lambda: db.execute(query).fetchall())
for name, work in PANDAS.items():
    report("pandas", name, lambda: work(frame))
