#!/usr/bin/env bash
# Installs the packages in fresh roots, and tests upgrade and removal with a store in use: package-test.sh BINARY
#   checks      lintian and rpmlint find nothing
#   Debian      a debootstrap root: dpkg installs an earlier version, upgrades it during a command, removes, purges
#   rpm         an empty root: dnf installs from a repository of the packages, upgrades, removes
# The earlier version has the same binary. Stores of earlier versions are the subject of FormatDocumentTests and
# of the golden stores. Needs root; prints one line for each check, and exits with 1 if one fails.
set -euo pipefail
cd "$(dirname "$0")/.."
binary=$1
[ "$(id -u)" = 0 ] || { echo "package-test: skipped: needs root for chroot"; exit 0; }
# The roots get a /proc. In a mount namespace of its own, it cannot stay behind.
[ -n "${IMGSTORE_UNSHARED:-}" ] || exec env IMGSTORE_UNSHARED=1 unshare --mount --propagation private "$0" "$@"
version=$(make --no-print-directory version)
old=0.0.1
work=$(mktemp -d)
root=$work/root
cleanup() {
  local status=$?
  if [ -n "${reader:-}" ]; then kill "$reader" 2>/dev/null || true; wait "$reader" 2>/dev/null || true; fi
  umount "$root/proc" 2>/dev/null || true
  rm -rf --one-file-system "$work"
  [ $status = 0 ] || echo "package-test: FAILED: ${check:-}" >&2
}
trap cleanup EXIT
passed=0
# check TEXT COMMAND...: names what is true, and requires it.
check() { check=$1; shift; "$@"; passed=$((passed + 1)); echo "  ok: $check"; }
refute() { ! "$@"; }
in_root() { chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root "$@"; }
equals() { [ "$("${@:2}")" = "$1" ] || { echo "expected: $1; got: $("${@:2}" 2>&1)" >&2; return 1; }; }

for each in "$old" "$version"; do
  scripts/packages.sh deb "$each" "$binary" >/dev/null
  scripts/packages.sh rpm "$each" "$binary" >/dev/null
done
arch=$(dpkg --print-architecture)
debs() { echo "dist/imgstore_$1_$arch.deb dist/imgstore-xcat-names_$1_all.deb"; }
rpms() { echo "dist/imgstore-$1-1.$(uname -m).rpm dist/imgstore-xcat-names-$1-1.noarch.rpm"; }

echo "packages of version $version"
lint_deb() { lintian --fail-on error,warning --suppress-tags bad-distribution-in-changes-file $(debs "$version"); }
lint_rpm() {
  rpmlint --rpmlintrc packaging/rpm/rpmlintrc $(rpms "$version") >"$work/rpmlint" 2>&1 || { cat "$work/rpmlint"; return 1; }
  grep -q ' 0 errors, 0 warnings' "$work/rpmlint" || { cat "$work/rpmlint"; return 1; }
}
check "lintian finds no error and no warning" lint_deb
check "rpmlint finds no error and no warning" lint_rpm

# Takes a snapshot of an image in the root, and leaves a command that reads the store under way.
use_store() {
  mkdir -p "$root/srv/image/etc"
  echo one >"$root/srv/image/etc/motd"
  in_root imgstore init --quiet
  in_root imgstore snapshot /srv/image --quiet
  mkfifo "$work/pipe"
  # The reader waits in the middle of its output, until somebody reads on.
  head -c 30000000 /dev/urandom >"$root/srv/image/etc/large"
  in_root imgstore snapshot /srv/image --quiet
  in_root imgstore cat /srv/image@2:etc/large >"$work/pipe" &
  reader=$!
  exec 8<"$work/pipe"
  head -c 1000 <&8 >"$work/read"
}
finish_reading() {
  cat <&8 >>"$work/read"
  exec 8<&-
  wait "$reader"
  reader=
  rm "$work/pipe"
  cmp "$work/read" "$root/srv/image/etc/large"
}
store_is_whole() {
  in_root imgstore verify --deep --quiet
  equals 2 in_root sh -c "imgstore log /srv/image --json | grep -c '\"number\"'"
}
store_files() { (cd "$root/var/lib/imgstore" && find . -type f ! -path './cache/*' ! -path './locks/*' | sort | xargs sha256sum | sha256sum); }

echo "Debian"
scripts/small-tree.sh .build/small-tree
cp -a .build/small-tree "$root"
mount -t proc proc "$root/proc"
cp dist/*.deb "$root/root/"
install_debs() { for deb in $(debs "$1"); do in_root dpkg -i "/root/${deb#dist/}" >"$work/log" 2>&1 || { cat "$work/log"; return 1; }; done; }
echo '#!/bin/sh' >"$root/usr/bin/packimage"; chmod +x "$root/usr/bin/packimage"
check "install" install_debs "$old"
check "the binary runs" equals "imgstore $version" in_root imgstore --version
check "a name of xCAT is a link to imgstore" equals /usr/bin/imgstore in_root readlink -f /usr/bin/imgexport
check "a file that has the name is kept" equals '#!/bin/sh' cat "$root/usr/bin/packimage"
check "the configuration is valid" in_root imgstore config check
for file in man/man1/imgstore-revert.1.gz bash-completion/completions/imgstore imgstore/schema/status.json; do
  check "/usr/share/$file is there" test -s "$root/usr/share/$file"
done
use_store
echo '# changed here' >>"$root/etc/imgstore/config.toml"
before=$(store_files)
check "upgrade while a command reads the store" install_debs "$version"
check "the command ends with the whole file" finish_reading
check "the upgrade changed no file of the store" equals "$before" store_files
check "the store is whole after the upgrade" store_is_whole
check "the changed configuration is kept" grep -q '# changed here' "$root/etc/imgstore/config.toml"
check "remove" in_root dpkg -r imgstore-xcat-names imgstore
check "the binary and the links are gone" refute ls "$root/usr/bin/imgstore" "$root/usr/bin/imgexport" 2>/dev/null
check "a file that has the name is still kept" test -x "$root/usr/bin/packimage"
check "purge" in_root dpkg -P imgstore-xcat-names imgstore
check "the store stays" equals "$before" store_files
check "install again" install_debs "$version"
check "the store is whole after the removal" store_is_whole

echo "rpm"
umount "$root/proc"
rm -rf --one-file-system "$root"
mkdir -p "$root/proc"
mount -t proc proc "$root/proc"
# The packages need a shell and update-alternatives: those of Debian, in a package of their own.
stub_rpm() {
  local files=$work/stub
  mkdir -p "$files/bin" "$files/usr/sbin" "$files/usr/bin" "$files/etc/alternatives" "$files/var/lib/dpkg/alternatives" "$files/var/log"
  cp "$(command -v busybox)" "$files/bin/busybox"
  for name in sh ls readlink env grep cat; do ln -s busybox "$files/bin/$name"; ln -s ../../bin/busybox "$files/usr/bin/$name"; done
  cp "$(command -v update-alternatives)" "$files/usr/sbin/update-alternatives"
  for library in $({ ldd "$(command -v update-alternatives)"; ldd "$(command -v busybox)"; } | grep -o '/[^ ]*' | sort -u); do
    mkdir -p "$files$(dirname "$library")"; cp -L "$library" "$files$library"
  done
  cat >"$work/stub.spec" <<'END'
%global debug_package %{nil}
%global __strip /bin/true
Name: base
Version: 1
Release: 1
Summary: base
License: MIT
AutoReqProv: no
Provides: /bin/sh
%description
base
%install
cp -a %{staged_files}/. %{buildroot}/
%files
/*
END
  rpmbuild -bb --quiet --define "_topdir $work/rpmbuild" --define "staged_files $files" "$work/stub.spec" >"$work/log" 2>&1 || { cat "$work/log"; return 1; }
}
stub_rpm
mkdir -p "$work/repository"
cp "$work"/rpmbuild/RPMS/*/*.rpm "$work/repository/"
publish() { cp $(rpms "$1") "$work/repository/"; createrepo_c --quiet "$work/repository"; }
with_dnf() {
  dnf --installroot="$root" --releasever=1 --setopt=reposdir=/nonexistent --setopt=cachedir="$work/dnf" --setopt=gpgcheck=0 \
    --setopt=install_weak_deps=0 --repofrompath="local,file://$work/repository" --refresh -y "$@" >"$work/log" 2>&1 ||
    { cat "$work/log"; return 1; }
}
publish "$old"
check "install" with_dnf install base imgstore imgstore-xcat-names
check "the binary runs" equals "imgstore $version" in_root imgstore --version
check "a name of xCAT is a link to imgstore" equals /usr/bin/imgstore in_root readlink -f /usr/bin/imgexport
check "the configuration is valid" in_root imgstore config check
use_store
echo '# changed here' >>"$root/etc/imgstore/config.toml"
before=$(store_files)
publish "$version"
check "upgrade while a command reads the store" with_dnf upgrade
check "the command ends with the whole file" finish_reading
check "the upgrade changed no file of the store" equals "$before" store_files
check "the store is whole after the upgrade" store_is_whole
check "the changed configuration is kept" grep -q '# changed here' "$root/etc/imgstore/config.toml"
check "remove" with_dnf remove imgstore imgstore-xcat-names
check "the binary and the links are gone" refute ls "$root/usr/bin/imgstore" "$root/usr/bin/imgexport" 2>/dev/null
check "the store stays" equals "$before" store_files
check "install again" with_dnf install imgstore imgstore-xcat-names
check "the store is whole after the removal" store_is_whole
echo "package-test: $passed checks passed"
