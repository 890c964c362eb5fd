#!/usr/bin/env bash
# The table of docs/performance.md: run.sh BINARY CORPUS [OPTION…]. The options are those of table.py.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
[ -n "${2:-}" ] && [ -d "$2/v1" ] && [ -d "$2/v2" ] && [ -d "$2/v3" ] || {
  echo "usage: make bench CORPUS=DIR, with real root trees DIR/v1, DIR/v2 and DIR/v3 (each an update)" >&2
  exit 2
}
"$here/../scripts/deps.sh" --ensure bench
result=$here/../.build/bench.json
mkdir -p "$here/../.build"
exec python3 "$here/table.py" --json "$result" "$@"
