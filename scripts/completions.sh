#!/usr/bin/env bash
# Shell completions, from the program itself: completions.sh BINARY FOLDER
set -euo pipefail
mkdir -p "$2"
"$1" --generate-completion-script bash >"$2/imgstore.bash"
"$1" --generate-completion-script zsh >"$2/_imgstore"
"$1" --generate-completion-script fish >"$2/imgstore.fish"
