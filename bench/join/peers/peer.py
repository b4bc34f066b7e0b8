"""What all peers have in common: arguments, the clock, the line that the harness reads."""

import argparse
import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

import cases  # noqa: E402


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


class Clock:
    """Seconds of the work alone, and in memory the bytes it needed beyond its tables."""

    def __enter__(self):
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")  # the peak begins anew
        self.before = status("VmRSS")
        self.start = time.perf_counter()
        return self

    def __exit__(self, kind, value, trace):
        if kind is None:
            seconds = time.perf_counter() - self.start
            extra = max(0, status("VmHWM") - self.before)
            print(json.dumps({"seconds": seconds, "extra_bytes": extra}), flush=True)
