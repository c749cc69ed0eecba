#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs SEEDS simulated clusters from seed START on, on all cores; ends with
# "simulator: N passed, N failed".
#
# A batch of MARKS_SEEDS or more must also have met every coverage mark (common/base/mark.h): what a
# smaller one has missed is only said.
#
#   tools/seeds.sh SIM SEEDS START
set -uo pipefail

sim=$1
seeds=$2
start=$3
jobs=${JOBS:-$(nproc)}
marks_seeds=${MARKS_SEEDS:-1500}
scratch=$(mktemp -d)
children=()
trap 'kill "${children[@]}" 2>/dev/null; rm -rf "$scratch"' EXIT

[[ $jobs -le $seeds ]] || jobs=1
for ((job = 0; job < jobs; job++)); do
    from=$((start + seeds * job / jobs))
    to=$((start + seeds * (job + 1) / jobs))
    # The seeds that once failed are run once, by the first.
    options=(--marks --seeds "$((to - from))" --start "$from")
    [[ $job -eq 0 ]] || options+=(--regressions /dev/null)
    "$sim" "${options[@]}" >"$scratch/$job" 2>&1 &
    children+=("$!")
done

passed=0
failed=0
for ((job = 0; job < jobs; job++)); do
    wait "${children[job]}"
    status=$?
    grep -vE '^(mark|rare) ' "$scratch/$job"
    if [[ $(tail -n 1 "$scratch/$job") =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]]; then
        passed=$((passed + BASH_REMATCH[1]))
        failed=$((failed + BASH_REMATCH[2]))
    else
        echo "the simulator ended early (exit status $status)"
        failed=$((failed + 1))
    fi
done
children=()

# Name and sum of each mark.
awk '$1 == "mark" { sum[$2] += $3; sentence[$2] = substr($0, length("mark " $2 " " $3 " ") + 1) }
    END { for (name in sum) printf "%d %s %s\n", sum[name], name, sentence[name] }' \
    "$scratch"/[0-9]* | sort -n >"$scratch/marks"
marks=$(wc -l <"$scratch/marks")
missed=$(grep -c '^0 ' "$scratch/marks")
echo "coverage marks: $((marks - missed)) of $marks met"
if [[ $missed -gt 0 || $marks -eq 0 ]] && [[ $seeds -ge $marks_seeds ]]; then
    sed -nE 's/^0 ([^ ]+) (.*)/coverage mark \1 was not met: \2/p' "$scratch/marks"
    failed=$((failed + 1))
fi
echo "simulator: $passed passed, $failed failed"
[[ $failed -eq 0 && $passed -gt 0 ]]
