#!/usr/bin/env bash
# Boots a node in qemu from `imgstore serve`, by iPXE over qemu's user network, as a node of a cluster boots:
#   boot-serve-test.sh BINARY KERNEL MODULES
# iPXE loads the script of a tag, then kernel and ramdisk. The ramdisk's /init loads the root image from `imgurl`,
# unpacks or mounts it, and runs a program in it, which prints a line. The tag moves, and a second node boots the
# other snapshot. Another node boots by GRUB, which loads kernel and ramdisk over HTTP. MODULES is the directory of the
# kernel's modules. Where a tool is missing, it says so and ends with status 0.
set -euo pipefail
binary=$(realpath "$1") kernel=$(realpath "$2") modules=$(realpath "$3")
work=$(mktemp -d /var/tmp/imgstore-boot-serve-XXXXXX)
server=
stop() { [ -z "$server" ] || kill "$server" 2>/dev/null || true; rm -rf "$work"; }
trap stop EXIT
skip() { echo "boot from the server skipped: $*"; exit 0; }
command -v qemu-system-x86_64 >/dev/null || skip "no qemu-system-x86_64 (apt-get install qemu-system-x86)"
command -v busybox >/dev/null || skip "no busybox (apt-get install busybox)"
# qemu loads the ROM of its network card from one of these.
[ -e /usr/lib/ipxe/qemu/efi-virtio.rom ] || [ -e /usr/share/qemu/efi-virtio.rom ] ||
  skip "no ROM of iPXE (apt-get install ipxe-qemu)"

# Copies busybox and its libraries into a tree.
add_busybox() {
  mkdir -p "$1"/{bin,proc,sys,dev,tmp}
  cp "$(command -v busybox)" "$1/bin/busybox"
  { ldd "$1/bin/busybox" 2>/dev/null || true; } | { grep -o '/[^ ]*' || true; } | while read -r library; do
    mkdir -p "$1$(dirname "$library")"
    cp -L "$library" "$1$library"
  done
}

# The ramdisk: modules for the network and the root image, and an /init that does what xCAT's xcatroot does.
image=$work/root/img
initrd=$work/initrd
mkdir -p "$image/rootimg/etc" "$work/tables" "$initrd/modules"
add_busybox "$initrd"
for name in virtio virtio_ring virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci failover net_failover virtio_net \
  loop squashfs; do
  file=$(find "$modules" -name "$name.ko" | head -1)
  # A module may be built in.
  [ -z "$file" ] || { cp "$file" "$initrd/modules/"; echo "$name" >>"$initrd/modules/order"; }
done
cat >"$initrd/udhcpc.sh" <<'END'
#!/bin/busybox sh
[ "$1" = bound ] || exit 0
/bin/busybox ifconfig "$interface" "$ip" netmask "$subnet" up
/bin/busybox route add default gw "$router" 2>/dev/null
exit 0
END
cat >"$initrd/init" <<'END'
#!/bin/busybox sh
export PATH=/bin
/bin/busybox --install -s /bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
fail() { echo "imgstore-node: WRONG: $*"; sleep 1; poweroff -f; }
# In any order: a module that needs another one is tried again.
for round in 1 2 3 4; do
  for name in $(cat /modules/order); do
    grep -q "^$name " /proc/modules || insmod "/modules/$name.ko" 2>/dev/null
  done
done
for try in 1 2 3 4 5; do [ -e /sys/class/net/eth0 ] && break; sleep 1; done
ifconfig eth0 up
udhcpc -i eth0 -s /udhcpc.sh -q -n >/dev/null 2>&1 || fail "no address"
for word in $(cat /proc/cmdline); do
  case $word in imgurl=*) imgurl=${word#imgurl=} ;; esac
done
[ -n "$imgurl" ] || fail "no imgurl"
file=${imgurl##*/}
cd /tmp
wget -q -O "$file" "$imgurl" || fail "no $imgurl"
mkdir /newroot
case $file in
  *.sfs) mount -t squashfs -o loop,ro "/tmp/$file" /newroot || fail "no squashfs" ;;
  *) (cd /newroot && gzip -dc "/tmp/$file" | cpio -idm 2>/dev/null) || fail "no archive" ;;
esac
echo "imgstore-node: $file, $(chroot /newroot /bin/busybox cat /etc/state), $(sha256sum <"$file" | cut -c1-64)"
sleep 1
poweroff -f
END
chmod 755 "$initrd/init" "$initrd/udhcpc.sh"
cp "$kernel" "$image/kernel"
(cd "$initrd" && find . | cpio -o -H newc --quiet | gzip -1) >"$image/initrd-stateless.gz"
add_busybox "$image/rootimg"

export IMGSTORE_STORE=$work/store IMGSTORE_ROOT=$work/root IMGSTORE_XCAT_DIR=$work/tables IMGSTORE_CONFIG_DIR=$work/config
"$binary" define img provmethod=netboot rootimgdir=/img profile=p osvers=x osarch=x86_64 \
  "addkcmdline=console=ttyS0 rdinit=/init panic=-1 quiet no_timer_check" >/dev/null
for state in one two; do
  echo "state $state" >"$image/rootimg/etc/state"
  "$binary" snapshot img -q
done
"$binary" tag img@1 production >/dev/null

port=$((20000 + RANDOM % 20000))
"$binary" serve --listen "127.0.0.1:$port" --public-boot --cache "$work/cache" >"$work/server.log" 2>&1 &
server=$!
for _ in $(seq 100); do
  curl -sf "http://127.0.0.1:$port/boot/" >/dev/null 2>&1 && break
  kill -0 "$server" 2>/dev/null || { cat "$work/server.log"; exit 1; }
  sleep 0.1
done

failed=0
# Boots a node: LOADER, the options of its network, FILE that it loads, STATE that it prints, and the snapshot.
boot() {
  started=$SECONDS
  timeout "${SECONDS_EACH:-180}" qemu-system-x86_64 -accel "${ACCEL:-tcg}" -m 1024 -nographic -no-reboot \
    -netdev "user,id=net,$2" -device virtio-net-pci,netdev=net -boot n </dev/null >"$work/console" 2>&1 || true
  sum=$(curl -sf "http://127.0.0.1:$port/boot/$5/$3" | sha256sum | cut -c1-64)
  if grep -aq "imgstore-node: $3, state $4, $sum" "$work/console"; then
    echo "$1, $3 of $5: booted in $((SECONDS - started)) s: state $4"
  else
    echo "$1, $3 of $5: did not boot as it should; the console's last lines:"
    tail -25 "$work/console"
    tail -5 "$work/server.log"
    failed=1
  fi
}
script=bootfile=http://10.0.2.2:$port/boot/img@production/ipxe
boot iPXE "$script" rootimg.cpio.gz one img@1
"$binary" tag img@2 production --move >/dev/null
boot iPXE "$script" rootimg.cpio.gz two img@2
boot iPXE "$script?rootimg=rootimg.sfs" rootimg.sfs two img@2

# GRUB comes by TFTP, as from a DHCP server's next-server, with the commands of the manual.
if command -v grub-mknetdir >/dev/null && [ -d /usr/lib/grub/i386-pc ]; then
  grub-mknetdir --net-directory="$work/tftp" --subdir=grub -d /usr/lib/grub/i386-pc --modules="http net linux" \
    >/dev/null 2>&1
  cat >"$work/tftp/grub/grub.cfg" <<END
set root=(http,10.0.2.2:$port)
linux /boot/img@1/kernel imgurl=http://10.0.2.2:$port/boot/img@1/rootimg.cpio.gz console=ttyS0 rdinit=/init panic=-1 quiet no_timer_check
initrd /boot/img@1/initrd
boot
END
  boot GRUB "tftp=$work/tftp,bootfile=grub/i386-pc/core.0" rootimg.cpio.gz one img@1
else
  echo "GRUB skipped: no grub-mknetdir, or no modules (apt-get install grub-common grub-pc-bin)"
fi
exit $failed
