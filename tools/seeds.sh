#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs SEEDS simulated clusters from seed START on, on all cores; ends with
# "simulator: N passed, N failed".
#
#   tools/seeds.sh SIM SEEDS START
set -uo pipefail

sim=$1
seeds=$2
start=$3
jobs=${JOBS:-$(nproc)}
scratch=$(mktemp -d)
children=()
trap 'kill "${children[@]}" 2>/dev/null; rm -rf "$scratch"' EXIT

[[ $jobs -le $seeds ]] || jobs=1
for ((job = 0; job < jobs; job++)); do
    from=$((start + seeds * job / jobs))
    to=$((start + seeds * (job + 1) / jobs))
    # The seeds that once failed are run once, by the first.
    options=(--seeds "$((to - from))" --start "$from")
    [[ $job -eq 0 ]] || options+=(--regressions /dev/null)
    "$sim" "${options[@]}" >"$scratch/$job" 2>&1 &
    children+=("$!")
done

passed=0
failed=0
for ((job = 0; job < jobs; job++)); do
    wait "${children[job]}"
    status=$?
    cat "$scratch/$job"
    if [[ $(tail -n 1 "$scratch/$job") =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]]; then
        passed=$((passed + BASH_REMATCH[1]))
        failed=$((failed + BASH_REMATCH[2]))
    else
        echo "the simulator ended early (exit status $status)"
        failed=$((failed + 1))
    fi
done
children=()
echo "simulator: $passed passed, $failed failed"
[[ $failed -eq 0 && $passed -gt 0 ]]
