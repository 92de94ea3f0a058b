#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Whether the RPM packages have the files of Debian's, with the same owners and modes.

    same-files.py DIRECTORY-OF-DEBS DIRECTORY-OF-RPMS
    same-files.py --self-test

Not compared is what each of the two ways of packing adds: where documents and licences are, and that Debian compresses them.
"""

import pathlib
import re
import subprocess
import sys

PACKAGES = {"audit-relay": "audit-relay", "audit-relay-collector": "audit-relay-collector", "audit-relay-common": "audit-relay-common",
            "audit-relay-plugins": "audit-relay-plugins", "libaudit-relay0": "audit-relay-libs", "libaudit-relay-dev": "audit-relay-devel"}
ADDED = re.compile(r"/usr/share/(lintian|licenses)/|/usr/share/doc/.*/(changelog\.gz|copyright|README\.md)$")
EXAMPLES = re.compile(r"/usr/share/doc/audit-relay-common(/examples|-[0-9.]+)/")
# Debian takes the execute bits of libraries away.
LIBRARY = re.compile(r"/libaudit-relay\.so\.[0-9.]+$")
OURS = re.compile(r"^/etc/")


def entry(path, mode, owner):
    """(path, (mode, owner)) as it is compared; None: it is not. Of directories those in /etc alone: the rest are the system's."""
    path = path.rstrip("/")
    if ADDED.search(path) or mode.startswith("d") and not OURS.match(path):
        return None
    path = EXAMPLES.sub("/usr/share/doc/examples/", re.sub(r"^/lib/", "/usr/lib/", path))
    if re.match(r"/usr/share/(man|doc)/", path):
        # What is a link to another page is a copy of it or a link, as each likes.
        return re.sub(r"\.gz$", "", path), ("-rw-r--r--", owner)
    return path, ("-rw-r--r--" if LIBRARY.search(path) and mode.startswith("-") else mode, owner)


def gather(found):
    return dict(e for e in (entry(*f) for f in found) if e)


def of_deb(file):
    lines = subprocess.check_output(["dpkg-deb", "--contents", file], text=True).splitlines()
    fields = [line.split(None, 5) for line in lines]
    return gather((f[5].split(" -> ")[0][1:], f[0], f[1]) for f in fields)


def of_rpm(file):
    query = "[%{FILENAMES}|%{FILEMODES:perms}|%{FILEUSERNAME}/%{FILEGROUPNAME}\n]"
    lines = subprocess.check_output(["rpm", "--query", "--package", "--queryformat", query, file], text=True).splitlines()
    return gather(line.split("|") for line in lines)


def differences(name, deb, rpm):
    # Directories that dpkg lists because something is in them, RPM only where the spec does.
    return [f"{name}: {path}: {deb.get(path, 'not in the deb')}, {rpm.get(path, 'not in the rpm')}"
            for path in sorted(deb.keys() | rpm.keys()) if deb.get(path) != rpm.get(path) and path != "/etc"]


def self_test():
    deb = gather([("/lib/systemd/system/a", "-rw-r--r--", "root/root"), ("/etc/", "drwxr-xr-x", "root/root"), ("/etc/x", "-rw-r-----", "root/root"),
                  ("/usr/share/man/man1/a.1.gz", "lrwxrwxrwx", "root/root"), ("/usr/share/doc/a/copyright", "-rw-r--r--", "root/root")])
    rpm = gather([("/usr/lib/systemd/system/a", "-rw-r--r--", "root/root"), ("/etc/x", "-rw-r-----", "root/root"),
                  ("/usr/share/man/man1/a.1", "-rw-r--r--", "root/root")])
    return (not differences("a", deb, rpm) and len(differences("a", deb, {**rpm, "/etc/x": ("-rw-r--r--", "root/root")})) == 1 and
            len(differences("a", deb, {**rpm, "/y": ("-rw-r--r--", "root/root")})) == 1 and len(differences("a", {**deb, "/z": 1}, rpm)) == 1)


def main():
    if not self_test():
        return "same-files: it does not see a difference"
    if sys.argv[1:] == ["--self-test"]:
        return 0
    debs, rpms = map(pathlib.Path, sys.argv[1:3])
    found, compared = [], 0
    for deb, rpm in PACKAGES.items():
        of = of_deb(next(debs.glob(f"{deb}_*.deb"))), of_rpm(next(rpms.glob(f"{rpm}-[0-9]*.rpm")))
        found += differences(deb, *of)
        compared += len(of[0])
    print("\n".join(found or [f"{compared} files are the same in both"]))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
