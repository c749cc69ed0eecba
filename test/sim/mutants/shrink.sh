#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Shrinks the first failing seed of a mutant, and looks at what comes out: a run of a few dozen
# messages that fails in the same way, twice the same, drawn as a chart whose last line says what
# broke.
#
#   test/sim/mutants/shrink.sh BUILD [NAME]      from the objects in BUILD, so that little is compiled
#
#   MESSAGES   at most so many may be left (default 60)
set -uo pipefail
cd "$(dirname "$0")/../../.." || exit

build=${1#"$PWD"/}
name=${2:-v7-start-view-when-normal}
messages_max=${MESSAGES:-60}
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT

fail() {
    echo "$1"
    [[ ! -e $room/log ]] || tail -n 20 "$room/log"
    echo "shrinking: 0 passed, 1 failed"
    exit 1
}

mkdir "$room/tree"
tar cf - --exclude=./.git --exclude=./build --exclude=./bin . | tar xf - -C "$room/tree"
# With times to the nanosecond, or make takes all of it for old.
tar cf - --format=posix --exclude="$build"/test/unit --exclude="$build"/pic --exclude="$build"/bin \
    --exclude="$build"/gcc --exclude="$build"/clang --exclude="$build"/asan --exclude="$build"/tsan \
    "$build" | tar xf - -C "$room/tree"
cd "$room/tree" || exit
patch -p1 -s <"test/sim/mutants/$name.patch" >"$room/log" 2>&1 || fail "$name does not apply"
${MAKE:-make} --no-print-directory BUILD="$build" BIN="$build/bin" "$build/sim" >"$room/log" 2>&1 ||
    fail "$name does not compile"

"$build/sim" --regressions /dev/null --seeds 200 --failures 1 >"$room/log" 2>&1
seed=$(sed -nE 's/^failed seeds \(the first after [0-9]+ runs\): ([0-9]+).*/\1/p' "$room/log")
kind=$(sed -nE 's/^FAILED at [0-9.]+ ms: ([^:,]+).*/\1/p' "$room/log" | head -n 1)
[[ -n $seed ]] || fail "$name survives 200 seeds"
grep -qx "  shrink with: build/sim --shrink --seed $seed" "$room/log" ||
    fail "a failing seed is printed without the command that shrinks it"

for i in 1 2; do
    "$build/sim" --shrink --seed "$seed" >"$room/shrunk$i" 2>&1
    status=$?
    [[ $status -eq 1 ]] || fail "shrinking seed $seed of $name ends with exit status $status, not 1"
done
cmp "$room/shrunk1" "$room/shrunk2" >"$room/log" || fail "seed $seed of $name shrinks differently twice"

read -r before after < <(sed -nE 's/^shrunk in [0-9]+ runs, from ([0-9]+) messages to ([0-9]+)$/\1 \2/p' "$room/shrunk1")
cp "$room/shrunk1" "$room/log"
[[ -n ${after:-} && $after -le $messages_max && $after -lt $before ]] ||
    fail "seed $seed of $name shrinks from ${before:-?} messages to ${after:-?}; $messages_max are too many to read"
chart=$(sed '/^```mermaid/,$d' "$room/shrunk1" | sed '/^ *$/d' | tail -n 1)
[[ $chart == *"$kind"* ]] || fail "the chart does not end with what broke ($kind)"
[[ $(grep -c -- '->>' "$room/shrunk1") -eq $after ]] || fail "the Mermaid chart does not have $after messages"
[[ $(tail -n 2 "$room/shrunk1" | head -n 1) == "    Note over "*"$kind"* ]] ||
    fail "the Mermaid chart does not end with what broke ($kind)"
echo "$name, seed $seed: from $before messages to $after"
echo "shrinking: 1 passed, 0 failed"
