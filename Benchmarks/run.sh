#!/usr/bin/env bash
# Ratios against the peers: run.sh BINARY CORPUS. See docs/performance.md for what the numbers mean.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
[ -n "${2:-}" ] && [ -d "$2/v1" ] && [ -d "$2/v2" ] || {
  echo "usage: make bench CORPUS=FOLDER, with real root trees FOLDER/v1 and FOLDER/v2 (v1 after an update)" >&2
  exit 2
}
"$here/../scripts/deps.sh" --ensure bench
exec python3 "$here/compare.py" "$@"
