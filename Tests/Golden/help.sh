#!/usr/bin/env bash
# What the program says of itself at 80 columns: imgstore alone, and the help of each command: help.sh BINARY
set -euo pipefail
imgstore=$(realpath "$1")
export COLUMNS=80 HOME=/root
"$imgstore"
commands=$("$imgstore" --experimental-dump-help | python3 -c '
import json, sys

for command in json.load(sys.stdin)["command"]["subcommands"]:
    if command["commandName"] != "help" and command.get("shouldDisplay", True):
        print(command["commandName"])
        for inner in command.get("subcommands", []):
            if inner["commandName"] != "help":
                print(command["commandName"], inner["commandName"])
')
printf '\n===== imgstore help --all\n\n'
"$imgstore" help --all
while read -r -a command; do
  printf '\n===== imgstore help %s\n\n' "${command[*]}"
  "$imgstore" help "${command[@]}" </dev/null
done <<<"$commands"
