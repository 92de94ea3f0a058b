#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Every shell script below the directory TOP is clean: shellcheck.sh TOP. Prints TAP.
set -u
command -v shellcheck >/dev/null || { echo "1..0 # SKIP shellcheck is not installed"; exit 0; }
cd "$1" || exit 1
count=0
failed=0
while read -r file; do
    head -n 2 "$file" | grep -qE '^#!.*\b(ba)?sh\b|shellcheck shell=' || continue
    count=$((count + 1))
    if output=$(shellcheck --external-sources "$file" 2>&1); then
        echo "ok $count - $file"
    else
        failed=1
        echo "not ok $count - $file"
        printf '%s\n' "$output" | sed 's/^/# /'
    fi
done < <(find . -path './.git' -prune -o -path './build*' -prune -o -type f \( -name '*.sh' -o -name '*.bash' -o ! -name '*.*' \) -print | sort)
echo "1..$count"
exit "$failed"
