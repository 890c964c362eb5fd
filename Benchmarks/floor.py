"""The processor time that a first snapshot cannot save: compressing, decoding and hashing the bytes of a tree.

A first snapshot compresses each byte, decodes each frame to verify it, and hashes each byte twice: as a chunk, and as
a file or a pack. The rates are those of the reference programs on one processor: `zstd -b` with the level and the
block size of a frame, and `openssl speed`. Reading, writing, finding chunks and system calls come on top.
"""
import os
import re

import harness

LEVEL, BLOCK = 2, "512K"
PASSES = {"compress": 1, "decode": 1, "SHA-256": 2}


def rates(sample):
    """MB/s of one processor for each part, measured on a file, most suitably a tar archive of the tree."""
    text = harness.run("zstd", f"-b{LEVEL}", "-i1", f"-B{BLOCK}", sample, warm=[sample])
    lines = re.findall(r"([\d.]+) MB/s,\s*([\d.]+) MB/s", text.output)
    if not lines:
        raise harness.CommandFailed(f"zstd -b{LEVEL}: cannot read its output: {text.output[-200:]!r}")
    compress, decode = (float(value) for value in lines[-1])
    speed = harness.run("openssl", "speed", "-mr", "-seconds", "2", "-bytes", "65536", "-evp", "sha256").output
    match = re.search(r"^\+F:\d+:[^:]+:([\d.]+)", speed, re.M)
    if not match:
        raise harness.CommandFailed(f"openssl speed: cannot read its output: {speed[-200:]!r}")
    return {"compress": compress, "decode": decode, "SHA-256": float(match.group(1)) / 1e6}


def processor_seconds(size_bytes, rate):
    """The processor seconds of each part for this many bytes."""
    return {name: passes * size_bytes / 1e6 / rate[name] for name, passes in PASSES.items()}


def measure(sample):
    """The rates, the processor seconds of each part, and the seconds on all processors, as a document."""
    found = rates(sample)
    parts = processor_seconds(os.path.getsize(sample), found)
    return {"megabytesPerSecond": found, "processorSeconds": parts,
            "seconds": sum(parts.values()) / os.cpu_count()}


def text(document):
    """The document in one sentence."""
    parts = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in document["processorSeconds"].items())
    speed = ", ".join(f"{name} {rate:,.0f} MB/s" for name, rate in document["megabytesPerSecond"].items())
    return (f"The processor time of a first snapshot is at least {sum(document['processorSeconds'].values()):.1f} s "
            f"({parts}; on one processor {speed}), so {document['seconds']:.1f} s on all.")


def markdown(document):
    """The document as a table."""
    lines = ["| | rate of one processor | processor time for v1 |", "| --- | ---: | ---: |"]
    for name, seconds in document["processorSeconds"].items():
        passes = " twice" if PASSES[name] == 2 else ""
        lines.append(f"| {name}{passes} | {document['megabytesPerSecond'][name]:,.0f} MB/s | {seconds:.2f} s |")
    lines.append(f"| all | | {sum(document['processorSeconds'].values()):.2f} s |")
    return "\n".join([*lines, f"| all, on all processors | | {document['seconds']:.2f} s |"])
