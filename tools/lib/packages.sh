# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# What is needed beyond a minimal Debian 12, by purpose; sourced by tools/ and .ci/.
#
#   packages_need PURPOSE…   installs what is missing, from the package sources of this machine

packages_build=(gcc libc6-dev meson ninja-build pkg-config lowdown
        libaudit-dev libauparse-dev libgnutls28-dev libsystemd-dev libxxhash-dev libzstd-dev libnftables-dev check)
# systemd: systemd-socket-activate(1); python3: the independent witness.
packages_demo=("${packages_build[@]}" systemd python3-minimal libpython3-stdlib libauparse0)
packages_quick=("${packages_demo[@]}" python3 git shellcheck socat nftables iproute2 util-linux softhsm2 zsh)
# shellcheck disable=SC2034 # used by name, in packages_list()
packages_images=("${packages_build[@]}" libfuse3-dev fuse3 e2fsprogs xfsprogs python3 iproute2 util-linux mount git)
# shellcheck disable=SC2034
packages_test=("${packages_quick[@]}" clang libclang-rt-14-dev libfuse3-dev fuse3 e2fsprogs xfsprogs
        systemd-container mmdebstrap debian-archive-keyring iproute2 util-linux procps gnutls-bin socat strace valgrind)
# shellcheck disable=SC2034
packages_coverage=("${packages_quick[@]}" gcovr)
# shellcheck disable=SC2034
packages_package=("${packages_build[@]}" git systemd-container mmdebstrap debian-archive-keyring util-linux mount)
# shellcheck disable=SC2034
packages_image=(buildah mmdebstrap debian-archive-keyring util-linux mount)
# shellcheck disable=SC2034
packages_bench=("${packages_build[@]}" python3 util-linux mount)
# A virtual machine: the emulator, and what its image is made with.
# shellcheck disable=SC2034
packages_vm=(python3 git qemu-system-x86 qemu-utils seabios e2fsprogs kmod cpio mmdebstrap debian-archive-keyring)

packages_list() { # packages_list PURPOSE: one a line
        local -n packages_of=packages_$1

        printf '%s\n' "${packages_of[@]}"
}

packages_missing() { # of those on stdin
        local package

        while read -r package; do
                dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null | grep -q '^ii' || echo "$package"
        done
}

packages_need() {
        local purpose missing

        mapfile -t missing < <(for purpose; do packages_list "$purpose"; done | sort -u | packages_missing)
        [ ${#missing[@]} -gt 0 ] || return 0
        if [ "$(id -u)" -ne 0 ]; then
                echo "missing packages (run as root to install them): ${missing[*]}" >&2
                return 1
        fi
        echo "Installing ${#missing[@]} packages: ${missing[*]}"
        export DEBIAN_FRONTEND=noninteractive
        # Without a list of packages, or with one from before the versions changed, the first try fails.
        apt-get install -qq --yes --no-install-recommends "${missing[@]}" </dev/null >/dev/null 2>&1 && return 0
        apt-get update -qq </dev/null >/dev/null &&
                apt-get install -qq --yes --no-install-recommends "${missing[@]}" </dev/null >/dev/null
}
