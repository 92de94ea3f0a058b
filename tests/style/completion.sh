#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# completion.sh SOURCE-DIR AUDIT-RELAY: what the shells' completion of audit-relay offers, asked as the shells ask. Prints TAP.
# shellcheck disable=SC2317 # functions are called through check()
set -u
source=$1
tool=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export LC_ALL=C

# The program that is completed is found in the PATH; the nodes are those of an aggregator's status.
mkdir -p "$work/bin" "$work/state/aggregator"
cat >"$work/bin/audit-relay" <<END
#!/bin/sh
if [ "\$1 \$2" = "complete nodes" ]; then exec $tool complete nodes --state-dir=$work/state; fi
exec $tool "\$@"
END
chmod 755 "$work/bin/audit-relay"
printf 'audit_relay_aggregator_peer_connected{node="%s",address="",stream="x"} 1\n' web1 web2 db1 >"$work/state/aggregator/status"
PATH=$work/bin:$PATH

count=0
failed=0
check() { # check DESCRIPTION WANTED FOUND
    count=$((count + 1))
    if [ "$2" = "$3" ]; then
        echo "ok $count - $1"
    else
        failed=1
        echo "not ok $count - $1"
        printf '# wanted: %s\n# found:  %s\n' "$2" "$3"
    fi
}

# What bash is offered for these words, the last of which is being typed, in one line.
offer() {
    COMP_WORDS=("$@")
    COMP_CWORD=$(($# - 1))
    COMPREPLY=()
    _audit_relay
    echo "${COMPREPLY[*]}"
}

# shellcheck source=completion/audit-relay.bash
. "$source/completion/audit-relay.bash"
check "bash knows the function" "complete -F _audit_relay audit-relay" "$(complete -p audit-relay)"
check "a verb" "doctor drill" "$(offer audit-relay d)"
verbs=$(offer audit-relay "" | wc -w)
check "all verbs, --help and --version" "$(($(audit-relay --help | grep -cE '^  [a-z]') + 2))" "$verbs"
check "an option" "--json" "$(offer audit-relay doctor --j)"
check "an option with a value" "--state-dir=" "$(offer audit-relay status --st)"
check "a check" "certificates clock collectors conditions" "$(offer audit-relay doctor c)"
check "a component" "dispatcher" "$(offer audit-relay status d)"
check "a condition" "remote/spool_low remote/spool_full remote/spool_dropping remote/spool_error" "$(offer audit-relay drill --yes remote/sp)"
check "a node" "web1 web2" "$(offer audit-relay log --node = w)"
check "all nodes" "web1 web2 db1" "$(offer audit-relay command --node =)"
check "a format" "interpreted" "$(offer audit-relay log --format = i)"
check "a command of cert" "collector client" "$(offer audit-relay cert c)"
check "a name for a command of cert" "web1 web2" "$(offer audit-relay cert renew w)"
check "a file for a command of cert" "$source/completion/_audit-relay" "$(offer audit-relay cert show "$source/completion/_")"
check "a file" "$source/completion/audit-relay.bash" "$(offer audit-relay verify "$source/completion/audit-relay.b")"
check "a file behind an option" "$source/completion/_audit-relay" "$(offer audit-relay import --root = "$source/completion/_audit-r")"

# zsh completes in a terminal of its own; what it puts on the line is its answer. Takes pairs: what is typed before the tab, and what the
# line then has in it. Prints the first pair that is not so, or "all".
zsh_lines() {
    # shellcheck disable=SC2016 # for zsh
    timeout 30 zsh -f -c '
        zmodload zsh/zpty
        zpty line zsh -f -i
        zpty -w line "PS1=; PATH=$2; fpath=($1/completion \$fpath); autoload -Uz compinit; compinit -u -D; bindkey \"^I\" complete-word"
        zpty -w line "echo READY"
        zpty -r -m line text "*READY*READY*"
        shift 2
        for typed wanted; do
            zpty -n -w line "$typed"$'"'\t'"'
            zpty -n -w line " #"$'"'\n'"'"echo DONE"$'"'\n'"'
            zpty -r -m line text "*DONE*DONE*"
            [[ $text == *$wanted* ]] || { print -r -- "$typed: $text"; exit }
        done
        print all' -- "$source" "$PATH" "$@" 2>/dev/null
}
if command -v zsh >/dev/null; then
    check "zsh: a verb, an option, a condition, a node" all "$(zsh_lines 'audit-relay doc' 'audit-relay doctor' \
        'audit-relay cert ren' 'audit-relay cert renew' 'audit-relay cert renew d' 'audit-relay cert renew db1' 'audit-relay doctor --js' '--json' 'audit-relay drill remote/spool_fu' 'remote/spool_full' 'audit-relay log --node=d' '--node=db1')"
    check "zsh: what is not there is not offered" "" "$(zsh_lines 'audit-relay doctor --nos' '--nosuch' | grep -x all)"
else
    count=$((count + 1))
    echo "ok $count - zsh # SKIP zsh is not installed"
fi
echo "1..$count"
exit "$failed"
