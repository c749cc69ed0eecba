#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs unit-test programs, several at a time for many of them wait, and prints, in their order, Check's
# closing line of each, the whole output of those that failed, and "unit: N passed, N failed".
#
#   tools/unit.sh PROGRAM...      TEST_SECONDS (default 900): when a program counts as hung
#                                 JOBS (default: one more than cores): how many run at a time
set -uo pipefail

# How long one test may take is there to end what hangs, on a slow disk and under sanitizers, too: a
# minute instead of Check's four seconds where a test says nothing, and four times that and what it says.
export CK_DEFAULT_TIMEOUT=${CK_DEFAULT_TIMEOUT:-60}
export CK_TIMEOUT_MULTIPLIER=${CK_TIMEOUT_MULTIPLIER:-4}

jobs=${JOBS:-$(($(nproc) + 1))}
programs=("$@")
scratch=$(mktemp -d)
stop() {
    jobs -pr | xargs -r kill 2>/dev/null
    wait
    rm -rf "$scratch"
}
trap stop EXIT
trap 'exit 130' INT TERM

# Of the program that has ended with this status: its line, and what it said if that is of interest.
passed=0
failed=0
report() { # program, status, file with its output
    local totals checks=0 bad=0 c f e
    # "97%: Checks: 38, Failures: 1, Errors: 0", one a suite runner
    totals=$(tr -d '\0' <"$3" |
        sed -nE 's/^[0-9]+%: Checks: ([0-9]+), Failures: ([0-9]+), Errors: ([0-9]+)$/\1 \2 \3/p')
    while read -r c f e; do
        [[ -n $c ]] || continue
        checks=$((checks + c))
        bad=$((bad + f + e))
    done <<<"$totals"
    if [[ $2 -ne 0 && $bad -eq 0 ]]; then
        bad=1 # it died, hung or was stopped by a sanitizer outside of any test
        checks=$((checks + 1))
    elif [[ $2 -eq 0 && $checks -eq 0 ]]; then
        bad=1 # it ran nothing: that is no success
        checks=1
    fi
    passed=$((passed + checks - bad))
    failed=$((failed + bad))
    printf '%-28s Checks: %d, Failures: %d\n' "$(basename "$1")" "$checks" "$bad"
    if [[ $bad -ne 0 ]]; then
        tr -d '\0' <"$3" | tail -n 200 | sed 's/^/    /'
        printf '    (exit status %d)\n' "$2"
    fi
}

# The n-th is reported as soon as it and all before it have ended; others go on meanwhile.
reported=0
report_those_that_ended() {
    while [[ -f $scratch/$reported.status ]]; do
        report "${programs[reported]}" "$(<"$scratch/$reported.status")" "$scratch/$reported"
        rm -f "$scratch/$reported" "$scratch/$reported.status"
        reported=$((reported + 1))
    done
}

run() { # number
    local timeout_pid
    timeout --kill-after=5 "${TEST_SECONDS:-900}" "${programs[$1]}" >"$scratch/$1" 2>&1 &
    timeout_pid=$!
    trap 'kill "$timeout_pid"' TERM # it passes that on
    wait "$timeout_pid"
    printf '%s\n' "$?" >"$scratch/$1.new"
    mv "$scratch/$1.new" "$scratch/$1.status" # at once, not first empty
}

for ((n = 0; n < ${#programs[@]}; n++)); do
    if [[ $(jobs -pr | wc -l) -ge $jobs ]]; then
        wait -n
    fi
    report_those_that_ended
    run "$n" &
done
wait
report_those_that_ended
if [[ $reported -lt ${#programs[@]} ]]; then
    echo "what ran ${programs[reported]} was killed"
    failed=$((failed + 1))
fi
echo "unit: $passed passed, $failed failed"
[[ $failed -eq 0 && $passed -gt 0 ]]
