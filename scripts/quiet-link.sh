#!/usr/bin/env bash
# Runs a build, leaving out the one warning that a static glibc always gives (dlopen and name look-ups
# inside libraries, on paths that imgstore never takes). Everything else is shown; the status is kept.
set -o pipefail
"$@" 2>&1 | grep -v -e 'in statically linked applications requires at runtime' -e '^/usr/bin/ld.gold: warning: .*getpwuid' || exit "${PIPESTATUS[0]}"
exit "${PIPESTATUS[0]}"
