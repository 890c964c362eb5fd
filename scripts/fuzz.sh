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
[ $# -gt 0 ] && parsers=("$@") || mapfile -t parsers < <("$fuzz" 2>&1 | sed -n 's/^parsers: //p' | tr ' ' '\n')

# Small images of all kinds of entries; with plain tables noise reaches what lies behind them.
squashfs_seeds() {
  local tree=$1.tree
  rm -rf "$tree"
  mkdir -p "$tree/etc/empty" "$tree/usr/lib/a/b/c"
  echo one >"$tree/etc/one"
  ln "$tree/etc/one" "$tree/etc/two"
  ln -s ../etc/one "$tree/usr/link"
  mkfifo "$tree/usr/fifo"
  head -c 9000 /dev/zero | tr '\0' 'x' >"$tree/usr/lib/fragment"
  truncate -s 100K "$tree/usr/lib/hole"
  head -c 20000 /bin/sh >"$tree/usr/lib/blocks"
  for i in $(seq 300); do : >"$tree/usr/lib/a/file-$i"; done
  for form in gzip xz zstd; do
    mksquashfs "$tree" "$1/$form" -comp "$form" -b 4096 -noappend -quiet -no-progress
    mksquashfs "$tree" "$1/$form-plain" -comp "$form" -b 4096 -noI -noD -noF -noX -noappend -quiet -no-progress
  done
  rm -rf "$tree"
}

mkdir -p "$work/found"
# The reader's store.
TMPDIR=$(mktemp -d)
export TMPDIR
export LSAN_OPTIONS=suppressions=$PWD/Tests/Fuzz/leaks.txt:print_suppressions=0
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
    packages) for f in /var/lib/dpkg/status; do if [ -e "$f" ]; then { printf 0; head -c 60000 "$f"; } >"$seeds/status"; fi; done ;;
    value) awk -F '\t' -v folder="$seeds" 'NR % 5 == 2 { printf "%s", $3 > (folder "/value-" NR); close(folder "/value-" NR) }' Tests/Fixtures/xcat/values.tsv ;;
    squashfs) squashfs_seeds "$seeds" ;;
    walk) for form in newc crc ustar; do (cd Tests/Fixtures/xcat && find expected | sort | head -20 | cpio -o -H "$form" --quiet >"$seeds/$form"); done ;;
    litefile) for f in Tests/Fixtures/xcat/*statelite*.tgz; do tar xzOf "$f" --wildcards '*/litefile.csv' >"$seeds/$(basename "$f").csv"; done ;;
  esac
  echo "== $parser: $each seconds from $(ls "$seeds" | wc -l) seeds"
  "$fuzz" "$parser" "$corpus" "$seeds" -max_total_time="$each" -timeout=10 -rss_limit_mb=512 \
    -max_len=65536 -print_final_stats=1 -verbosity=0 -artifact_prefix="$work/found/$parser-" ||
    { echo "fuzz.sh: $parser: see $work/found" >&2; exit 1; }
done
