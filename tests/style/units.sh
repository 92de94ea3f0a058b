#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# units.sh BUILD-DIR SOURCE-DIR: the units as `meson install` lays them out are understood by systemd, refer to programs and users that
# are installed too, and every service is locked in as tightly as docs/security.md says. The drop-ins that the documents show are understood.
# Prints TAP.
# shellcheck disable=SC2317 # functions are called through check()
set -u
build=$1
source=$2
export LC_ALL=C

for tool in systemd-analyze meson; do
    command -v "$tool" >/dev/null || { echo "1..0 # SKIP $tool is not installed"; exit 0; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

count=0
failed=0
check() { # check DESCRIPTION COMMAND…: passes if the command succeeds and prints nothing
    local description=$1 output status
    shift
    count=$((count + 1))
    output=$("$@" 2>&1)
    status=$?
    if [ "$status" -eq 0 ] && [ -z "$output" ]; then
        echo "ok $count - $description"
    else
        failed=1
        echo "not ok $count - $description"
        printf '%s\n' "$output" | sed 's/^/# /'
    fi
}

# The installed tree, with the commands' paths made those of the tree; augenrules belongs to another package.
install_tree() {
    meson install -C "$build" --no-rebuild --quiet --destdir "$work/root" >"$work/log" 2>&1 || { cat "$work/log"; return 1; }
    mkdir -p "$work/units" "$work/stand-in"
    printf '#!/bin/sh\n' >"$work/stand-in/augenrules"
    chmod 755 "$work/stand-in/augenrules"
    cp "$work"/root/usr/lib/systemd/system/audit-relay* "$work/units/"
    sed -i -e "s#/usr/lib/audit-relay/#$work/root&#" -e "s#/usr/sbin/augenrules#$work/stand-in/augenrules#" "$work"/units/*
}

verify() {
    local units=() unit
    for unit in "$work"/units/*; do
        units+=("${unit/@./@remote-disk_full.}")
    done
    SYSTEMD_UNIT_PATH=$work/units: systemd-analyze verify --man=no "${units[@]}"
}

# Each ready-made reaction as a drop-in; what only the administrator has is stood in for.
verify_reaction() {
    local drop_ins=$work/units/audit-relay-state@remote-disk_full.service.d
    mkdir -p "$drop_ins"
    sed "s#/etc/audit-relay/reaction#$work/stand-in/augenrules#" "$1" >"$drop_ins/reaction.conf"
    SYSTEMD_UNIT_PATH=$work/units: systemd-analyze verify --man=no "$work/units/audit-relay-state@remote-disk_full.service"
    rm -r "$drop_ins"
}

# It is for each of these units, whichever a site takes.
verify_refusal() {
    local unit drop_ins
    for unit in audit-relay-{client,collector}.target audit-relay-{dispatcher,remote,aggregator}.{service,socket} \
                audit-relay-dispatcher-kernel.socket; do
        drop_ins=$work/units/$unit.d
        mkdir -p "$drop_ins"
        cp "$work/root/usr/share/audit-relay/refuse-manual-stop.conf" "$drop_ins/"
        SYSTEMD_UNIT_PATH=$work/units: systemd-analyze verify --man=no "$work/units/$unit"
        rm -r "$drop_ins"
    done
}

# Its exposure is the one that the document has.
as_documented() {
    local name exposure
    name=$(basename "$1")
    exposure=$(systemd-analyze security --offline=true --no-pager "$1" 2>&1 | sed -n 's/.*Overall exposure level for .*: \([0-9.]*\) .*/\1/p')
    grep -qF "| \`$name\` | ${exposure:-unknown} |" "$source/docs/security.md" || echo "it is ${exposure:-unknown}"
}

# Each by itself, as its reader will have it.
verify_documented() {
    local file unit n=0
    python3 "$source/tests/style/drop_ins.py" "$source" "$work/units" "$work/documented" || return 1
    for file in "$work"/documented/*/*.conf; do
        unit=$(basename "$(dirname "$file")")
        mkdir -p "$work/units/$unit.d"
        sed "s#/usr/lib/audit-relay/#$work/root&#" "$file" >"$work/units/$unit.d/documented.conf"
        SYSTEMD_UNIT_PATH=$work/units: systemd-analyze verify --man=no "$work/units/$unit" 2>&1 | sed "s#^#$(basename "$file"): #"
        rm -r "$work/units/$unit.d"
        n=$((n + 1))
    done
    [ "$n" -ge 8 ] || echo "only $n drop-ins were found"
}

# Users and groups that a unit names are made by our sysusers.d file.
known_users() {
    local name
    sed -n -E 's/^(User|Group|SocketUser|SocketGroup)=//p' "$work"/units/* | sort -u | while read -r name; do
        grep -qE "^[ug] $name " "$work/root/usr/lib/sysusers.d/audit-relay.conf" || echo "$name is in no sysusers.d line"
    done
}

# It says what it would do; a line that it does not understand is on stderr.
understood_users() {
    systemd-sysusers --dry-run --root="$work/root" "$work/root/usr/lib/sysusers.d/audit-relay.conf" 2>&1 |
        grep -vE '^(Creating|Would write) '
    return "$((PIPESTATUS[0]))"
}

check "meson install lays out a tree" install_tree
check "systemd-analyze verify finds nothing to say" verify
reactions=0
for reaction in "$work"/root/usr/lib/audit-relay/reactions/*.conf; do
    reactions=$((reactions + 1))
    check "the reaction $(basename "$reaction" .conf) is understood" verify_reaction "$reaction"
done
check "there are nine reactions" test "$reactions" -eq 9
check "the drop-in against stopping by hand is understood" verify_refusal
check "the drop-ins in the documents are understood" verify_documented
services=0
for unit in "$work"/units/*.service; do
    services=$((services + 1))
    check "$(basename "$unit") is locked in as docs/security.md says" as_documented "$unit"
done
check "there are services" test "$services" -gt 0
check "users and groups are known to sysusers.d" known_users
check "the sysusers.d file is understood" understood_users
echo "1..$count"
exit "$failed"
