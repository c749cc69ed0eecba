#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs unit-test programs one after the other, prints Check's closing line of each, the whole output
# of those that failed, and "unit: N passed, N failed".
#
#   tools/unit.sh PROGRAM...      TEST_SECONDS (default 300): when a program counts as hung
set -uo pipefail

passed=0
failed=0
for program in "$@"; do
    output=$(timeout --kill-after=5 "${TEST_SECONDS:-300}" "$program" 2>&1)
    status=$?
    # "97%: Checks: 38, Failures: 1, Errors: 0", one a suite runner
    totals=$(printf '%s\n' "$output" | tr -d '\0' |
        sed -nE 's/^[0-9]+%: Checks: ([0-9]+), Failures: ([0-9]+), Errors: ([0-9]+)$/\1 \2 \3/p')
    checks=0
    bad=0
    while read -r c f e; do
        [[ -n $c ]] || continue
        checks=$((checks + c))
        bad=$((bad + f + e))
    done <<<"$totals"
    if [[ $status -ne 0 && $bad -eq 0 ]]; then
        bad=1 # it died, hung or was stopped by a sanitizer outside of any test
        checks=$((checks + 1))
    elif [[ $status -eq 0 && $checks -eq 0 ]]; then
        bad=1 # it ran nothing: that is no success
        checks=1
    fi
    passed=$((passed + checks - bad))
    failed=$((failed + bad))
    printf '%-28s Checks: %d, Failures: %d\n' "$(basename "$program")" "$checks" "$bad"
    if [[ $bad -ne 0 ]]; then
        printf '%s\n' "$output" | tr -d '\0' | tail -n 200 | sed 's/^/    /'
        printf '    (exit status %d)\n' "$status"
    fi
done
echo "unit: $passed passed, $failed failed"
[[ $failed -eq 0 && $passed -gt 0 ]]
