#!/usr/bin/env bash
# Fuzzes the parsers of Tests/Fuzz with libFuzzer: fails on a trap, a hang of 10 seconds, more than
# 512 MiB, or a broken property. What it finds lies in .build-fuzz/found; what it learned stays in
# .build-fuzz/corpus and is where the next run begins.
#   fuzz.sh [PARSER...]     SECONDS_EACH=60
set -euo pipefail
cd "$(dirname "$0")/.."
each=${SECONDS_EACH:-60}
work=$PWD/.build-fuzz

swift build --package-path Tests/Fuzz --scratch-path "$work/build" -c release --product fuzz \
  -Xswiftc -sanitize=fuzzer,address -Xswiftc -use-ld=lld \
  --disable-sandbox
fuzz="$work/build/release/fuzz"
[ $# -gt 0 ] && parsers=("$@") || parsers=(tar cpio gzip bundle reader manifest litefile csv stanza pattern statement)

mkdir -p "$work/found"
# The reader's store.
TMPDIR=$(mktemp -d)
export TMPDIR
trap 'rm -rf "$TMPDIR"' EXIT
for parser in "${parsers[@]}"; do
  seeds="$work/seeds/$parser" corpus="$work/corpus/$parser"
  rm -rf "$seeds"
  mkdir -p "$seeds" "$corpus"
  "$fuzz" seeds "$parser" "$seeds"
  case $parser in
    gzip | bundle) cp Tests/Fixtures/xcat/stateless*.tgz "$seeds" ;;
    reader | tar) for f in Tests/Fixtures/xcat/stateless*.tgz; do gzip -dc "$f" >"$seeds/$(basename "$f" .tgz).tar"; done ;;
    manifest) for f in Tests/Fixtures/xcat/stateless*.tgz; do tar xzOf "$f" --wildcards '*/manifest.xml' >"$seeds/$(basename "$f").xml"; done ;;
    litefile) for f in Tests/Fixtures/xcat/*statelite*.tgz; do tar xzOf "$f" --wildcards '*/litefile.csv' >"$seeds/$(basename "$f").csv"; done ;;
  esac
  echo "== $parser: $each seconds from $(ls "$seeds" | wc -l) seeds"
  "$fuzz" "$parser" "$corpus" "$seeds" -max_total_time="$each" -timeout=10 -rss_limit_mb=512 \
    -max_len=65536 -print_final_stats=1 -verbosity=0 -artifact_prefix="$work/found/$parser-" ||
    { echo "fuzz.sh: $parser: see $work/found" >&2; exit 1; }
done
