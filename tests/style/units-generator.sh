#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# units-generator.sh GENERATOR: where the client target gets the kernel's records from, on hosts of each kind. Prints TAP.
set -u
generator=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset container
wants=audit-relay-client.target.wants
unicast="audit-relay-dispatcher-kernel.socket audit-relay-rules.service"
multicast="audit-relay-dispatcher-multicast.socket"
count=0
failed=0

new_host() { # an empty tree
    rm -rf "$work/host" "$work/out"
    mkdir -p "$work/host/usr/lib/systemd/system" "$work/host/etc/systemd/system/multi-user.target.wants" "$work/out"
}
install_auditd() { echo "[Unit]" >"$work/host/usr/lib/systemd/system/auditd.service"; }
enable_auditd() { ln -s /usr/lib/systemd/system/auditd.service "$work/host/etc/systemd/system/multi-user.target.wants/"; }
expect() { # expect DESCRIPTION UNITS
    local found
    count=$((count + 1))
    "$generator" "$work/out" "$work/out" "$work/out" "$work/host"
    local status=$?
    found=$(cd "$work/out/$wants" && printf '%s ' ./* | sed 's#\./##g; s# $##')
    if [ "$status" -eq 0 ] && [ "$found" = "$2" ]; then
        echo "ok $count - $1"
    else
        failed=1
        echo "not ok $count - $1"
        echo "# status $status, expected '$2', found '$found'"
    fi
}

new_host
expect "no auditd: the dispatcher is the audit daemon" "$unicast"
expect "run again, the same links" "$unicast"
new_host; install_auditd
expect "auditd installed, not enabled: the dispatcher" "$unicast"
new_host; install_auditd; enable_auditd
expect "auditd enabled: a copy beside it" "$multicast"
new_host; enable_auditd
expect "a link of auditd left over after its removal: the dispatcher" "$unicast"
new_host; install_auditd; enable_auditd; ln -s /dev/null "$work/host/etc/systemd/system/auditd.service"
expect "auditd masked: the dispatcher" "$unicast"
new_host; install_auditd; enable_auditd; : >"$work/host/etc/systemd/system/auditd.service"
expect "auditd masked by an empty file: the dispatcher" "$unicast"
new_host; install_auditd; mkdir "$work/host/usr/lib/systemd/system/sysinit.target.requires"
ln -s ../auditd.service "$work/host/usr/lib/systemd/system/sysinit.target.requires/auditd.service"
expect "auditd required by its vendor's tree: a copy" "$multicast"
new_host; mkdir -p "$work/host/run/systemd"; echo nspawn >"$work/host/run/systemd/container"
expect "a container: a copy, since the kernel refuses more there" "$multicast"

count=$((count + 1))
if "$generator" "$work/none" "$work/none" "$work/none" "$work/host" 2>"$work/err" || ! grep -q "$work/none" "$work/err"; then
    failed=1
    echo "not ok $count - a missing output directory is an error that names it"
else
    echo "ok $count - a missing output directory is an error that names it"
fi
echo "1..$count"
exit "$failed"
