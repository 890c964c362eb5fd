#!/usr/bin/env bash
# A Ceph RADOS gateway of one monitor, manager, OSD and radosgw on the loopback address, for tests and benchmarks.
#   ceph.sh start DIRECTORY [PORT]   starts it with all its files in DIRECTORY, on PORT or a free one, and prints
#                                    the variables AWS_* of an account that may do everything
#   ceph.sh stop DIRECTORY           stops it; the directory stays
#   ceph.sh check                    exits with 0 if the programs are installed and the user is root
# The OSD keeps objects in memory, at most IMGSTORE_CEPH_GIB (8) GiB. Daemons do not authenticate each other.
set -euo pipefail

programs=(ceph ceph-mon ceph-mgr ceph-osd monmaptool radosgw radosgw-admin)
daemons=(radosgw osd mgr mon)

fail() { echo "ceph.sh: $*" >&2; exit 1; }

check() {
  [ "$(id -u)" = 0 ] || fail "needs root"
  local program
  for program in "${programs[@]}"; do
    command -v "$program" >/dev/null || fail "$program is missing: scripts/deps.sh installs it"
  done
}

free_port() {
  python3 -c 'import socket
while True:
  a, b = socket.socket(), socket.socket()
  a.bind(("127.0.0.1", 0))
  port = a.getsockname()[1]
  try: b.bind(("127.0.0.1", port + 1))
  except (OSError, OverflowError): continue
  print(port)
  break'
}

write_configuration() {  # DIRECTORY PORT FSID
  cat >"$1/ceph.conf" <<END
[global]
fsid = $3
mon_host = [v2:127.0.0.1:$(($2 + 1))/0]
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
# Without authentication there is no key to encrypt with.
ms_mon_client_mode = crc
mon_allow_pool_size_one = true
mon_data_avail_warn = 1
mon_data_avail_crit = 1
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 4
osd_pool_default_pgp_num = 4
osd_crush_chooseleaf_type = 0
run_dir = $1
admin_socket = $1/\$name.asok
log_file = $1/\$name.log
setuser_match_path = $1/none
[mon]
mon_data = $1/mon
pid_file = $1/mon.pid
[mgr]
mgr_data = $1/mgr
mgr_initial_modules =
pid_file = $1/mgr.pid
[osd]
osd_data = $1/osd
osd_objectstore = memstore
memstore_device_bytes = $((${IMGSTORE_CEPH_GIB:-8} << 30))
osd_memory_target = 939524096
pid_file = $1/osd.pid
[client.admin]
rgw_frontends = beast endpoint=127.0.0.1:$2
rgw_thread_pool_size = 128
rgw_enable_usage_log = false
# Deleted objects free their memory at once, not after two hours.
rgw_gc_obj_min_wait = 1
rgw_gc_processor_period = 2
rgw_gc_processor_max_time = 2
pid_file = $1/radosgw.pid
END
}

wait_for() {  # SECONDS COMMAND...
  local tries=$(($1 * 5))
  shift
  for _ in $(seq "$tries"); do
    if "$@" >/dev/null 2>&1; then return 0; fi
    sleep 0.2
  done
  return 1
}

# Closes what the caller left open: a program that waits for the end of a pipe must not wait for the daemons.
close_inherited() {
  local file
  for file in /proc/self/fd/*; do
    file=${file##*/}
    if [ "$file" -gt 2 ] && [ "$file" != 255 ]; then eval "exec $file>&-"; fi
  done
}

start() {
  check
  close_inherited
  local directory port id conf osd
  directory=$(mkdir -p "$1" && cd "$1" && pwd)
  port=${2:-$(free_port)}
  id=$(cat /proc/sys/kernel/random/uuid)
  osd=$(cat /proc/sys/kernel/random/uuid)
  conf=$directory/ceph.conf
  [ ! -e "$conf" ] || fail "$directory has a gateway already"
  trap 'stop "$directory"' ERR
  mkdir -p "$directory"/{mon,mgr,osd}
  write_configuration "$directory" "$port" "$id"
  {
    monmaptool --create --fsid "$id" --addv a "[v2:127.0.0.1:$((port + 1))]" "$directory/monmap"
    ceph-mon -c "$conf" -i a --mkfs --monmap "$directory/monmap"
    ceph-mon -c "$conf" -i a
    ceph -c "$conf" --connect-timeout 30 osd new "$osd" 0
    ceph-mgr -c "$conf" -i a
    ceph-osd -c "$conf" -i 0 --mkfs --osd-uuid "$osd"
    ceph-osd -c "$conf" -i 0
    wait_for 60 bash -c "ceph -c '$conf' --connect-timeout 5 osd stat | grep -q '1 up'"
    timeout 60 radosgw -c "$conf" -n client.admin
    wait_for 120 bash -c "exec 3<>/dev/tcp/127.0.0.1/$port"
    timeout 60 radosgw-admin -c "$conf" user create --uid=imgstore --display-name=imgstore \
      --access-key=imgstore-access --secret-key=imgstore-secret
  } >"$directory/start.log" 2>&1 || { tail -5 "$directory/start.log" >&2; fail "the gateway does not start"; }
  trap - ERR
  cat <<END
AWS_ENDPOINT_URL=http://127.0.0.1:$port
AWS_ACCESS_KEY_ID=imgstore-access
AWS_SECRET_ACCESS_KEY=imgstore-secret
AWS_REGION=us-east-1
END
}

stop() {
  local daemon process
  for daemon in "${daemons[@]}"; do
    process=$(cat "$1/$daemon.pid" 2>/dev/null) || continue
    kill "$process" 2>/dev/null || continue
    # The state of the cluster ends with it, so nothing waits for an orderly end.
    wait_for 1 bash -c "! kill -0 $process" || kill -KILL "$process" 2>/dev/null || true
  done
}

case ${1:-} in
  start) start "${2:?usage: ceph.sh start DIRECTORY [PORT]}" "${3:-}" ;;
  stop) stop "${2:?usage: ceph.sh stop DIRECTORY}" ;;
  check) check ;;
  *) echo "usage: ceph.sh start DIRECTORY [PORT] | stop DIRECTORY | check" >&2; exit 2 ;;
esac
