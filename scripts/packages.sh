#!/usr/bin/env bash
# Builds packages of the static binary in dist/: packages.sh deb|rpm VERSION BINARY (docs/release.md)
#   deb: imgstore_VERSION_ARCH.deb, imgstore-xcat-names_VERSION_all.deb, by debhelper
#   rpm: imgstore-VERSION-1.ARCH.rpm, imgstore-xcat-names-VERSION-1.noarch.rpm, by rpmbuild
# Times are those of the last commit. The man pages and completions must exist (`make man completions`).
set -euo pipefail
cd "$(dirname "$0")/.."
form=$1 version=$2 binary=$3
source_dir=$PWD
export SOURCE_DATE_EPOCH
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p dist

# The files of both packages, as they are installed.
stage() {
  local to=$1 units=$2
  make --no-print-directory install-files DESTDIR="$to" PREFIX=/usr BINARY="$binary" >/dev/null
  mkdir -p "$to/usr/lib/imgstore/xcat-names" "$to/etc/imgstore" "$to/usr/share/imgstore" "$to$units"
  for name in imgexport imgimport packimage liteimg; do
    rm "$to/usr/bin/$name"
    ln -s ../../../bin/imgstore "$to/usr/lib/imgstore/xcat-names/$name"
  done
  cp -r docs/schema "$to/usr/share/imgstore/schema"
  cp packaging/config.toml "$to/etc/imgstore/"
  cp packaging/systemd/imgstore-* "$to$units/"
  chmod -R u=rwX,go=rX "$to"
}

# Replaces a line @FILE@ by that file of packaging/, @LICENSE@ by the text of the license.
fill_in() {
  python3 - "$1" <<'PYTHON'
import re, sys
def included(match):
    name = match[1]
    if name == "LICENSE":
        return "".join(f" {line}\n" if line else " .\n" for line in open("LICENSE").read().split("\n")[4:-1])
    return open(f"packaging/{name}").read()
text = open(sys.argv[1]).read()
open(sys.argv[1], "w").write(re.sub(r"^@([\w.-]+)@\n", included, text, flags=re.M))
PYTHON
}

build_deb() {
  local tree=$work/imgstore
  mkdir "$tree"
  cp -r packaging/debian "$tree/"
  stage "$tree/files" /lib/systemd/system
  # debhelper would take CHANGELOG.md for the changes of the Debian package.
  mkdir "$tree/text"
  cp README.md SECURITY.md "$tree/text/"
  cp CHANGELOG.md "$tree/text/release-notes.md"
  for file in copyright imgstore-xcat-names.postinst imgstore-xcat-names.prerm; do fill_in "$tree/debian/$file"; done
  cat >"$tree/debian/changelog" <<END
imgstore ($version) unstable; urgency=medium

  * The changes are in release-notes.md.gz.

 -- $(sed -n 's/^Maintainer: //p' packaging/debian/control)  $(date -Rud "@$SOURCE_DATE_EPOCH")
END
  (cd "$tree" && dpkg-buildpackage -b -us -uc >"$work/log" 2>&1) || { cat "$work/log" >&2; exit 1; }
  mv "$work"/*.deb dist/
  ls dist/imgstore*_"$version"_*.deb
}

build_rpm() {
  stage "$work/files" /usr/lib/systemd/system
  cp packaging/rpm/imgstore.spec "$work/"
  fill_in "$work/imgstore.spec"
  # rpm has no '-' in versions.
  rpmbuild -bb --quiet --define "_topdir $work/rpm" --define "package_version ${version//-/\~}" \
    --define "staged_files $work/files" --define "sources $source_dir" --define "use_source_date_epoch_as_buildtime 1" \
    --define "clamp_mtime_to_source_date_epoch 1" --define "_buildhost localhost" \
    --define "changelog_date $(LC_ALL=C date -ud "@$SOURCE_DATE_EPOCH" '+%a %b %d %Y')" "$work/imgstore.spec" \
    >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
  mv "$work"/rpm/RPMS/*/*.rpm dist/
  ls dist/imgstore*-"${version//-/\~}"-1.*.rpm
}

case $form in
  deb) build_deb ;;
  rpm) build_rpm ;;
  *) echo "packages.sh: no such form: $form" >&2; exit 2 ;;
esac
