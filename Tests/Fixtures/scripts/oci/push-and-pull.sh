#!/bin/bash
# Copies an OCI archive to a registry on the loopback interface, and from there to the layout FOLDER/back.
# Prints the digest of the manifest in the registry. Arguments: FOLDER ARCHIVE NAME
set -eu
cd "$1"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
cat >registry.yml <<END
version: 0.1
log: {level: error}
storage: {filesystem: {rootdirectory: $PWD/registry}}
http: {addr: "127.0.0.1:$port"}
END
docker-registry serve registry.yml >registry.log 2>&1 &
registry=$!
trap 'kill $registry' EXIT
for _ in $(seq 100); do
  (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break
  sleep 0.1
done
skopeo copy --insecure-policy --dest-tls-verify=false "oci-archive:$2" "docker://127.0.0.1:$port/$3" >&2
skopeo inspect --tls-verify=false "docker://127.0.0.1:$port/$3" | python3 -c 'import json, sys; print(json.load(sys.stdin)["Digest"])'
skopeo copy --insecure-policy --src-tls-verify=false "docker://127.0.0.1:$port/$3" oci:back:t >&2
