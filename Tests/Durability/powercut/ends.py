"""The two ends of an operation: what is there before it, what an undisturbed run makes of it.

Invariant: the ends are read from real folders; nothing in them comes from the model but which times
no command has set.
"""

import json
import os
import subprocess

from common.program import Program
from common.view import View
from damage.clone import clone_store
from damage.apply import remove
from powercut import strace
from powercut.checks import Case
from powercut.real import load, place_name
from powercut.replay import Replay
from powercut.scenarios import prepare

UNFINISHED_FILES = b".imgstore-part"


def names_of(program):
    names = {}
    for image in ("img", "other"):
        result = program.run("log", image, "--json")
        if result.code == 0:
            names.update({s["name"]: s["id"] for s in json.loads(result.output)["snapshots"]})
    return names


def outputs_of(folder):
    found = {}
    for name in os.listdir(f"{folder}/out"):
        with open(f"{folder}/out/{name}", "rb") as file:
            found[name] = file.read()
    return found


def copy_node(source, target):
    """Copies a node's folder; the copied index keeps a stamp that fits."""
    os.makedirs(target)
    for name in ("root", "out"):
        subprocess.run(["cp", "-a", "--sparse=auto", f"{source}/{name}", f"{target}/"], check=True)
    if os.path.isdir(f"{source}/store"):
        clone_store(f"{source}/store", f"{target}/store")


def record(scenario, folder, binary, seed, without_sync=False):
    """Runs an operation under strace. Returns its case, the model before it, its calls and its node."""
    node = prepare(scenario, f"{folder}/{place_name(0)}/state", binary, seed)
    pristine = f"{folder}/pristine"
    case = Case(scenario, binary, pristine, dict(node.expected))
    if os.path.isdir(node.store):
        case.names = names_of(node.program)
    case.old = View(node.root)
    case.outputs = outputs_of(node.folder)
    copy_node(node.folder, pristine)
    if scenario.name.startswith("resume"):
        case.forward, case.back = ends_of_resume(node, folder, binary)
    disk = load(node.folder)
    log = f"{folder}/strace.log"
    result = strace.record(node.program, scenario.arguments(node.folder), log, without_sync)
    if result.code != 0:
        raise RuntimeError(f"the operation itself: {result}")
    case.calls = list(strace.parse(log))
    return case, disk, case.calls, node


def ends_of_resume(node, folder, binary):
    """Both ends of an unfinished change, as an undisturbed resume reaches them."""
    ends = []
    for way in ((), ("--back",)):
        copy = f"{folder}/ends"
        remove(copy)
        copy_node(node.folder, copy)
        program = Program(binary, f"{copy}/store", f"{copy}/root")
        program.must("resume", "img", "-q", *way, codes=(0, 3))
        ends.append(View(f"{copy}/root"))
    remove(f"{folder}/ends")
    return ends


def finish_case(case, disk, node, recorded=True):
    """Adds the end of an operation to its case.

    Where the disk has not followed the recording yet (`recorded` is false), it does so here.
    """
    if not recorded:
        replay = Replay(disk, node.folder)
        for call in case.calls:
            replay.apply(call)
    case.untimed = untimed(disk)
    case.old = case.old.without(case.untimed, UNFINISHED_FILES)
    case.new = View(node.root).without(case.untimed, UNFINISHED_FILES)
    if case.scenario.name.startswith("resume"):
        case.forward = case.forward.without(case.untimed, UNFINISHED_FILES)
        case.back = case.back.without(case.untimed, UNFINISHED_FILES)
    case.new_names = names_of(node.program)
    case.outputs = {n: (case.outputs.get(n), data) for n, data in outputs_of(node.folder).items()}


def untimed(disk):
    """Returns the paths below /install whose times no command has set."""
    found = set()

    def visit(inode, path):
        if inode.attributes["mtime"] is None:
            found.add(path)
        for name, child in inode.entries.items():
            visit(child, path + b"/" + name if path else name)

    install = disk.root.entries[b"root"].entries.get(b"install")
    if install is not None:
        visit(install, b"")
    return frozenset(found)
