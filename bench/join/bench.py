"""The harness of bench/join/run: makes the tables, checks the answers, times in turn, reports.

It holds nothing large and loads no library of its own, because a process's peak memory begins
with that of the process that started it.
"""

import argparse
import datetime
import json
import os
import platform
import shutil
import sys

import cases
import measure
import ours
import plot
import report

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
WORK = os.path.join(ROOT, "build", "bench")
RESULTS = os.path.join(HERE, "results")
PYTHON = os.path.join(WORK, "venv", "bin", "python")
ENOUGH_SECONDS = 8  # of runs of one engine: the slow ones are timed once or twice
FEAST_PYTHON = os.path.join(WORK, "feast-venv", "bin", "python")


def say(text):
    print(text, file=sys.stderr, flush=True)


def parse():
    parser = argparse.ArgumentParser(
        prog="bench/join/run",
        description="Times point-in-time joins beside DuckDB, Polars, pandas and Feast.",
    )
    parser.add_argument(
        "--size", default="M", help="S, M or L, or several as S,M (default: %(default)s)"
    )
    parser.add_argument(
        "--only",
        default="",
        metavar="NAME,...",
        help="only these cases and engines: " + ", ".join([*cases.CASES, *cases.TITLES]),
    )
    parser.add_argument(
        "--mode", choices=["file", "memory"], help="only Parquet to Parquet, or only in memory"
    )
    parser.add_argument(
        "--runs",
        type=int,
        default=5,
        help=f"at most, and no more once {ENOUGH_SECONDS} s were spent on an engine, in memory"
        f" {ENOUGH_SECONDS * cases.JOINS} (default: %(default)s)",
    )
    parser.add_argument("--feast", action="store_true", help="also Feast itself, much slower")
    parser.add_argument("--threads", type=int, help="for each engine (default: all there are)")
    parser.add_argument("--memory", help="limit for Tidemark's command, as 512M")
    parser.add_argument(
        "--timeout", type=float, default=900, help="seconds for one run of one engine"
    )
    parser.add_argument(
        "--tidemark",
        default=os.environ.get("TIDEMARK", os.path.join(ROOT, "build", "release", "tidemark")),
        help="binary (default: $TIDEMARK, then build/release/tidemark)",
    )
    parser.add_argument(
        "--write-docs", action="store_true", help="write the tables into docs/benchmarks.md"
    )
    parser.add_argument(
        "--report", action="store_true", help="measure nothing: report what was measured before"
    )
    options = parser.parse_args()
    options.tidemark = os.path.abspath(options.tidemark)
    options.sizes = names_of(parser, options.size, cases.SIZES, "size")
    only = names_of(parser, options.only, {**cases.CASES, **cases.TITLES}, "case or engine")
    options.cases = [name for name in only if name in cases.CASES] or list(cases.CASES)
    options.engines = [name for name in only if name in cases.TITLES]
    options.feast = options.feast or any(name.startswith("feast") for name in options.engines)
    if options.feast and not os.path.exists(FEAST_PYTHON):
        parser.error("Feast is not installed: give --feast")
    if options.runs < 1:
        parser.error("--runs: at least 1")
    if not options.report and not os.access(options.tidemark, os.X_OK):
        parser.error(f"{options.tidemark} is not there: build it, or give --tidemark")
    return options


def names_of(parser, text, known, what):
    names = [name for name in text.split(",") if name]
    for name in names:
        if name not in known:
            parser.error(f"{name} is no {what}; there are: {', '.join(known)}")
    return names


def machine():
    """What the figures depend on, without the machine's name."""
    processor, memory = platform.processor() or platform.machine(), 0
    with open("/proc/cpuinfo") as file:
        names = [line.split(":")[1].strip() for line in file if line.startswith("model name")]
        processor = names[0] if names else processor
    with open("/proc/meminfo") as file:
        memory = int(file.readline().split()[1]) * 1024
    return (
        f"{os.cpu_count()} x {processor}, {memory / 2**30:.0f} GiB,"
        f" {platform.system()} {platform.release().split('-')[0]}"
    )


class Bench:
    """One case of one size in one mode: a command per engine, and what their runs took."""

    def __init__(self, options, size, case, mode):
        self.options, self.size, self.case, self.mode = options, size, case, mode
        self.folder = os.path.join(WORK, "data", size.name, case.shape)
        self.project = os.path.join(WORK, "projects", size.name, case.name)
        self.answers = os.path.join(WORK, "answers", size.name, case.name, mode)
        os.makedirs(self.answers, exist_ok=True)
        self.results = {}
        self.engines = [engine for engine in cases.TITLES if self.wants(engine)]

    def wants(self, engine):
        if engine.startswith("feast") and not self.options.feast:
            return False
        asked = not self.options.engines or engine in self.options.engines
        return asked and cases.takes_part(engine, self.size, self.case, self.mode)

    def answer(self, engine):
        """File (or, from our kernel in memory, folder) of an engine's answer."""
        if engine == cases.OURS and self.mode == "memory":
            folder = os.path.join(self.answers, engine)
            os.makedirs(folder, exist_ok=True)
            return folder
        return os.path.join(self.answers, f"{engine}.parquet")

    def command(self, engine, checking):
        """In memory, answers are written down only for the check."""
        out = self.answer(engine) if checking or self.mode == "file" else None
        options = self.options
        if engine == cases.OURS and self.mode == "memory":
            return ours.kernel_command(
                os.path.join(WORK, "memory"), self.case, self.folder, options.threads, out
            )
        if engine == cases.OURS:
            return ours.command(
                options.tidemark,
                self.case,
                self.folder,
                self.project,
                out,
                options.threads,
                options.memory,
            )
        python = FEAST_PYTHON if engine.startswith("feast") else PYTHON
        program = engine.split("-")[0]
        words = [python, os.path.join(HERE, "peers", f"{program}_peer.py"), "--engine", engine]
        words += ["--mode", self.mode, "--case", self.case.name, "--folder", self.folder]
        words += ["--out", out] if out else []
        return words + (["--threads", str(options.threads)] if options.threads else [])

    def run(self, engine, checking=False):
        threads = self.options.threads
        environment = {"POLARS_MAX_THREADS": str(threads)} if threads else {}
        return measure.run(self.command(engine, checking), self.options.timeout, environment)

    def prepare(self):
        """Tables and project; both are kept for the next time. Files are in memory afterwards."""
        words = [PYTHON, os.path.join(HERE, "data.py"), "--size", self.size.name]
        words += ["--case", self.case.name, "--folder", self.folder]
        measure.run(words + (["--arrays"] if self.mode == "memory" else []), 7200)
        if self.mode == "memory":
            ours.build_kernel(self.options.tidemark, os.path.join(WORK, "memory"))
            return
        if cases.OURS in self.engines:
            ours.make_project(self.options.tidemark, self.case, self.folder, self.project)
        names = ["spine.parquet", *(cases.view_file(v + 1) for v in range(self.case.views))]
        for name in names:
            with open(os.path.join(self.folder, name), "rb") as file:
                while file.read(1 << 20):
                    pass

    def reference(self):
        """File of the reference answer, from an earlier run where there is one."""
        path = os.path.join(WORK, "answers", self.size.name, self.case.name, "reference.parquet")
        if not os.path.exists(path):
            words = [PYTHON, os.path.join(HERE, "peers", "duckdb_peer.py")]
            words += ["--engine", cases.REFERENCE, "--mode", "file", "--case", self.case.name]
            measure.run(words + ["--folder", self.folder, "--out", f"{path}.tmp"], 7200)
            os.rename(f"{path}.tmp", path)
        return path

    def check(self, engine):
        """Runs an engine once and compares its answer: what is wrong or None, what was found, the
        run."""
        try:
            run = self.run(engine, checking=True)
        except measure.Failed as failure:
            return str(failure), None, None
        answer = self.answer(engine)
        words = [PYTHON, os.path.join(HERE, "check.py"), "--case", self.case.name]
        words += ["--spine", os.path.join(self.folder, "spine.parquet"), "--answer", answer]
        words += ["--reference", self.reference()]
        words += ["--brief"] if self.size.name == "L" else []
        words += ["--in-order"] if engine == cases.OURS and self.mode == "file" else []
        found = measure.run(words, 7200)
        if os.path.isdir(answer):
            shutil.rmtree(answer)
        else:
            os.remove(answer)
        right = found["same_rows"] and found["same_counts"] and not found.get("moved")
        if engine not in cases.TIES_BY_CHANCE:
            right = right and found["same_hashes"] and not found.get("unlike")
        right = right or engine in cases.AS_THEY_ARE
        told = ("rows", "same_rows", "same_counts", "same_hashes", "moved", "unlike")
        found = {name: found[name] for name in told if name in found}
        return (None if right else f"wrong answer: {json.dumps(found)}"), found, run

    def measure(self):
        """Checks all, then times those that were right, in turn. The run that was checked is the
        first of them."""
        self.prepare()
        for engine in self.engines:
            wrong, found, run = self.check(engine)
            self.results[engine] = {"check": found, "error": wrong, "runs": [] if wrong else [run]}
            say(f"  {engine}: {wrong or 'agrees' + unlike(found)}")
        for number in range(1, self.options.runs):
            for engine in self.engines:
                self.time(engine)
            say(f"  run {number + 1} of {self.options.runs}")
        return self.results

    def time(self, engine):
        result = self.results[engine]
        enough = ENOUGH_SECONDS * (cases.JOINS if self.mode == "memory" else 1)
        if result["error"] or sum(run["wall"] for run in result["runs"]) > enough:
            return
        try:
            result["runs"].append(self.run(engine))
        except measure.Failed as failure:
            result["error"] = str(failure)
        if self.mode == "file" and os.path.exists(self.answer(engine)):
            os.remove(self.answer(engine))


def unlike(found):
    return f", but for {found['unlike']} rows" if found.get("unlike") else ""


def run_case(options, size, case, modes):
    """A case in its modes, with what belongs to its figures."""
    entry = {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d"),
        "machine": machine(),
        "threads": options.threads,
        "memory": options.memory,
        "load": options.load,
        "modes": {},
    }
    for mode in modes:
        bench = Bench(options, size, case, mode)
        if bench.engines:
            say(f"{size.name}, {case.title}, {report.MODES[mode]}")
            entry["modes"][mode] = bench.measure()
    return entry


def load(size):
    path = os.path.join(RESULTS, f"{size}.json")
    if not os.path.exists(path):
        return {"size": size, "cases": {}}
    with open(path) as file:
        return json.load(file)


def save(results):
    os.makedirs(RESULTS, exist_ok=True)
    path = os.path.join(RESULTS, f"{results['size']}.json")
    with open(path, "w") as file:
        json.dump(results, file, indent=1)
        file.write("\n")
    plot.write(results, os.path.join(RESULTS, f"{results['size']}.svg"))


def measure_size(options, size):
    """Figures are kept case by case and mode by mode, each with all engines of one run."""
    modes = [options.mode] if options.mode else list(report.MODES)
    results = load(size.name)
    fresh = {"size": size.name, "cases": {}}
    for name in options.cases:
        if cases.CASES[name].views > 1 and modes == ["memory"]:
            continue
        entry = run_case(options, size, cases.CASES[name], modes)
        fresh["cases"][name] = entry
        if not options.engines:
            before = results["cases"].get(name, {"modes": {}})["modes"]
            results["cases"][name] = {**entry, "modes": {**before, **entry["modes"]}}
            save(results)
    return fresh


def main():
    options = parse()
    options.load = round(os.getloadavg()[0], 1)  # before any of our own
    failed = False
    for name in options.sizes:
        results = load(name) if options.report else measure_size(options, cases.SIZES[name])
        print(report.text(results))
        failed = failed or report.has_failed(results)
        if options.report and results["cases"]:
            save(results)
    if options.write_docs:
        report.write_docs(
            os.path.join(ROOT, "docs", "benchmarks.md"), [load(name) for name in cases.SIZES]
        )
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except measure.Failed as failure:
        sys.exit(f"bench/join: {failure}")
