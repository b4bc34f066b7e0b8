"""What is joined: sizes, shapes of the data, and which engines take part in which."""

from dataclasses import dataclass

KEYS = 100_000
DAYS = 90
TTL_DAYS = 7
FEATURES = 10
JOINS = 3  # of one process in memory: the first, and those that are timed


@dataclass(frozen=True)
class Size:
    name: str
    spine_rows: int
    view_rows: int


@dataclass(frozen=True)
class Case:
    name: str
    title: str
    key: str = "int64"  # or string
    ordered: bool = False  # by event time, as an append-only log would be
    spread: str = "uniform"  # zipf: few keys have most rows; hot: one key has a tenth of them
    views: int = 1

    @property
    def shape(self):
        """Name of the folder of its data, which several cases may share."""
        return "-".join([self.key, "sorted" if self.ordered else "unsorted", self.spread])


SIZES = {
    size.name: size
    for size in (
        Size("S", 100_000, 1_000_000),
        Size("M", 1_000_000, 10_000_000),
        Size("L", 5_000_000, 50_000_000),
    )
}

CASES = {
    case.name: case
    for case in (
        Case("base", "int64 keys, uniform, unsorted"),
        Case("sorted", "sorted by event time", ordered=True),
        Case("zipf", "zipf keys", spread="zipf"),
        Case("hot", "a tenth of all rows under one key", spread="hot"),
        Case("string", "string keys", key="string"),
        Case("views", "five views of one spine", views=5),
    )
}

OURS = "tidemark"
REFERENCE = "duckdb-row"  # whose answers the others must give
TIES_RIGHT = ("duckdb-row", "duckdb-qualify", "duckdb-arg-max")
ANY_RIGHT = (*TIES_RIGHT, "duckdb-late", "duckdb-range")

TITLES = {
    "tidemark": "Tidemark",
    "duckdb-plain": "DuckDB ASOF, ties left to chance",
    "duckdb-row": "DuckDB ASOF on (time, created, arrival)",
    "duckdb-qualify": "DuckDB ASOF after row_number()",
    "duckdb-arg-max": "DuckDB ASOF after arg_max",
    "duckdb-late": "DuckDB ASOF on keys, then fetch",
    "duckdb-range": "DuckDB, Feast's SQL",
    "polars": "Polars join_asof",
    "pandas": "pandas merge_asof",
    "feast": "Feast, file store (Dask)",
    "feast-duckdb": "Feast, DuckDB store",
}

# Engines that may give another row among those of one key and one event time.
TIES_BY_CHANCE = ("duckdb-plain",)
# Engines that are timed whatever they answer; the tables tell by how much it differs.
AS_THEY_ARE = ("feast", "feast-duckdb")


def takes_part(engine, size, case, mode):
    """Whether an engine is worth its time and memory there."""
    if mode == "memory" and case.views > 1:  # the kernel joins one view at a time
        return False
    if engine == OURS or engine in ("duckdb-plain", "duckdb-row"):
        return True
    if engine.startswith("feast"):  # its own store takes minutes in size M
        names = ("base", "views") if size.name == "S" else ("base",)
        return size.name != "L" and mode == "file" and case.name in names
    if engine == "polars":
        return size.name != "L"
    return size.name != "L" and case.name == "base"  # behind others of their kind


def feature(view, number):
    """Name of a view's feature; views and features count from 1."""
    return f"v{view}_f{number}"


def feature_names(view):
    return [feature(view, number) for number in range(1, FEATURES + 1)]


def view_file(view):
    return f"view{view}.parquet"
