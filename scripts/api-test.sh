#!/usr/bin/env bash
# The API against its description, with generated requests: api-test.sh BINARY [EXAMPLES]. schemathesis (PyPI, installed
# below .build) makes the requests from /api/v1/openapi.json, and checks status, content type and schema of each answer.
set -euo pipefail
cd "$(dirname "$0")/.."
environment=.build/api-test
if [ ! -e "$environment/ready" ]; then
  python3 -m venv "$environment"
  "$environment/bin/pip" install --quiet schemathesis==4.32.5
  touch "$environment/ready"
fi
exec "$environment/bin/python" Tests/Browser/api_test.py "$1" "$environment/bin/schemathesis" "${2:-100}"
