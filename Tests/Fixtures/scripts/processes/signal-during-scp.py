#!/usr/bin/env python3
# Runs a command, sends it a signal once its scp has started, and prints its exit status.
# Arguments: FOLDER SIGNAL COMMAND [ARGUMENT...]. SIGNAL is TERM, INT or HUP.
import os, signal, subprocess, sys, time
os.chdir(sys.argv[1])
# The test runner blocks them; a runner in the background may ignore some.
signal.pthread_sigmask(signal.SIG_SETMASK, [])
for name in "TERM", "INT", "HUP":
    signal.signal(getattr(signal, "SIG" + name), signal.SIG_DFL)
p = subprocess.Popen(sys.argv[3:], start_new_session=True)
for _ in range(2000):
    if os.path.exists("../scp.where"): break
    time.sleep(0.01)
p.send_signal(getattr(signal, "SIG" + sys.argv[2]))
p.wait(); print(p.returncode); sys.stdout.flush(); os.killpg(p.pid, signal.SIGKILL)
