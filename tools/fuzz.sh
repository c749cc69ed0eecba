#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs fuzzed functions (test/fuzz/targets) for some seconds each, several at once, beginning with
# what is kept of their inputs in test/fuzz/corpus. What breaks one is kept in BUILD/TARGET.crash-*.
#
#   tools/fuzz.sh BUILD SECONDS TARGET ...
#
# KEEP=1 adds to the corpus what reached something new, as little of it as does.
set -uo pipefail

build=$1
seconds=$2
shift 2

run() { # target
    local target=$1 corpus=test/fuzz/corpus/$1 found
    found=$(mktemp -d)
    mkdir -p "$corpus"
    local length=512
    if [[ $target == wire || $target == storage ]]; then
        length=8192
    fi
    local options=(-max_len="$length" -timeout=30 -rss_limit_mb=1024 -len_control=0 -print_final_stats=1
        -artifact_prefix="$build/$target.crash-")
    if ! "$build/fuzz-$target" "${options[@]}" -max_total_time="$seconds" "$found" "$corpus" \
        >"$build/$target.log" 2>&1; then
        echo "$target: broken; what the input was and how it came to that:"
        tail -n 40 "$build/$target.log"
        rm -rf "$found"
        return 1
    fi
    if [[ ${KEEP:-0} == 1 ]]; then
        "$build/fuzz-$target" -merge=1 -max_len="$length" "$corpus" "$found" >/dev/null 2>&1
    fi
    rm -rf "$found"
    printf '%-8s %s inputs kept, %s executions, nothing broke\n' "$target" \
        "$(find "$corpus" -type f | wc -l)" \
        "$(sed -n 's/^stat::number_of_executed_units: *//p' "$build/$target.log")"
}

jobs=$(nproc)
failed=0
while [[ $# -gt 0 ]]; do
    pids=()
    while [[ $# -gt 0 && ${#pids[@]} -lt $jobs ]]; do
        run "$1" &
        pids+=("$!")
        shift
    done
    for pid in "${pids[@]}"; do
        wait "$pid" || failed=$((failed + 1))
    done
done
[[ $failed -eq 0 ]]
