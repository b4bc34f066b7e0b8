"""A plot as SVG, written by hand: rows per second of every server, a group of bars per case."""

from report import PEERS, SHAPES, key_title, thousands

WIDTH, LABEL, RIGHT = 780, 150, 70  # of the page, of the names, of the figures
ROW, BAR, GAP = 17, 11, 14
COLOURS = {"tidemark": "#0b7285", "limit": "#e4e8ec"}
THEIRS, INK, SOFT = "#b8c4ce", "#1f2933", "#6b7785"
STYLE = "font-family:system-ui,-apple-system,'Segoe UI',Helvetica,Arial,sans-serif"


def label(x, y, text, size=11, fill=INK, anchor="start", weight="normal"):
    return (f'<text x="{x:g}" y="{y:g}" font-size="{size}" fill="{fill}" text-anchor="{anchor}"'
            f' font-weight="{weight}">{text}</text>')


def group(key, found, y):
    """The bars of one case, and where the next one starts."""
    parts = [label(10, y, key_title(key), 12, weight="bold")]
    y += 8
    most = max(one["rows_per_s"] for one in found.values())
    for name in PEERS:
        if name in found:
            value = found[name]["rows_per_s"]
            width = value / most * (WIDTH - LABEL - RIGHT)
            parts.append(label(LABEL - 8, y + BAR, PEERS[name], fill=SOFT, anchor="end"))
            parts.append(f'<rect x="{LABEL}" y="{y + 2}" width="{max(width, 1):.1f}" height="{BAR}"'
                         f' rx="2" fill="{COLOURS.get(name, THEIRS)}"/>')
            parts.append(label(LABEL + width + 5, y + BAR, thousands(value)))
            y += ROW
    return parts, y + GAP


def plot(results):
    parts, y = [], 24
    for shape, cases in results["reads"].items():
        parts.append(label(10, y, f"Rows per second, {SHAPES[shape]}", 14, weight="bold"))
        y += 24
        for key, found in cases.items():
            more, y = group(key, found, y)
            parts += more
        y += 10
    parts.append(label(10, y, f"{results['machine']}; server and client on a processor each", 10, SOFT))
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y + 12}"'
            f' viewBox="0 0 {WIDTH} {y + 12}" style="{STYLE}">\n'
            f'<rect width="{WIDTH}" height="{y + 12}" fill="#ffffff"/>\n' + "\n".join(parts) + "\n</svg>\n")
