"""A small store that `imgstore serve` serves, for the browser tests, the screenshots and the test of the API."""
import os
import socket
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

HOSTILE = [b"<script>document.title='owned'</script>".replace(b"/", b"-"), b"<img src=x onerror=document.title=1>",
           b"\"><svg onload=document.title=1>", b"' onmouseover='document.title=1", b"line\nbreak", "\u202etxt.exe".encode(),
           b"a\\b", b"&lt;b&gt;", b"javascript:alert(1)", b"%2e%2e", b"?query#fragment", b"\xff\xfe"]
SAME = {"coreutils": "9.1-1", "libc6": "2.36-9", "systemd": "252.39-1"}
VERSIONS = [{"openssl": "3.0.17-1", "bash": "5.2.15-2", "curl": "7.88.1-10", "zlib1g": "1.2.13", **SAME},
            {"openssl": "3.0.19-1", "bash": "5.2.15-2", "curl": "7.88.1-12", "zlib1g": "1.2.13", "jq": "1.6-2.1", **SAME},
            {"openssl": "3.0.19-1", "bash": "5.2.15-3", "curl": "7.88.1-12", "jq": "1.6-2.1", **SAME}]


class Site:
    """A management node in a temporary directory, and its server."""

    def __init__(self, binary):
        self.binary = str(Path(binary).resolve())
        self.directory = tempfile.TemporaryDirectory(prefix="imgstore-browser-")
        self.root = Path(self.directory.name)
        self.environment = dict(os.environ, IMGSTORE_STORE=str(self.root / "store"), IMGSTORE_ROOT=str(self.root / "node"),
                                IMGSTORE_XCAT_DIR=str(self.root / "xcat"), IMGSTORE_CONFIG_DIR=str(self.root / "config"),
                                TZ="UTC", NO_COLOR="1")
        self.process = None
        self.url = None

    def run(self, *arguments):
        """The output of a command of imgstore."""
        return subprocess.run([self.binary, *arguments], env=self.environment, check=True, capture_output=True,
                              text=True).stdout

    def make(self):
        """An osimage with three snapshots, and a directory with one."""
        (self.root / "xcat").mkdir()
        folder = self.root / "node/install/netboot/compute"
        for number, size in enumerate((40, 55, 60)):
            self.write_tree(folder / "rootimg", number, size)
            (folder / "kernel").write_bytes(b"kernel %d\n" % min(number, 1) * 4000)
            (folder / "initrd-stateless.gz").write_bytes(b"ramdisk %d\n" % min(number, 1) * 9000)
            (folder / "compute.pkglist").write_text("openssl\nbash\ncurl\n" + ("jq\n" if number else ""))
            if number == 0:
                self.run("define", "compute", "provmethod=netboot", "imagetype=linux", "profile=compute", "osvers=debian12",
                         "osarch=x86_64", "rootimgdir=/install/netboot/compute",
                         "pkglist=/install/netboot/compute/compute.pkglist")
            if number == 2:
                self.run("pack", "compute")
            message = ("first state", "security updates", "new shell, without zlib")[number]
            self.run("snapshot", "compute", "-m", message, "--tag", ("golden", "testing", "production")[number])
        login = self.root / "node/srv/images/login"
        self.write_tree(login, 0, 20)
        self.run("add", "login", "/srv/images/login", "--exclude", "var/cache/*")
        self.run("snapshot", "login", "-m", "first state")
        self.run("verify")
        self.run("maintain")

    @staticmethod
    def write_tree(tree, number, size):
        packages = VERSIONS[number]
        text = "".join(f"Package: {name}\nStatus: install ok installed\nArchitecture: amd64\nVersion: {version}\n\n"
                       for name, version in packages.items())
        files = {
            "etc/motd": "Welcome to the cluster\n" + f"state {number}\n" + "Help: admin@example.org\n",
            "etc/ssh/sshd_config": "Port 22\nPermitRootLogin " + ("no", "prohibit-password", "no")[number] + "\nX11Forwarding no\n",
            "etc/hosts": "127.0.0.1 localhost\n", "var/lib/dpkg/status": text,
        }
        for name in packages:
            files[f"var/lib/dpkg/info/{name}.list"] = f"/.\n/usr\n/usr/lib/{name}\n/usr/lib/{name}/main.bin\n"
        for path, content in files.items():
            (tree / path).parent.mkdir(parents=True, exist_ok=True)
            (tree / path).write_text(content)
        for index, (name, version) in enumerate(packages.items()):
            file = tree / f"usr/lib/{name}/main.bin"
            file.parent.mkdir(parents=True, exist_ok=True)
            seed = f"{name} {version}".encode()
            file.write_bytes(b"\x7fELF\0" + (seed * (size * 1000 * (index + 1) // len(seed))))
        for index in range(size):
            file = tree / f"usr/share/doc/package-{index:03}/copyright"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"copyright {index}\n" * 40)
        (tree / "hostile").mkdir(exist_ok=True)
        for name in HOSTILE[: len(HOSTILE) if number else 3]:
            with open(os.fsencode(tree / "hostile") + b"/" + name, "wb") as file:
                file.write(name + b"\n")

    def start(self):
        """Starts the server on a free port."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.process = subprocess.Popen([self.binary, "serve", "--listen", f"127.0.0.1:{port}"], env=self.environment,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.url = f"http://127.0.0.1:{port}"
        for _ in range(200):
            try:
                urllib.request.urlopen(self.url + "/healthz", timeout=5).close()
                return self.url
            except OSError:
                if self.process.poll() is not None:
                    raise SystemExit(f"imgstore serve ended with {self.process.returncode}")
                time.sleep(0.1)
        raise SystemExit("imgstore serve does not answer")

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait(30)
        self.directory.cleanup()

    def __enter__(self):
        self.make()
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()
