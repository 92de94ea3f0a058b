#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# verbs.sh SOURCE-DIR AUDIT-RELAY: every verb answers --help, refuses an option that it does not have, and is in a document. Prints TAP.
set -u
source=$1
tool=$2
count=0
failed=0
check() { # check DESCRIPTION STATUS
    count=$((count + 1))
    if [ "$2" -eq 0 ]; then
        echo "ok $count - $1"
    else
        failed=1
        echo "not ok $count - $1"
    fi
}

verbs=$("$tool" --help | sed -n 's/^  \([a-z][a-z]*\) .*/\1/p')
[ "$(wc -w <<<"$verbs")" -gt 10 ]
check "there are verbs" $?
for verb in $verbs; do
    "$tool" "$verb" --help 2>&1 </dev/null | head -n 1 | grep -q "^Usage: audit-relay $verb"
    check "$verb --help" $?
    "$tool" "$verb" --no-such-option >/dev/null 2>&1 </dev/null
    [ $? -eq 2 ]
    check "$verb: a wrong option is wrong usage" $?
    grep -q "audit-relay $verb" "$source"/docs/*.md
    check "$verb is in docs/" $?
done
"$tool" no-such-verb >/dev/null 2>&1
[ $? -eq 2 ]
check "a verb that there is not" $?
echo "1..$count"
exit "$failed"
