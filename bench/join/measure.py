"""Runs a command and tells what it took, seen from outside."""

import json
import os
import signal
import statistics
import subprocess
import tempfile
import threading
import time


class Failed(Exception):
    """A command that did not do its work; the text says why."""


def watch(process, done, timeout, seen):
    """Samples the memory that is the process's own, and ends it when its time is up."""
    end = time.monotonic() + timeout
    while not done.wait(0.02):
        try:
            with open(f"/proc/{process.pid}/status") as file:
                for line in file:
                    if line.startswith("RssAnon:"):
                        seen["anon"] = max(seen["anon"], int(line.split()[1]) * 1024)
        except OSError:
            return
        if time.monotonic() > end:
            seen["late"] = True
            os.kill(process.pid, signal.SIGKILL)
            return


def run(command, timeout, environment=None):
    """One run: wall and CPU seconds, peak memory, and the JSON line the command printed, if any."""
    done, seen = threading.Event(), {"anon": 0, "late": False}
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        start = time.perf_counter()
        process = subprocess.Popen(
            command, stdout=out, stderr=err, env={**os.environ, **(environment or {})}
        )
        watcher = threading.Thread(target=watch, args=(process, done, timeout, seen))
        watcher.start()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        done.set()
        watcher.join()
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        printed, complaint = out.read().decode(), err.read().decode(errors="replace").strip()
    if seen["late"]:
        raise Failed(f"not done after {timeout:.0f} s")
    if process.returncode:
        reason = complaint.splitlines()[-1] if complaint else "said nothing"
        raise Failed(f"exit status {process.returncode}: {reason}")
    result = {
        "wall": wall,
        "cpu": usage.ru_utime + usage.ru_stime,
        "peak_bytes": usage.ru_maxrss * 1024,
        "anonymous_bytes": seen["anon"],
        "seconds": wall,
    }
    lines = [line for line in printed.splitlines() if line.startswith("{")]
    if lines:
        result.update(json.loads(lines[-1]))
    return {
        name: round(value, 4) if isinstance(value, float) else value
        for name, value in result.items()
    }


def median(runs, field):
    return statistics.median(run[field] for run in runs)
