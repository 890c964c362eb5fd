#!/usr/bin/env python3
"""Draws a recorded terminal session as SVG: session.sh BINARY | session-svg.py >docs/session.svg

Text stays text: it can be selected, searched and read aloud. Commands are bold, the lines of a diff coloured. Colours follow
the reader's light or dark mode.
"""
import html
import sys

COLUMNS, WIDTH, HEIGHT, MARGIN, TITLE = 92, 7.83, 18, 14, 26
STYLE = """
  .paper { fill: #f6f8fa; stroke: #d0d7de } .bar { fill: #d0d7de } text { fill: #1f2328;
  font: 13px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; white-space: pre }
  .command { font-weight: bold } .added { fill: #116329 } .removed { fill: #a40e26 } .comment, .warning { fill: #59636e }
  @media (prefers-color-scheme: dark) { .paper { fill: #0d1117; stroke: #30363d } .bar { fill: #30363d }
  text { fill: #e6edf3 } .added { fill: #7ee787 } .removed { fill: #ff9492 } .comment, .warning { fill: #9198a1 } }
"""


def kind(line):
    for start, name in [("$ ", "command"), ("# ", "comment"), ("imgstore: ", "warning"), ("+", "added"), ("-", "removed")]:
        if line.startswith(start):
            return name
    return "output"


def main():
    lines = []
    for line in sys.stdin.read().rstrip("\n").split("\n"):
        if line.startswith("$ ") and lines:
            lines.append("")
        while len(line) > COLUMNS:
            lines.append(line[:COLUMNS])
            line = "  " + line[COLUMNS:]
        lines.append(line)
    width = COLUMNS * WIDTH + 2 * MARGIN
    height = len(lines) * HEIGHT + 2 * MARGIN + TITLE
    title = "A session with imgstore: snapshot, update, compare, revert"
    print(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" role="img" aria-label="{title}">')
    print(f"<title>{title}</title>\n<style>{STYLE}</style>")
    print(f'<rect class="paper" x="0.5" y="0.5" width="{width - 1:.0f}" height="{height - 1}" rx="8"/>')
    for i in range(3):
        print(f'<circle class="bar" cx="{MARGIN + 6 + 18 * i}" cy="16" r="5"/>')
    for i, line in enumerate(lines):
        if line:
            y = TITLE + MARGIN + HEIGHT * i + 12
            print(f'<text class="{kind(line)}" x="{MARGIN}" y="{y}" xml:space="preserve">{html.escape(line)}</text>')
    print("</svg>")


main()
