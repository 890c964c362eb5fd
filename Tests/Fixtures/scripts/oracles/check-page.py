#!/usr/bin/env python3
"""Checks a page on standard input with Python's parser of HTML: only elements and attributes that pages have, labels,
one main part, headings in order, no two elements with one id."""
import sys
from html.parser import HTMLParser

ELEMENTS = set("html head meta title link script body a header nav ul ol li main h1 h2 h3 p small span bdi strong div table "
               "caption thead tbody tr th td time code dl dt dd form label select option button footer figure figcaption "
               "svg line text polygon polyline circle rect g".split())
VOID = {"meta", "link", "br", "input", "hr"}
ATTRIBUTES = set("lang charset name content rel type href src defer class aria-label aria-current aria-hidden id tabindex "
                 "title datetime scope role action method value selected viewbox x y x1 x2 y1 y2 cx cy r width height "
                 "points dy".split())
problems = []


class Checker(HTMLParser):
    def __init__(self):
        super().__init__()
        self.stack, self.ids, self.headings, self.counts = [], set(), [], {}

    def handle_starttag(self, tag, attributes):
        self.counts[tag] = self.counts.get(tag, 0) + 1
        if tag not in ELEMENTS:
            problems.append(f"element {tag}")
        for name, value in attributes:
            if name not in ATTRIBUTES:
                problems.append(f"attribute {name} of {tag}")
            if name in ("href", "src", "action") and not (value.startswith("/") and not value.startswith("//")
                                                          or value.startswith("#")):
                problems.append(f"{name} leads to {value}")
            if name == "id":
                if value in self.ids:
                    problems.append(f"two elements have the id {value}")
                self.ids.add(value)
        names = dict(attributes)
        if tag == "svg" and not names.get("aria-label"):
            problems.append("an image without a label")
        if tag == "select" and "label" not in self.stack:
            problems.append("a select without a label")
        if tag in ("h1", "h2", "h3"):
            level = int(tag[1])
            if level > (self.headings[-1] if self.headings else 0) + 1:
                problems.append(f"{tag} after h{self.headings[-1] if self.headings else 0}")
            self.headings.append(level)
        if tag not in VOID:
            self.stack.append(tag)

    def handle_endtag(self, tag):
        if not self.stack or self.stack.pop() != tag:
            problems.append(f"the end of {tag} does not match")


checker = Checker()
checker.feed(sys.stdin.read())
if checker.stack:
    problems.append(f"open elements: {checker.stack}")
for tag, count in (("main", 1), ("h1", 1), ("header", 1), ("footer", 1), ("title", 1)):
    if tag != "title" and checker.counts.get(tag, 0) != count:
        problems.append(f"{checker.counts.get(tag, 0)} elements {tag}")
sys.exit("\n".join(problems) or 0)
