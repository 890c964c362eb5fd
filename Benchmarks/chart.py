"""Draws the table of a benchmark as SVG: a bar for the ratio of the best peer to imgstore, and the values as text.

The picture needs no other file, is readable on light and dark background, and has a title and a description. The scale
is logarithmic: a bar to the right of the line is a ratio above one.
"""
import math
from xml.sax.saxutils import escape

import report

WIDTH, MARGIN, LINE, TOP = 860, 14, 22, 66
RATIO, BARS, BARS_WIDTH, VALUES = 330, 342, 164, 532
STYLE = """
  .paper { fill: #f6f8fa; stroke: #d0d7de } .grid { stroke: #d0d7de } .one { stroke: #59636e }
  text { fill: #1f2328; font: 12px system-ui, -apple-system, "Segoe UI", "Helvetica Neue", "DejaVu Sans", sans-serif }
  .head { font-size: 15px; font-weight: 600 } .axis, .values, .note { fill: #59636e } .axis, .values { font-size: 11px }
  .ratio { text-anchor: end; font-weight: 600 } .axis { text-anchor: middle } .ours { fill: #1f2328; font-weight: 600 }
  .better { fill: #1a7f37 } .worse { fill: #bc4c00 }
  @media (prefers-color-scheme: dark) {
    .paper { fill: #0d1117; stroke: #30363d } .grid { stroke: #30363d } .one { stroke: #9198a1 }
    text, .ours { fill: #e6edf3 } .axis, .values, .note { fill: #9198a1 }
    .better { fill: #3fb950 } .worse { fill: #f0883e } }
"""


def times(ratio):
    return (f"{ratio:.2f}" if ratio < 10 else f"{ratio:.0f}") + "×"


def values(row):
    """The values of a row: ours, and those of the others."""
    unit, results = row["unit"], row["results"]
    others = [f"{name} {report.with_unit(value, unit)}" for name, value in results.items()
              if name not in (report.OURS, row["floor"])]
    return report.with_unit(results[report.OURS], unit), " · ".join(others)


def description(rows):
    """What a reader hears who does not see the bars."""
    parts = []
    for row in rows:
        ours, others = values(row)
        parts.append(f"{row['name']}: imgstore {ours}, {others.replace(' · ', ', ')}, ratio {times(row['ratio'])}")
    return "; ".join(parts) + "."


def svg(document):
    """The chart of a document of `report`; rows without a peer have no bar and are left out."""
    rows = [row for row in document["rows"] if row["ratio"]]
    logs = [math.log2(row["ratio"]) for row in rows] or [0]
    low, high = min(-1, math.floor(min(logs))), max(2, math.ceil(max(logs)))

    def x(log):
        return BARS + (log - low) / (high - low) * BARS_WIDTH
    height = TOP + LINE * len(rows) + 46
    bottom = TOP + LINE * len(rows)
    title = "How many times better than the best peer imgstore is"
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" aria-labelledby="t d">',
             f'<title id="t">{title}</title>', f'<desc id="d">{escape(description(rows))}</desc>', f"<style>{STYLE}</style>",
             f'<rect class="paper" x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="8"/>',
             f'<text class="head" x="{MARGIN}" y="28">{title}</text>',
             f'<text class="ours" x="{VALUES}" y="{TOP - 12}">imgstore, then the peers</text>']
    step = 1 if high - low <= 5 else 2
    for log in sorted({0, *range(0, high + 1, step), *range(0, low - 1, -step)}):
        name = f"{2 ** log}×" if log >= 0 else f"1/{2 ** -log}"
        kind = "one" if log == 0 else "grid"
        lines.append(f'<line class="{kind}" x1="{x(log):.1f}" x2="{x(log):.1f}" y1="{TOP - 6}" y2="{bottom}"/>')
        lines.append(f'<text class="axis" x="{x(log):.1f}" y="{TOP - 12}">{name}</text>')
    for index, (row, log) in enumerate(zip(rows, logs)):
        y = TOP + LINE * index
        ours, others = values(row)
        left, width = min(x(0), x(log)), max(1, abs(x(log) - x(0)))
        lines += [f'<text x="{MARGIN}" y="{y + 15}">{escape(row["name"])}</text>',
                  f'<text class="ratio" x="{RATIO}" y="{y + 15}">{times(row["ratio"])}</text>',
                  f'<rect class="{"better" if log >= 0 else "worse"}" x="{left:.1f}" y="{y + 4}" width="{width:.1f}" '
                  'height="14" rx="2"/>',
                  f'<text x="{VALUES}" y="{y + 15}"><tspan class="ours">{escape(ours)}</tspan>'
                  f'<tspan class="values" dx="6">{escape(others)}</tspan></text>']
    host = document["machine"]
    note = (f"{host['processors']} processors ({host['processor']}), {host['fileSystem']}, {host['distribution']}"
            + (f", {document['date']}" if "date" in document else "") + ". Bars are logarithmic.")
    lines += [f'<text class="note" x="{MARGIN}" y="{height - 16}">{escape(note)}</text>', "</svg>", ""]
    return "\n".join(lines)
