#!/usr/bin/env python3
# Makes OCI layouts with one image each, named "t", whose layers use every rule of the specification.
# Arguments: FOLDER. Makes FOLDER/NAME for each image, and prints the names.
# Layouts named umoci-* are made with umoci, and need it; all others are written byte by byte.
import gzip, hashlib, io, json, os, struct, subprocess, sys, tarfile

out = sys.argv[1]
CAPABILITY = struct.pack('<IIIII', 0x02000001, 1 << 13, 0, 0, 0).decode('latin-1')

class Layer:
    """Members of a layer, in order."""
    def __init__(self, form=tarfile.PAX_FORMAT):
        self.bytes = io.BytesIO()
        self.tar = tarfile.open(fileobj=self.bytes, mode='w', format=form, encoding='utf-8', errors='surrogateescape')
    def add(self, name, kind=tarfile.REGTYPE, data=b'', mode=0o644, link='', mtime=1700000000.25, uid=0, gid=0, device=None, xattrs={}):
        info = tarfile.TarInfo(name)
        info.type, info.mode, info.linkname, info.mtime, info.uid, info.gid = kind, mode, link, mtime, uid, gid
        info.size = len(data) if kind == tarfile.REGTYPE else 0
        if device: info.devmajor, info.devminor = device
        info.pax_headers = {'SCHILY.xattr.' + key: value for key, value in xattrs.items()}
        self.tar.addfile(info, io.BytesIO(data))
        return self
    def dir(self, name, **more): return self.add(name, tarfile.DIRTYPE, **{'mode': 0o755, **more})
    def file(self, name, text='', **more): return self.add(name, data=text.encode() if isinstance(text, str) else text, **more)
    def symlink(self, name, target, **more): return self.add(name, tarfile.SYMTYPE, link=target, mode=0o777, **more)
    def link(self, name, target): return self.add(name, tarfile.LNKTYPE, link=target)
    def hide(self, name):
        folder, _, base = name.rpartition('/')
        return self.add((folder + '/' if folder else '') + '.wh.' + base, mode=0)
    def opaque(self, folder): return self.add((folder + '/' if folder else '') + '.wh..wh..opq', mode=0)
    def plain(self):
        self.tar.close()
        return self.bytes.getvalue()

def compress(plain, form):
    if form == 'zstd': return subprocess.run(['zstd', '-q', '-c'], input=plain, stdout=subprocess.PIPE, check=True).stdout
    return gzip.compress(plain, mtime=0) if form == 'gzip' else plain

def layout(name, layers, form='gzip', docker=False, platforms=None, nested=False):
    """Writes a layout."""
    top = os.path.join(out, name)
    os.makedirs(top + '/blobs/sha256')
    def blob(data):
        digest = hashlib.sha256(data).hexdigest()
        with open(f'{top}/blobs/sha256/{digest}', 'wb') as f: f.write(data)
        return {'digest': 'sha256:' + digest, 'size': len(data)}
    oci, dock = 'application/vnd.oci.image.', 'application/vnd.docker.'
    suffix = {'gzip': '.gzip' if docker else '+gzip', 'zstd': '+zstd', 'plain': ''}[form]
    layer_type = dock + 'image.rootfs.diff.tar' + suffix if docker else oci + 'layer.v1.tar' + suffix
    plain = [layer.plain() for layer in layers]
    def manifest(architecture, layers):
        config = blob(json.dumps({'architecture': architecture, 'os': 'linux', 'config': {'Cmd': ['/bin/sh'], 'Env': ['A=b']},
            'rootfs': {'type': 'layers', 'diff_ids': ['sha256:' + hashlib.sha256(l).hexdigest() for l in layers]}}).encode())
        config['mediaType'] = dock + 'container.image.v1+json' if docker else oci + 'config.v1+json'
        blobs = [{'mediaType': layer_type, **blob(compress(l, form))} for l in layers]
        kind = dock + 'distribution.manifest.v2+json' if docker else oci + 'manifest.v1+json'
        return {'mediaType': kind, **blob(json.dumps({'schemaVersion': 2, 'mediaType': kind, 'config': config, 'layers': blobs}).encode())}
    entries = [manifest('amd64', plain)]
    if platforms:
        entries[0]['platform'] = {'os': 'linux', 'architecture': 'amd64'}
        for other in platforms:
            wrong = Layer().file('wrong', other).plain()
            entries.append({**manifest(other, [wrong]), 'platform': {'os': 'linux', 'architecture': other}})
        entries.append({**manifest('unknown', []), 'platform': {'os': 'unknown', 'architecture': 'unknown'}})
    if nested:
        kind = oci + 'index.v1+json'
        entries = [{'mediaType': kind, **blob(json.dumps({'schemaVersion': 2, 'mediaType': kind, 'manifests': entries}).encode())}]
    for entry in entries: entry['annotations'] = {'org.opencontainers.image.ref.name': 't'}
    with open(top + '/index.json', 'w') as f: json.dump({'schemaVersion': 2, 'manifests': entries}, f)
    with open(top + '/oci-layout', 'w') as f: f.write('{"imageLayoutVersion":"1.0.0"}')
    print(name)

def base():
    """A small root tree."""
    layer = Layer().dir('./', mode=0o755, mtime=1600000000.5)
    for name in ('etc', 'usr', 'usr/bin', 'usr/lib', 'var', 'var/lib', 'data', 'data/deep', 'data/deep/er'):
        layer.dir(name, mtime=1600000001.125)
    layer.file('etc/motd', 'hello\n').file('etc/hosts', 'one\n', mode=0o600, uid=12, gid=34)
    layer.file('usr/bin/tool', b'\x7fELF tool', mode=0o755).file('usr/lib/a', 'a').file('usr/lib/b', 'b')
    layer.file('data/x', 'x').file('data/y', 'y').file('data/deep/z', 'z').file('data/deep/er/w', 'w')
    return layer.symlink('lib', 'usr/lib').symlink('bin', 'usr/bin')

layout('one-layer', [base()])
layout('plain-layers', [base(), Layer().file('new', 'n')], form='plain')
layout('zstd-layers', [base(), Layer().file('new', 'n')], form='zstd') if '--zstd' in sys.argv else None
layout('docker-types', [base(), Layer().file('new', 'n')], docker=True)
layout('whiteouts', [base(), Layer().hide('etc/motd').hide('data/deep').hide('bin').hide('absent').hide('etc/absent')])
layout('whiteout-and-again', [base(), Layer().dir('data').hide('data/deep').dir('data/deep', mode=0o700).file('data/deep/new', 'new')])
layout('whiteout-after-entry', [base(), Layer().file('etc/motd', 'again').hide('etc/motd').file('etc/hosts', 'two')])
layout('opaque', [base(), Layer().dir('data', mode=0o711).opaque('data').file('data/only', 'only')])
layout('opaque-last', [base(), Layer().dir('data').file('data/only', 'only').dir('data/sub').file('data/sub/s', 's').opaque('data')])
layout('opaque-nested', [base(), Layer().dir('data').dir('data/deep').file('data/deep/new', 'n').opaque('data/deep')])
layout('opaque-top', [base(), Layer().opaque('').dir('etc').file('etc/only', 'o')])
layout('file-to-directory', [base(), Layer().dir('etc/motd').file('etc/motd/part', 'p').dir('lib').file('lib/real', 'r')])
layout('directory-to-file', [base(), Layer().file('data', 'now a file').symlink('usr/lib', '/data')])
layout('attributes-only', [base(), Layer().dir('etc', mode=0o2750, uid=1, gid=2, mtime=1500000000.999999).file('etc/motd', 'hello\n', mode=0o4711, mtime=-5.5)])
layout('hard-links', [base().link('etc/motd2', 'etc/motd').link('usr/lib/motd3', 'etc/motd2').symlink('s', 't').link('s2', 's')])
layout('link-to-lower', [base(), Layer().link('etc/lower', 'etc/motd').link('lower-lib', 'lib/a').dir('n').link('n/tool', 'usr/bin/tool')])
layout('link-then-replaced', [base().link('etc/motd2', 'etc/motd'), Layer().file('etc/motd', 'new content'), Layer().hide('etc/motd')])
layout('through-links', [base(), Layer().file('lib/through', 't').file('bin/through', 't', mode=0o755).hide('lib/a'),
    Layer().symlink('abs', '/var/lib').symlink('up', '../../../../usr').file('abs/in', 'i').file('up/in', 'i')])
layout('kinds', [base().add('fifo', tarfile.FIFOTYPE, mode=0o600).add('null', tarfile.CHRTYPE, mode=0o666, device=(1, 3))
    .add('loop', tarfile.BLKTYPE, mode=0o660, device=(7, 200)).link('fifo2', 'fifo').symlink('dangling', '/no/where', uid=5, gid=6)])
layout('attributes', [base().file('ping', 'p', mode=0o755, xattrs={'security.capability': CAPABILITY, 'user.a': 'b'})
    .dir('xdir', xattrs={'user.dir': 'd'}), Layer().file('etc/motd', 'm', xattrs={'user.new': 'n'}).dir('xdir'),
    Layer().dir('etc', xattrs={'user.etc': 'e'})])
layout('names', [base().file('a' * 255, 'long').dir('d' * 90).dir('/'.join(['d' * 90] * 2)).dir('/'.join(['d' * 90] * 3)).file('/'.join(['d' * 90] * 3) + '/f', 'deep').file('new\nline', 'n').file('caf\u00e9', 'c')
    .file('invalid\udcff', 'i').file(' blank ', 'b').symlink('long-link', 'x' * 300)])
layout('gnu-form', [Layer(tarfile.GNU_FORMAT).dir('g', mtime=5).file('g/' + 'n' * 150, 'n', mtime=6, uid=3000000).symlink('l', 'm' * 200, mtime=7)])
layout('dotted-names', [Layer().dir('./').dir('./a').file('./a//b', 'b').file('/abs', 'abs'), Layer().hide('./a/b').file('a/./c', 'c')])
layout('same-name-twice', [Layer().file('f', 'one').file('f', 'two', mode=0o600).dir('d').file('d/x', 'x').dir('d', mode=0o700)])
layout('no-parents', [Layer().file('p/q/r/file', 'f').dir('p', mtime=9).dir('p/q', mtime=9).dir('p/q/r', mtime=9)])
layout('ninety-layers', [base()] + [Layer().file(f'n{i % 10}', str(i)).hide(f'n{(i + 1) % 10}') for i in range(90)])
layout('large-files', [base().file('big', os.urandom(3 << 20)).file('zeros', bytes(20 << 20))])
layout('empty-layer', [base(), Layer(), Layer().file('z', 'z')])
layout('no-layers', [Layer().dir('./')])
layout('platforms', [base()], platforms=['arm64', 's390x'])
layout('nested-index', [base()], platforms=['arm64'], nested=True)

def umoci(*words): subprocess.run(['umoci', *words], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

def by_umoci(name, *changes):
    """Makes an image with umoci: each change is a bash script in the root tree, which becomes a layer."""
    top, bundle = os.path.join(out, name), os.path.join(out, '.bundle-' + name)
    umoci('init', '--layout', top)
    umoci('new', '--image', top + ':t')
    for change in changes:
        umoci('unpack', '--image', top + ':t', bundle)
        subprocess.run(['bash', '-euc', change], check=True, cwd=bundle + '/rootfs')
        umoci('repack', '--image', top + ':t', bundle)
        subprocess.run(['rm', '-rf', bundle], check=True)
    print(name)

if '--umoci' in sys.argv:
    make = 'mkdir -p etc usr/bin a/b; echo 1 >etc/one; echo 2 >etc/two; ln etc/one etc/link; ln -s etc/one s; echo x >a/b/c; mkfifo f'
    by_umoci('umoci-one', make)
    by_umoci('umoci-changes', make, 'rm etc/two; echo 3 >etc/one; chmod 4755 a/b/c; rm -r usr; echo u >usr', 'rm -r a; mkdir a; touch a/new; rm usr; mkdir usr')
    by_umoci('umoci-links', make, 'ln etc/one etc/third; ln s s2', 'rm etc/one; echo n >etc/four')
    by_umoci('umoci-attributes', make + '; setfattr -n user.a -v b etc/one; setcap cap_net_raw+ep a/b/c; chown 7:8 etc', 'setfattr -x user.a etc/one; chown 9:10 a/b/c')
