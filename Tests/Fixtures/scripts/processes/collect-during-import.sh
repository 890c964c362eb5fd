#!/bin/bash
# Runs gc twice: while an import waits for its input, and after the import was killed. Prints the status
# of each.
# Arguments: PROGRAM FOLDER
set -u
mkfifo "$2/pipe"; sleep 4 >"$2/pipe" & sleeper=$!
"$1" import - <"$2/pipe" >/dev/null 2>&1 & importer=$!
sleep 0.5
"$1" gc --max-time 1s; echo "status $?"
kill -9 $importer $sleeper; wait 2>/dev/null
"$1" gc; echo "status $?"
