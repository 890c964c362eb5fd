#!/usr/bin/env python3
"""Starts imgstore serve as systemd does: with a bound socket, and a socket for its messages.

usage: socket-activation.py NOTIFY-SOCKET IMGSTORE

Prints the messages, the status of /healthz after a reload, and the exit code.
"""
import http.client
import os
import signal
import socket
import sys
import time

path, binary = sys.argv[1:]
notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
notify.bind(path)
notify.settimeout(20)
listener = socket.create_server(("127.0.0.1", 0))
port = listener.getsockname()[1]

process = os.fork()
if process == 0:
    os.dup2(listener.fileno(), 3, inheritable=True)
    environment = dict(os.environ, LISTEN_FDS="1", LISTEN_PID=str(os.getpid()), NOTIFY_SOCKET=path)
    os.execve(binary, [binary, "serve", "-q"], environment)


def wait_for(word):
    while True:
        lines = notify.recv(4096).decode().splitlines()
        for line in lines:
            print(line, flush=True)
        if word in lines:
            return


wait_for("READY=1")
os.kill(process, signal.SIGHUP)
wait_for("RELOADING=1")
wait_for("READY=1")
connection = http.client.HTTPConnection("127.0.0.1", port)
connection.request("GET", "/healthz")
print("healthz", connection.getresponse().status, flush=True)
os.kill(process, signal.SIGTERM)
wait_for("STOPPING=1")
_, status = os.waitpid(process, 0)
print("exit", os.waitstatus_to_exitcode(status))
