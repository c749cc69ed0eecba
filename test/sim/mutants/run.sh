#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Breaks the product on purpose, one patch at a time, and counts the seeds that the simulator needs to
# notice. A mutant that survives is a fault that the generator does not make, a checker that is
# missing, or a change that changes nothing.
#
#   test/sim/mutants/run.sh [NAME...]     all of them, or these (file names without .patch)
#
#   SEEDS   at most so many seeds each (default 10000)
#   UNIT=1  runs the scripted schedules (test/unit/test_vr_*) too, and names those that fail
#
# Each line: name, seeds until it was noticed, by what; at the end the same as the table that
# docs/testing.md holds, one row for each patch. Exit code 1 if one survived.
set -uo pipefail
cd "$(dirname "$0")/../../.." || exit

seeds=${SEEDS:-10000}
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT

if [[ $# -eq 0 ]]; then
    for patch in test/sim/mutants/*.patch; do
        set -- "$@" "$(basename "$patch" .patch)"
    done
fi

mkdir "$room/tree"
tar cf - --exclude=./.git --exclude=./build --exclude=./bin . | tar xf - -C "$room/tree"

build() { # [target...]
    make --no-print-directory -C "$room/tree" BUILD=build BIN=build/bin "$@" >"$room/log" 2>&1
}

schedules=()
for test in test/unit/test_vr_*.c; do
    schedules+=("build/test/unit/$(basename "$test" .c)")
done

run_schedules() {
    build "${schedules[@]}" || return
    for program in "${schedules[@]}"; do
        (cd "$room/tree" && CK_VERBOSITY=normal "$program" 2>/dev/null) |
            sed -nE 's/^[^:]+:[0-9]+:[EF]:[^:]*:([^:]+):.*/    \1/p'
    done
}

# What noticed it, as short as the table has it: a rule's own check, or a promise of the product.
check_name() { # text
    if [[ $1 =~ ^INVARIANT.*\ in\ ([a-z_0-9]+), ]]; then
        printf 'an invariant of %s()\n' "${BASH_REMATCH[1]}"
    else
        printf '%s\n' "${1%%: *}"
    fi
}

rows=()
note_row() { # name seeds how
    local title
    title=$(head -n 1 "test/sim/mutants/$1.patch")
    rows+=("| ${title%.} | $2 | $3 |")
}

survived=0
for name in "$@"; do
    patch=$PWD/test/sim/mutants/$name.patch
    if ! patch -d "$room/tree" -p1 -s <"$patch" >"$room/log" 2>&1; then
        printf '%-34s does not apply any more:\n' "$name"
        sed 's/^/    /' "$room/log"
        note_row "$name" '-' 'does not apply'
        survived=1
        continue
    fi
    if ! build build/sim; then
        printf '%-34s does not compile:\n' "$name"
        grep -m3 error "$room/log" | sed 's/^/    /'
        note_row "$name" '-' 'does not compile'
        survived=1
    else
        output=$(cd "$room/tree" && timeout 3600 build/sim --regressions /dev/null \
            --seeds "$seeds" --failures 1 2>&1)
        after=$(sed -nE 's/^failed seeds \(the first after ([0-9]+) runs\).*/\1/p' <<<"$output")
        how=$(sed -nE 's/^FAILED at [0-9.]+ ms: //p' <<<"$output" | head -1)
        if [[ -z $after ]] && grep -q 'replay with' <<<"$output"; then
            after=$(sed -nE 's/.*--seed 0*([0-9]+).*/\1/p' <<<"$output" | head -1)
            how='the process died'
        fi
        if [[ -n $after ]]; then
            printf '%-34s %6s seeds   %s\n' "$name" "$after" "$how"
            note_row "$name" "$after" "$(check_name "$how")"
        else
            printf '%-34s survived %s seeds\n' "$name" "$seeds"
            note_row "$name" "more than $seeds" 'nothing yet'
            survived=1
        fi
        if [[ ${UNIT:-0} == 1 ]]; then
            run_schedules
        fi
    fi
    patch -d "$room/tree" -p1 -s -R <"$patch"
done

printf '\n| broken on purpose | seeds until noticed | by |\n| --- | ---: | --- |\n'
printf '%s\n' "${rows[@]}" | sort
exit "$survived"
