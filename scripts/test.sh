#!/usr/bin/env bash
# Builds and runs the tests: test.sh [--fast] [OPTION OF swift test...]
#   --fast   only tests that run no other program and no sweep; prints how long they took
# Release code, for the real trees: the debug build of the chunker is fifty times slower. Tests import only public
# API, so that this works without special flags. Tests that run the program run the binary built here. Failures are
# printed again at the end.
set -euo pipefail
cd "$(dirname "$0")/.."
fast=
if [ "${1:-}" = --fast ]; then
  fast=1
  shift
  export IMGSTORE_TESTS=fast
  set -- --skip '^CLITests\.' "$@"
fi
swift build -c release --build-tests
log=$(mktemp)
trap 'rm -f "$log"' EXIT
status=0
start=$SECONDS
export IMGSTORE_BINARY=$PWD/.build/release/imgstore
if [ -n "$fast" ]; then
  # Not by swift test, which plans a build first and waits for others.
  .build/release/imgstorePackageTests.xctest --testing-library swift-testing "$@" >"$log" 2>&1 || status=$?
else
  swift test -c release --skip-build --parallel "$@" 2>&1 | tee "$log" || status=$?
fi
if [[ $status != 0 ]]; then
  printf '\nFailures:\n'
  grep -A 3 -E '✘|error:|Fatal|unexpected signal' "$log" | head -100 || true
fi
if [ -n "$fast" ]; then
  grep 'Test run with' "$log" || true
  printf '%s tests ran and %s were left out, in %s seconds after the build\n' \
    "$(grep -cE '^. Test [^r].* (passed|failed) after' "$log")" "$(grep -cE '^. Test .* skipped' "$log")" \
    "$((SECONDS - start))"
fi
exit "$status"
