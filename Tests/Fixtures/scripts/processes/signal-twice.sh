#!/bin/bash
# Sends two SIGTERM to a revert whose steps, the first excepted, take half a minute each. Exits with the
# status of the revert.
# Environment: imgstore (the program), IMGSTORE_STORE, IMGSTORE_ROOT
strace -D -f -qq -o /dev/null -e trace=renameat,renameat2 \
  -e inject=renameat,renameat2:delay_enter=30000000:when=2+ \
  $imgstore revert img@1 --in-place & pid=$!
until find "$IMGSTORE_ROOT/img/rootimg" -size +200k | grep -q .; do sleep 0.1; done
sleep 2
kill -TERM $pid; sleep 1; kill -TERM $pid; wait $pid
