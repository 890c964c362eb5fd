#!/usr/bin/env python3
"""Stands in for the actions plugin of dnf 5: libdnf5-actions.py FILE CALLBACK INSTALLROOT [VERSION]

It parses and runs a file of actions as libdnf5-plugins/actions/actions.cpp of dnf 5.4 does: the five fields, the options,
the splitting at spaces that no backslash precedes, the variable ${conf.installroot}, the unescaping, and the lines of
standard output, of which none may be unknown. A plugin before version 1.4.0 does not know raise_error.
"""

import re
import subprocess
import sys

CALLBACKS = ["pre_base_setup", "post_base_setup", "repos_configured", "repos_loaded", "pre_add_cmdline_packages",
             "post_add_cmdline_packages", "goal_resolved", "pre_transaction", "post_transaction"]
ESCAPES = dict(a="\a", b="\b", f="\f", n="\n", r="\r", t="\t", v="\v")
OUTPUT = re.compile(r"(tmp\.\w+(=.*)?|conf\.[^=]+=.*|var\.\w+=.*|stop=.*|error=.*|log\.[A-Z]+=.*)$")


def split(text):
    return re.findall(r"(?:\\.|[^ \\])+", text)


def unescape(text):
    return re.sub(r"\\(.)", lambda match: ESCAPES.get(match[1], match[1]), text)


def parse(path, version):
    for number, line in enumerate(open(path), 1):
        line = line.rstrip("\r\n")
        if not line or line.startswith("#"):
            continue
        fields = line.split(":", 4)
        if len(fields) != 5 or fields[0] not in CALLBACKS or fields[1] or fields[2]:
            raise SystemExit(f"{path}, line {number}: HOOK:PKG_FILTER:DIRECTION:OPTIONS:CMD expected")
        options = dict(option.split("=", 1) for option in split(fields[3]))
        known = ["enabled"] + (["mode"] if version >= (1, 2) else []) + (["raise_error"] if version >= (1, 4) else [])
        for name in options:
            if name not in known:
                raise SystemExit(f"{path}, line {number}: Unknown option \"{name}\"")
        yield fields[0], options, split(fields[4])


def main():
    path, callback, root = sys.argv[1:4]
    version = tuple(int(part) for part in (sys.argv[4] if len(sys.argv) > 4 else "1.4.0").split("."))
    for name, options, words in list(parse(path, version)):
        enabled = options.get("enabled", "1")
        if name != callback or enabled == "installroot-only" and root == "/" or enabled == "host-only" and root != "/":
            continue
        words = [unescape(word.replace("${conf.installroot}", root)) for word in words]
        if any("${" in word for word in words):
            raise SystemExit("unknown variable")
        problem = None
        try:
            result = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
            if result.returncode:
                problem = f"exit code {result.returncode}"
            for line in result.stdout.splitlines():
                if not OUTPUT.match(line):
                    problem = f"syntax error in output: {line}"
        except OSError as error:
            problem = str(error)
        if problem:
            print(f"action {words[0]}: {problem}", file=sys.stderr)
            if options.get("raise_error") == "1":
                sys.exit(1)


main()
