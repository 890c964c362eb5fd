#!/usr/bin/env python3
"""Types into a shell, as a person does, and tells what the command line becomes.

    drive.py SHELL FOLDER < STEPS

SHELL is bash, zsh or fish; FOLDER has the script of that shell (bash, zsh, fish) and gets scratch files. STEPS is a JSON
list of texts to type, each on an empty line; a tab is the Tab key. Prints a JSON list: for each the command line at the
end ("line"), what the shell has shown since the first Tab ("shown"), without what steers the terminal, and the time from
the last Tab until the shell had shown all ("seconds").

The shell runs in a pseudo terminal of 200 columns. The program is called through a wrapper that notes each call, so
that no key is pressed before the completion is there.
"""
import fcntl, json, os, pty, re, select, signal, struct, sys, termios, time

shell, folder = sys.argv[1], os.path.realpath(sys.argv[2])
steps = json.load(sys.stdin)
calls, dump = folder + "/calls", folder + "/line"
LIMIT, QUIET = 60.0, 0.2
DUMP_KEY, CLEAR_KEY = "\x18\x0c", "\x15"
RC = {
    "bash": r"""
PS1='ready> '; bind 'set enable-bracketed-paste off'; bind 'set bell-style none'
bind 'set completion-query-items 0'; bind 'set page-completions off'
note() { printf '%s' "$READLINE_LINE" >"$DRIVE_DUMP.new"; mv "$DRIVE_DUMP.new" "$DRIVE_DUMP"; }
bind -x '"\C-x\C-l": note'
unset HISTFILE
""",
    "zsh": r"""
PS1='ready> '; unsetopt beep; LISTMAX=100000
note() { print -rn -- "$BUFFER" >"$DRIVE_DUMP.new"; mv "$DRIVE_DUMP.new" "$DRIVE_DUMP"; }
zle -N note; bindkey '^X^L' note; bindkey '^U' kill-whole-line
fpath=("$ZDOTDIR" $fpath)
autoload -U compinit; compinit -u -D
""",
    "fish": r"""
set -g fish_greeting
function fish_prompt; echo 'ready> '; end
function note; printf '%s' (commandline) >"$DRIVE_DUMP.new"; mv "$DRIVE_DUMP.new" "$DRIVE_DUMP"; end
bind \cx\cl note
bind \cu 'commandline ""'
""",
}


def prepare():
    """Writes the shell's start-up files; returns its command and its variables."""
    home = folder + "/home-" + shell
    os.makedirs(home, exist_ok=True)
    script = open(f"{folder}/{shell}").read()
    variables = {"HOME": home, "DRIVE_DUMP": dump, "TERM": "xterm", "LC_ALL": "C.UTF-8", "ZDOTDIR": home}
    if shell == "bash":
        with open(home + "/rc", "w") as file: file.write(RC["bash"] + script + os.environ.get("DRIVE_SETUP", ""))
        return ["bash", "--noprofile", "--rcfile", home + "/rc", "-i"], variables
    if shell == "zsh":
        with open(home + "/_imgstore", "w") as file: file.write(script)
        with open(home + "/.zshrc", "w") as file: file.write(RC["zsh"])
        return ["zsh", "-d", "-i"], variables
    variables.update(XDG_CONFIG_HOME=home, XDG_DATA_HOME=home + "/data")
    os.makedirs(home + "/fish/completions", exist_ok=True)
    # Without this folder fish begins to read all manual pages of the machine, in the background.
    os.makedirs(home + "/data/fish/generated_completions", exist_ok=True)
    with open(home + "/fish/config.fish", "w") as file: file.write(RC["fish"])
    with open(home + "/fish/completions/imgstore.fish", "w") as file: file.write(script)
    return ["fish", "-i"], variables


def wrap():
    """Puts a program in PATH that notes each of its calls."""
    os.makedirs(folder + "/bin", exist_ok=True)
    with open(folder + "/bin/imgstore", "w") as file:
        file.write('#!/bin/sh\n"$DRIVE_BINARY" "$@"; status=$?\necho >>"$DRIVE_CALLS"; exit $status\n')
    os.chmod(folder + "/bin/imgstore", 0o755)


class Terminal:
    def __init__(self, command, variables):
        self.text, self.shown = "", 0.0
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            # What the shell starts must not keep files of our caller open.
            os.closerange(3, 1024)
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 60, 200, 0, 0))
            os.environ.update(variables)
            os.environ["PATH"] = folder + "/bin:" + os.environ["PATH"]
            os.environ["DRIVE_CALLS"] = calls
            os.execvp(command[0], command)

    def read(self, seconds):
        """Takes what the shell shows within that time; false where it shows nothing."""
        if not select.select([self.fd], [], [], seconds)[0]: return False
        try: data = os.read(self.fd, 65536)
        except OSError: raise SystemExit("the shell has ended: " + self.text[-2000:])
        self.text += data.decode(errors="replace")
        self.shown = time.monotonic()
        return True

    def wait(self, what, condition):
        start = time.monotonic()
        while not condition():
            if time.monotonic() - start > LIMIT:
                raise SystemExit(f"{shell}: waited in vain for {what}: {self.text[-2000:]!r}")
            self.read(0.002)

    def settle(self, seconds=QUIET):
        while self.read(seconds): pass

    def type(self, text): os.write(self.fd, text.encode())


def size(path): return os.path.getsize(path) if os.path.exists(path) else 0


def plain(text):
    text = re.sub(r"\x1b\][^\x07\x1b]*(\x07|\x1b\\)", "", text)
    text = re.sub(r"\x1b[\[?][0-9;?<>=]*[A-Za-z]|\x1b[()][A-Z0-9]|\x1b[=>78M]", "", text)
    return "".join(c for c in text if c == "\n" or c >= " ")


wrap()
terminal = Terminal(*prepare())
terminal.wait("a prompt", lambda: "ready>" in terminal.text)
terminal.settle()
results = []
for step in steps:
    if os.path.exists(dump): os.remove(dump)
    typed, *rest = step.split("\t")
    terminal.type(CLEAR_KEY + typed)
    terminal.settle(QUIET / 4)
    terminal.text, seconds = "", 0.0
    for number, more in enumerate(rest):
        before, start = size(calls), time.monotonic()
        terminal.type("\t")
        # A second one may go through the candidates that are there already.
        if number == 0 or typed == "": terminal.wait("a completion", lambda: size(calls) > before)
        called = time.monotonic()
        terminal.settle()
        seconds = max(terminal.shown, called) - start
        if more:
            terminal.type(more)
            terminal.settle(QUIET / 4)
    shown = plain(terminal.text)
    terminal.type(DUMP_KEY)
    terminal.wait("the line", lambda: os.path.exists(dump))
    results.append({"line": open(dump).read(), "shown": shown, "seconds": seconds})
os.kill(terminal.pid, signal.SIGKILL)
json.dump(results, sys.stdout)
