#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs test suites one after the other, all of them even if one fails, then prints which tests failed,
# each suite's own closing line again and the sum: "N passed, N failed".
#
#   tools/suites.sh 'NAME: COMMAND' ...
#
# A suite's closing line is the last "... N passed, N failed" that it prints; one that prints none
# (a build, a format check) counts as one test. A suite that exits non-zero has failed whatever it
# says.
#
# A line that tells a failed test is Check's "file:line:F:..." (or E), a unit-test program's count, the
# cluster tests' "NAME FAILED", the simulator's "failed seeds ...", a compiler's or a sanitizer's.
set -uo pipefail

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

passed=0
failed=0
lines=()
told='^ *[^ ]+:[0-9]+:[EF]:|, Failures: [1-9]|^[A-Za-z_.0-9]+ +FAILED|^failed seeds|: error: |SUMMARY: |runtime error:'
failures=()
for suite in "$@"; do
    name=${suite%%: *}
    command=${suite#*: }
    printf '== %s\n' "$name"
    began=$SECONDS
    bash -c "$command" 2>&1 </dev/null | tee "$scratch/output"
    status=${PIPESTATUS[0]}
    p=0
    f=0
    if [[ $(tail -n 50 "$scratch/output" | tr -d '\0' | grep -E '[0-9]+ passed, [0-9]+ failed' | tail -n 1) =~ ([0-9]+)\ passed,\ ([0-9]+)\ failed ]]; then
        p=${BASH_REMATCH[1]}
        f=${BASH_REMATCH[2]}
    elif [[ $status -eq 0 ]]; then
        p=1
    fi
    [[ $status -eq 0 || $f -gt 0 ]] || f=1
    if [[ $f -gt 0 ]]; then
        mapfile -t -O "${#failures[@]}" failures < <(tr -d '\0' <"$scratch/output" |
            grep -E "$told" | head -n 20 | sed "s/^/$name: /")
    fi
    passed=$((passed + p))
    failed=$((failed + f))
    lines+=("$(printf '%-24s %6d passed, %d failed  (%d s)' "$name" "$p" "$f" "$((SECONDS - began))")")
done
echo
if [[ ${#failures[@]} -gt 0 ]]; then
    printf '%s\n' "${failures[@]}" ''
fi
printf '%s\n' "${lines[@]}"
echo "$passed passed, $failed failed"
[[ $failed -eq 0 && $passed -gt 0 ]]
