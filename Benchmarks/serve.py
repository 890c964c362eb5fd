#!/usr/bin/env python3
"""Measures the HTTP server beside nginx with sendfile, in one run on one machine, over the loopback address.

usage: Benchmarks/serve.py SERVEFILE [--rounds N] [--seconds S] [--work DIRECTORY] [--json FILE] [--only warm|crowd|tls]
       Benchmarks/serve.py SERVEFILE --imgstore IMGSTORE --store STORE --url /boot/compute@1/rootimg.cpio.gz

SERVEFILE is .build/release/servefile, which serves one file by the module HTTPServer. With --imgstore, the program
itself serves a file of a snapshot, and the time of its first rendering is measured as well. It needs nginx and wrk
(scripts/deps.sh bench). Each row has a figure, the mark, and whether it was reached:

    warm    throughput of 1, 16 and 64 clients against nginx, the same file in the page cache; the time to the first byte
    crowd   1,000 idle and 200 loading clients: the server's peak memory, and the checksums of what they got
    tls     throughput of 16 clients with TLS against nginx
    render  a file that nobody has loaded yet, with warm segments, against nginx sending the finished file: pairs of
            both, and the median of their ratios. A first rendering that is not counted warms the segments
"""
import argparse
import contextlib
import hashlib
import multiprocessing
import os
import pathlib
import re
import shutil
import socket
import statistics
import subprocess
import sys
import threading
import time

from report import Mark, Report, Row

report = None

NGINX = """
worker_processes 2;
daemon off;
pid {work}/nginx.pid;
error_log {work}/nginx.log;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  sendfile on;
  tcp_nopush on;
  default_type application/octet-stream;
  client_body_temp_path {work}/nginx-body; proxy_temp_path {work}/nginx-proxy;
  fastcgi_temp_path {work}/nginx-fastcgi; uwsgi_temp_path {work}/nginx-uwsgi; scgi_temp_path {work}/nginx-scgi;
  server {{
    listen 127.0.0.1:{port} backlog=1024;
    root {work}/files;
  }}
  server {{
    listen 127.0.0.1:{tls_port} ssl backlog=1024;
    ssl_certificate {work}/cert.pem; ssl_certificate_key {work}/key.pem; ssl_protocols TLSv1.3;
    root {work}/files;
  }}
}}
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def running(*command, port, env=None):
    """Runs a server until the block ends."""
    process = subprocess.Popen([str(word) for word in command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                               env=env)
    try:
        for _ in range(200):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            if process.poll() is not None:
                sys.exit(f"{command[0]}: {process.stderr.read().decode()}")
            time.sleep(0.05)
        yield process
    finally:
        process.terminate()
        process.wait(60)


def throughput(url, clients, seconds):
    """The bytes a second that some clients load together, by wrk."""
    text = subprocess.run(["wrk", "-t", "1", "-c", str(clients), "-d", f"{seconds}s", "--timeout", "60s", url],
                          check=True, stdout=subprocess.PIPE, text=True).stdout
    amount, unit = re.search(r"Transfer/sec:\s+([\d.]+)([KMGT]?)B", text).groups()
    return float(amount) * {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}[unit]


def request(port, path, close=False):
    connection = socket.create_connection(("127.0.0.1", port))
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n"
                       f"{'Connection: close' + chr(13) + chr(10) if close else ''}\r\n".encode())
    return connection


def first_byte(port, path):
    """The longest of 50 times from the connect to the first byte of the body."""
    times = []
    for _ in range(50):
        start = time.monotonic()
        with request(port, path, close=True) as connection:
            head = b""
            while b"\r\n\r\n" not in head or head.endswith(b"\r\n\r\n"):
                head += connection.recv(65536)
        times.append(time.monotonic() - start)
    return max(times)


def compare(options, name, ours, theirs, clients):
    rates = [[], []]
    for round_number in range(options.rounds):
        # The first contestant changes, so that neither profits from its place.
        for index in ((0, 1) if round_number % 2 == 0 else (1, 0)):
            rates[index].append(throughput((ours, theirs)[index], clients, options.seconds))
    a, b = (statistics.median(each) for each in rates)
    report.add(Row(f"{name}: {clients} clients", "MB/s", {"imgstore": a / 1e6, "nginx": b / 1e6}, better="higher",
                   mark=Mark(ratio=0.9), rounds=options.rounds))


def measure_warm(options, port, path, nginx_port):
    for clients in (1, 16, 64):
        compare(options, "warm", f"http://127.0.0.1:{port}{path}", f"http://127.0.0.1:{nginx_port}/file", clients)
    seconds = first_byte(port, path)
    report.add(Row("warm: first byte, the longest of 50", "ms", {"imgstore": seconds * 1000}, mark=Mark(limit=100), rounds=50))


def load(port, path, digest, count, failures):
    """Some clients at once, each of which loads the file and compares its checksum."""
    def client():
        try:
            with request(port, path, close=True) as connection:
                head = b""
                while b"\r\n\r\n" not in head:
                    head += connection.recv(4096)
                hasher = hashlib.sha256(head.split(b"\r\n\r\n", 1)[1])
                while part := connection.recv(1 << 18):
                    hasher.update(part)
            if hasher.hexdigest() != digest:
                failures.put("wrong bytes")
        except OSError as error:
            failures.put(str(error))

    threads = [threading.Thread(target=client) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def measure_crowd(process, port, path, digest):
    idle = []
    for _ in range(1000):
        connection = request(port, "/nothing")
        connection.recv(4096)
        idle.append(connection)
    failures = multiprocessing.Queue()
    start = time.monotonic()
    loaders = [multiprocessing.Process(target=load, args=(port, path, digest, 50, failures)) for _ in range(4)]
    for loader in loaders:
        loader.start()
    for loader in loaders:
        loader.join()
    seconds = time.monotonic() - start
    wrong = []
    while not failures.empty():
        wrong.append(failures.get())
    status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
    peak = int(re.search(r"VmHWM:\s+(\d+) kB", status).group(1)) * 1024
    print(f"200 clients loaded the file in {seconds:.1f} s {wrong[:3] or ''}", flush=True)
    report.add(Row("crowd: peak memory", "MB", {"imgstore": peak / 1e6}, mark=Mark(limit=300)))
    report.add(Row("crowd: wrong or broken files of 200", "", {"imgstore": len(wrong)}, mark=Mark(limit=0)))
    dead = 0
    for connection in idle:
        try:
            connection.sendall(b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n")
            dead += not connection.recv(4096).startswith(b"HTTP/1.1 404")
        except OSError:
            dead += 1
        connection.close()
    report.add(Row("crowd: idle connections lost of 1,000", "", {"imgstore": dead}, mark=Mark(limit=0)))


def processor_seconds(process):
    """The processor time that a process has used."""
    fields = pathlib.Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure_render(options, work, nginx_port):
    """The time of one client that is the first to load a file, against nginx with the finished file."""
    port = free_port()
    ours, theirs, processor = [], [], []
    finished = work / "files/rendered"
    for round_number in range(options.rounds + 1):
        cache = work / "serve-cache"
        shutil.rmtree(cache, ignore_errors=True)
        with running(options.imgstore, "serve", "--store", options.store, "--listen", f"127.0.0.1:{port}",
                     "--cache", cache, port=port) as process:
            url = f"http://127.0.0.1:{port}{options.url}"
            start = time.monotonic()
            subprocess.run(["curl", "-sSf", "-o", finished, url], check=True)
            seconds = time.monotonic() - start
            used = processor_seconds(process.pid)
            # The checksum is computed and the file is synced: neither belongs to the time of nginx.
            while not any((cache / "files").iterdir()):
                time.sleep(0.01)
            start = time.monotonic()
            subprocess.run(["curl", "-sSf", "-o", work / "copy", f"http://127.0.0.1:{nginx_port}/rendered"], check=True)
            if round_number > 0:
                ours.append(seconds)
                theirs.append(time.monotonic() - start)
                processor.append(used)
    ratio = statistics.median(b / a for a, b in zip(ours, theirs))
    print(f"render: {statistics.median(ours):.3f} s, nginx {statistics.median(theirs):.3f} s, "
          f"server {statistics.median(processor):.2f} s of processor", flush=True)
    report.add(Row("render: first rendering, median ratio of pairs", "", {"imgstore": ratio, "nginx": 1}, better="higher",
                   mark=Mark(ratio=0.6), rounds=options.rounds))


def write_file(path, count):
    """Writes random bytes; returns their SHA-256."""
    hasher = hashlib.sha256()
    with open(path, "wb") as file:
        while count > 0:
            block = os.urandom(min(count, 1 << 22))
            hasher.update(block)
            file.write(block)
            count -= len(block)
    return hasher.hexdigest()


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("servefile")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=6)
    parser.add_argument("--work", default="serve-benchmark")
    parser.add_argument("--only", choices=["warm", "crowd", "tls", "render"])
    parser.add_argument("--size", type=int, default=600_000_000)
    parser.add_argument("--crowd-size", type=int, default=100_000_000)
    parser.add_argument("--imgstore")
    parser.add_argument("--store")
    parser.add_argument("--url")
    parser.add_argument("--json")
    options = parser.parse_args()
    work = pathlib.Path(options.work).resolve()
    (work / "files").mkdir(parents=True, exist_ok=True)
    global report
    report = Report(str(work), None, ["nginx", "wrk"])
    write_file(work / "files/file", options.size)
    digest = write_file(work / "files/small", options.crowd_size)
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-subj", "/CN=localhost", "-days", "2", "-keyout", work / "key.pem", "-out", work / "cert.pem"],
                   check=True, stderr=subprocess.DEVNULL)
    nginx_port, tls_port = free_port(), free_port()
    (work / "nginx.conf").write_text(NGINX.format(work=work, port=nginx_port, tls_port=tls_port))

    def chosen(part):
        return options.only in (None, part)

    # nginx's workers run as another user.
    os.chmod(work, 0o755)
    with running("nginx", "-c", work / "nginx.conf", port=nginx_port):
        port = free_port()
        if chosen("warm"):
            with running(options.servefile, work / "files/file", f"127.0.0.1:{port}", port=port):
                measure_warm(options, port, "/file", nginx_port)
        port = free_port()
        if chosen("crowd"):
            with running(options.servefile, work / "files/small", f"127.0.0.1:{port}", port=port) as process:
                measure_crowd(process, port, "/file", digest)
        port = free_port()
        if chosen("tls"):
            with running(options.servefile, work / "files/file", f"127.0.0.1:{port}", work / "cert.pem",
                         work / "key.pem", port=port):
                compare(options, "tls", f"https://127.0.0.1:{port}/file", f"https://127.0.0.1:{tls_port}/file", 16)
        if options.imgstore and options.store and options.url and chosen("render"):
            measure_render(options, work, nginx_port)
            port = free_port()
            with running(options.imgstore, "serve", "--store", options.store, "--listen", f"127.0.0.1:{port}",
                         "--cache", work / "serve-cache", port=port):
                (work / "files/file").unlink()
                os.link(work / "files/rendered", work / "files/file")
                measure_warm(options, port, options.url, nginx_port)
    report.write(options.json)
    shutil.rmtree(work)
    sys.exit(0 if report.is_reached else 1)


if __name__ == "__main__":
    main()
