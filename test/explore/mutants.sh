#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Does the search notice? Breaks one rule of the core at a time (test/sim/mutants) and searches a
# world in which that matters; each must end with a path to a broken invariant.
#
#   test/explore/mutants.sh BUILD [NAME:WORLD:STATES:WALKS ...]
#
# Links BUILD's objects, all but those of server/vr, which it compiles from a patched copy.
set -euo pipefail
cd "$(dirname "$0")/../.."

build=$1
shift
if [[ $# -eq 0 ]]; then
    set -- v7-start-view-when-normal:memory:1000:3000 g3-raise-early:change:60000:3000
fi

room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT

survived=0
for mutant in "$@"; do
    IFS=: read -r name world states walks <<<"$mutant"
    rm -rf "${room:?}"/*
    mkdir "$room/server"
    cp -r server/vr "$room/server"
    patch -d "$room" -p1 -s <"test/sim/mutants/$name.patch"
    # shellcheck disable=SC2046 # a list of flags
    ${CC:-gcc} -std=c11 -D_GNU_SOURCE -O1 -w -I"$room" -I. -I"$build" -fPIE -pie -o "$room/explore" \
        "$build"/test/explore/*.o "$room"/server/vr/*.c "$build"/test/support.a \
        "$build"/common/wire.a "$build"/common/base.a \
        $(pkg-config --libs libprotobuf-c libxxhash libsodium)
    if "$room/explore" --states "$states" --walks "$walks" "$world" >"$room/output" 2>&1; then
        echo "$name: not noticed in $world"
        survived=1
    elif grep -q '^violated: [IVSN]' "$room/output"; then
        printf '%-28s in %s: %s\n' "$name" "$world" "$(tail -n 1 "$room/output")"
        sed -n '/ -> /p' "$room/output" | tail -n 3
    else
        echo "$name: ended in another way than by a broken invariant"
        tail -n 5 "$room/output"
        survived=1
    fi
done
exit "$survived"
