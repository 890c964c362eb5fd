#!/usr/bin/env bash
# The JSON Schemas of all documents: schemas.sh BINARY FOLDER, and the description of the API next to the folder.
# JSONSchemaTests compares both with the program.
set -euo pipefail
mkdir -p "$2"
rm -f "$2"/*.json
for kind in $("$1" json-schema); do "$1" json-schema "$kind" >"$2/$kind.json"; done
"$1" json-schema --openapi >"$2/../openapi.json"
