#!/usr/bin/env bash
# Makes the API documentation of the module Images: docs.sh FOLDER. Fails on links that lead nowhere.
# It takes `docc` and the symbol graphs from the toolchain, not from swift-docc-plugin: a plugin would be a
# dependency of everybody who uses the package.
set -euo pipefail
cd "$(dirname "$0")/.."
output=$1
module=Images
swift=$(realpath "$(command -v "${SWIFT:-swift}")")
docc=$(dirname "$swift")/docc
[ -x "$docc" ] || docc=$(command -v docc) || {
  echo "docs: cannot make the documentation: this toolchain has no docc" >&2
  exit 1
}
"${SWIFT:-swift}" build -c release --target "$module"
build=$(realpath "$("${SWIFT:-swift}" build -c release --show-bin-path)")

# The C modules that Images imports, as the compiler found them.
maps=()
for map in Sources/C*/module.modulemap "$build"/C*.build/module.modulemap \
  .build/checkouts/*/Sources/*/include/module.modulemap; do
  [ ! -e "$map" ] || maps+=(-Xcc "-fmodule-map-file=$map")
done
graphs=$(mktemp -d)
trap 'rm -rf "$graphs"' EXIT
target=$("${SWIFT:-swift}" -print-target-info | sed -n 's/.*"triple" *: *"\(.*\)".*/\1/p' | head -1)
"${SWIFT:-swift}" symbolgraph-extract -module-name "$module" -minimum-access-level public \
  -I "$build/Modules" "${maps[@]}" -target "$target" -output-dir "$graphs" >/dev/null
# What Images adds to types of other modules belongs to their documentation.
rm -f "$graphs/$module@"*

mkdir -p "$(dirname "$output")"
rm -rf "$output"
status=0
"$docc" convert "Sources/$module/$module.docc" --additional-symbol-graph-dir "$graphs" \
  --fallback-display-name "$module" --fallback-bundle-identifier "imgstore.$module" \
  --diagnostics-file "$graphs/diagnostics.json" --output-path "$output" >"$graphs/log" 2>&1 || status=$?
# Parameters without a comment are allowed; every other remark of docc, unresolved links above all, is an error.
python3 - "$graphs/diagnostics.json" <<'END' || status=1
import json, os, sys
found = [d for d in json.load(open(sys.argv[1]))["diagnostics"]
         if "missing documentation" not in d["summary"] and "used to document parameter" not in d["summary"]]
for d in found:
    line = d.get("range", {}).get("start", {}).get("line", 0)
    print(f"{os.path.relpath(d.get('source', '').removeprefix('file://') or '.')}:{line}: {d['summary']}", file=sys.stderr)
sys.exit(bool(found))
END
[ "$status" = 0 ] || { grep '^Error' "$graphs/log" >&2 || true; exit "$status"; }
echo "documentation: $output"
