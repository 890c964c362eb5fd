#!/usr/bin/env python3
# Runs a command with no signal blocked and the default actions of signals.
# Arguments: COMMAND [ARGUMENT...]
import os, signal, sys

signal.pthread_sigmask(signal.SIG_SETMASK, [])
for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
    signal.signal(number, signal.SIG_DFL)
os.execvp(sys.argv[1], sys.argv[1:])
