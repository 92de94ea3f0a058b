# SPDX-License-Identifier: LGPL-2.1-or-later
"""Debian's packages to run without being installed: to install some of them would start them."""

import glob
import os
import shutil
import subprocess


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip() or done.returncode}")


def unpack(directory, packages):
    """With what they need and this machine has not. Made once; returns the root."""
    root = f"{directory}/root"
    if os.path.isdir(root):
        return root
    os.makedirs(f"{directory}/archives/partial", exist_ok=True)
    fetch = ["apt-get", "-qq", "-o", f"Dir::Cache::archives={directory}/archives", "install", "--yes",
             "--no-install-recommends", "--download-only", "--reinstall", *packages]
    try:
        run(*fetch)
    except RuntimeError:
        run("apt-get", "-qq", "update")
        run(*fetch)
    part = f"{directory}/part"
    shutil.rmtree(part, ignore_errors=True)
    for archive in glob.glob(f"{directory}/archives/*.deb"):
        run("dpkg", "-x", archive, part)
    os.rename(part, root)
    return root
