#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# units-generator-plugins.sh GENERATOR: which of auditd's plugins become units, what they run, and that a hostile file gets nowhere.
# Prints TAP.
# shellcheck disable=SC2016 # a $ is what is tested
set -u
generator=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset container
umask 022
wants=audit-relay-client.target.wants
count=0
failed=0

new_host() { # a tree with one program
    rm -rf "$work/host" "$work/out"
    mkdir -p "$work/host/usr/lib/systemd/system" "$work/host/etc/systemd/system/multi-user.target.wants" \
        "$work/host/etc/audit/plugins.d" "$work/host/usr/lib/audit-relay/subscribers.d" "$work/host/sbin" "$work/out"
    : >"$work/host/usr/lib/systemd/system/audit-relay-remote.service"
    echo "[Unit]" >>"$work/host/usr/lib/systemd/system/audit-relay-remote.service"
    program /sbin/plugin
}
program() { install -m 755 /dev/null "$work/host$1"; }
plugin() { # plugin FILE LINE…: an active file, its lines after the usual ones
    local file=$work/host/etc/audit/plugins.d/$1
    shift
    printf '%s\n' "active = yes" "direction = out" "path = /sbin/plugin" "type = always" "format = string" "$@" >"$file"
}
generate() { "$generator" "$work/out" "$work/out" "$work/out" "$work/host" 2>"$work/err"; }
report() { # report GOOD DESCRIPTION: with what was seen
    count=$((count + 1))
    if [ "$1" -eq 0 ]; then
        echo "ok $count - $2"
    else
        failed=1
        echo "not ok $count - $2"
        (cd "$work/out" && find . -type f -exec cat {} + && find . -type l) | sed 's/^/# /'
        sed 's/^/# /' "$work/err"
    fi
}
instances() { (cd "$work/out/$wants" && find . -name 'audit-relay-plugin@*' | sed 's#.*@##; s#\.socket$##' | sort | tr '\n' ' '); }
expect() { # expect DESCRIPTION INSTANCES [WORDS]: and that it says so
    generate && [ "$(instances)" = "$2" ] && { [ $# -lt 3 ] || grep -qF -- "$3" "$work/err"; }
    report $? "$1"
}
expect_run() { # expect_run DESCRIPTION NAME COMMAND
    generate && [ "$(grep '^ExecStart=.' "$work/out/audit-relay-plugin@$2.service.d/plugins.d.conf")" = \
        "ExecStart=/usr/lib/audit-relay/plugin-exec $3" ]
    report $? "$1"
}
expect_format() { # expect_format DESCRIPTION NAME FORMAT
    generate && grep -qx "Environment=FORMAT=$3" "$work/out/audit-relay-plugin@$2.socket.d/plugins.d.conf"
    report $? "$1"
}

new_host
expect "no plugins, no units" ""
plugin one.conf; plugin two
expect "two active files, one of them without a suffix" "one two "
expect_format "a plugin reads text unless told otherwise" one lines
expect_run "a program without arguments" one '"/sbin/plugin"'
plugin one.conf "format = binary" "args = LOG_INFO LOG_LOCAL0"
expect_format "or binary" one audisp
expect_run "or with some" one '"/sbin/plugin" "LOG_INFO" "LOG_LOCAL0"'
plugin two "ACTIVE = No"
rm -r "$work/out"; mkdir "$work/out"
expect "keys and values in capitals; what is not active is no unit" "one "

# What Debian's packages install: two programs, a part of auditd, and the sender that ours replaces.
new_host; program /sbin/audisp-syslog; program /sbin/audisp-remote; program /sbin/audispd-zos-remote
plugin syslog.conf "path = /sbin/audisp-syslog" "args = LOG_INFO"
plugin af_unix.conf "path = builtin_af_unix" "type = builtin " "args = 0640 /var/run/audispd_events"
plugin au-remote.conf "path = /sbin/audisp-remote"
plugin audispd-zos-remote.conf "path = /sbin/audispd-zos-remote" "args = /etc/audit/zos-remote.conf"
expect "Debian's: auditd's own socket is no plugin, and that is said" "audispd-zos-remote syslog " "audit-relay-dispatcher-lines.socket"
expect "audisp-remote is not run where remote sends" "audispd-zos-remote syslog " "audit-relay-remote.service sends"
ln -s /dev/null "$work/host/etc/systemd/system/audit-relay-remote.service"
expect "but where ours is masked" "au-remote audispd-zos-remote syslog "

new_host; plugin one.conf
echo "[Unit]" >"$work/host/usr/lib/systemd/system/auditd.service"
ln -s /usr/lib/systemd/system/auditd.service "$work/host/etc/systemd/system/multi-user.target.wants/"
expect "auditd enabled: it runs its plugins itself" ""
[ -L "$work/out/$wants/audit-relay-dispatcher-multicast.socket" ]
report $? "and its kernel's records are read beside it"
new_host; plugin audit-relay.conf "path = /usr/lib/audit-relay/auditd-plugin"
expect "our own plugin is not run where no auditd is" "" "the dispatcher reads the kernel itself"
echo "[Unit]" >"$work/host/usr/lib/systemd/system/auditd.service"
ln -s /usr/lib/systemd/system/auditd.service "$work/host/etc/systemd/system/multi-user.target.wants/"
rm -r "$work/out"; mkdir "$work/out"
generate && [ -z "$(ls "$work/out/$wants")" ]
report $? "and where one is, it is the dispatcher's input: no kernel socket"

# Hostile, or merely wrong.
new_host; plugin good.conf
plugin words.conf 'args = "; touch /x" %n %% $HOME ${HOME} \x41 + ; '"'"' ExecStartPre=/bin/false é'
expect_run "an argument is nothing but itself" words \
    '"/sbin/plugin" "\";" "touch" "/x\"" "%%n" "%%%%" "$$HOME" "$${HOME}" "\\x41" "+" ";" "'"'"'" "ExecStartPre=/bin/false" "\xc3\xa9"'
new_host; plugin good.conf
plugin $'line\nbreak.conf'; plugin 'a b.conf'; plugin '../../escape.conf' 2>/dev/null; plugin 'x@y.conf'; plugin '%n.conf'
plugin .hidden.conf; plugin old.conf.dpkg-old; plugin old.conf~; plugin "$(printf 'n%.0s' {1..65}).conf"
expect "a file's name is a plain word, or it is none of ours" "good "
new_host; plugin good.conf
plugin key.conf "exec = /bin/sh"; plugin value.conf "active = perhaps"; plugin form.conf "active=yes"; plugin path.conf "path = sh"
plugin two-paths.conf "path = /sbin/plugin /bin/sh"; plugin nothing.conf "path ="
expect "what auditd does not take is not taken, and named with its line" "good " "key.conf:6"
expect "the others are read all the same" "good " "value.conf:6"
new_host; plugin good.conf; plugin long.conf "# $(printf 'x%.0s' {1..600})" "args = $(printf 'y%.0s' {1..600})"
expect_run "a line that is too long is passed over" long '"/sbin/plugin"'
new_host; plugin good.conf; plugin group.conf; plugin world.conf; mkdir "$work/host/etc/audit/plugins.d/directory.conf"
chmod g+w "$work/host/etc/audit/plugins.d/group.conf"; chmod o+w "$work/host/etc/audit/plugins.d/world.conf"
mkfifo "$work/host/etc/audit/plugins.d/fifo.conf"; ln -s /dev/zero "$work/host/etc/audit/plugins.d/zero.conf"
expect "a file that others may write is not read, and what is no file does not hold the boot" "good " "world.conf"
new_host; plugin good.conf; program /sbin/writable; chmod o+w "$work/host/sbin/writable"; install -m 644 /dev/null "$work/host/sbin/text"
plugin missing.conf "path = /sbin/missing"; plugin writable.conf "path = /sbin/writable"; plugin text.conf "path = /sbin/text"
plugin directory.conf "path = /sbin"
expect "nor is a program run that others may write, or that is none" "good " "its program is not there"
new_host; plugin good.conf; plugin remote.conf
: >"$work/host/usr/lib/audit-relay/subscribers.d/remote.conf"
expect "the way to the collector cannot be taken over" "good " "there is a subscriber of that name"
new_host
for i in {1..70}; do plugin "p$i.conf"; done
generate && [ "$(instances | wc -w)" -eq 64 ] && grep -q "only 64 of 70" "$work/err"
report $? "there is an end to it"
echo "1..$count"
exit "$failed"
