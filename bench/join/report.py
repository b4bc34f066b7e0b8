"""Tables of what was measured, for the terminal and for docs/benchmarks.md."""

import re

import cases
from measure import median

MODES = {"file": "Parquet to Parquet", "memory": "In memory"}
TARGETS = "Targets, which are for size M"
BEGIN, END = "<!-- joins: begin -->", "<!-- joins: end -->"


def seconds(result):
    """Median seconds, or None without a run."""
    return median(result["runs"], "seconds") if result and result["runs"] else None


def engines_of(results, case, mode):
    return results["cases"].get(case, {"modes": {}})["modes"].get(mode, {})


def time_of(results, case, mode, engine):
    return seconds(engines_of(results, case, mode).get(engine))


def best(results, case, mode, engines):
    """Seconds of the fastest of some engines."""
    times = [time_of(results, case, mode, engine) for engine in engines]
    return min((time for time in times if time), default=None)


def table(heading, rows):
    """A Markdown table that reads well as it is: first column to the left, others to the right."""
    widths = [max(len(row[i]) for row in [heading, *rows]) for i in range(len(heading))]

    def line(cells):
        padded = [
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(cells, widths))
        ]
        return "| " + " | ".join(padded) + " |"

    rule = ["-" * width if i == 0 else "-" * (width - 1) + ":" for i, width in enumerate(widths)]
    return "\n".join([line(heading), line(rule), *(line(row) for row in rows)])


def figure(value, form="{:.2f}"):
    return form.format(value) if value is not None else "-"


def ratio(theirs, our):
    return f"{theirs / our:.1f}" if theirs and our else "-"


def answers(result, size):
    if result["error"]:
        return result["error"] if len(result["error"]) < 60 else result["error"][:57] + "..."
    found = result["check"] or {}
    if found.get("unlike"):
        share = 100 * found["unlike"] / size.spine_rows
        if found["rows"] < size.spine_rows:
            return f"{share:.0f} % differ or lost"
        return f"{share:.1g} % differ" if share < 0.1 else f"{share:.1f} % differ"
    if not found.get("same_hashes", True):
        return "some differ"
    return "the same"


def engine_table(results, case, mode):
    """Every engine of one case, the fastest first."""
    engines = engines_of(results, case, mode)
    our = seconds(engines.get(cases.OURS))
    memory, other = ("peak_bytes", "cpu") if mode == "file" else ("extra_bytes", "first_seconds")
    rows = []
    for engine, result in sorted(engines.items(), key=lambda item: seconds(item[1]) or 1e9):
        runs = result["runs"]
        rows.append(
            [
                cases.TITLES[engine],
                figure(seconds(result)),
                figure(median(runs, other) if runs else None),
                figure(median(runs, memory) / 1e6 if runs else None, "{:.0f}"),
                ratio(seconds(result), our),
                answers(result, cases.SIZES[results["size"]]),
            ]
        )
    heading = ["", "seconds", "CPU", "MB", "x ours", "answers"]
    if mode == "memory":
        heading[2:4] = ["first", "MB more"]
    return table(heading, rows)


def nanoseconds(results, case, time):
    """Per feature row of all views."""
    rows = cases.SIZES[results["size"]].view_rows * cases.CASES[case].views
    return time * 1e9 / rows


def case_table(results, mode):
    """One line per case: ours, and how many times as long the others take."""
    rows = []
    for name in cases.CASES:
        engines = engines_of(results, name, mode)
        our = time_of(results, name, mode, cases.OURS)
        if not engines or not our:
            continue
        peak = median(
            engines[cases.OURS]["runs"], "peak_bytes" if mode == "file" else "extra_bytes"
        )
        theirs = [
            time_of(results, name, mode, "duckdb-plain"),
            best(results, name, mode, cases.TIES_RIGHT),
            time_of(results, name, mode, "polars"),
        ]
        rows.append(
            [
                cases.CASES[name].title,
                figure(our),
                figure(nanoseconds(results, name, our), "{:.0f}"),
            ]
            + [figure(peak / 1e6, "{:.0f}")]
            + [ratio(time, our) for time in theirs]
        )
    heading = ["Tidemark, and the others as multiples", "seconds", "ns/row", "MB", "DuckDB ASOF"]
    heading += ["ties right", "Polars"]
    return table(heading, rows)


# Targets -------------------------------------------------------------------------------------------


def quotient(over, under):
    return over / under if over and under else None


def targets(results):
    """Name, what was wanted ('>=' or '<='), and what was measured (None: not)."""
    size = cases.SIZES[results["size"]]
    our = {mode: time_of(results, "base", mode, cases.OURS) for mode in MODES}

    def against(mode, engines):
        return quotient(best(results, "base", mode, engines), our[mode])

    def beside_base(case, mode):
        return quotient(time_of(results, case, mode, cases.OURS), our[mode])

    runs = engines_of(results, "base", "file").get(cases.OURS, {"runs": []})["runs"]
    peak = median(runs, "peak_bytes") if runs else None
    allowed = 150 * size.spine_rows + 256 * 2**20
    return [
        ("in memory, DuckDB with ties right / ours", ">=", 15, against("memory", cases.TIES_RIGHT)),
        (
            "in memory, DuckDB in any right form / ours",
            ">=",
            15,
            against("memory", cases.ANY_RIGHT),
        ),
        ("in memory, DuckDB ASOF / ours", ">=", 9, against("memory", ["duckdb-plain"])),
        ("in memory, Polars / ours", ">=", 6, against("memory", ["polars"])),
        ("Parquet, DuckDB with ties right / ours", ">=", 4, against("file", cases.TIES_RIGHT)),
        ("Parquet, DuckDB in any right form / ours", ">=", 4, against("file", cases.ANY_RIGHT)),
        ("Parquet, Feast with its default store / ours", ">=", 50, against("file", ["feast"])),
        ("Parquet, five views / one", "<=", 2.5, beside_base("views", "file")),
        ("Parquet, string keys / int64", "<=", 2.5, beside_base("string", "file")),
        ("in memory, string keys / int64", "<=", 2.5, beside_base("string", "memory")),
        ("Parquet, a hot key / many keys", "<=", 1.1, beside_base("hot", "file")),
        ("in memory, a hot key / many keys", "<=", 1.1, beside_base("hot", "memory")),
        ("peak memory / (150 B per spine row + 256 MiB)", "<=", 1.0, quotient(peak, allowed)),
    ]


def target_table(results):
    rows = []
    for name, relation, wanted, got in targets(results):
        if got is None:
            continue
        met = got >= wanted if relation == ">=" else got <= wanted
        rows.append([name, f"{relation} {wanted:g}", f"{got:.2f}", "met" if met else "not met"])
    return table(["target", "wanted", "measured", ""], rows) if rows else ""


# Pages ---------------------------------------------------------------------------------------------


def thousands(rows):
    return f"{rows // 1_000_000} M" if rows >= 1_000_000 else f"{rows // 1000} k"


def title(results):
    size = cases.SIZES[results["size"]]
    return (
        f"Size {size.name}: {thousands(size.spine_rows)} rows x"
        f" {thousands(size.view_rows)} feature rows x {cases.FEATURES} columns"
    )


def conditions(results):
    """Machine, date, runs and options, once per distinct set of them."""
    lines = {}
    for name, entry in results["cases"].items():
        runs = max(
            (len(result["runs"]) for mode in entry["modes"].values() for result in mode.values()),
            default=0,
        )
        text = f"{entry['machine']}; {entry['date']}; medians of up to {runs}"
        text += f"; {entry['threads']} threads" if entry["threads"] else ""
        text += f"; Tidemark with --memory {entry['memory']}" if entry["memory"] else ""
        text += "; other work was running meanwhile" if entry["load"] > 1 else ""
        lines.setdefault(text, []).append(name)
    if len(lines) == 1:
        return [text + "." for text in lines]
    return [f"{', '.join(names)}: {text}." for text, names in lines.items()]


def sections(results):
    """(heading, table) of what there is."""
    found = []
    for mode, name in MODES.items():
        if engines_of(results, "base", mode):
            found.append(
                (f"{name}, {cases.CASES['base'].title}", engine_table(results, "base", mode))
            )
    for mode, name in MODES.items():
        present = [case for case in cases.CASES if engines_of(results, case, mode)]
        if [case for case in present if case != "base"]:
            found.append((f"{name}, all shapes", case_table(results, mode)))
    if target_table(results):
        found.append((TARGETS, target_table(results)))
    return found


def text(results):
    parts = [title(results), *conditions(results)]
    for heading, body in sections(results):
        parts += ["", heading, "", body]
    for name, entry in results["cases"].items():
        if name != "base":
            for mode, engines in entry["modes"].items():
                if engines.get(cases.OURS) is None or len(results["cases"]) == 1:
                    parts += ["", f"{MODES[mode]}, {cases.CASES[name].title}", ""]
                    parts += [engine_table(results, name, mode)]
    return "\n".join(parts) + "\n"


def has_failed(results):
    """Whether an engine gave a wrong answer or none."""
    return any(
        result["error"]
        for entry in results["cases"].values()
        for mode in entry["modes"].values()
        for result in mode.values()
    )


def markdown(all_results):
    parts = []
    for results in all_results:
        if not results["cases"]:
            continue
        name = results["size"]
        parts += [f"### {title(results)}", "", "\n\n".join(conditions(results)), ""]
        parts += [f"![Seconds per engine, size {name}](../bench/join/results/{name}.svg)", ""]
        for heading, body in sections(results):
            if heading != TARGETS or name == "M":
                parts += [f"**{heading}**", "", body, ""]
    parts += growth(all_results)
    return "\n".join(parts).rstrip("\n")


def growth(all_results):
    """What a feature row costs in L beside M: a join that is linear stays near 1."""
    by_size = {results["size"]: results for results in all_results}
    lines = []
    for mode, name in MODES.items():
        times = [time_of(by_size[size], "base", mode, cases.OURS) for size in ("M", "L")]
        if all(times):
            m, l = (nanoseconds(by_size[size], "base", time) for size, time in zip("ML", times))
            lines.append(f"{name}: {m:.0f} ns per feature row in M, {l:.0f} in L.")
    return lines


def write_docs(path, all_results):
    """Puts the tables between the markers of a document."""
    with open(path) as file:
        page = file.read()
    pattern = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
    if not pattern.search(page):
        raise SystemExit(f"{path}: no lines '{BEGIN}' and '{END}' to write between")
    body = f"{BEGIN}\n\n{markdown(all_results)}\n\n{END}"
    with open(path, "w") as file:
        file.write(pattern.sub(lambda match: body, page))
