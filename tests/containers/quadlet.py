# SPDX-License-Identifier: LGPL-2.1-or-later
"""What Quadlet makes of the keys that our .container files use, by podman-systemd.unit(5) of podman 4.4 to 5.8: Debian 12's podman is
older and has none. A key that is not known here is an error."""

import shlex

# What every release adds; 4.4 also the runtime and a file with the id, others what the files say themselves.
RUN = "podman run --name={name} --replace --rm --cgroups=split -d"
FLAGS = {("NoNewPrivileges", "true"): "--security-opt=no-new-privileges", ("ReadOnly", "true"): "--read-only",
         ("Notify", "true"): "--sdnotify=container"}
SERVICE = {("Type", "notify"), ("NotifyAccess", "all"), ("Delegate", "yes"), ("KillMode", "mixed"), ("SyslogIdentifier", "%N"),
           ("Environment", "PODMAN_SYSTEMD_UNIT=%n")}


def sections(path):
    """{section: [(key, value)]} of a unit file, without comments; a line that ends in a backslash goes on."""
    found, section = {}, None
    for line in path.read_text().replace("\\\n", " ").splitlines():
        if line.startswith("["):
            section = found.setdefault(line.strip("[]"), [])
        elif line and not line.startswith(("#", ";")):
            key, _, value = line.partition("=")
            section.append((key, value.strip()))
    return found


def command(container):
    """The words of ExecStart=, of the keys of a section [Container]."""
    only = dict(container)
    words = shlex.split(RUN.format(name=only["ContainerName"]))
    for key, value in container:
        if (key, value) in FLAGS:
            words.append(FLAGS[key, value])
        elif key == "Network":
            words += [f"--network={value}"]
        elif key == "DropCapability":
            words += [f"--cap-drop={value}"]
        elif key == "Volume":
            words += ["-v", value]
        elif key == "PodmanArgs":
            words += shlex.split(value)
        else:
            assert key in ("ContainerName", "Image"), f"what does Quadlet make of {key}={value}?"
    return words + [only["Image"]]


def pairs(words):
    """Options in no order, each with its argument; what is neither, in its order."""
    options, rest, words = set(), [], list(words)
    while words:
        word = words.pop(0)
        if word == "-v":
            options.add((word, words.pop(0)))
        elif word.startswith("-"):
            options.add((word, None))
        else:
            rest.append(word)
    return options, rest


def expect_same(quadlet, plain):
    """The two files are the same unit, but for what is ordered after which mounts."""
    ours, theirs = sections(quadlet), sections(plain)
    assert ours["Quadlet"] == [("DefaultDependencies", "false")], ours["Quadlet"]
    unit = [(key, value) for key, value in theirs["Unit"] if key != "RequiresMountsFor"]
    assert ours["Unit"] == unit, f"[Unit]: {ours['Unit']} is not {unit}"
    mounts = " ".join(value for key, value in theirs["Unit"] if key == "RequiresMountsFor").split()
    for key, value in ours["Container"]:
        source = value.split(":")[0]
        # These are on the file system that everything is on, or systemd's own.
        assert key != "Volume" or source in mounts or source.startswith(("/etc/", "/run/systemd/")), f"{plain}: not after {source}"
    service = [pair for pair in theirs["Service"] if pair[0] != "ExecStart" and pair not in SERVICE]
    assert ours["Service"] == service, f"[Service]: {ours['Service']} is not {service}"
    assert SERVICE <= set(theirs["Service"]), f"{plain}: {SERVICE - set(theirs['Service'])} is missing"
    (start,) = [value for key, value in theirs["Service"] if key == "ExecStart"]
    expected, found = pairs(command(ours["Container"])), pairs(shlex.split(start))
    assert expected == found, f"{expected[0] ^ found[0]} in one of them alone; {expected[1]}, {found[1]}"
