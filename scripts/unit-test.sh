#!/usr/bin/env bash
# Runs imgstore-serve.socket and imgstore-serve.service under a real systemd: a Debian root with the package boots in
# qemu, starts the units, loads pages and boot files, and compares them with those of `pack`. Then the service serves a
# remote.
#   unit-test.sh DEB KERNEL INITRD
# INITRD needs the modules virtio_blk and ext4, as Debian's has. It needs root for debootstrap. It takes some minutes
# without KVM: a processor is emulated. Where a tool is missing, it says so and ends with status 0.
set -euo pipefail
[ $# = 3 ] || { sed -n '2,/^set/s/^# \{0,1\}//p' "$0" | sed '$d'; exit 2; }
skip() { echo "unit test skipped: $*"; exit 0; }
[ -e "$2" ] && [ -e "$3" ] || skip "no kernel $2 or no initrd $3: name them with KERNEL and INITRD"
deb=$(realpath "$1") kernel=$(realpath "$2") initrd=$(realpath "$3")
[ "$(id -u)" = 0 ] || skip "it needs root for debootstrap"
for tool in qemu-system-x86_64 debootstrap mkfs.ext4; do
  command -v "$tool" >/dev/null || skip "no $tool (apt-get install qemu-system-x86 debootstrap e2fsprogs)"
done
work=$(mktemp -d /var/tmp/imgstore-unit-XXXXXX)
trap 'rm -rf --one-file-system "$work"' EXIT
root=$work/root
debootstrap --variant=minbase --include=systemd,systemd-sysv,curl "${SUITE:-bookworm}" "$root" >"$work/log" 2>&1 ||
  { tail -3 "$work/log"; skip "debootstrap failed"; }
cp "$deb" "$root/tmp/imgstore.deb"
chroot "$root" dpkg -i /tmp/imgstore.deb >"$work/log" 2>&1 || { tail -5 "$work/log"; exit 1; }
: >"$root/etc/fstab"
cat >"$root/root/guest.sh" <<'END'
#!/bin/sh
# Runs in the guest. Each line of the result begins with "unit-test:".
exec >/dev/console 2>&1
say() { echo "unit-test: $*"; }
ok() { name=$1; shift; if "$@" >/tmp/out 2>&1; then say "ok: $name"; else say "FAILED: $name"; head -5 /tmp/out; fi; }
get() {
  rm -f "$2"
  curl -sS --fail-with-body --max-time 300 -o "$2" "http://127.0.0.1:7070$1" || { head -c 300 "$2"; return 1; }
}
same() { [ -s "$1" ] && cmp "$1" "$2"; }
has() { [ -n "$(find "$1" -type f -size +0 2>/dev/null)" ]; }
mkdir -p /srv/image/etc /srv/image/usr/share
cp -a /usr/share/doc/systemd /srv/image/usr/share/
imgstore init --quiet
imgstore add img /srv/image --quiet
for state in one two; do
  echo $state >/srv/image/etc/motd
  imgstore snapshot img --quiet
done
imgstore init --quiet --store /srv/remote
imgstore remote add depot /srv/remote --quiet
imgstore push depot --all --quiet
imgstore pack img@2 --output /tmp/two.cpio.gz --method cpio --compress gzip --quiet
ok "the socket starts" systemctl start imgstore-serve.socket
ok "the first connection starts the service" get /healthz /tmp/got
ok "the service is active" systemctl is-active imgstore-serve.service
ok "a packed image is made" get /boot/img@2/rootimg.cpio.gz /tmp/got
ok "it has the bytes of pack" same /tmp/got /tmp/two.cpio.gz
ok "a squashfs image is made" get /boot/img@1/rootimg.sfs /tmp/got
ok "a tar archive is made" get /boot/img@1/rootimg.tar.zst /tmp/got
for page in / /images/img/diff/1..2 /space /health /api/v1/images /metrics; do
  ok "the page $page" get "$page" /tmp/got
done
ok "the service reloads" systemctl reload imgstore-serve.service
ok "it answers after the reload" get /boot/img@2/rootimg.cpio.gz /tmp/got
ok "gc runs beside the server" imgstore gc --quiet
ok "encoded segments are kept" has /var/cache/imgstore/store/segments
process=/proc/$(systemctl show -p MainPID --value imgstore-serve.service)/status
ok "it has no capability" grep -q 'CapEff:.0000000000000000' "$process"
ok "it has a filter of system calls" grep -q 'Seccomp:.2' "$process"
ok "the units stop" systemctl stop imgstore-serve.socket imgstore-serve.service
ok "the service ended without a failure" test "$(systemctl show -p Result --value imgstore-serve.service)" = success
# A service node: an empty store, and a remote.
rm -rf /var/lib/imgstore
imgstore init --quiet --force
imgstore remote add depot /srv/remote --quiet
mkdir -p /etc/imgstore
printf '[serve]\nremote = "depot"\n' >/etc/imgstore/config.toml
rm -rf /var/cache/imgstore/files /var/cache/imgstore/records
ok "the service starts with a remote" systemctl start imgstore-serve.service
ok "a packed image of the remote is made" get /boot/img@2/rootimg.cpio.gz /tmp/got
ok "it has the bytes of pack" same /tmp/got /tmp/two.cpio.gz
ok "the objects of the remote are kept" has /var/cache/imgstore/store/remotes
journalctl -u imgstore-serve.service --no-pager -o cat | sed 's/^/journal: /'
say end
poweroff -f
END
chmod 755 "$root/root/guest.sh"
cat >"$root/etc/systemd/system/unit-test.service" <<'END'
[Unit]
After=multi-user.target
[Service]
Type=oneshot
ExecStart=/root/guest.sh
END
ln -s ../unit-test.service "$root/etc/systemd/system/multi-user.target.wants/unit-test.service"
truncate -s 4G "$work/disk"
mkfs.ext4 -q -d "$root" "$work/disk"
timeout "${SECONDS_ALL:-900}" qemu-system-x86_64 -accel "${ACCEL:-tcg}" -m 1024 -smp 2 -nographic -no-reboot -net none \
  -kernel "$kernel" -initrd "$initrd" -drive "file=$work/disk,format=raw,if=virtio" \
  -append "root=/dev/vda rw console=ttyS0 quiet panic=-1 no_timer_check systemd.show_status=0" \
  </dev/null >"$work/console" 2>&1 || true
grep -a '^unit-test: ' "$work/console" | tr -d '\r' | sed 's/^unit-test: /  /'
if grep -aq '^unit-test: FAILED' "$work/console" || ! grep -aq '^unit-test: end' "$work/console"; then
  tail -40 "$work/console"
  exit 1
fi
