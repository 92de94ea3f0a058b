#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# state-hold.sh STATE-HOLD: it runs as long as the file is there, however it goes, and no longer. Prints TAP.
set -u
hold=$1
work=$(mktemp -d)
trap 'rm -rf "$work"; kill $(jobs -p) 2>/dev/null' EXIT
file=$work/state/remote/disk_full
count=0
failed=0
result() { # result STATUS DESCRIPTION
    count=$((count + 1))
    [ "$1" -eq 0 ] || { failed=1; printf 'not '; }
    echo "ok $count - $2"
}
begin() { mkdir -p "${file%/*}"; echo SINCE=1 >"$file"; "$hold" "$file" & pid=$!; }
ended() { # within ten seconds, successfully
    timeout 10 tail --pid="$pid" -f /dev/null && wait "$pid"
}

begin
sleep 0.2
echo SINCE=2 >"$work/new"; mv "$work/new" "$file"
sleep 0.2
kill -0 "$pid" 2>/dev/null; result $? "stays while the file is there, also when it is written anew"
rm "$file"
ended; result $? "returns when the file is removed"

begin
mv "$file" "$work/elsewhere"
ended; result $? "returns when the file is renamed"

begin
rm -rf "$work/state"
ended; result $? "returns when the whole directory goes"

"$hold" "$file" & pid=$!
ended; result $? "returns at once when there is no file"

! "$hold" relative/path 2>/dev/null; result $? "refuses a path that is not absolute"
echo "1..$count"
exit "$failed"
