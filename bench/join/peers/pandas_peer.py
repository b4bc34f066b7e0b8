"""pandas: merge_asof by key, both sides sorted by time where they are not yet.

Among rows of one event time merge_asof takes the last, so sorting by created time as well, and
stably, makes ties right.
"""

import pandas

import peer
from peer import cases

TTL = pandas.Timedelta(days=cases.TTL_DAYS)


def ordered(frame, arguments, *columns):
    if arguments.case.ordered:
        return frame
    return frame.sort_values(list(columns), kind="stable")


def join(spine, views, arguments):
    joined = ordered(spine, arguments, "event_timestamp")
    for view in views:
        right = ordered(view, arguments, "event_timestamp", "created").drop(columns="created")
        joined = pandas.merge_asof(
            joined, right, on="event_timestamp", by="user_id", direction="backward", tolerance=TTL
        )
    return joined


def read(arguments):
    spine, *views = (pandas.read_parquet(path) for path in (arguments.spine, *arguments.views))
    return spine, views


def write(answer, path):
    answer.to_parquet(path, compression="zstd", index=False)


def main():
    arguments = peer.parse()
    if arguments.mode == "file":
        peer.timed(arguments, lambda: write(join(*read(arguments), arguments), arguments.out))
        return
    tables = read(arguments)
    answer = peer.timed(arguments, lambda: join(*tables, arguments))
    if arguments.out:
        write(answer, arguments.out)


if __name__ == "__main__":
    main()
