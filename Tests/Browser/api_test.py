#!/usr/bin/env python3
"""Generated requests against the API: api_test.py BINARY SCHEMATHESIS EXAMPLES

Two runs: with generated names, which mostly do not exist, and with names of the store and generated other parameters.
"""
import subprocess
import sys
import tempfile

from server import Site

# RFC 9110 wants 501 for a method that the server does not know, and schemathesis takes that for a fault.
METHODS = """
[phases.coverage]
unexpected-methods = ["DELETE", "PUT", "POST", "PATCH", "OPTIONS"]
"""
NAMES = """
[parameters]
"path.image" = "compute"
"path.ref" = "golden"
"query.path" = "etc/motd"
"query.old" = "compute@golden"
"query.new" = "compute@testing"
"""
CHECKS = ("not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"
          "response_schema_conformance,negative_data_rejection,unsupported_method")


def main():
    binary, schemathesis, examples = sys.argv[1:]
    failed = False
    with Site(binary) as site:
        for settings in (METHODS, METHODS + NAMES):
            with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
                file.write(settings)
                file.flush()
                result = subprocess.run(
                    [schemathesis, "--config-file", file.name, "run", site.url + "/api/v1/openapi.json", "--max-examples",
                     examples, "--checks", CHECKS, "--continue-on-failure", "--seed", "20261130"], check=False)
                failed = failed or result.returncode != 0
    sys.exit(failed)


main()
