#!/usr/bin/env bash
# All tests. Release code, for the real trees: the debug build of the chunker is fifty times slower.
# Tests import only public API, so that this works without special flags. The tests that run the
# program run the very binary built here.
set -euo pipefail
cd "$(dirname "$0")/.."
swift build -c release --build-tests
IMGSTORE_BINARY="$PWD/.build/release/imgstore" swift test -c release --skip-build --parallel "$@"
