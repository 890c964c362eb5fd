#!/usr/bin/env bash
# Makes the files of a release in dist/: dist.sh VERSION BINARY (docs/release.md)
#   imgstore-VERSION-source.tar.gz, imgstore-VERSION-linux-ARCH.tar.gz, SHA256SUMS
# Both tarballs come out equal for equal commits and binaries: names are sorted, and times are the commit's.
set -euo pipefail
cd "$(dirname "$0")/.."
version=$1 binary=$2
fail() { echo "dist: $1" >&2; exit 1; }

[ -z "$(git status --porcelain)" ] || fail "cannot make a release: the work tree has uncommitted changes"
grep -qF "## [$version]" CHANGELOG.md || fail "cannot make a release: CHANGELOG.md has no section [$version]"
[ "$("$binary" --version)" = "imgstore $version" ] || fail "cannot make a release: $binary is not version $version"

name=imgstore-$version
arch=$(uname -m)
time=$(git log -1 --format=%ct)
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
mkdir -p dist
rm -f dist/imgstore-*.tar.gz dist/SHA256SUMS

git archive --format=tar --prefix="$name/" HEAD | gzip -9n >"dist/$name-source.tar.gz"

tree=$stage/$name-linux-$arch
make --no-print-directory install-files DESTDIR="$tree" PREFIX= >/dev/null
cp LICENSE CHANGELOG.md README.md SECURITY.md "$tree/"
tar --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$time" -C "$stage" -cf - "$name-linux-$arch" |
  gzip -9n >"dist/$name-linux-$arch.tar.gz"

# Packages that `make deb rpm` made before are part of the release.
(cd dist && find . -maxdepth 1 -name "imgstore*$version*" -type f -printf '%P\n' | LC_ALL=C sort | xargs sha256sum >SHA256SUMS)
cat dist/SHA256SUMS
