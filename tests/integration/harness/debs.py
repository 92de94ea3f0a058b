# SPDX-License-Identifier: LGPL-2.1-or-later
"""The project's Debian packages: made once for all suites that want them."""

import os
import shutil
import subprocess

from .machine import TOP


def build_packages(build_dir, reuse=False):
    """tools/package, with the tarball of this build directory; returns the directory and, if it failed, its output. reuse: those that are
    there will do if they are of the last commit, as the new ones would be."""
    output = build_dir / "packages"
    commit = subprocess.run(["git", "-C", TOP, "rev-parse", "HEAD"], check=True, stdout=subprocess.PIPE, text=True).stdout
    stamp = output / "commit"
    if reuse and stamp.exists() and stamp.read_text() == commit and list(output.glob("*.changes")):
        return output, None
    done = subprocess.run([TOP / "tools/package", "--build", build_dir, "--output", output], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          env={"DEB_BUILD_OPTIONS": "nocheck noautodbgsym", **os.environ})
    return output, None if done.returncode == 0 else done.stdout


def dpkg_install(host, files):
    for file in files:
        shutil.copy(file, host.path("/root") / file.name)
    return host.sh(["dpkg", "--install", *(f"/root/{file.name}" for file in files)])
