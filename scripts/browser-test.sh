#!/usr/bin/env bash
# The pages in a real browser: browser-test.sh BINARY, or the pictures of the documents: browser-test.sh BINARY FOLDER.
# Needs chromium with its driver (Debian: chromium, chromium-driver), and python3 with venv. The first run installs
# selenium, axe-core-python and pillow from PyPI below .build.
set -euo pipefail
cd "$(dirname "$0")/.."
for tool in chromium chromedriver python3; do
  command -v "$tool" >/dev/null || { echo "browser-test: $tool is missing: skipped" >&2; exit 77; }
done
environment=.build/browser-test
if [ ! -e "$environment/ready" ]; then
  python3 -m venv "$environment"
  "$environment/bin/pip" install --quiet selenium==4.51.0 axe-core-python==0.1.0 pillow==13.0.0
  touch "$environment/ready"
fi
if [ $# -gt 1 ]; then
  exec "$environment/bin/python" Tests/Browser/screenshots.py "$1" "$2"
fi
exec "$environment/bin/python" Tests/Browser/browser_test.py "$1"
