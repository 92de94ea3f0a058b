#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# tally.sh TALLY: the counting of test results itself: nothing that failed, or did not run, is counted as passed. Prints TAP.
set -u
tally=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset CI
count=0
failed=0
expect() { # expect DESCRIPTION EXPECTED FOUND
    count=$((count + 1))
    if [ "$2" != "$3" ]; then
        failed=1
        printf 'not '
    fi
    echo "ok $count - $1"
    [ "$2" = "$3" ] || printf 'expected:\n%s\nfound:\n%s\n' "$2" "$3" | sed 's/^/# /'
}
tap() { # tap STATUS TEXT
    printf '%b' "$2" >"$work/tap"
    "$tally" tap s "$work/tap" "$1"
}

expect "TAP" "$(printf 'passed s: a\nfailed s: b\nskipped s: c: why')" "$(tap 1 '1..3\nok 1 - a\nnot ok 2 - b\nok 3 - c # SKIP why\n')"
expect "a plan at the end" "passed s: a" "$(tap 0 'ok 1 - a\n1..1\n')"
expect "a program that skips itself" "skipped s: no such thing" "$(tap 0 '1..0 # SKIP no such thing\n')"
expect "one that says so by its exit status too" "skipped s: why" "$(tap 77 '1..0 # SKIP why\n')"
expect "fewer results than planned" "$(printf 'passed s: a\nfailed s: ended early: 1 of 2 results, status 139')" \
    "$(tap 139 '1..2\nok 1 - a\n')"
expect "no output" "failed s: ended early: 0 of ? results, status 0" "$(tap 0 '')"
expect "all is well but the exit status" "$(printf 'passed s: a\nfailed s: exit status 1')" "$(tap 1 'ok 1 - a\n1..1\n')"

cat >"$work/log.json" <<'END'
{"name": "p:unit / t1", "stdout": "ok 1 - a\nnot ok 2 - b\n1..2\n", "result": "FAIL", "returncode": 1}
{"name": "t2", "stdout": "", "result": "OK", "returncode": 0}
{"name": "t3", "stdout": "ok 1 - a\n", "result": "TIMEOUT", "returncode": -15}
{"name": "t4", "stdout": "ok 1 - a\n1..1\n", "result": "ERROR", "returncode": 1}
{"name": "t5", "stdout": "1..0 # SKIP no tool\n", "result": "SKIP", "returncode": 0}
END
expect "meson's log" "$(printf '%s\n' 'passed u/t1: a' 'failed u/t1: b' 'passed u/t2' 'failed u/t3: TIMEOUT' 'passed u/t4: a' \
    'failed u/t4: exit status 1' 'skipped u/t5: no tool')" "$("$tally" meson u "$work/log.json")"
expect "no log" "" "$("$tally" meson u "$work/none.json")"

: >"$work/empty"
expect "a suite that executed nothing" "u: 0 passed, 1 failed, 0 skipped in 1 s" "$("$tally" sum u "$work/empty" 1)"
expect "is kept as a failure" "failed u: nothing was executed" "$(cat "$work/empty")"

verdict() { # verdict LINES: the closing line and the exit status
    printf '%b' "$1" >"$work/all"
    "$tally" verdict "$work/all" "$work/skips" | tail -n 1
    echo "${PIPESTATUS[0]}"
}
printf '# features\n^u/t5: no tool\n' >"$work/skips"
expect "all passed" "$(printf '2 passed, 0 failed, 0 skipped\n0')" "$(verdict 'passed a\npassed b\n')"
expect "one failed" "$(printf '1 passed, 1 failed, 0 skipped\n1')" "$(verdict 'passed a\nfailed b: x\n')"
expect "nothing at all" "$(printf '0 passed, 0 failed, 0 skipped\n1')" "$(verdict '')"
export CI=true
expect "CI: a skip that is allowed" "$(printf '1 passed, 0 failed, 1 skipped\n0')" "$(verdict 'passed a\nskipped u/t5: no tool\n')"
expect "CI: one that is not" "$(printf '1 passed, 1 failed, 0 skipped\n1')" "$(verdict 'passed a\nskipped u/t6: no tool\n')"
echo "1..$count"
exit "$failed"
