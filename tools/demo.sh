#!/usr/bin/env bash
# shellcheck disable=SC2016,SC2317 # jq has variables of its own; judge and traps call functions
# SPDX-License-Identifier: Apache-2.0
# The story of Viewstamped Replication in four scenes, on a real group of five replicas. Started by
# `run_cluster.sh demo`, which has built the programs.
#
#   tools/demo.sh [--panes | --record FILE] [--no-pauses]
#
# Each scene is told, happens, and is judged: not by what this script did, but by what status and
# trace of the replicas that it did not touch show. Exit 0 only if all four happened.
#
# The group lives in a directory and on ports of its own; both are gone when this ends, however it
# ends. VR_DEMO_KILL names a command to be used in place of `run_cluster.sh kill`, for the test
# that must see this fail when nobody is killed.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
cluster_script=$root/run_cluster.sh
client=${VR_BIN:-$root/bin}/vr-client

readonly FAILED=1 USAGE=2 CANNOT_WRITE=74 INTERRUPTED=130
readonly REPLICAS=5 PEER_PORT_OFFSET=100
readonly PATIENCE_SECONDS=60    # for a condition that has to come true
readonly RECORD_COLUMNS=110 RECORD_ROWS=40
readonly PANES_COLUMNS=200 PANES_ROWS=54 # where there is no terminal
readonly PANES_COLUMNS_MIN=100 PANES_ROWS_MIN=30
readonly COLUMNS_MAX=92 # lines that are longer are hard to read
readonly GOODBYE_SECONDS=30 # for the demo in the panes to take its group away

quick='' # no pauses to read in
dir=''
cluster_of=''

usage() {
    cat <<TEXT
usage: tools/demo.sh [--panes | --record FILE] [--no-pauses]
The story of VR in four scenes, on a group of its own. --panes: in tmux, with each replica's messages,
on a terminal of at least ${PANES_COLUMNS_MIN}x$PANES_ROWS_MIN; --record: as an asciicast; --no-pauses: with no time to read
TEXT
}

say() {
    printf '%s\n' "$*"
}

die() { # exit code, words
    local code=$1
    shift
    printf 'demo: %s\n' "$*" >&2
    exit "$code"
}

# --- colours: only where somebody sees them -----------------------------------------------------

bold='' dim='' green='' red='' plain=''
if [[ -t 1 && -z ${NO_COLOR:-} && ${TERM:-dumb} != dumb ]]; then
    bold=$'\e[1m' dim=$'\e[2m' green=$'\e[32m' red=$'\e[31m' plain=$'\e[0m'
fi

# Time to read; a test has none.
pause() { # seconds
    [[ -n $quick ]] || sleep "$1"
}

columns=$COLUMNS_MAX # that lines may take

# What the terminal, or the pane, has room for now: tmux tells a pane of its new size when it likes.
measure_columns() {
    local wide
    columns=$COLUMNS_MAX
    if [[ -t 1 ]] && wide=$(terminal_size) && wide=${wide%x*} && [[ $wide -gt 0 && $wide -lt $COLUMNS_MAX ]]; then
        columns=$wide
    fi
}

terminal_size() { # prints COLUMNSxROWS
    stty size </dev/tty 2>/dev/null | sed -E 's/([0-9]+) ([0-9]+)/\2x\1/'
}

# Words below each other: the first line after its own beginning, the others indented alike.
fold_after() { # beginning, how wide it is without colours, words
    local beginning=$1 indent=$2 line
    shift 2
    measure_columns
    while IFS= read -r line; do
        say "$beginning${line% }"
        beginning=$(printf '%*s' "$indent" '')
    done < <(say "$*" | fold -s -w $((columns - indent)))
}

narrate() { # words
    fold_after '  ' 2 "$*"
}

# --- the group ----------------------------------------------------------------------------------

in_cluster() { # verb and its words
    local verb=$1
    shift
    "$cluster_script" "$verb" -d "$dir" "$@"
}

ask() { # words for vr-client
    "$client" --cluster "$cluster_of" --timeout 20000 "$@"
}

# Ports that nobody uses now, below those that the kernel hands out and above those that tests choose from.
free_first_port() {
    local first port taken
    for first in $(shuf -i 31000-32500 -n 200); do
        taken=''
        for ((port = first; port < first + REPLICAS; port++)); do
            if grep -qsE "^ *[0-9]+: [0-9A-F]+:($(printf '%04X|%04X' "$port" "$((port + PEER_PORT_OFFSET))")) " \
                /proc/net/udp /proc/net/udp6; then
                taken=1
            fi
        done
        if [[ -z $taken ]]; then
            printf '%s' "$first"
            return
        fi
    done
    die "$FAILED" "no free UDP ports were found"
}

clean_up() {
    [[ -z $dir ]] || in_cluster destroy >/dev/null 2>&1 || true
    [[ -z $dir ]] || rm -rf "${dir%/*}"
}

# However it ends: the group goes, whoever waits is told how it was, and with panes all of them close. A
# second Ctrl-C must not interrupt this.
end_demo() {
    local code=$?
    trap '' INT TERM HUP
    clean_up
    [[ -z ${VR_DEMO_EXIT:-} ]] || say "$code" >"$VR_DEMO_EXIT" || true
    [[ -z $panes_socket ]] || tmux_here kill-session -t demo # this pane, too
}

start_group() {
    local port i
    trap end_demo EXIT
    trap 'exit "$INTERRUPTED"' INT TERM HUP
    dir=$(mktemp -d "${TMPDIR:-/tmp}/viewstamp-demo-XXXXXX")/group
    port=$(free_first_port)
    for ((i = 0; i < REPLICAS; i++)); do
        cluster_of+=${cluster_of:+,}127.0.0.1:$((port + i))
    done
    # In memory, as in the paper: who comes back has nothing, and asks (D6).
    in_cluster start -n "$REPLICAS" -p "$port" --durability memory >/dev/null ||
        die "$FAILED" "the group did not start; what is printed above says why"
}

status_json() {
    ask --json status || true # the exit code tells the health; the JSON does, too
}

status_has() { # filter over status --json, jq options
    local filter=$1
    shift
    status_json | jq -e "$@" "$filter" >/dev/null
}

# Waits until a question to `status --json` (a jq filter) is answered with true.
wait_for() { # filter, jq options
    local deadline=$((SECONDS + PATIENCE_SECONDS)) filter=$1
    shift
    while ! status_has "$filter" "$@"; do
        [[ $SECONDS -lt $deadline ]] || return 1
        sleep 0.1
    done
}

# --- judging ------------------------------------------------------------------------------------

verdicts=() # of the scene under way: beginning|what
summary=()
failed=0

judge() { # what should be true, then a command that tells
    local what=$1
    shift
    if "$@" >/dev/null 2>&1; then
        verdicts+=("  ${green}seen${plain}      |$what")
    else
        verdicts+=("  ${red}NOT SEEN${plain}  |$what")
        scene_failed=1
    fi
}

scene_failed=''
scene_title=''
scene_number=0
scene_result=''

begin_scene() { # title
    scene_number=$((scene_number + 1))
    scene_title=$1
    scene_failed=''
    scene_result=''
    verdicts=()
    say
    say "${bold}Scene $scene_number of 4: $scene_title${plain}"
    say
}

end_scene() {
    local verdict word="${green}happened${plain}"
    say
    for verdict in "${verdicts[@]}"; do
        fold_after "${verdict%%|*}" 12 "${verdict#*|}"
    done
    if [[ -n $scene_failed ]]; then
        failed=$((failed + 1))
        word="${red}DID NOT HAPPEN${plain}"
    fi
    summary+=("  $scene_number  |$scene_title|$word${scene_result:+: $scene_result}")
    pause 2.5
}

# --- the messages of a scene --------------------------------------------------------------------

# trace's JSON lines, folded: a broadcast is one line, and so are a client's repeated questions.
readonly FOLD='
def who: if .kind == "state" then .replica else .from end;
def sort_of: [who, .type // .state, .text, .accepted == false and .outcome];
reduce (.[] | select(.kind == "message" or .kind == "state")
            | select(.type != "NotPrimary")) as $e ([];
    if length > 0 and $e.kind == "message" and (.[-1].first | sort_of) == ($e | sort_of)
    then .[-1].to = (.[-1].to + [$e.to] | unique)
    else . + [{first: $e, to: (if $e.kind == "message" then [$e.to] else [] end)}] end)
| .[]
| .first as $e
| [ ($e.time_us / 1000 * 10 | round / 10 | tostring | if test("\\.") then . else . + ".0" end),
    ($e | who | tostring),
    (if $e.kind == "message" then "->" else "  " end),
    (.to | map(tostring) | join(" ")),
    ($e.text + (if $e.accepted == false then "  [" + $e.outcome + "]" else "" end)) ]
| @tsv'

show_messages() { # words for trace
    local ms from arrow to text line
    measure_columns
    say
    ask trace --json "$@" 2>/dev/null | jq -s -r "$FOLD" |
        while IFS=$'\t' read -r ms from arrow to text; do
            if [[ $columns -lt $COLUMNS_MAX ]]; then # as `vr-client trace` on a narrow terminal
                from=${from/client /c} to=${to//client /c}
                line=$(printf '%8s %5s %s %-7s %s' "$ms" "$from" "$arrow" "$to" "$text")
                line=${line:0:columns}
                say "$dim${line:0:8}$plain${line:8}"
            else
                printf '  %s%8s ms%s  %11s %s %-11s %s\n' "$dim" "$ms" "$plain" "$from" "$arrow" "$to" "$text"
            fi
        done
}

# True if trace has such a line (a jq filter over one object, `$dead` being the replica that may not
# be believed): recorded by replicas that this script did not touch.
trace_has() { # how many at least, replica not to be believed, filter, words for trace
    local least=$1 dead=$2 filter=$3
    shift 3
    ask trace --json "$@" 2>/dev/null |
        jq -s -e --argjson least "$least" --argjson dead "$dead" \
            "[.[] | select($filter)] | length >= \$least"
}

# --- the client ---------------------------------------------------------------------------------

answer=''  # of the last command
answer_op=''
answer_ms=''

# Runs one command as a client and shows it; it must succeed for the scene to count.
client_runs() { # words for vr-client
    local began=${EPOCHREALTIME/[.,]/} code=0 json
    client_shows "${bold}\$ vr-client $*${plain}"
    json=$(ask --json "$@") || code=$?
    answer_ms=$(((${EPOCHREALTIME/[.,]/} - began) / 1000))
    answer=$(jq -r '.value // "ok"' <<<"$json" 2>/dev/null) || answer=''
    answer_op=$(jq -r '.op // 0' <<<"$json" 2>/dev/null) || answer_op=0
    if [[ $code -eq 0 ]]; then
        client_shows "$answer   ${dim}($answer_ms ms, op $answer_op)${plain}"
    else
        client_shows "${red}exit $code${plain}: $json"
        scene_failed=1
    fi
}

client_shows() { # line
    if [[ -n $client_log ]]; then
        say "$*" >>"$client_log"
    else
        say "  $*"
    fi
}

client_log='' # with --panes: the client has one of its own

# --- the story ----------------------------------------------------------------------------------

primary=''
view=''

look_who_is_primary() {
    local json
    json=$(status_json)
    primary=$(jq -r '.primary' <<<"$json")
    view=$(jq -r '.view' <<<"$json")
}

kill_replica() { # number
    say "  ${bold}\$ ./run_cluster.sh kill $1${plain}"
    if [[ -n ${VR_DEMO_KILL:-} ]]; then
        "$VR_DEMO_KILL" "$1"
    else
        in_cluster kill "$1" >/dev/null
    fi
}

scene_operation() {
    begin_scene "an operation"
    look_who_is_primary
    narrate "Five replicas. Replica $primary is the primary of view $view: it alone puts operations in" \
        "order. The other four are backups. A client asks it to set a key."
    say
    pause 2
    client_runs set fruit apple
    local op=$answer_op
    wait_for 'all(.replicas[]; .commit >= $op)' --argjson op "$op" || scene_failed=1
    narrate "The primary gave it number $op in its log, sent it to the backups in a Prepare, and answered" \
        "as soon as two of them had it: with its own copy that is a majority, and no majority can" \
        "forget it any more. The backups heard of that with the next message."
    show_messages --op "$op"
    judge "backups accepted the Prepare and said PrepareOk" \
        trace_has 2 -1 '.type == "PrepareOk" and .accepted' --op "$op"
    judge "the backups executed it, too: all five have the same state" \
        wait_for '[.replicas[].state_digest | [.op, .value]] | unique | length == 1'
    scene_result="op $op, answered in $answer_ms ms"
    end_scene
}

# Kills the primary; the group must go on without it.
scene_kill() { # title, value to set
    local old next op
    begin_scene "$1"
    look_who_is_primary
    old=$primary
    narrate "Replica $old, the primary, is killed: no goodbye, no warning. A moment later a client" \
        "wants to write."
    say
    pause 2
    kill_replica "$old"
    client_runs set fruit "$2"
    op=$answer_op
    look_who_is_primary
    next=$primary
    narrate "The backups missed its heartbeats and voted for view $view (StartViewChange). As soon as a" \
        "majority had voted they told each other how far their logs reach (DoViewChange). The primary" \
        "of view $view is known in advance, replica $next. It took the best log and began (StartView)." \
        "The client had gone on asking, and now got its answer."
    show_messages --op "$op"
    judge "replica $old is gone, as the others see it" \
        status_has '.replicas[$old].status == "no answer"' --argjson old "$old"
    judge "three replicas voted" \
        distinct_senders 3 "$old" StartViewChange "$view"
    judge "three replicas told how far their logs reach" \
        distinct_senders 3 "$old" DoViewChange "$view"
    judge "replica $next began view $view, and two backups followed" \
        trace_has 2 "$old" '.type == "StartView" and .accepted and .from != $dead' --all --view "$view"
    client_runs get fruit
    judge "what was acknowledged is there" test "$answer" = "$2"
    scene_result="view $view, primary $next, answered after $(gap_ms "$op") ms"
    gone=$old
    end_scene
}

# How long the client of an operation had to wait, from its first request on.
gap_ms() { # op
    ask trace --json --op "$1" 2>/dev/null |
        jq -s -r '[.[] | select(.kind == "operation") | .duration_us / 1000 | round] | .[0] // "?"'
}

distinct_senders() { # how many at least, replica not to be believed, type, view
    ask trace --json --all --type "$3" --view "$4" 2>/dev/null |
        jq -s -e --argjson least "$1" --argjson dead "$2" \
            '[.[] | select(.kind == "message" and .from != $dead) | .from] | unique | length >= $least'
}

gone='' # the replica that was killed last

scene_return() {
    begin_scene "the old primary comes back"
    look_who_is_primary
    narrate "Replica $gone starts again. It has forgotten everything but what it once promised about" \
        "views. Before it takes part in anything it has to learn what it may have agreed to."
    say
    pause 2
    say "  ${bold}\$ ./run_cluster.sh restart $gone${plain}"
    in_cluster restart "$gone" >/dev/null || scene_failed=1
    narrate "It asked everybody (Recovery). Only the primary of the latest view may answer, for only it" \
        "is sure to have every committed operation (RecoveryResponse). Then it pulled the log" \
        "(CatchupRequest, CatchupResponse), executed it, and is a backup in view $view."
    show_messages --replica "$gone" --type "Recovery,RecoveryResponse,CatchupRequest,CatchupResponse"
    judge "the others heard its Recovery, and replica $primary answered it" \
        trace_has 1 "$gone" '.type == "RecoveryResponse" and .from == '"$primary" --all --type RecoveryResponse
    judge "it got the log from them" \
        trace_has 1 "$gone" '.type == "CatchupResponse" and .from != $dead' --all --type CatchupResponse
    judge "it is a backup again, with the same state as the others" \
        wait_for '.replicas[$gone].status == "normal"
            and ([.replicas[].state_digest | [.op, .value]] | unique | length == 1)' --argjson gone "$gone"
    scene_result="replica $gone is a backup in view $view"
    end_scene
}

# On one line where there is room for it.
say_summary() { # number|title|result
    local number title result
    IFS='|' read -r number title result <<<"$1"
    if [[ $columns -lt $COLUMNS_MAX ]]; then
        say "$number$title"
        fold_after '     ' 5 "$result"
    else
        printf '%s%-34s %s\n' "$number" "$title" "$result"
    fi
}

tell_story() {
    local line
    start_group
    [[ -z $panes_socket ]] || open_panes
    say "${bold}Viewstamped Replication in four scenes${plain}"
    narrate "A real group of five replicas on this machine. It goes on as long as three of them run" \
        "and can talk."
    scene_operation
    scene_kill "the primary is killed" banana
    scene_return
    scene_kill "the next primary is killed" cherry
    say
    say "${bold}Summary${plain}"
    say
    for line in "${summary[@]}"; do
        say_summary "$line"
    done
    say
    if [[ $failed -eq 0 ]]; then
        narrate "All four scenes happened, and nothing that was acknowledged was lost. Judged by the status" \
            "and the traces of the replicas that were left alone."
    else
        narrate "$failed of 4 scenes did not happen as told."
    fi
    [[ $failed -eq 0 ]]
}

# --- panes, in tmux -----------------------------------------------------------------------------

panes_socket=''

tmux_here() {
    tmux -L "$panes_socket" -f /dev/null "$@"
}

# The narration has a pane already. Right of it the replicas, one above the other; below it the
# client.
open_panes() {
    local i right narration=$TMUX_PANE follow
    client_log=${dir%/*}/client.log
    : >"$client_log"
    tmux_here set-option -g pane-border-status top \; set-option -g pane-border-format ' #{pane_title} ' \; \
        set-option -g status off
    tmux_here select-pane -t "$narration" -T "what happens"
    # Wherever the user clicked: Ctrl-C ends the demo, not one pane of it.
    tmux_here bind-key -n C-c send-keys -t "$narration" C-c
    tmux_here split-window -t "$narration" -v -l 22% -d "tail -n +1 -f '$client_log'"
    right=$(tmux_here split-window -t "$narration" -f -h -l 50% -d -P -F '#{pane_id}' 'sleep 1000')
    for ((i = 0; i < REPLICAS; i++)); do
        follow="'$client' --cluster '$cluster_of' trace --follow --replica $i; sleep 1000"
        if [[ $i -lt $((REPLICAS - 1)) ]]; then
            tmux_here split-window -t "$right" -v -b -l $((100 / (REPLICAS - i)))% -d "$follow"
        else
            tmux_here respawn-pane -k -t "$right" "$follow"
        fi
    done
    name_panes
}

name_panes() {
    local panes i
    mapfile -t panes < <(tmux_here list-panes -F '#{pane_left} #{pane_top} #{pane_id}' | sort -n -k1,1 -k2,2 | cut -d' ' -f3)
    tmux_here select-pane -t "${panes[1]}" -T "client"
    for ((i = 0; i < REPLICAS; i++)); do
        tmux_here select-pane -t "${panes[$((i + 2))]}" -T "replica $i"
    done
    tmux_here select-pane -t "$TMUX_PANE"
}

# The inner demo takes its group away as soon as its terminal is gone, and says when it has.
end_panes() { # scratch directory
    local deadline=$((SECONDS + GOODBYE_SECONDS))
    if tmux_here has-session -t demo 2>/dev/null; then
        tmux_here kill-server 2>/dev/null || true
        while [[ ! -s $1/exit && $SECONDS -lt $deadline ]]; do
            sleep 0.1
        done
    fi
    rm -rf "$1"
}

check_size() { # columns, rows
    [[ $1 -ge $PANES_COLUMNS_MIN && $2 -ge $PANES_ROWS_MIN ]] ||
        die "$USAGE" "--panes needs at least ${PANES_COLUMNS_MIN}x$PANES_ROWS_MIN; this terminal has ${1}x$2"
}

run_in_panes() {
    local scratch code size=${PANES_COLUMNS}x$PANES_ROWS
    if [[ -t 1 ]]; then
        size=$(terminal_size)
        check_size "${size%x*}" "${size#*x}"
    fi
    scratch=$(mktemp -d "${TMPDIR:-/tmp}/viewstamp-demo-XXXXXX")
    panes_socket=viewstamp-demo-$$
    # shellcheck disable=SC2064 # the name of now
    trap "end_panes '$scratch'" EXIT
    VR_DEMO_EXIT=$scratch/exit VR_DEMO_SOCKET=$panes_socket \
        tmux_here new-session -d -s demo -x "${size%x*}" -y "${size#*x}" \
        "$(printf '%q ' "$root/tools/demo.sh" ${quick:+--no-pauses})"
    if [[ -t 1 ]]; then
        TMUX='' tmux_here attach -t demo >/dev/null || true
    else
        say "no terminal: watch it with tmux -L $panes_socket attach"
        while tmux_here has-session -t demo 2>/dev/null; do
            sleep 0.2
        done
    fi
    if tmux_here has-session -t demo 2>/dev/null; then # detached, or it never was attached
        say "left: the demo ends"
        exit "$INTERRUPTED"
    fi
    code=$(cat "$scratch/exit" 2>/dev/null) || code=$FAILED
    case $code in
    0) say "all four scenes happened" ;;
    "$INTERRUPTED") say "interrupted: the group of the demo is gone" ;;
    *) say "the demo ended with exit code $code; without --panes it says why" ;;
    esac
    exit "$code"
}

# --- a recording --------------------------------------------------------------------------------

record() { # file
    local scratch code why
    [[ ! -e $1 ]] || die "$USAGE" "$1 is there already: name another file, or remove it first"
    # Before the story is told, and in plain words: asciinema would show where in its code it noticed.
    why=$({ : >"$1"; } 2>&1) || die "$CANNOT_WRITE" "cannot write $1:${why##*:}"
    rm -f "$1"
    scratch=$(mktemp -d "${TMPDIR:-/tmp}/viewstamp-demo-XXXXXX")
    # shellcheck disable=SC2064 # the name of now
    trap "rm -rf '$scratch'" EXIT
    export VR_DEMO_EXIT=$scratch/exit
    [[ ${TERM:-dumb} != dumb ]] || export TERM=xterm-256color
    asciinema rec -q --cols "$RECORD_COLUMNS" --rows "$RECORD_ROWS" -t "viewstamp: VR in four scenes" \
        -c "$(printf '%q ' "$root/tools/demo.sh" ${quick:+--no-pauses})" "$1" ||
        die "$FAILED" "asciinema could not record to $1"
    code=$(cat "$scratch/exit" 2>/dev/null) || code=$FAILED
    [[ $code -ne $INTERRUPTED ]] || say "interrupted; what happened until then:"
    say "recorded to $1; play it with: asciinema play $1"
    exit "$code"
}

main() {
    local how='' file='' code=0
    while [[ $# -gt 0 ]]; do
        case $1 in
        --no-pauses) quick=1 ;;
        --panes) how=panes ;;
        --record)
            [[ $# -ge 2 && -n $2 ]] || die "$USAGE" "--record needs a file to write to"
            how=record
            file=$2
            shift
            ;;
        --help | -h)
            usage
            return
            ;;
        *) die "$USAGE" "demo does not know '$1': it takes --panes, --record FILE, --no-pauses" ;;
        esac
        shift
    done
    "$root/tools/deps.sh" demo ${how:+"demo-$how"} ||
        die "$FAILED" "without these packages there is no demo"
    panes_socket=${VR_DEMO_SOCKET:-}
    case $how in
    panes) run_in_panes ;;
    record) record "$file" ;;
    esac
    tell_story || code=$FAILED
    [[ -z $panes_socket ]] || pause 5
    exit "$code"
}

main "$@"
