#!/usr/bin/env bash
# Runs a script on another machine: enter.sh MACHINE SCRIPT PROGRAM FOLDER…. To be called in a mount namespace of its own.
# The machine has its own folders, and this machine's programs: /usr and the FOLDERs.
set -euo pipefail
machine=$1 script=$2 program=$3
shift 3
mount --make-rprivate /
# The machine has a mount at its root, as every machine has.
mount --bind "$machine" "$machine"
for folder in /usr /bin /sbin /lib /lib64 /dev /proc "$@"; do
  if [ -L "$machine$folder" ]; then
    continue
  elif [ -L "$folder" ]; then
    ln -s "$(readlink "$folder")" "$machine$folder"
  elif [ -d "$folder" ]; then
    mkdir -p "$machine$folder"
    mount --rbind "$folder" "$machine$folder"
  fi
done
mount --bind "$program" "$machine/opt/bin/imgstore"
cd "$machine"
exec chroot . /bin/bash "$script"
