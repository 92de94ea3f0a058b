# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the virtual machine boots from: a Debian tree, Debian's cloud kernel, an initramfs, and a small disk with what
`meson install` installs.

The first three are made once and kept beside the trees of tools/lib/rootfs, under a name made of what they are made of. The last
is made for each run; guest/init puts it over the tree, so that a new build needs no new image.
"""

import hashlib
import os
import pathlib
import platform
import shutil
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parent.parent
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME", "/var/cache")) / "audit-relay-test"
PACKAGES = ["systemd", "systemd-sysv", "dbus", "procps", "python3", "busybox-static", "libgnutls30", "libaudit1", "libauparse0",
            "libzstd1", "libxxhash0"]
KERNEL = "linux-image-cloud-amd64"
MODULES = ["virtio_pci", "virtio_blk", "virtio_console", "ext4", "overlay"]
# All of them, or the case cannot be run here.
TOOLS = ["qemu-system-x86_64", "qemu-img", "mke2fs", "cpio", "depmod", "modprobe", "apt-get", "apt-cache", "dpkg", "mmdebstrap",
         "meson"]
# An image that was not used for so long goes when another is made.
KEPT_SEC = 2 * 24 * 3600
NODE, COLLECTOR = "host", "collector"


class Skip(Exception):
    """This machine lacks a feature that is needed; the text names it."""


def check_features():
    if platform.machine() != "x86_64":
        raise Skip(f"there is no cloud kernel package of {platform.machine()}")
    if os.geteuid() != 0:
        raise Skip("needs root: it makes a Debian tree")
    for tool in TOOLS:
        if not shutil.which(tool):
            raise Skip(f"{tool} is missing; tools/vm-faults installs what is needed")


def run(*command, **options):
    return subprocess.run([str(c) for c in command], check=True, **options)


def output(*command):
    return run(*command, stdout=subprocess.PIPE, text=True).stdout


def kernel_package():
    depends = output("apt-cache", "depends", KERNEL).splitlines()
    return next((line.split()[1] for line in depends if "Depends: linux-image" in line), None)


def download(package, directory):
    # As root: apt's own user could not write there.
    return subprocess.run(["apt-get", "download", "-qq", "-o", "APT::Sandbox::User=root", package], cwd=directory).returncode == 0


def unpack_kernel(directory):
    """Downloads the kernel that the meta package stands for, unpacks it, and returns its release."""
    # Without a list of packages, or with an old one, the first try fails.
    if not kernel_package() or not download(kernel_package(), directory):
        run("apt-get", "update", "-qq", stdout=subprocess.DEVNULL)
        if not download(kernel_package() or KERNEL, directory):
            raise RuntimeError(f"{KERNEL} could not be downloaded")
    run("dpkg", "-x", next(directory.glob("linux-image*.deb")), directory / "kernel")
    release = next((directory / "kernel/lib/modules").iterdir()).name
    run("depmod", "-b", directory / "kernel", release)
    return release


def make_initramfs(tree, directory, release):
    root = directory / "initramfs"
    for folder in "bin", "dev", "proc", "sys", "modules", "tree", "installed", "tmp", "new":
        (root / folder).mkdir(parents=True)
    shutil.copy2(tree / "bin/busybox", root / "bin/busybox")
    shutil.copy2(HERE / "guest/init", root / "init")
    (root / "init").chmod(0o755)
    wanted = []
    for module in MODULES:
        for line in output("modprobe", "-d", directory / "kernel", "-S", release, "--show-depends", module).splitlines():
            if line.startswith("insmod") and line.split()[1] not in wanted:
                wanted.append(line.split()[1])
    for number, path in enumerate(wanted):
        shutil.copy2(path, root / "modules" / f"{number:02}-{os.path.basename(path)}")
    with open(directory / "initramfs.cpio", "wb") as archive:
        names = "\n".join(str(p.relative_to(root)) for p in sorted(root.rglob("*")))
        run("cpio", "--create", "--format=newc", "--quiet", cwd=root, input=names.encode(), stdout=archive)


def make_disk(path, tree, size):
    with open(path, "wb") as file:
        file.truncate(size)
    run("mke2fs", "-q", "-F", "-t", "ext4", *(["-d", tree] if tree else []), path, stdin=subprocess.DEVNULL)


def base_image():
    """The directory with vmlinuz, initramfs.cpio and tree.img."""
    tree = pathlib.Path(output(TOP / "tools/lib/rootfs", "vm", *PACKAGES).strip())
    key = hashlib.sha256(tree.name.encode() + (HERE / "guest/init").read_bytes() + (HERE / "image.py").read_bytes())
    directory = CACHE / f"vm-image-{key.hexdigest()[:16]}"
    if directory.is_dir():
        os.utime(directory)
        return directory
    print("making the virtual machine's image", file=sys.stderr, flush=True)
    work = pathlib.Path(tempfile.mkdtemp(prefix="new.", dir=CACHE))
    try:
        release = unpack_kernel(work)
        make_initramfs(tree, work, release)
        shutil.copy2(work / "kernel/boot" / f"vmlinuz-{release}", work / "vmlinuz")
        make_disk(work / "tree.img", tree, 2 << 30)
        for left_over in [work / "kernel", work / "initramfs"]:
            shutil.rmtree(left_over)
        for package in work.glob("*.deb"):
            package.unlink()
        # Another checkout may run with another one.
        for old in CACHE.glob("vm-image-*"):
            if time.time() - old.stat().st_mtime > KEPT_SEC:
                shutil.rmtree(old)
        work.rename(directory)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return directory


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def installed_disk(build, work):
    """What is put over the tree: the installed programs and units, their configuration and certificates, and the agent."""
    root = work / "installed"
    run("meson", "install", "-C", build, "--no-rebuild", "--quiet", "--destdir", root)
    etc = root / "etc"
    write(etc / "machine-id", f"{hashlib.sha256(str(work).encode()).hexdigest()[:32]}\n")
    write(etc / "hostname", f"{NODE}\n")
    write(etc / "hosts", f"127.0.0.1 localhost {NODE} {COLLECTOR}\n")
    write(etc / "systemd/journald.conf.d/volatile.conf", "[Journal]\nStorage=volatile\n")
    shutil.copytree(HERE / "guest/etc", etc, dirs_exist_ok=True)
    agent = root / "opt/vm"
    agent.mkdir(parents=True)
    for file in "agent.py", "held.py", "hold", "tap.py", "mount-data":
        shutil.copy2(HERE / "guest" / file, agent)
    shutil.copy2(TOP / "tests/kernel/harness.py", agent / "kernel.py")
    shutil.copy2(TOP / "tools/lib/witness.py", agent)

    tool, ca = root / "usr/bin/audit-relay", work / "ca"
    for command in ["init"], ["collector", COLLECTOR], ["client", NODE]:
        run(tool, "cert", *command, "--dir", ca, stdout=subprocess.DEVNULL)
    tls = etc / "audit-relay/tls"
    shutil.copytree(ca / NODE, tls, dirs_exist_ok=True)
    shutil.copytree(ca / COLLECTOR, tls / "collector")
    make_disk(work / "installed.img", root, 64 << 20)
    return work / "installed.img"
