"""DuckDB: its ASOF join as it comes, with ties made right in four ways, and as a range join."""

import duckdb

import peer
from peer import cases

TTL = f"INTERVAL {cases.TTL_DAYS} DAY"


def within_ttl(view, names):
    """Features of a matched row, null where it is too old."""
    condition = f"v{view}.event_timestamp >= s.event_timestamp - {TTL}"
    return [f"CASE WHEN {condition} THEN v{view}.{name} END AS {name}" for name in names]


def all_features(views):
    columns = [
        column
        for view in range(1, views + 1)
        for column in within_ttl(view, cases.feature_names(view))
    ]
    return "s.*, " + ", ".join(columns)


def asof(views, relation, condition):
    """One ASOF join after the other; `relation` and `condition` get the view's number."""
    joins = [
        f"ASOF LEFT JOIN {relation(view)} v{view} ON s.user_id = v{view}.user_id"
        f" AND {condition(view)}"
        for view in range(1, views + 1)
    ]
    return f"SELECT {all_features(views)} FROM spine s " + " ".join(joins)


def by_time(view):
    return f"s.event_timestamp >= v{view}.event_timestamp"


def plain(views):
    return asof(views, lambda view: f"view{view}", by_time)


def row(views):
    return asof(
        views,
        lambda view: f"view{view}",
        lambda view: (
            "row(s.event_timestamp, TIMESTAMP 'infinity', 9223372036854775807) >= "
            f"row(v{view}.event_timestamp, v{view}.created, v{view}.arrival)"
        ),
    )


def qualify(views):
    return asof(
        views,
        lambda view: f"""(
    SELECT * FROM view{view} QUALIFY row_number() OVER (
      PARTITION BY user_id, event_timestamp ORDER BY created DESC, arrival DESC) = 1)""",
        by_time,
    )


def arg_max(views):
    def relation(view):
        names = cases.feature_names(view)
        packed = ", ".join(f"{name} := {name}" for name in names)
        return f"""(
      SELECT user_id, event_timestamp, unnest(best) FROM (
        SELECT user_id, event_timestamp,
               arg_max(struct_pack({packed}), row(created, arrival)) AS best
        FROM view{view} GROUP BY user_id, event_timestamp))"""

    return asof(views, relation, by_time)


def late(views):
    """Joins on keys and times, then fetches the features of the winners by their position."""
    columns, joins = ["s.*"], []
    for view in range(1, views + 1):
        columns += [f"v{view}.{name}" for name in cases.feature_names(view)]
        joins.append(f"""
      LEFT JOIN (
        SELECT s.row_id, CASE WHEN v.event_timestamp >= s.event_timestamp - {TTL}
                              THEN v.arrival END AS arrival
        FROM spine s ASOF JOIN view{view} v ON s.user_id = v.user_id AND
          row(s.event_timestamp, TIMESTAMP 'infinity', 9223372036854775807) >=
          row(v.event_timestamp, v.created, v.arrival)) w{view} ON w{view}.row_id = s.row_id
      LEFT JOIN view{view} v{view} ON v{view}.arrival = w{view}.arrival""")
    return f'SELECT {", ".join(columns)} FROM spine s ' + " ".join(joins)


def range_join(views):
    """Every pair within the ttl, numbered from the newest: the shape of the SQL that Feast sends."""
    assert views == 1
    names = ", ".join(cases.feature_names(1))
    return f"""
    SELECT s.*, {names} FROM spine s LEFT JOIN (
      SELECT * FROM (
        SELECT s.row_id, {names}, row_number() OVER (
          PARTITION BY s.row_id
          ORDER BY v.event_timestamp DESC, v.created DESC, v.arrival DESC) AS place
        FROM spine s JOIN view1 v ON s.user_id = v.user_id
          AND v.event_timestamp <= s.event_timestamp
          AND v.event_timestamp >= s.event_timestamp - {TTL})
      WHERE place = 1) found ON found.row_id = s.row_id"""


QUERIES = {
    "duckdb-plain": plain,
    "duckdb-row": row,
    "duckdb-qualify": qualify,
    "duckdb-arg-max": arg_max,
    "duckdb-late": late,
    "duckdb-range": range_join,
}


def declare(connection, arguments):
    """The tables by name: views of the files, or tables in memory."""
    kind = "TABLE" if arguments.mode == "memory" else "VIEW"
    connection.execute(f"CREATE {kind} spine AS FROM '{arguments.spine}'")
    for number, path in enumerate(arguments.views, 1):
        connection.execute(f"""
      CREATE {kind} view{number} AS
      SELECT * RENAME (file_row_number AS arrival)
      FROM read_parquet('{path}', file_row_number = true)""")


def main():
    arguments = peer.parse()
    connection = duckdb.connect()
    if arguments.threads:
        connection.execute(f"SET threads = {arguments.threads}")
    # Rows carry their number, so their order is not asked for.
    connection.execute("SET preserve_insertion_order = false")
    query = QUERIES[arguments.engine](arguments.case.views)
    save = f"TO '{arguments.out}' (FORMAT parquet, COMPRESSION zstd)"

    def copy():
        declare(connection, arguments)
        connection.execute(f"COPY ({query}) {save}")

    if arguments.mode == "file":
        peer.timed(arguments, copy)
        return
    declare(connection, arguments)
    peer.timed(
        arguments,
        lambda: connection.execute(f"CREATE TABLE answer AS {query}"),
        lambda _: connection.execute("DROP TABLE answer"),
    )
    if arguments.out:
        connection.execute(f"COPY answer {save}")


if __name__ == "__main__":
    main()
