#!/usr/bin/env python3
# Prints the members of a bundle as JSON, as tarfile, GNU cpio and an XML parser read them.
# Arguments: BUNDLE
import gzip, hashlib, json, os, pathlib, subprocess, sys, tarfile, tempfile, xml.etree.ElementTree as E
def sha(b): return hashlib.sha256(b).hexdigest()
def show(e): return (e.tag, (e.text or "").strip(), sorted(show(c) for c in e))
def tree(packed):
    with tempfile.TemporaryDirectory() as top:
        done = subprocess.run(["cpio", "-idm", "--quiet", "--no-absolute-filenames"],
                              input=gzip.decompress(packed), cwd=top, capture_output=True)
        if done.returncode or done.stderr: sys.exit(done.stderr.decode())
        lines, links = [], {}
        for d, ds, fs in os.walk(top):
            for n in sorted(ds + fs):
                p = os.path.join(d, n); s = os.lstat(p); r = os.path.relpath(p, top)
                what = ""
                if os.path.islink(p): what = os.readlink(p)
                elif os.path.isfile(p): what = sha(pathlib.Path(p).read_bytes())
                if not os.path.isdir(p): links.setdefault(s.st_ino, []).append(r)
                # cpio gives folders and links the time of unpacking.
                time = "" if os.path.isdir(p) or os.path.islink(p) else int(s.st_mtime)
                lines.append(f"{r} {s.st_mode:o} {s.st_uid} {s.st_gid} {s.st_rdev} {time} {what}")
        lines += [" = ".join(sorted(g)) for g in links.values() if len(g) > 1]
        return "\n".join(sorted(lines))
out = {}
tar = tarfile.open(sys.argv[1])
for m in tar.getmembers():
    data = tar.extractfile(m).read() if m.isfile() else b""
    kind = "file" if m.isfile() else "dir" if m.isdir() else "link" if m.issym() else "other"
    content = m.linkname
    if m.isfile():
        content = sha(data)
        if m.name.endswith("/rootimgtree.gz"): content = tree(data)
        if m.name.endswith("/manifest.xml"): content = repr(show(E.fromstring(data)))
    if m.name in out: sys.exit("twice: " + m.name)
    out[m.name] = {"type": kind, "mode": "%o" % m.mode, "uid": m.uid, "gid": m.gid, "content": content}
tar.close()
json.dump(out, sys.stdout)
