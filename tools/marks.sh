#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Proves that what is released has no trace of the coverage marks (common/base/mark.h): no symbol, no
# name, not even in what a debugger is told. The simulator has them all, or this would look in vain.
#
#   tools/marks.sh SIM RELEASED...
set -euo pipefail

sim=$1
shift
names=$(grep -oE '^ +X\([A-Z][0-9]+, [a-z_]+' common/base/mark.h | sed -E 's/^ +X\(([A-Z0-9]+), /\1_/')

traces() { # file
    { nm "$1" 2>/dev/null || true; strings -a "$1"; } | grep -oFf <(echo "vr_marks"; echo "$names") | sort -u
}

passed=0
failed=0
count=$(wc -l <<<"$names")
if [[ $(traces "$sim" | wc -l) -ge $count ]]; then
    passed=1
else
    failed=1
    echo "$sim does not have all $count coverage marks: nothing can be told of the others"
fi
for file in "$@"; do
    if [[ ! -e $file ]] || found=$(traces "$file"); then
        failed=$((failed + 1))
        echo "$file has coverage marks: $(paste -sd ' ' <<<"${found:-it is missing}")"
    else
        passed=$((passed + 1))
    fi
done
echo "coverage marks: $passed passed, $failed failed"
[[ $failed -eq 0 ]]
