#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs unit-test programs, as many at once as there are cores, prints Check's closing line of each,
# the whole output of those that failed, and "unit: N passed, N failed".
#
#   tools/unit.sh PROGRAM...      TEST_SECONDS (default 300): when a program counts as hung
set -uo pipefail

scratch=$(mktemp -d) || exit 70
trap 'rm -rf "$scratch"' EXIT

# Called by xargs: the program's line, and its output if it failed; its counts into the scratch
# directory.
run_one() { # program
    local program=$1 name output status totals checks=0 bad=0 c f e
    name=$(basename "$program")
    output=$(timeout --kill-after=5 "${TEST_SECONDS:-300}" "$program" 2>&1 | tr -d '\0'; exit "${PIPESTATUS[0]}")
    status=$?
    # "97%: Checks: 38, Failures: 1, Errors: 0", one a suite runner
    totals=$(printf '%s\n' "$output" |
        sed -nE 's/^[0-9]+%: Checks: ([0-9]+), Failures: ([0-9]+), Errors: ([0-9]+)$/\1 \2 \3/p')
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
    echo "$((checks - bad)) $bad" >"$scratch/$name"
    {
        printf '%-28s Checks: %d, Failures: %d\n' "$name" "$checks" "$bad"
        if [[ $bad -ne 0 ]]; then
            printf '%s\n' "$output" | tail -n 200 | sed 's/^/    /'
            printf '    (exit status %d)\n' "$status"
        fi
    } >"$scratch/$name.text"
    cat "$scratch/$name.text" # in one write, so that lines of two programs do not mix
}
export -f run_one
export scratch

# shellcheck disable=SC2016  # $1 is the inner shell's
printf '%s\0' "$@" | xargs -0 -n 1 -P "$(nproc)" bash -c 'run_one "$1"' _

passed=0
failed=0
for program in "$@"; do
    p=0
    f=1 # it left nothing: it was killed together with its shell
    read -r p f 2>/dev/null <"$scratch/$(basename "$program")"
    passed=$((passed + p))
    failed=$((failed + f))
done
echo "unit: $passed passed, $failed failed"
[[ $failed -eq 0 && $passed -gt 0 ]]
