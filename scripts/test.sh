#!/usr/bin/env bash
# All tests. Release code, for the real trees: the debug build of the chunker is fifty times slower.
# Tests import only public API, so that this works without special flags. The tests that run the
# program run the very binary built here. What failed is said once more at the end.
set -euo pipefail
cd "$(dirname "$0")/.."
swift build -c release --build-tests
log=$(mktemp)
trap 'rm -f "$log"' EXIT
status=0
IMGSTORE_BINARY="$PWD/.build/release/imgstore" swift test -c release --skip-build --parallel "$@" 2>&1 |
  tee "$log" || status=$?
if [[ $status != 0 ]]; then
  printf '\nwhat failed:\n'
  grep -A 3 -E '✘|error:|Fatal|unexpected signal' "$log" | head -100 || true
fi
exit "$status"
