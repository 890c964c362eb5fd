#!/usr/bin/env python3
"""Checks documents that commands printed against docs/schema.

    validate.py SCHEMAS DOCUMENTS

SCHEMAS is a folder of KIND.json; DOCUMENTS is a folder with one document a file. A document is checked against the
schema that its key "document" names. The schemas allow unknown keys and values; here they are errors, so that none is
undocumented. Prints the kinds that were seen, one a line; exit code 1 and the findings where a document does not fit.
"""

import json
import os
import sys

from jsonschema import Draft202012Validator


def closed(schema):
    """Returns the schema with unknown keys, and unknown values of enumerations, forbidden."""
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    result = {key: closed(part) for key, part in schema.items()}
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        result.setdefault("additionalProperties", False)
    if "examples" in schema and schema.get("type") == "string":
        result["enum"] = schema["examples"]
    return result


def main():
    schemas, documents = sys.argv[1:3]
    validators = {}
    for name in sorted(os.listdir(schemas)):
        with open(os.path.join(schemas, name), encoding="utf-8") as file:
            schema = json.load(file)
        Draft202012Validator.check_schema(schema)
        validators[name.removesuffix(".json")] = Draft202012Validator(closed(schema))
    findings, seen = [], set()
    for name in sorted(os.listdir(documents)):
        try:
            with open(os.path.join(documents, name), encoding="utf-8") as file:
                document = json.load(file)
            kind = document["document"]
            validator = validators[kind]
        except (ValueError, KeyError, TypeError) as error:
            findings.append(f"{name}: no document of a known kind: {error!r}")
            continue
        seen.add(kind)
        for error in validator.iter_errors(document):
            place = "/".join(str(part) for part in error.absolute_path)
            findings.append(f"{name}: {kind}: /{place}: {error.message[:300]}")
    print("\n".join(sorted(seen)))
    for finding in findings:
        print(finding, file=sys.stderr)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
