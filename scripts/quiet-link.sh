#!/usr/bin/env bash
# Runs a build, leaving out the warnings that a static glibc always gives (dlopen and mktemp inside
# libraries, on paths that imgstore never takes; getaddrinfo, see Sources/Platform/Processes/HostLookup.swift).
# Everything else is shown; the status is kept.
set -o pipefail
"$@" 2>&1 | { grep -v -e 'in statically linked applications requires at runtime' -e "use of .mktemp' is dangerous" || true; }
exit "${PIPESTATUS[0]}"
