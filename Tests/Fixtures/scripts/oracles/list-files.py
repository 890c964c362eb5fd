#!/usr/bin/env python3
# Prints everything below a folder as JSON, in the form of Tests/Fixtures/xcat/expected.
# Arguments: ROOT FOLDER. FOLDER and the printed paths are as seen below ROOT.
import hashlib, json, os, stat, sys
root, top = sys.argv[1], sys.argv[2]
out = {}
def add(p):
    s = os.lstat(p)
    k = stat.S_IFMT(s.st_mode)
    f = {"mode": "%o" % stat.S_IMODE(s.st_mode), "uid": s.st_uid, "gid": s.st_gid}
    if k == stat.S_IFREG:
        b = open(p, "rb").read()
        f.update(type="file", size=len(b), sha256=hashlib.sha256(b).hexdigest())
    elif k == stat.S_IFDIR: f["type"] = "dir"
    elif k == stat.S_IFLNK: f.update(type="link", target=os.readlink(p))
    elif k == stat.S_IFIFO: f["type"] = "fifo"
    else: f["type"] = "other"
    out[p[len(root):]] = f
for d, ds, fs in os.walk(root + top):
    for n in ds + fs: add(os.path.join(d, n))
json.dump(out, sys.stdout)
