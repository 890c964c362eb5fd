#!/usr/bin/env python3
"""tls-relay.py CERTIFICATE KEY PORT: ends TLS on a free port of the loopback address, and relays to PORT.

Prints its own port. It ends when its standard input does."""
import os
import socket
import ssl
import sys
import threading

certificate, key, port = sys.argv[1:]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)


def copy(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass


def serve(raw):
    try:
        client = context.wrap_socket(raw, server_side=True)
    except OSError:
        return
    upstream = socket.create_connection(("127.0.0.1", int(port)))
    threading.Thread(target=copy, args=(client, upstream), daemon=True).start()
    copy(upstream, client)


def accept():
    while True:
        threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()


threading.Thread(target=accept, daemon=True).start()
sys.stdin.read()
os._exit(0)
