"""Tables of what was measured, for the terminal and for docs/benchmarks.md."""

BEGIN, END = "<!-- serving: begin -->", "<!-- serving: end -->"
PEERS = {
    "tidemark": "Tidemark",
    "redis-hmget": "Redis HMGET",
    "redis-mget": "Redis MGET",
    "tarantool": "Tarantool",
    "memcached": "memcached",
    "limit": "limit",
}
SHAPES = {
    "rows950": "11 features, 950 bytes",
    "rows100": "11 features, 100 bytes",
    "rows460": "51 features, 460 bytes",
}
# case, peer, least ratio ours / peer
TARGETS = [
    ("16x1x1", "redis-hmget", 1.45), ("16x1x1", "redis-mget", 1.1), ("16x1x1", "limit", 0.85),
    ("16x16x1", "redis-hmget", 6), ("16x16x1", "redis-mget", 2.7), ("16x16x1", "tarantool", 1.7),
    ("16x1x100", "redis-hmget", 14), ("16x1x100", "redis-mget", 4.5), ("16x1x100", "tarantool", 3),
    ("16x1x100", "limit", 0.65),
]
TENTH_TARGETS = [("16x16x1", "redis-mget", 1), ("16x1x100", "redis-mget", 1)]
WRITE_TARGETS = [(f"{mode} {key}", "redis-hmget", 1.5)
                 for mode in ("full", "relaxed") for key in ("16x1x1", "4x1x1000")]


def case_key(case):
    return "x".join(str(number) for number in case)


def case_title(case):
    connections, depth, batch = case
    title = f"{connections} connection{'s' if connections > 1 else ''}"
    title += f" x {depth}" if depth > 1 else ""
    return title + (f", {batch} rows" if batch > 1 else ", 1 row")


def key_title(key):
    """Of a case; that of a write has its mode in front."""
    mode, _, case = key.rpartition(" ")
    title = case_title([int(number) for number in case.split("x")])
    return f"push {mode}, {title}" if mode else title


def table(heading, rows):
    """A Markdown table that reads well as it is: first column to the left, others to the right."""
    widths = [max(len(row[i]) for row in [heading, *rows]) for i in range(len(heading))]

    def line(cells):
        padded = [cell.ljust(width) if i == 0 else cell.rjust(width)
                  for i, (cell, width) in enumerate(zip(cells, widths))]
        return "| " + " | ".join(padded) + " |"

    rule = ["-" * width if i == 0 else "-" * (width - 1) + ":" for i, width in enumerate(widths)]
    return "\n".join([line(heading), line(rule), *(line(row) for row in rows)])


def thousands(value):
    return f"{value / 1e3:,.0f} k" if value >= 10e3 else f"{value / 1e3:.1f} k"


def times(ours, theirs):
    return f"{ours / theirs:.2f}" if ours / theirs < 2 else f"{ours / theirs:.1f}"


def rate(found):
    return found["rows_per_s"]


def rates_table(cases):
    """Rows per second, and how many times ours is as much."""
    names = [name for name in PEERS if any(name in found for found in cases.values())]
    rows = []
    for key, found in cases.items():
        ours = rate(found["tidemark"])
        cells = [thousands(rate(found[name])) if name == "tidemark"
                 else f"{thousands(rate(found[name]))} ({times(ours, rate(found[name]))})"
                 for name in names]
        rows.append([key_title(key), *cells])
    return table(["rows/s (ours / theirs)", *(PEERS[name] for name in names)], rows)


def latency(found):
    return " / ".join(f"{found[name]:,.0f}" for name in ("p50_us", "p99_us", "p999_us"))


def latency_table(cases):
    names = [name for name in PEERS if any(name in found for found in cases.values())]
    rows = [[key_title(key), *(latency(found[name]) for name in names)] for key, found in cases.items()]
    return table(["µs: p50 / p99 / p99.9", *(PEERS[name] for name in names)], rows)


def ratio_targets(results):
    """(what, wanted, found) of rates beside those of peers."""
    groups = [("", results["reads"].get("rows950", {}), TARGETS),
              ("cache of a tenth, ", results["tenth"], TENTH_TARGETS),
              ("", results["writes"], WRITE_TARGETS)]
    for title, cases, targets in groups:
        for key, peer, least in targets:
            found = cases.get(key, {})
            if peer in found and "tidemark" in found:
                yield (f"{title}{key_title(key)}, {PEERS[peer]}", least,
                       rate(found["tidemark"]) / rate(found[peer]))


def target_table(results):
    rows = [[what, f">= {least:g}", f"{ratio:.2f}", "yes" if ratio >= least else "no"]
            for what, least, ratio in ratio_targets(results)]
    peers = results["half"].get("peers", {})
    if "tidemark" in peers and "redis-hmget" in peers:
        ours, theirs = peers["tidemark"]["p99_us"], peers["redis-hmget"]["p99_us"]
        rows.append(["p99 at half rate, Redis HMGET", "< 1", f"{ours / theirs:.2f}",
                     "yes" if ours < theirs else "no"])
    if results["feast"]:
        p99 = results["feast"]["p99_us"]
        rows.append(["p99 of 100 x 50 x 5 at 200/s", "< 2 ms", f"{p99 / 1e3:.2f} ms",
                     "yes" if p99 < 2000 else "no"])
    return table(["ours / theirs", "wanted", "found", "reached"], rows) if rows else ""


def writes_table(writes):
    writers = {"tidemark": "Tidemark push", "redis-hmget": "Redis HSET", "redis-mget": "Redis SET"}
    sync = {"full": "always", "relaxed": "every second"}
    rows = []
    for key, found in writes.items():
        mode, case = key.split(" ")
        ours = rate(found["tidemark"])
        cells = [thousands(rate(found[name])) if name == "tidemark"
                 else f"{thousands(rate(found[name]))} ({times(ours, rate(found[name]))})"
                 for name in writers]
        rows.append([f"{mode} / fsync {sync[mode]}: {key_title(case)}", *cells])
    return table(["rows/s written (ours / theirs)", *writers.values()], rows)


def report(results):
    parts = [
        f"{results['machine']}; {results['date']}; {results['entities']:,} entities; medians of "
        f"{results['rounds']} runs of {results['seconds']:g} s, in turn"
        + ("; other work was running meanwhile." if results["load"] > 1.7 else "."),
        "\n".join("- " + version for version in results["versions"]),
    ]
    for shape, cases in results["reads"].items():
        parts += [f"**{SHAPES[shape]}**", rates_table(cases), latency_table(cases)]
    if results["half"]:
        half = results["half"]
        rows = [[PEERS[name], latency(found), f"{found['requests_per_s']:,.0f}"]
                for name, found in half["peers"].items()]
        parts += [f"**Half of our top rate: {half['rate']:,.0f} one-row requests/s at random times**",
                  table(["16 connections", "µs: p50 / p99 / p99.9", "answered/s"], rows)]
    if results["tenth"]:
        parts += ["**Our cache holds a tenth of the rows**", rates_table(results["tenth"])]
    if results["feast"]:
        parts += ["**100 rows x 50 features x 5 views per request, 200 requests/s**: "
                  f"{latency(results['feast'])} µs (p50 / p99 / p99.9)."]
    if results["writes"]:
        parts += ["**Writes, 11 features, 950 bytes**", writes_table(results["writes"])]
    parts += ["**What was wanted** (11 features of 950 bytes)", target_table(results)]
    return "\n\n".join(part for part in parts if part)


def write_docs(text, plot, path="docs/benchmarks.md"):
    with open(path, encoding="utf-8") as file:
        docs = file.read()
    image = f"![Rows per second by server](../bench/serving/results/{plot})"
    before, rest = docs.split(BEGIN)
    after = rest.split(END)[1]
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"{before}{BEGIN}\n\n{image}\n\n{text}\n\n{END}{after}")
