#!/usr/bin/env bash
# Manual pages, most of them from the program's own help: manual.sh FOLDER. The date is that of the last commit,
# so that the same source gives the same pages.
set -euo pipefail
cd "$(dirname "$0")/.."
date=$(git log -1 --format=%cs 2>/dev/null || echo 2026-01-01)
swift package --disable-sandbox plugin generate-manual --multi-page --date "$date" >/dev/null
mkdir -p "$1"
# The pages of xCAT's names are written by hand; XCATNameTests and PackNameTests hold them against the usages.
for page in docs/imgexport.1 docs/imgimport.1 docs/packimage.1 docs/liteimg.1; do
  sed "s/^\.Dd .*/.Dd $date/" "$page" >"$1/${page#docs/}"
done
cp .build/plugins/GenerateManual/outputs/imgstore/*.1 "$1"/
