#!/usr/bin/env bash
# The Debian packages that imgstore needs: to build it, to test it, to measure it.
#   deps.sh [GROUP]            installs the missing packages with apt, with sudo unless you are root
#   deps.sh --check [GROUP]    names the missing packages, and exits with 1 if there are any
#   deps.sh --ensure [GROUP]   what `make demo` and `make test` do: as root it installs them and prints which;
#                              as any other user, or with IMGSTORE_DEPS=check, it only checks
# GROUP: build (C libraries), test (also the tools that tests compare with; the default), package (what builds and
# checks packages), monitoring (promtool, whose package also has a server, and systemd-analyze: tests that need them are
# skipped without), bench (also the peers), browser (a browser, for the pages of serve), boot (qemu, for boot tests).
# Without dpkg nothing is checked: then the compiler and the tests say what they lack.
set -euo pipefail

action=install
case ${1:-} in --check | --ensure) action=${1#--}; shift ;; esac
group=${1:-test}

packages=(zlib1g-dev libdeflate-dev libzstd-dev liblzma-dev libbz2-dev libssl-dev libsqlite3-dev libexpat1-dev)
packages+=(libcrypt-dev libre2-dev libpcre2-dev libtomlplusplus-dev pkg-config)
tools=(openssl cpio libarchive-tools busybox pax xz-utils zstd pigz)
tools+=(rsync attr acl libcap2-bin sqlite3 python3 python3-jsonschema perl debootstrap git)
tools+=(skopeo umoci docker-registry openssh-client openssh-server)
tools+=(curl aria2)
tools+=(ceph-mon ceph-mgr ceph-osd radosgw ceph-common)  # an S3 gateway, 300 MB
tools+=(squashfs-tools rpm db5.3-util patch strace xfsprogs btrfs-progs zsh fish mandoc)
case $group in
  build) packages+=(python3 git) ;;  # manual pages and their date
  test) packages+=("${tools[@]}") ;;
  package) packages+=(python3 git debhelper dpkg-dev lintian rpm rpmlint dnf createrepo-c busybox debootstrap) ;;
  monitoring) packages=(prometheus systemd) ;;
  browser) packages=(chromium chromium-driver python3-venv) ;;
  boot) packages=(qemu-system-x86 ipxe-qemu busybox grub-common grub-pc-bin) ;;
  bench) packages+=("${tools[@]}" restic borgbackup rclone iproute2 nginx-light wrk) ;;
  *) echo "deps.sh: no such group: $group" >&2; exit 2 ;;
esac

command -v dpkg-query >/dev/null || exit 0
missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
[ ${#missing[@]} = 0 ] && exit 0

user=$(id -u)
if [ "$action" = ensure ]; then
  action=check
  if [ "$user" = 0 ] && [ "${IMGSTORE_DEPS:-}" != check ]; then action=install; fi
fi
if [ "$action" = check ]; then
  {
    echo "missing Debian packages: ${missing[*]}"
    echo "hint: $([ "$group" = bench ] && echo 'scripts/deps.sh bench' || echo 'make deps') installs them with apt$([ "$user" = 0 ] || echo ' (and sudo)')"
  } >&2
  exit 1
fi
echo "installing from Debian's archive: ${missing[*]}"
sudo=()
[ "$user" = 0 ] || sudo=(sudo)
"${sudo[@]}" apt-get update -qq
# sudo drops the environment.
"${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
