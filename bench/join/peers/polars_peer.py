"""Polars: join_asof by key, both sides sorted by time where they are not yet.

Among rows of one event time join_asof takes the last, so sorting by created time as well, and
stably, makes ties right.
"""

import datetime

import polars

import peer
from peer import cases

TTL = datetime.timedelta(days=cases.TTL_DAYS)


def ordered(frame, arguments, *columns):
    if arguments.case.ordered:
        return frame.set_sorted("event_timestamp")
    return frame.sort(*columns, maintain_order=True)


def join(spine, views, arguments):
    joined = ordered(spine, arguments, "event_timestamp")
    for view in views:
        right = ordered(view, arguments, "event_timestamp", "created").drop("created")
        joined = joined.join_asof(
            right,
            on="event_timestamp",
            by="user_id",
            strategy="backward",
            tolerance=TTL,
            check_sortedness=False,
        )
    return joined


def main():
    arguments = peer.parse()
    scan = [polars.scan_parquet(path) for path in (arguments.spine, *arguments.views)]

    def copy():
        join(scan[0], scan[1:], arguments).sink_parquet(arguments.out, compression="zstd")

    if arguments.mode == "file":
        peer.timed(arguments, copy)
        return
    tables = [frame.collect().rechunk().lazy() for frame in scan]
    answer = peer.timed(arguments, lambda: join(tables[0], tables[1:], arguments).collect())
    if arguments.out:
        answer.write_parquet(arguments.out, compression="zstd")


if __name__ == "__main__":
    main()
