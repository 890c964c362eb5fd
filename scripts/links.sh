#!/usr/bin/env bash
# The names of xCAT's commands that imgstore answers to, as links beside it: links.sh FOLDER.
# xCAT's own commands are never replaced: a name that is taken by anything else is left alone.
set -euo pipefail
for name in imgexport imgimport packimage liteimg; do
  link="$1/$name"
  if { [ -e "$link" ] || [ -L "$link" ]; } && [ "$(readlink "$link")" != imgstore ]; then
    echo "$link is something else's: left alone"
  else
    ln -sfn imgstore "$link"
  fi
done
