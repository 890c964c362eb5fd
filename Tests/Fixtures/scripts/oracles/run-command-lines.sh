#!/bin/bash
# Runs command lines in bash, with functions in place of programs that print their words. Each line runs
# in a restricted shell, which neither writes files nor starts programs of other folders. Prints the
# words of each line, then "end", then the files, all of them ended by a NUL.
# Arguments: LINES FOLDER [interactive]. LINES are ended by a NUL. With "interactive", "!" is expanded as
# an interactive shell does.
set -o histexpand; cd "$2"; mkdir work; cd work
# Patterns match these files.
touch victim v 7 link A=v
for name in rm mkdir cp mv ln touch cat tool ilitefile xdcp umount mount; do
  eval "$name() { printf '%s\0' $name \"\$@\"; }"
done
while IFS= read -r -d '' line; do
  # `history -p` prints the result of "!" in an interactive shell.
  case "${3-} $line" in interactive*!*)
    set -o history
    new=$(history -p -- "$line" 2>/dev/null) || new="$line no such event"
    set +o history; line=$new;;
  esac
  ( set -r; eval "$line" ) 2>../errors </dev/null
  if [ -s ../errors ]; then printf 'said something\0'; fi
  printf 'end\0'
done <"$1"
printf '%s\0' *
