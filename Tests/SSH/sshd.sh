#!/usr/bin/env bash
# An ssh server of the tests: on a free port of 127.0.0.1, with keys of its own, for the user who starts it.
#   sshd.sh start DIR    makes keys and settings in DIR, starts the server, and prints its port
#   sshd.sh stop DIR     ends it
# Commands of clients find programs in PATH, and first in the directory IMGSTORE_BIN, if that is set.
# DIR/client is the identity of a client, DIR/authorized_keys the file that the server reads, DIR/known_hosts the host's
# key. DIR/ssh starts ssh with them and nothing of the user: IMGSTORE_SSH takes it.
set -euo pipefail
action=$1 dir=$2
server=$(command -v sshd || echo /usr/sbin/sshd)

case $action in
  start)
    [ -x "$server" ] || { echo "sshd.sh: no sshd (package openssh-server)" >&2; exit 3; }
    mkdir -p "$dir"
    chmod 700 "$dir"
    for key in host client; do
      [ -e "$dir/$key" ] || ssh-keygen -q -t ed25519 -N '' -C "$key of the tests" -f "$dir/$key"
    done
    [ -e "$dir/authorized_keys" ] || cp "$dir/client.pub" "$dir/authorized_keys"
    # sshd wants this directory, which only its service creates.
    if [ "$(id -u)" = 0 ]; then mkdir -p /run/sshd; fi
    for _ in 1 2 3 4 5; do
      port=$((20000 + RANDOM % 20000))
      cat >"$dir/sshd_config" <<-END
		ListenAddress 127.0.0.1:$port
		HostKey $dir/host
		PidFile $dir/pid
		AuthorizedKeysFile $dir/authorized_keys
		StrictModes no
		UsePAM no
		PasswordAuthentication no
		KbdInteractiveAuthentication no
		PermitRootLogin prohibit-password
		PermitUserEnvironment no
		MaxStartups 100
		SetEnv PATH=${IMGSTORE_BIN:+$IMGSTORE_BIN:}$PATH
		LogLevel VERBOSE
		Subsystem sftp internal-sftp
	END
      echo "[127.0.0.1]:$port $(cat "$dir/host.pub")" >"$dir/known_hosts"
      cat >"$dir/ssh" <<-END
		#!/bin/sh
		exec ssh -F none -i '$dir/client' -o IdentitiesOnly=yes -o UserKnownHostsFile='$dir/known_hosts' \\
		  -o GlobalKnownHostsFile=/dev/null -o StrictHostKeyChecking=yes "\$@"
	END
      chmod 700 "$dir/ssh"
      "$server" -f "$dir/sshd_config" -E "$dir/log" </dev/null >/dev/null 2>&1 || continue
      for _ in $(seq 50); do
        if [ -e "$dir/pid" ]; then
          echo "$port"
          exit 0
        fi
        sleep 0.1
      done
    done
    echo "sshd.sh: the server does not start" >&2
    tail -3 "$dir/log" >&2
    exit 1
    ;;
  stop) if [ -e "$dir/pid" ]; then kill "$(cat "$dir/pid")" 2>/dev/null || true; fi ;;
  *) exit 2 ;;
esac
