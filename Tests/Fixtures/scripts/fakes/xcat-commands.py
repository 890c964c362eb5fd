#!/usr/bin/env python3
# Stands in for lsdef, tabdump, mkdef, chdef, rmdef and chtab: answers from the fixture's dumps as these
# do, changes the dumps, and records the calls that change something. The name it is called by says which
# of them it is. The file "spoil-NAME" makes the next NAME fail.
# Environment: XCATROOT, the folder of the dumps
import csv, io, os, re, sys
root = os.environ['XCATROOT']; me = os.path.basename(sys.argv[0]); args = sys.argv[1:]
assert os.environ['XCATCFG'] == 'mysql:x'
def path(t): return f'{root}/install/tabdump-{t}.csv'
def load(t):
    lines = list(csv.reader(open(path(t), newline='')))
    head = [lines[0][0][1:]] + lines[0][1:]
    return head, [dict(zip(head, l)) for l in lines[1:]]
def save(t, head, rows):
    q = lambda v: '"' + v.replace('"', '""') + '"' if v else ''
    with open(path(t), 'w') as f:
        f.write('#' + ','.join(head) + '\n')
        for r in rows: f.write(','.join(q(r.get(c, '')) for c in head) + '\n')
def put(t, key, values):
    head, rows = load(t)
    row = next((r for r in rows if all(r[k] == v for k, v in key.items())), None)
    if row is None: row = dict(key); rows.append(row)
    row.update(values); save(t, head, rows)
def drop(t, key):
    head, rows = load(t)
    save(t, head, [r for r in rows if not all(r[k] == v for k, v in key.items())])
def fail(text): sys.stderr.write('Error: [mn1]: ' + text + '\n'); sys.exit(1)
if me not in ('lsdef', 'tabdump'):
    given = sys.stdin.read()
    open(root + '/asked', 'a').write(' '.join([me] + args) + ('\n' + given if given else '') + '\1')
    spoil = f'{root}/spoil-{me}'
    if os.path.exists(spoil):
        how = open(spoil).read(); os.unlink(spoil)
        if how == 'silent': sys.exit(0)
        fail('the database is away')
if me == 'tabdump':
    if not os.path.exists(path(args[0])): fail('No such table: ' + args[0])
    sys.stdout.write(open(path(args[0])).read())
elif me == 'lsdef':
    assert args[:4] == ['-t', 'osimage', '-l', '-z']
    _, os_ = load('osimage'); lhead, linux = load('linuximage')
    names = [r['imagename'] for r in os_]
    if len(args) > 4:
        assert args[4] == '-o'
        if args[5] not in names: fail(f"Could not find an object named '{args[5]}' of type 'osimage'.")
        names = [args[5]]
    print('# <xCAT data object stanza file>')
    for n in sorted(names):
        row = {k: v for k, v in next(r for r in os_ if r['imagename'] == n).items() if k != 'comments'}
        l = next((r for r in linux if r['imagename'] == n), {})
        row.update({('usercomment' if k == 'comments' else k): v for k, v in l.items()})
        print(f'\n{n}:\n    objtype=osimage')
        for k in sorted(row):
            if row[k] and k not in ('imagename', 'disable'): print(f'    {k}={row[k]}')
elif me in ('mkdef', 'chdef'):
    assert args == ['-z']; name = kind = None
    for line in given.split('\n'):
        if re.match(r'^\s*(#|$)', line): continue
        if re.search(r':\s*$', line): name = line.strip()[:-1]; continue
        a, v = [x.strip() for x in line.split('=', 1)]
        v = re.sub(r'^"\s*', '', v); v = re.sub(r'\s*"$', '', v)
        if a == 'objtype':
            kind = v
            if kind == 'osimage' and me == 'mkdef': put('osimage', {'imagename': name}, {}); put('linuximage', {'imagename': name}, {})
        elif kind == 'node': put('postscripts', {'node': name}, {a: v})
        elif kind == 'osimage':
            head, _ = load('linuximage')
            if a == 'usercomment': put('linuximage', {'imagename': name}, {'comments': v})
            else: put('linuximage' if a in head else 'osimage', {'imagename': name}, {a: v})
        else: put(kind, {kind.replace('kitcomponent', 'kitcomp').replace('kitrepo', 'kitrepo') + 'name': name}, {a: v})
elif me == 'rmdef':
    assert args[0] == '-t' and args[2] == '-o'
    for t in ('osimage', 'linuximage') if args[1] == 'osimage' else (args[1],):
        drop(t, {'imagename' if 'image' in t else t + 'name': args[3]})
elif me == 'chtab':
    if args[0] == '-d': drop(args[2], dict(k.split('=', 1) for k in args[1].split(',')))
    else:
        key = dict(k.split('=', 1) for k in args[0].split(','))
        for a in args[1:]:
            t, rest = a.split('.', 1); c, v = rest.split('=', 1); put(t, key, {c: v})
