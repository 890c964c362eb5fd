#!/usr/bin/env bash
# Shell completions, from the program itself: completions.sh BINARY FOLDER
set -euo pipefail
mkdir -p "$2"
"$1" completion bash >"$2/imgstore.bash"
"$1" completion zsh >"$2/_imgstore"
"$1" completion fish >"$2/imgstore.fish"
