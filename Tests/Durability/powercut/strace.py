"""Records the system calls of a command with strace, and reads the log back as values.

Invariants: the calls come in the order in which they ended, over all threads (`close` in that in which
it began); failed calls are left out; strings are bytes, complete. A line that cannot be read is an error, never skipped.
"""

import re

TRACED = (
    "open openat openat2 creat close dup dup2 dup3 fcntl read readv lseek write writev pwrite64 pwritev "
    "pwritev2 ftruncate truncate fallocate copy_file_range sendfile splice rename renameat renameat2 link "
    "linkat unlink unlinkat rmdir mkdir mkdirat symlink symlinkat mknod mknodat chmod fchmod fchmodat "
    "chown lchown fchown fchownat utimensat futimesat utimes utime setxattr lsetxattr fsetxattr "
    "removexattr lremovexattr fremovexattr ioctl fsync fdatasync syncfs sync msync chdir fchdir umask"
).split()
STRING_LIMIT_BYTES = 1 << 26


class Call:
    """One system call that succeeded."""

    __slots__ = ("name", "arguments", "result")

    def __init__(self, name, arguments, result):
        self.name, self.arguments, self.result = name, arguments, result

    def __repr__(self):
        return f"{self.name}({', '.join(str(a)[:60] for a in self.arguments)}) = {self.result}"


def record(program, arguments, log, without_sync=False):
    """Runs a command under strace, on one processor: the order in which its threads run then varies
    little from run to run. Returns its result.

    With `without_sync` the kernel never sees its syncs: a program that has none.
    """
    prefix = ("taskset", "-c", "0", "strace", "-f", "-xx", "-s", str(STRING_LIMIT_BYTES), "-o", log)
    prefix += ("-e", "trace=" + ",".join(TRACED))
    if without_sync:
        prefix += ("-e", "inject=fsync,fdatasync,syncfs,sync:retval=0")
    return program.run(*arguments, prefix=prefix, limit_seconds=300)


_LINE = re.compile(rb"^(\d+) +(.*)$", re.S)
_CALL = re.compile(rb"^(\w+)\((.*)\) += (-?\d+|0x[0-9a-f]+|\?)(.*)$", re.S)


def parse(log):
    """Yields the calls of a log."""
    unfinished = {}
    with open(log, "rb") as file:
        for line in file:
            match = _LINE.match(line.rstrip(b"\n"))
            if not match:
                raise ValueError(f"strace: {line[:200]}")
            thread, text = match.groups()
            if text.startswith((b"+++", b"---")):
                continue
            if text.endswith(b"<unfinished ...>"):
                text = text[: -len(b"<unfinished ...>")]
                unfinished[thread] = text
                if text.startswith(b"close("):
                    # The number is free at once: another thread may get it before this call ends.
                    yield Call("close", split(text[len(b"close(") :].rstrip(b") ")), 0)
                continue
            if text.startswith(b"<... "):
                end = text.index(b" resumed>") + len(b" resumed>")
                text = unfinished.pop(thread) + text[end:]
                if text.startswith(b"close("):
                    continue
            match = _CALL.match(text)
            if not match:
                raise ValueError(f"strace: {text[:200]}")
            name, arguments, result, rest = match.groups()
            if result == b"?" or result.startswith(b"-") or b"(INJECTED)" in rest:
                continue
            yield Call(name.decode(), split(arguments), number(result))


def number(text):
    """Returns a result; only that of umask is octal."""
    octal = text.startswith(b"0") and text.isdigit()
    return int(text, 8 if octal else 0)


def split(text):
    """Splits arguments at commas outside of strings and brackets. Strings become bytes."""
    parts, depth, begin, i = [], 0, 0, 0
    while i < len(text):
        char = text[i : i + 1]
        if char == b'"':
            i = text.index(b'"', i + 1)  # -xx: no quote inside a string
        elif char in b"[{(":
            depth += 1
        elif char in b"]})":
            depth -= 1
        elif char == b"," and depth == 0:
            parts.append(text[begin:i])
            begin = i + 1
        i += 1
        if char not in b',"[]{}()':
            # Most of a log is numbers and names: hop to the next character that matters.
            match = _NEXT.search(text, i)
            i = match.start() if match else len(text)
    parts.append(text[begin:])
    return [_value(p.strip()) for p in parts if p.strip()]


_NEXT = re.compile(rb'[,"\[\]{}()]')
_STRING = re.compile(rb'^"((?:\\x[0-9a-f]{2})*)"$')


def unescape(text):
    """Returns the bytes of a string that -xx wrote."""
    return bytes.fromhex(text.replace(b"\\x", b"").decode())


def _value(text):
    match = _STRING.match(text)
    if match:
        return unescape(match.group(1))
    if text.startswith(b'"'):
        raise ValueError(f"strace: a string was cut: {text[-40:]}")
    return text.decode()


_VECTOR = re.compile(rb'iov_base="((?:\\x[0-9a-f]{2})*)"')


def vector(text):
    """Returns the bytes of an iovec array."""
    return b"".join(unescape(m) for m in _VECTOR.findall(text.encode()))


_TIME = re.compile(r"UTIME_NOW|UTIME_OMIT|tv_sec=(-?\d+), tv_nsec=(\d+|UTIME_NOW|UTIME_OMIT)")


def modification_time(text):
    """Returns the second time of utimensat in ns; "now" or "omit" for the marks."""
    if text == "NULL":
        return "now"
    times = list(_TIME.finditer(text))
    match = times[1]
    word = match.group(0)
    if "UTIME_NOW" in word:
        return "now"
    if "UTIME_OMIT" in word:
        return "omit"
    return int(match.group(1)) * 10**9 + int(match.group(2))
