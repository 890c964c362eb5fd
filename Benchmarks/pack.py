#!/usr/bin/env python3
"""Packs two versions of a tree, cold and warm, beside the programs that it replaces, in turns.

  pack.py [--imgstore BINARY] [--work DIR] [--rounds N] [--squashfs CODEC,…] V1 [V2]

cpio.gz and the export of the packed image stand beside `find | cpio | pigz -6`, squashfs beside mksquashfs with the same
codec, level and block size; `cp` copies what was made, from the page cache, and syncs it, as ours do.
Prints a table and, with --json FILE, writes the numbers. Needs find, cpio, pigz, cp, mksquashfs, root for owners."""

import argparse, gzip, hashlib, json, os, shutil, statistics, subprocess, sys, time

parser = argparse.ArgumentParser()
parser.add_argument('--imgstore', default='.build/release/imgstore')
parser.add_argument('--work', default='/var/tmp/imgstore-pack-bench')
parser.add_argument('--rounds', type=int, default=3)
parser.add_argument('--squashfs', default='gzip,zstd', help="codecs, or '' for none")
parser.add_argument('--json')
parser.add_argument('trees', nargs='+')
args = parser.parse_args()

binary = os.path.abspath(args.imgstore)
work = os.path.abspath(args.work)
trees = [os.path.abspath(t) for t in args.trees[:2]]
if os.path.exists(work):
    sys.exit(f'{work}: is there already; name a new folder with --work')
store, root = f'{work}/store', f'{work}/root'
image = f'{root}/img'
packed = f'{image}/rootimg.cpio.gz'


def timed(command, **more):
    os.sync()
    start = time.monotonic()
    subprocess.run(command, check=True, **more)
    return time.monotonic() - start


def imgstore(*arguments, json_output=False):
    command = [binary, *arguments, '--store', store, '--root', root, '-q']
    result = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    return json.loads(result.stdout) if json_output else None


def pack(*options):
    os.sync()
    start = time.monotonic()
    outcome = imgstore('pack', 'img', '--nosyncfiles', '--json', *options, json_output=True)
    return time.monotonic() - start, outcome


def forget():
    shutil.rmtree(f'{store}/cache/segments', ignore_errors=True)


def mksquashfs(codec):
    if os.path.exists(f'{work}/peer.sfs'):
        os.remove(f'{work}/peer.sfs')
    seconds = timed(['bash', '-c', f'mksquashfs {image}/rootimg {work}/peer.sfs -comp {codec} -quiet -no-progress'
                     f' -xattrs >/dev/null && sync {work}/peer.sfs'])
    return seconds, os.path.getsize(f'{work}/peer.sfs')


def pigz(tree):
    return timed(['bash', '-c', f'find . -xdev | cpio -o -H newc --quiet | pigz -6 > {work}/pigz.gz && sync {work}/pigz.gz'],
                 cwd=tree)


def copy(path=packed):
    with open(path, 'rb') as file:
        while file.read(1 << 22):
            pass
    seconds = timed(['bash', '-c', f'cp {path} {work}/copy && sync {work}/copy'])
    os.remove(f'{work}/copy')
    return seconds


def digest(path):
    with open(path, 'rb') as file:
        return hashlib.file_digest(file, 'sha256').hexdigest()


os.makedirs(image)
# The tree in its place, without a copy: a bind mount would be left out, a link would be a link.
subprocess.run(['cp', '-a', trees[0], f'{image}/rootimg'], check=True)
for name, size in [('kernel', 8_000_000), ('initrd-stateless.gz', 20_000_000), ('pkglist', 10)]:
    with open(f'{image}/{name}', 'wb') as file:
        file.write(os.urandom(size))
imgstore('define', 'img', 'provmethod=netboot', 'imagetype=linux', 'osname=Linux', 'rootimgdir=/img', 'profile=p',
         'osvers=rhels9', 'osarch=x86_64', 'pkglist=/img/pkglist')
imgstore('snapshot', 'img')
times = {'cold': [], 'warm': [], 'pigz pipeline': [], 'cp + fsync': [], 'warm export': [], 'cp of the export': []}
bundle = f'{work}/img.tgz'
digests = set()
for _ in range(args.rounds):
    times['pigz pipeline'].append(pigz(f'{image}/rootimg'))
    forget()
    seconds, outcome = pack()
    times['cold'].append(seconds)
    digests.add(digest(packed))
    seconds, outcome = pack()
    times['warm'].append(seconds)
    digests.add(digest(packed))
    times['cp + fsync'].append(copy())
    imgstore('export', 'img', '--to', bundle)
    os.remove(bundle)
    os.sync()
    start = time.monotonic()
    imgstore('export', 'img', '--to', bundle)
    times['warm export'].append(time.monotonic() - start)
    times['cp of the export'].append(copy(bundle))
subprocess.run(['gzip', '-t', packed], check=True)
best = {name: min(values) for name, values in times.items()}
sizes = {'pack': os.path.getsize(packed), 'pigz': os.path.getsize(f'{work}/pigz.gz')}
print(f"{'':18}{'best':>8}{'median':>8}  s ({args.rounds} rounds, {os.cpu_count()} cores)")
for name, values in times.items():
    print(f'{name:18}{min(values):8.2f}{statistics.median(values):8.2f}')
print(f"size: pack {sizes['pack']:,}, pigz -6 {sizes['pigz']:,} ({sizes['pack'] / sizes['pigz'] - 1:+.2%})")
print(f"cold = warm in every round: {len(digests) == 1}")
print(f"warm: {best['pigz pipeline'] / best['warm']:.1f} x pigz (goal 25), {best['cp + fsync'] / best['warm']:.2f} x cp (goal 0.5)")
print(f"warm export: {best['pigz pipeline'] / best['warm export']:.1f} x pigz (goal 25), "
      f"{best['cp of the export'] / best['warm export']:.2f} x cp (goal 0.5)")
print(f"cold: {best['pigz pipeline'] / best['cold']:.2f} x pigz (goal 2.5)")
result = {'times': times, 'sizes': sizes, 'squashfs': {}}

codecs = [codec for codec in args.squashfs.split(',') if codec]
for codec in codecs:
    forms = {'cold': [], 'warm': [], 'mksquashfs': []}
    for _ in range(args.rounds):
        seconds, peer = mksquashfs(codec)
        forms['mksquashfs'].append(seconds)
        forget()
        forms['cold'].append(pack('-m', 'squashfs', '-c', codec)[0])
        forms['warm'].append(pack('-m', 'squashfs', '-c', codec)[0])
    size = os.path.getsize(f'{image}/rootimg.sfs')
    subprocess.run(['unsquashfs', '-stat', f'{image}/rootimg.sfs'], check=True, stdout=subprocess.DEVNULL)
    best = {name: min(values) for name, values in forms.items()}
    print(f"squashfs {codec}: cold {best['cold']:.2f} s, warm {best['warm']:.2f} s, mksquashfs {best['mksquashfs']:.2f} s: "
          f"{best['mksquashfs'] / best['cold']:.2f} x cold (goal 1), {best['mksquashfs'] / best['warm']:.1f} x warm; "
          f"size {size / peer - 1:+.2%} (goal within 2 %)")
    result['squashfs'][codec] = {'times': forms, 'size': size, 'peer': peer}

if len(trees) > 1:
    # What packing v1 leaves in the cache, in every form that v2 is packed to.
    for options in [()] + [('-m', 'squashfs', '-c', codec) for codec in codecs]:
        pack(*options)
    subprocess.run(['rsync', '-aHAX', '--delete', trees[1] + '/', f'{image}/rootimg/'], check=True)
    os.remove(packed)
    imgstore('snapshot', 'img')
    update, outcome = pack()
    copying = copy()
    fresh = outcome['plainBytes'] - outcome['cachedBytes']
    updates = {codec: (pack('-m', 'squashfs', '-c', codec)[0], *mksquashfs(codec)) for codec in codecs}
    forget()
    cold, _ = pack()

    def blobs(tree):
        found = {}
        for top, _, files in os.walk(tree):
            for name in files:
                path = os.path.join(top, name)
                if os.path.isfile(path) and not os.path.islink(path):
                    found[digest(path)] = os.path.getsize(path)
        return found

    old, new = blobs(trees[0]), blobs(trees[1])
    share = sum(n for d, n in new.items() if d not in old) / sum(new.values())
    limit = 1.5 * share * cold + copying
    print(f"v2 after v1: {update:.2f} s; cold {cold:.2f} s, new bytes {share:.1%}, compressed {fresh / outcome['plainBytes']:.1%}; "
          f"goal {limit:.2f} s (1.5 x share x cold + cp {copying:.2f})")
    for codec, (seconds, peer, peer_size) in updates.items():
        print(f"squashfs {codec}, v2 after v1: {seconds:.2f} s, mksquashfs {peer:.2f} s: {peer / seconds:.1f} x (goal 3)")
        result['squashfs'][codec]['update'] = {'seconds': seconds, 'mksquashfs': peer}
    result['update'] = {'seconds': update, 'cold': cold, 'newShare': share, 'goal': limit}
if args.json:
    with open(args.json, 'w') as file:
        json.dump(result, file, indent=1)
shutil.rmtree(work)
