"""Times servers of online features in turn and reports; see bench/serving/run."""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time

import plot
import report
import servers

RESULTS = "bench/serving/results"
SHAPES = ["rows950", "rows100", "rows460"]
PARTS = [*SHAPES, "half", "tenth", "feast", "writes"]
# connections, requests under way on each, rows per request
READS = [(1, 1, 1), (16, 1, 1), (64, 1, 1), (16, 16, 1), (1, 1, 100), (16, 1, 100), (64, 1, 100)]
FEWER_READS = [(1, 1, 1), (16, 1, 1), (16, 16, 1), (16, 1, 100)]  # of the other shapes
QUICK_READS = [(16, 1, 1), (16, 16, 1), (1, 1, 100), (16, 1, 100)]
WRITES = [(16, 1, 1), (4, 1, 1000)]
WRITE_ENTITIES = 100_000


def say(text):
    print(text, file=sys.stderr, flush=True)


def median_of(runs):
    """The medians of each figure, and all rates."""
    result = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
    result["rates"] = [run["rows_per_s"] for run in runs]
    return result


class Bench:
    def __init__(self, options, results):
        self.options = options
        self.results = results  # of earlier runs; what is measured takes the place of theirs

    def wants(self, part):
        return part in self.options.parts

    def timing(self):
        return {"seconds": self.options.seconds, "warmup": self.options.seconds / 4}

    def rounds(self, peers, case, ask):
        """Every server once, then the next round."""
        runs = {peer.name: [] for peer in peers}
        for number in range(self.options.rounds):
            for peer in peers:
                runs[peer.name].append(ask(peer, number))
        medians = {name: median_of(found) for name, found in runs.items()}
        rates = ", ".join(f"{name} {found['rows_per_s'] / 1e3:.0f} k" for name, found in medians.items())
        say(f"  {case}: {rates} rows/s")
        return medians

    def read_case(self, peers, shape, case):
        connections, depth, batch = case
        limit = servers.Limit(shape, self.entities(shape), batch)
        if limit.name in self.options.servers:
            peers = [*peers, limit.start()]
        try:
            return self.rounds(
                peers, report.case_title(case),
                lambda peer, number: peer.ask(
                    peer.read_with, connections=connections, depth=depth, batch=batch,
                    seed=number + 1, **self.timing()))
        finally:
            limit.stop()

    def entities(self, shape):
        return min(self.options.entities, 100_000) if shape == "wide" else self.options.entities

    def ours(self, shape, **more):
        return servers.Tidemark(shape, self.entities(shape), self.options.binary, **more)

    def cases(self, shape):
        if self.options.quick:
            return QUICK_READS
        return READS if shape == "rows950" else FEWER_READS

    def reads(self, shape):
        wanted = {part for part in (shape, "half", "tenth") if self.wants(part)}
        if not wanted or (shape != "rows950" and shape not in wanted):
            return
        say(f"{shape}, {self.entities(shape)} entities: filling")
        count = self.entities(shape)
        peers = [self.ours(shape), servers.RedisHashes(shape, count), servers.RedisBlobs(shape, count),
                 servers.Tarantool(shape, count), servers.Memcached(shape, count)]
        peers = [peer for peer in peers if peer.name in self.options.servers]
        try:
            for peer in peers:
                peer.start().fill()
            if shape in wanted:
                self.results["reads"][shape] = {
                    report.case_key(case): self.read_case(peers, shape, case)
                    for case in self.cases(shape)}
            if "half" in wanted and shape == "rows950":
                self.half_rate(peers, shape)
            if "tenth" in wanted and shape == "rows950":
                self.tenth(peers, shape)
        finally:
            for peer in peers:
                peer.stop()

    def half_rate(self, peers, shape):
        """Latencies of all at half of the rate that we reach with one-row requests."""
        top = self.results["reads"].get(shape, {}).get("16x1x1", {}).get("tidemark")
        if not top:
            say("half of the top rate: not known without a run of rows950")
            return
        rate = top["requests_per_s"] / 2
        medians = self.rounds(
            peers, f"{rate:.0f} requests/s",
            lambda peer, number: peer.ask(peer.read_with, connections=16, rate=int(rate),
                                          seed=number + 1, **self.timing()))
        self.results["half"] = {"rate": rate, "peers": medians}

    def tenth(self, peers, shape):
        """Our cache holds a tenth of the rows; Redis holds them all."""
        ours = self.ours(shape, cache=self.entities(shape) * (servers.ROW_BYTES[shape] + 100) // 10)
        ours.start()
        try:
            some = [ours, *(peer for peer in peers if peer.name in ("redis-mget", "redis-hmget"))]
            for case in [(16, 16, 1), (16, 1, 100)]:
                connections, depth, batch = case
                ours.ask("tidemark", connections=16, batch=100, seconds=2)
                self.results["tenth"][report.case_key(case)] = self.rounds(
                    some, "cache of a tenth, " + report.case_title(case),
                    lambda peer, number, c=connections, d=depth, b=batch: peer.ask(
                        peer.read_with, connections=c, depth=d, batch=b, seed=number + 1,
                        **self.timing()))
        finally:
            ours.stop()

    def feast(self):
        """100 rows of 50 features of 5 views per request, 200 requests a second."""
        say("100 rows x 50 features x 5 views, 200 requests/s")
        ours = self.ours("wide").start()
        try:
            ours.fill()
            self.results["feast"] = self.rounds(
                [ours], "200 requests/s",
                lambda peer, number: peer.ask("tidemark", connections=4, rate=200, batch=100,
                                              seed=number + 1, seconds=max(3, self.options.seconds),
                                              warmup=0.5))["tidemark"]
        finally:
            ours.stop()

    def write_pairs(self, shape, count):
        our_modes = [("full", "always"), ("relaxed", "everysec")]
        return {
            ours: [servers.Tidemark(shape, count, self.options.binary, durability=ours),
                   servers.RedisHashes(shape, count, fsync=theirs),
                   servers.RedisBlobs(shape, count, fsync=theirs)]
            for ours, theirs in our_modes}

    def writes(self, shape):
        for mode, peers in self.write_pairs(shape, WRITE_ENTITIES).items():
            say(f"writes of {shape}, {mode}")
            try:
                for peer in peers:
                    peer.start()
                    if peer.fill_with:
                        peer.fill()
                for case in WRITES:
                    connections, depth, batch = case
                    self.results["writes"][f"{mode} {report.case_key(case)}"] = self.rounds(
                        peers, report.case_title(case),
                        lambda peer, number, c=connections, d=depth, b=batch: peer.ask(
                            peer.write_with, connections=c, depth=d, batch=b, seed=number + 1,
                            **self.timing()))
            finally:
                for peer in peers:
                    peer.stop()
        servers.forget_project()


def version(*command):
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return (found.stdout or found.stderr).splitlines()[0].strip()


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = next((line.split(":")[1].strip() for line in file if "model name" in line), "?")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 30
    return {
        "machine": f"{os.cpu_count()} x {model}, {memory + 1} GiB, Linux {platform.release()}",
        "date": time.strftime("%Y-%m-%d"),
        "load": os.getloadavg()[0],
        "versions": [version("redis-server", "--version"), version("tarantool", "--version"),
                     version("memcached", "--version")],
    }


def read_options():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the main cases, one short round")
    parser.add_argument("--rounds", type=int, help="of each case, medians count (default: 5)")
    parser.add_argument("--seconds", type=float, help="of each run (default: 1.5)")
    parser.add_argument("--entities", type=int, help="(default: 1000000; quick: 200000)")
    parser.add_argument("--only", help=f"of the parts {','.join(PARTS)} and of the servers "
                        f"{','.join(report.PEERS)}; only a run of all servers is kept")
    parser.add_argument("--binary", default="build/release/tidemark", help="the program to time")
    parser.add_argument("--write-docs", action="store_true", help="put tables into docs/benchmarks.md")
    parser.add_argument("--report-only", action="store_true", help="only report the last results")
    options = parser.parse_args()
    quick = options.quick
    options.rounds = options.rounds or (1 if quick else 5)
    options.seconds = options.seconds or (1 if quick else 1.5)
    options.entities = options.entities or (200_000 if quick else 1_000_000)
    words = options.only.split(",") if options.only else []
    for word in words:
        if word not in PARTS and word not in report.PEERS:
            parser.error(f"--only {word}: there is no such part or server")
    default = [part for part in PARTS if part not in ("rows100", "rows460")] if quick else PARTS
    options.parts = [part for part in PARTS if part in words] or default
    options.servers = [name for name in report.PEERS if name in words] or list(report.PEERS)
    options.keep = len(options.servers) == len(report.PEERS)
    options.binary = os.path.abspath(options.binary)
    return options


def run(options, results):
    bench = Bench(options, results)
    wanted = [shape for shape in SHAPES if bench.wants(shape)]
    if any(bench.wants(part) for part in ("half", "tenth", "writes")) and "rows950" not in wanted:
        wanted.append("rows950")
    if bench.wants("feast"):
        wanted.append("wide")
    say("preparing the rows")
    servers.prepare_project(options.binary, {shape: bench.entities(shape) for shape in wanted})
    for shape in SHAPES:
        bench.reads(shape)
    if bench.wants("feast"):
        bench.feast()
    if bench.wants("writes"):
        bench.writes("rows950")
    return {**bench.results, **machine(), "rounds": options.rounds, "seconds": options.seconds,
            "entities": options.entities}


def read_results(path):
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    return {"reads": {}, "tenth": {}, "half": {}, "feast": None, "writes": {}}


def keep_results(path, results):
    os.makedirs(RESULTS, exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        json.dump(results, file, indent=1)
        file.write("\n")
    with open(path.replace(".json", ".svg"), "w", encoding="utf-8") as file:
        file.write(plot.plot(results))


def main():
    options = read_options()
    path = os.path.join(RESULTS, "quick.json" if options.quick else "full.json")
    results = read_results(path)
    if not options.report_only:
        started = time.monotonic()
        results = run(options, results)
        say(f"took {(time.monotonic() - started) / 60:.1f} minutes")
    if options.keep:
        keep_results(path, results)
    if "tidemark" not in options.servers:
        return  # a report compares with us; what was measured has been said
    text = report.report(results)
    print(text)
    if options.write_docs and options.keep:
        report.write_docs(text, os.path.basename(path).replace(".json", ".svg"))


if __name__ == "__main__":
    main()
