#!/usr/bin/env python3
"""Loads random ranges of URL, and compares them with FILE: http-ranges.py URL FILE."""
import http.client, random, sys, urllib.parse
url = urllib.parse.urlsplit(sys.argv[1])
content = open(sys.argv[2], "rb").read()
connection = http.client.HTTPConnection(url.netloc)
random.seed(11)
for _ in range(200):
    start = random.randrange(len(content))
    end = min(len(content) - 1, start + random.randrange(2_000_000))
    connection.request("GET", url.path, headers={"Range": f"bytes={start}-{end}"})
    answer = connection.getresponse()
    assert answer.status == 206, answer.status
    assert answer.getheader("Content-Range") == f"bytes {start}-{end}/{len(content)}"
    assert answer.read() == content[start:end + 1], (start, end)
