"""A plot of one size as SVG, written by hand: bars of seconds, the fastest first."""

import cases
from report import MODES, best, engines_of, figure, seconds, time_of, title

WIDTH, LABEL, RIGHT = 780, 290, 120  # of the page, of the names, of the figures
ROW, BAR = 22, 12
INK, SOFT, RULE = "#1f2933", "#6b7785", "#e4e8ec"
OURS, THEIRS = "#0b7285", "#b8c4ce"
STYLE = "font-family:system-ui,-apple-system,'Segoe UI',Helvetica,Arial,sans-serif"


def escape(text):
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def label(x, y, text, size=12, fill=INK, anchor="start", weight="normal"):
    return (
        f'<text x="{x:g}" y="{y:g}" font-size="{size}" fill="{fill}" text-anchor="{anchor}"'
        f' font-weight="{weight}">{escape(text)}</text>'
    )


def bar(x, y, width, fill):
    return (
        f'<rect x="{x:g}" y="{y:g}" width="{max(width, 1.5):.1f}" height="{BAR}" rx="2"'
        f' fill="{fill}"/>'
    )


def spread(x, y, low, high):
    """A thin line from the shortest to the longest run."""
    return (
        f'<line x1="{x + low:.1f}" x2="{x + high:.1f}" y1="{y:g}" y2="{y:g}"'
        f' stroke="{INK}" stroke-opacity="0.45"/>'
    )


def cut(x, y):
    """Two slanted gaps: this bar is longer than there is room for."""
    gap = 'stroke="#ffffff" stroke-width="3"'
    return "".join(
        f'<line x1="{x + step:.1f}" x2="{x + step + 6:.1f}" y1="{y + BAR + 1:g}" y2="{y - 1:g}" {gap}/>'
        for step in (0, 7)
    )


def longest_drawn(times):
    """The scale's end: a single bar far beyond all others does not make them small."""
    times = sorted(times)
    return times[-2] if len(times) > 2 and times[-1] > 3 * times[-2] else times[-1]


class Page:
    """Lines of SVG from the top down."""

    def __init__(self, heading):
        self.parts, self.y = [], 36
        self.parts.append(label(24, self.y, heading, 16, weight="600"))
        self.y += 8

    def panel(self, heading, rows):
        """rows: (name, seconds, low, high, note, is ours); one scale for the panel."""
        longest = longest_drawn([row[3] for row in rows])
        scale = (WIDTH - LABEL - RIGHT - 24) / longest
        self.y += 32
        self.parts.append(label(24, self.y, heading, 13, weight="600"))
        self.parts.append(label(WIDTH - 24, self.y, "seconds, and times ours", 11, SOFT, "end"))
        self.y += 8
        self.parts.append(
            f'<line x1="24" x2="{WIDTH - 24}" y1="{self.y}" y2="{self.y}" stroke="{RULE}"/>'
        )
        self.y += 8
        for name, middle, low, high, note, is_ours in rows:
            base = self.y + BAR - 2
            weight = "600" if is_ours else "normal"
            self.parts.append(label(LABEL - 10, base, name, 12, INK, "end", weight))
            is_cut = high > longest
            drawn = longest if is_cut else middle
            self.parts.append(bar(LABEL, self.y, drawn * scale, OURS if is_ours else THEIRS))
            if is_cut:
                self.parts.append(cut(LABEL + longest * scale - 24, self.y))
                high = longest
            elif high > low:
                self.parts.append(spread(LABEL, self.y + BAR / 2, low * scale, high * scale))
            end = LABEL + high * scale + 8
            self.parts.append(label(end, base, figure(middle), 12, INK, weight=weight))
            self.parts.append(label(WIDTH - 24, base, note, 12, SOFT, "end"))
            self.y += ROW

    def text(self):
        height = self.y + 16
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}"'
                f' viewBox="0 0 {WIDTH} {height}" style="{STYLE}" role="img">',
                f'<rect width="{WIDTH}" height="{height}" rx="8" fill="#ffffff"/>',
                *self.parts,
                "</svg>",
                "",
            ]
        )


def row(name, result, our, is_ours):
    times = [run["seconds"] for run in result["runs"]]
    middle = seconds(result)
    note = "" if is_ours or not our else f"{middle / our:.1f} x"
    return name, middle, min(times), max(times), note, is_ours


def engine_rows(results, mode):
    engines = engines_of(results, "base", mode)
    our = seconds(engines.get(cases.OURS))
    measured = [item for item in engines.items() if item[1]["runs"]]
    return [
        row(cases.TITLES[engine], result, our, engine == cases.OURS)
        for engine, result in sorted(measured, key=lambda item: seconds(item[1]))
    ]


def case_rows(results, mode):
    """For each other case ours, and DuckDB's best with ties right below it."""
    rows = []
    for name, case in cases.CASES.items():
        engines = engines_of(results, name, mode)
        our = time_of(results, name, mode, cases.OURS)
        peer = best(results, name, mode, cases.TIES_RIGHT)
        if name == "base" or not our or not peer:
            continue
        rows.append(row(case.title, engines[cases.OURS], our, True))
        fastest = min(
            (engine for engine in cases.TIES_RIGHT if seconds(engines.get(engine))),
            key=lambda engine: seconds(engines[engine]),
        )
        rows.append(row("DuckDB, ties right", engines[fastest], our, False))
    return rows


def write(results, path):
    page = Page(title(results).split(": ", 1)[1])
    for mode, name in MODES.items():
        rows = engine_rows(results, mode)
        if rows:
            page.panel(name, rows)
    rows = case_rows(results, "file")
    if rows:
        page.panel("Other shapes, Parquet to Parquet", rows)
    with open(path, "w") as file:
        file.write(page.text())
