#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Proves with nm that the pure folders are pure: their objects import nothing but a short allow-list
# and what the rooms they may use define, and hold no variable that changes.
#
#   tools/purity.sh BUILD      archives are BUILD/<folder>.a
set -euo pipefail

build=$1
failed=0
passed=0

# Memory and string primitives that compilers emit on their own, their fortified forms, the stack
# protector, and the one way to stop: nothing here looks at the world.
allowed='mem(cpy|set|cmp|move)|strlen|bcmp|__mem(cpy|set|move)_chk|__stack_chk_fail|_GLOBAL_OFFSET_TABLE_|invariant_failed'

check_room() { # folder, extra allowed pattern, rooms it may use...
    local room=$1 extra=$2 bad variables
    shift 2
    local own=("$build/$room.a") other
    for other in "$@"; do
        own+=("$build/$other.a")
    done
    bad=$(comm -23 \
        <(nm --undefined-only --format=posix "$build/$room.a" 2>/dev/null | awk 'NF >= 2 { print $1 }' | sort -u) \
        <(nm --defined-only --extern-only --format=posix "${own[@]}" 2>/dev/null | awk 'NF >= 2 { print $1 }' | sort -u) |
        grep -Evx "$allowed${extra:+|$extra}" || true)
    # Constants that hold pointers live in .data.rel.ro and are read-only once loaded.
    variables=$(objdump -t "$build/$room.a" 2>/dev/null |
        awk -F '\t' 'NF == 2 { n = split($1, left, " "); split($2, right, " ")
                      if (left[n] ~ /^(\.data|\.bss|\.tdata|\.tbss|\*COM\*)$/ && right[2] !~ /^\./)
                          print right[2] }')
    if [[ -z $bad && -z $variables ]]; then
        passed=$((passed + 1))
        return
    fi
    failed=$((failed + 1))
    [[ -z $bad ]] || echo "$room imports what a pure folder must not: $(paste -sd ' ' <<<"$bad")"
    [[ -z $variables ]] || echo "$room has variables outside of its callers' memory: $(paste -sd ' ' <<<"$variables")"
}

check_room common/base ''
check_room common/wire 'protobuf_c_[a-z0-9_]+|crypto_shorthash' common/base
check_room server/vr '' common/base
check_room server/executor '' common/base
check_room client/proxy '' common/base

echo "purity: $passed passed, $failed failed"
[[ $failed -eq 0 ]]
