"""Bundles as imgexport makes them, and what tar does with them at best: for import.py and the table."""
import os
import random
import shutil

import harness

NAME = "rhels9-x86_64-netboot-bench"
BOOT = "/install/netboot/rhels9/x86_64/bench"
MANIFEST = f"""<?xml version="1.0"?>
<xcatimage>
  <kernel>{BOOT}/kernel</kernel>
  <linuximage>
    <imagename>{NAME}</imagename>
    <pkglist>/install/custom/netboot/rh/bench.pkglist</pkglist>
    <rootimgdir>{BOOT}</rootimgdir>
  </linuximage>
  <osimage>
    <imagename>{NAME}</imagename>
    <imagetype>linux</imagetype>
    <osarch>x86_64</osarch>
    <osname>Linux</osname>
    <osvers>rhels9</osvers>
    <profile>bench</profile>
    <provmethod>netboot</provmethod>
  </osimage>
  <ramdisk>{BOOT}/initrd-stateless.gz</ramdisk>
  <rootimg>{BOOT}/rootimg.cpio.gz</rootimg>
</xcatimage>
"""
# xCAT's imgimport unpacks into a temporary directory, and moves each file to its place.
UNPACK = f"""tar xzf "$1" -C "$2"; mkdir -p "$3{BOOT}" "$3/install/custom/netboot/rh"; cd "$2/{NAME}"
mv kernel initrd-stateless.gz rootimg.cpio.gz "$3{BOOT}/"; mv bench.pkglist "$3/install/custom/netboot/rh/"; rm -r "$2"
"""


def create(directory, packed, bundle):
    """Bundles a packed root image with a kernel, a ramdisk and a list, by `tar czf`; returns the run."""
    folder = f"{directory}/{NAME}"
    harness.remove(directory)
    os.makedirs(folder)
    os.link(packed, folder + "/rootimg.cpio.gz")
    for name, data in (("kernel", b"k" * 8_000_000), ("initrd-stateless.gz", random.Random(2).randbytes(20_000_000)),
                       ("bench.pkglist", b"bash\n"), ("manifest.xml", MANIFEST.encode())):
        with open(f"{folder}/{name}", "wb") as file:
            file.write(data)
    usage = harness.run("tar", "czf", bundle, ".", cwd=directory, warm=[folder])
    shutil.rmtree(directory)
    return usage


def import_into(binary, directory, bundle, *options, is_empty=True):
    """Imports a bundle, into an empty store if `is_empty`; returns the run."""
    store, root = directory + "/import-store", directory + "/import-root"
    if is_empty:
        harness.remove(store, root)
        os.makedirs(root + "/install")
    return harness.run(binary, "import", "--quiet", "--store", store, "--root", root, *options, bundle, warm=[bundle])


def unpack(directory, bundle):
    """Unpacks a bundle by tar and moves its files; returns the run."""
    scratch, root = directory + "/tar-scratch", directory + "/tar-root"
    harness.remove(scratch, root)
    os.makedirs(scratch)
    return harness.shell(UNPACK, bundle, scratch, root, warm=[bundle])
