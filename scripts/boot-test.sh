#!/usr/bin/env bash
# Boots a kernel in qemu with ramdisks that `imgstore pack` wrote, as they are and scrubbed, and reads what their
# /init says. Then boots nodes from `imgstore serve` (boot-serve-test.sh):
#   boot-test.sh BINARY
# Needs qemu-system-x86_64, busybox and a kernel: $KERNEL, or one of Debian's, which is downloaded (not
# installed) with apt. Where one of them is not to be had, it says so and ends with status 0.
set -euo pipefail
binary=$(realpath "$1")
here=$(realpath "$(dirname "$0")")
work=$(mktemp -d /var/tmp/imgstore-boot-XXXXXX)
trap 'rm -rf "$work"' EXIT
skip() { echo "boot test skipped: $*"; exit 0; }

[ "$(uname -m)" = x86_64 ] || skip "it boots x86_64 kernels only"
command -v qemu-system-x86_64 >/dev/null || skip "no qemu-system-x86_64 (apt-get install qemu-system-x86)"
command -v busybox >/dev/null || skip "no busybox (apt-get install busybox)"
kernel=${KERNEL:-} modules=${MODULES:-/lib/modules}
if [ -z "$kernel" ]; then
  cd "$work"
  meta=linux-image-cloud-amd64
  package=$(apt-cache depends "$meta" 2>/dev/null | sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p' | head -1)
  [ -n "$package" ] || skip "apt knows no $meta; name a kernel with KERNEL=/boot/vmlinuz-…"
  apt-get download -q "$package" >/dev/null 2>&1 || skip "$package cannot be downloaded"
  dpkg-deb --fsys-tarfile "$package"*.deb | tar xf - --wildcards './boot/vmlinuz-*' './lib/modules/*'
  modules=$work/lib/modules
  kernel=$(ls "$work"/boot/vmlinuz-*)
fi

# A tree with busybox, files of all sizes, links, and an /init that checks them.
tree=$work/root/img/rootimg
mkdir -p "$tree"/{bin,proc,dev,data,etc,opt} "$work/root/install/postscripts"
cp "$(command -v busybox)" "$tree/bin/busybox"
ldd "$tree/bin/busybox" 2>/dev/null | grep -o '/[^ ]*' | while read -r library; do
  mkdir -p "$tree$(dirname "$library")"
  cp -L "$library" "$tree$library"
done
for size in 0 1 4095 65537 3000000; do head -c "$size" /dev/urandom >"$tree/data/noise-$size"; done
seq 1 500000 >"$tree/data/text"
ln "$tree/data/text" "$tree/data/hard"
ln -s text "$tree/data/soft"
(cd "$tree" && find bin data lib* -type f -exec sha256sum {} +) >"$work/sums"
mv "$work/sums" "$tree/sums"
cat >"$tree/init" <<'END'
#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
cd /
secrets=there
[ ! -e /etc/munge/munge.key ] && [ ! -e /etc/ssh/ssh_host_rsa_key ] && [ -d /etc/ssh ] &&
  /bin/busybox grep -q '^admin:\*:19000:' /etc/shadow && secrets=none
if /bin/busybox sha256sum -s -c /sums && [ "$(/bin/busybox stat -c %h /data/text)" = 2 ] &&
  [ "$(/bin/busybox readlink /data/soft)" = text ]; then
  echo "imgstore-boot: $(/bin/busybox wc -l </sums) files are right, $(/bin/busybox head -1 /opt/xcat/xcatinfo), secrets: $secrets"
else
  echo "imgstore-boot: WRONG"
fi
/bin/busybox sed 's/^/node-file: /' /opt/xcat/xcatinfo
/bin/busybox poweroff -f
END
chmod 755 "$tree/init"

# With tables of xCAT, pack makes the changes of packimage, such as opt/xcat/xcatinfo.
mkdir -p "$work/tables"
export IMGSTORE_STORE=$work/store IMGSTORE_ROOT=$work/root IMGSTORE_XCAT_DIR=$work/tables IMGSTORE_CONFIG_DIR=$work/config
"$binary" define img provmethod=netboot rootimgdir=/img profile=p osvers=x osarch=x86_64 >/dev/null
# Boots $work/initrd: FORM, and the line that its console must show.
failed=0
boot() {
  started=$SECONDS
  # Interpreted: a nested KVM may be there and not work, and half a minute is short enough.
  timeout "${SECONDS_EACH:-240}" qemu-system-x86_64 -accel "${ACCEL:-tcg}" -m 1024 -nographic -no-reboot -net none \
    -kernel "$kernel" -initrd "$work/initrd" -append "console=ttyS0 rdinit=/init panic=-1 quiet no_timer_check" \
    </dev/null >"$work/console" 2>&1 || true
  if line=$(grep -ao "$2" "$work/console"); then
    echo "cpio, $1: booted in $((SECONDS - started)) s: $line"
  else
    echo "cpio, $1: did not boot as it should; the console's last lines:"
    tail -20 "$work/console"
    failed=1
  fi
}
# A stand-in of xdsh, which answers for the node that booted: with the file that its /init printed.
mkdir -p "$work/xcat/bin"
cat >"$work/xcat/bin/xdsh" <<'END'
#!/bin/sh
tr -d '\r' <"$(dirname "$0")/../../console" | sed -n "s/^.*node-file: /$1: /p"
END
chmod 755 "$work/xcat/bin/xdsh"
# The node that booted leads to the snapshot that was packed: EXPECTED.
which_node() {
  found=$(XCATROOT=$work/xcat "$binary" which node1 2>&1 || true)
  case $found in
    "node1 runs $1,"*) echo "the node runs $1" ;;
    *) echo "which node1 should find $1, but says: $found"; failed=1 ;;
  esac
}
for form in gzip zstd xz; do
  echo "$form" >"$tree/etc/form"
  "$binary" pack img -q --compress "$form" --output "$work/initrd" >/dev/null
  boot "$form" "imgstore-boot: [0-9]* files are right, IMAGENAME='img'"
  number=$("$binary" log img -n 1 | sed -n 's/^@\([0-9]*\) .*/\1/p')
  which_node "img@$number"
done

# The same image with secrets, exported without them: the packed image of the bundle boots. Its /init finds all files
# right, accounts without passwords, and no key.
mkdir -p "$tree/etc/ssh" "$tree/etc/munge" "$work/root/install/custom" "$work/bundle"
echo "admin:\$6\$salt\$$(head -c 64 /dev/urandom | base64 -w 0 | tr '+' '.'):19000:0:99999:7:::" >"$tree/etc/shadow"
head -c 32 /dev/urandom | base64 | tee "$tree/etc/munge/munge.key" >"$tree/etc/ssh/ssh_host_rsa_key"
echo kernel >"$work/root/img/kernel"
echo bash >"$work/root/install/custom/p.pkglist"
"$binary" define img pkglist=/install/custom/p.pkglist >/dev/null
for form in gzip xz; do
  rm -f "$work"/root/img/rootimg.* "$work/root/img/initrd-stateless.gz"
  "$binary" pack img -q --compress "$form" >/dev/null
  cp "$work"/root/img/rootimg.cpio.* "$work/root/img/initrd-stateless.gz"
  "$binary" export img "$work/scrubbed.tgz" --scrub -q >/dev/null
  tar xzf "$work/scrubbed.tgz" -C "$work/bundle"
  # The ramdisk is a copy of the packed image here: both were written again.
  cp "$work/bundle/img/initrd-stateless.gz" "$work/initrd"
  boot "$form, scrubbed" "imgstore-boot: [0-9]* files are right, IMAGENAME='img', secrets: none"
done
"$here/boot-serve-test.sh" "$binary" "$kernel" "$modules" || failed=1
exit $failed
