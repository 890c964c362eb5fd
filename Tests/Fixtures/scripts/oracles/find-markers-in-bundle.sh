#!/bin/bash
# Unpacks all layers of a bundle with the usual tools, and prints the markers that any file contains.
# Arguments: FOLDER BUNDLE. FOLDER/markers has a marker on each line.
set -eu
cd "$1"; mkdir bundle streams trees; gzip -dc "$2" > streams/bundle; tar xf streams/bundle -C bundle
plain() { # FILE STREAM: the plain bytes of a stream
  case "$(head -c 4 "$1" | od -An -tx1 | tr -d ' \n')" in
    1f8b*) gzip -dc "$1" > "$2" ;;
    fd37*) xz -dc "$1" > "$2" ;;
    28b5*) zstd -qdc "$1" > "$2" ;;
    *) cp "$1" "$2" ;;
  esac
}
unpack() { # FILE NAME
  if [ "$(head -c 4 "$1")" = hsqs ]; then unsquashfs -no-progress -d "trees/$2" "$1" > /dev/null; return; fi
  plain "$1" "streams/$2"; mkdir -p "trees/$2"
  if [ "$(head -c 5 "streams/$2")" = 07070 ]; then
    (cd "trees/$2"; cpio -idm --quiet --no-absolute-filenames < "../../streams/$2") || exit 1
  else tar xf "streams/$2" -C "trees/$2"; fi
}
for file in bundle/*/rootimg* bundle/*/complete/rootimg*; do
  [ ! -e "$file" ] || unpack "$file" "$(basename "$file")"
done
for file in bundle/*/initrd*; do
  # The microcode first, then the compressed archive behind it.
  python3 - "$file" streams/initrd <<'END'
import gzip, sys
data = open(sys.argv[1], "rb").read()
at = data.find(b"\x1f\x8b\x08")
assert data.startswith(b"070701") and at > 0
open(sys.argv[2], "wb").write(gzip.decompress(data[at:]))
END
  mkdir trees/initrd; (cd trees/initrd; cpio -idm --quiet < ../../streams/initrd)
  test "$(cat trees/initrd/init)" = init
done
grep -rohaF -f markers bundle streams trees | sort -u || true
