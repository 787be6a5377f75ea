"""A private apt root: fetches Debian packages, for two architectures or as source, without touching the machine's apt.

Used by bootstrap.py only; CPython standard library only, runs without root. Where to fetch from is read from the
machine's own apt configuration (both source formats), so proxies, mirrors and credentials set up there hold here
too. Signatures are checked by apt against Debian's archive keyring as always. Downloads are retried and time out.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

from setup_probe import SetupError

RELEASE = "trixie"  # the first release whose micropython speaks DTLS (1.25)
_KEYRINGS = ("/usr/share/keyrings/debian-archive-keyring.gpg", "/usr/share/keyrings/debian-archive-keyring.pgp")
_DEBIAN_SUITES = re.compile(r"^(buster|bullseye|bookworm|trixie|forky|duke|sid|(old)*stable|testing|unstable)$")
_TIMEOUT_S = 600

_CONF = """\
Dir::State "{root}/state";
Dir::State::status "{root}/state/status";
Dir::Cache "{root}/cache";
Dir::Log "{root}/log";
Dir::Etc::sourcelist "{root}/sources.list";
Dir::Etc::sourceparts "{root}/empty";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "{root}/empty";
#clear APT::Architectures;
APT::Architecture "{arch}";
APT::Architectures {{ {arches} }};
APT::Install-Recommends "false";
APT::Sandbox::User "root";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Pre-Invoke;
#clear DPkg::Post-Invoke;
#clear DPkg::Pre-Install-Pkgs;
APT::Update::Error-Mode "any";
Acquire::Languages "none";
Acquire::Retries "2";
Acquire::http::Timeout "15";
Acquire::https::Timeout "15";
"""


def _parse_one_line(text):
    """(uris, suites, components, types) of each entry of a sources.list."""
    for line in text.splitlines():
        match = re.match(r"\s*(deb|deb-src)\s+(?:\[[^\]]*\]\s*)?(\S+)\s+(\S+)\s*([^#]*)", line)
        if match:
            kind, uri, suite, components = match.groups()
            yield [uri], [suite], components.split(), [kind]


def _parse_deb822(text):
    """The same for a .sources file: paragraphs of fields, lines that start with a space continue one."""
    for paragraph in re.split(r"\n\s*\n", text):
        fields = {}
        name = None
        for line in paragraph.splitlines():
            if line.startswith("#"):
                continue
            if line[:1] in (" ", "\t") and name:
                fields[name] += " " + line.strip()
            elif ":" in line:
                name, _, value = line.partition(":")
                name = name.strip().lower()
                fields[name] = value.strip()
        if fields.get("enabled", "yes").lower() not in ("no", "false", "0", "off"):
            yield tuple(fields.get(key, "").split() for key in ("uris", "suites", "components", "types"))


def archive_uris(etc):
    """Addresses of Debian's main archive as the apt configuration folder `etc` names them, in order, once each."""
    etc = Path(etc)
    entries = []
    for path in [etc / "sources.list", *sorted((etc / "sources.list.d").glob("*"))]:
        parse = {".list": _parse_one_line, ".sources": _parse_deb822}.get(path.suffix)
        if parse and path.is_file():
            entries += parse(path.read_text(encoding="utf-8", errors="replace"))
    found = []
    for uris, suites, components, types in entries:
        # Only the main archive holds every suite; security and updates do not, third parties have other suites.
        if "deb" not in types or "main" not in components or not any(map(_DEBIAN_SUITES.match, suites)):
            continue
        for uri in uris:
            if not uri.startswith("cdrom:") and uri.rstrip("/") not in found:
                found.append(uri.rstrip("/"))
    return found


_REASONS = (
    (r"No space left", "no disk space"),
    (r"NO_PUBKEY|not signed|EXPKEYSIG|Missing key", "Debian's signature cannot be checked: old debian-archive-keyring"),
    (r"resolv|onnect|unreachable|timed out|Network", "no network: the Debian archive that apt knows does not answer"),
)


def _reason(output):
    """The one line of apt's output that tells a person what to do."""
    for pattern, text in _REASONS:
        if re.search(pattern, output):
            return text
    errors = [line for line in output.splitlines() if line.startswith(("E:", "W:"))]
    return "apt failed: " + (errors[0] if errors else "no message")


class PrivateApt:
    """Sources, index and downloads below `root`; `arch` is this machine's, `foreign` its 32-bit partner."""

    def __init__(self, root, arch, foreign, etc="/etc/apt"):
        self.root = Path(root)
        self._arches = (arch, foreign)
        self._etc = etc

    def _apt(self, tool, *args):
        # LC_ALL: the messages are matched. The configuration is given last, so that it wins over the machine's.
        command = [tool, "-qq", "-c", str(self.root / "apt.conf"), *args]
        env = dict(os.environ, LC_ALL="C", DEBIAN_FRONTEND="noninteractive")
        try:
            done = subprocess.run(
                command,
                cwd=str(self.root / "cache"),
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=_TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise SetupError("the Debian archive is too slow: no end after %d s" % _TIMEOUT_S) from None
        output = done.stdout.decode("utf-8", "replace")
        if done.returncode:
            raise SetupError(_reason(output))
        return output

    def update(self, sources=False):
        """Write the private configuration and fetch the release's index: of packages, or of source packages."""
        for program in ("apt-get", "dpkg-deb"):
            if not shutil.which(program):
                raise SetupError("no apt on this machine")
        uris = archive_uris(self._etc)
        if not uris:
            raise SetupError("this machine's apt configuration names no Debian archive")
        for name in ("state/lists/partial", "cache/archives/partial", "empty", "log"):
            (self.root / name).mkdir(parents=True, exist_ok=True)
        (self.root / "state/status").write_text("")
        keyring = next((path for path in _KEYRINGS if os.path.exists(path)), None)
        kind, options = "deb", "target=Packages arch=" + ",".join(self._arches)
        if sources:
            kind, options = "deb-src", "target=Sources"
        options += " signed-by=" + keyring if keyring else ""
        lines = ["%s [%s] %s %s main\n" % (kind, options, uri, RELEASE) for uri in uris]
        (self.root / "sources.list").write_text("".join(lines))
        arches = " ".join('"%s";' % arch for arch in self._arches)
        conf = _CONF.format(root=self.root, arch=self._arches[0], arches=arches)
        (self.root / "apt.conf").write_text(conf)
        self._apt("apt-get", "update")

    def _wanted(self, arch, packages):
        """File names of the packages and all they depend on, as apt's own resolver chooses them."""
        names = [package + ":" + arch for package in packages]
        out = self._apt("apt-get", "install", "-y", "--print-uris", *names)
        return re.findall(r"^'[^']*' (\S+\.deb) ", out, re.MULTILINE), names

    def unpack(self, arch, packages, target):
        """Download the packages for `arch` with what they need, and unpack all of it into the new folder `target`."""
        files, names = self._wanted(arch, packages)
        self._apt("apt-get", "install", "-y", "--download-only", *names)
        for file in files:
            self._extract(self.root / "cache/archives" / file, target)

    def unpack_only(self, package, target):
        """Download one package without what it needs, and unpack it."""
        self._apt("apt-get", "download", package)
        for file in (self.root / "cache").glob(package + "_*.deb"):
            self._extract(file, target)

    def fetch_source(self, package):
        """Download a source package (no dpkg-dev is needed for that); returns the path of its upstream archive."""
        self._apt("apt-get", "source", "--download-only", package)
        for file in sorted((self.root / "cache").glob(package + "_*.orig.tar.*")):
            if not file.name.endswith(".asc"):
                return file
        raise SetupError("the source package of %s has no upstream archive" % package)

    @staticmethod
    def _extract(file, target):
        Path(target).mkdir(parents=True, exist_ok=True)
        command = ["dpkg-deb", "--extract", str(file), str(target)]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        if done.returncode:
            raise SetupError(_reason(done.stdout.decode("utf-8", "replace")))
