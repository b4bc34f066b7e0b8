"""What all peers have in common: arguments, the clock, the line that the harness reads."""

import argparse
import json
import os
import statistics
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

import cases  # noqa: E402

ENOUGH_SECONDS = 6  # of joins in memory by one process: the slow ones join once or twice


def parse():
    parser = argparse.ArgumentParser()
    parser.add_argument("--engine", required=True)
    parser.add_argument("--mode", choices=["file", "memory"], required=True)
    parser.add_argument("--case", required=True)
    parser.add_argument("--folder", required=True, help="of the tables")
    parser.add_argument("--out", help="Parquet file to write; in memory: only after the clock")
    parser.add_argument("--threads", type=int)
    arguments = parser.parse_args()
    arguments.case = cases.CASES[arguments.case]
    arguments.spine = os.path.join(arguments.folder, "spine.parquet")
    arguments.views = [
        os.path.join(arguments.folder, cases.view_file(view))
        for view in range(1, arguments.case.views + 1)
    ]
    return arguments


def status(field):
    with open("/proc/self/status") as file:
        for line in file:
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) * 1024
    return 0


def timed(arguments, work, forget=lambda answer: None):
    """Seconds of the work alone, and in memory the bytes it needed beyond its tables. In memory a
    process works cases.JOINS times, and the first time is told apart: it pays for the memory that
    the later ones find there. Returns the last answer; `forget` is given those before it."""
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # the peak begins anew
    before = status("VmRSS")
    seconds = []
    while True:
        start = time.perf_counter()
        answer = work()
        seconds.append(time.perf_counter() - start)
        enough = len(seconds) == cases.JOINS or sum(seconds) > ENOUGH_SECONDS
        if arguments.mode == "file" or enough:
            break
        forget(answer)
        del answer
    report = {
        "seconds": statistics.median(seconds[1:] or seconds),
        "first_seconds": seconds[0],
        "extra_bytes": max(0, status("VmHWM") - before),
    }
    print(json.dumps(report), flush=True)
    return answer
