#!/usr/bin/env python3
"""Pictures of the pages for the documents: screenshots.py BINARY FOLDER"""
import sys
from pathlib import Path

from PIL import Image

from browser import Browser
from server import Site

VIEWS = {"images": "/", "timeline": "/images/compute", "snapshot": "/images/compute/4", "diff": "/images/compute/diff/1..4",
         "file": "/images/compute/4/files/etc/motd?blame=1", "space": "/space", "health": "/health"}


def main():
    folder = Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    with Site(sys.argv[1]) as site:
        for width, scheme in ((1400, "light"), (1400, "dark"), (400, "light"), (400, "dark")):
            browser = Browser(width, 900, scheme)
            for name, view in VIEWS.items():
                browser.open(site.url + view)
                file = folder / f"{name}-{width}-{scheme}.png"
                browser.screenshot(file, height=1000 if width > 600 else 1400)
                # Pages have few colours, and small files suit a repository.
                Image.open(file).convert("RGB").quantize(
                    256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(file, optimize=True)
            browser.close()


main()
