#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A whole replica group on this machine. `./run_cluster.sh help` says how to use it.
#
# What lies in DIR (./run beside this script, unless -d says otherwise):
#   cluster             what was chosen when it was made: replicas, ports, cluster id
#   server-flags        what was given after `--`, one a line, used again by every later start
#   replica-I/          the data directory of replica I, vr-server's own
#   replica-I.pid       who runs it; believed only if /proc says that it is this very server
#   replica-I.log, .1   what it logged, bounded by tools/log_pump.sh
#   lock                held while a verb changes something
# A first start that fails takes back all of this but the logs, which go with `destroy` or the next one.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
self=$0
# VR_BIN names a directory of ready-made programs (another build, say): nothing is built then.
bin=${VR_BIN:-$root/bin}
server=$bin/vr-server
client=$bin/vr-client

readonly REPLICAS_DEFAULT=5 REPLICAS_MAX=9 FIRST_PORT_DEFAULT=8000
readonly PEER_PORT_OFFSET=100 # replicas talk to each other on port + 100
readonly PRIMARY_SECONDS=${VR_WAIT_SECONDS:-30} STOP_SECONDS=10

# Exit codes: those of vr-client where they have the same meaning.
readonly FAILED=1 USAGE=2 UNAVAILABLE=4 CONFIGURATION=78

dir=$root/run
dir_given=
cluster_of='' # host:port,... of the cluster in DIR
replicas=''   # how many
first_port=''
cluster_id=''
complete=''

usage() {
    cat <<TEXT
usage: $self                        install what is missing, build, start 5 replicas, open the REPL
       $self start [-n N] [-p FIRST_PORT] [-d DIR] [--durability sync|async|memory] [-- SERVER FLAGS]
                                    start N replicas (5 at first), or again those that were stopped;
                                    what follows -- goes to vr-server, now and at later starts; cluster
                                    parameters among it (--checkpoint-interval, --state-size-max, ...)
                                    to its init, and so only when the cluster is made
       $self status [--watch]       who is primary, how are the replicas; --watch: again every second
                                    (exit 0 healthy, 3 degraded, 4 unavailable, 5 unknown)
       $self client [ARGS]          vr-client, talking to this cluster; no ARGS: the REPL
       $self kill I                 SIGKILL replica I
       $self pause I | resume I     SIGSTOP, SIGCONT
       $self restart I [--risk-data] [--rebuild]
                                    stop it if it runs, start it again; --rebuild: it forgets what it
                                    has and fetches it from the others; --risk-data: even if too few
                                    others remember what the group keeps in memory
       $self logs [-f] [I]          the end of the logs; -f follows them
       $self stop                   stop all replicas
       $self destroy                stop all replicas and remove their data
       $self demo [--panes | --record FILE] [--no-pauses]
                                    the story of VR in four scenes, on a group of its own; --panes: in
                                    tmux, with each replica's messages; --record: as an asciicast
Every verb takes -d DIR, where data and logs are: by default $root/run; VERB --help explains one.
Replica I serves clients on port FIRST_PORT + I (8000 + I by default) and its peers 100 above that.
NO_DEPS=1 forbids installing Debian packages. VR_BIN=DIR uses the programs there instead of building.
TEXT
}

# The lines of usage() about one verb; false if there is none of this name.
verb_usage() { # verb
    local line about='' found=''
    while IFS= read -r line; do
        case $line in
        'usage: '* | "       $self "*)
            about=''
            if [[ $line == *"$self $1 "* || $line == *"$self $1" || $line == *" | $1 "* ]]; then
                about=1
                line="usage: ${line:7}"
            fi
            ;;
        ' '*) ;;
        *) about='' ;;
        esac
        if [[ -n $about ]]; then
            found=1
            say "$line"
        fi
    done < <(usage)
    [[ -n $found ]] || return 1
    [[ $1 == demo ]] || say "-d DIR says where data and logs are: by default $root/run"
}

say() {
    printf '%s\n' "$*"
}

die() { # exit code, words
    local code=$1
    shift
    printf '%s: %s\n' "${self##*/}" "$*" >&2
    exit "$code"
}

# How a person would call this script for the same cluster: hint stop -> "./run_cluster.sh stop -d DIR"
hint() {
    local words="$self $1"
    [[ -z $dir_given ]] || words+=" -d $(printf '%q' "$dir_given")"
    [[ $# -lt 2 ]] || words+=" $2"
    printf '%s' "$words"
}

# --- the cluster in DIR -------------------------------------------------------------------------

data_of() {
    printf '%s/replica-%s' "$dir" "$1"
}

make_dir_absolute() { # may not exist yet
    case $dir in
    /*) ;;
    *) dir=$PWD/$dir ;;
    esac
    if [[ -d $dir ]]; then
        dir=$(cd "$dir" && pwd -P) || die "$FAILED" "cannot enter $dir: check its permissions"
    fi
}

# Reads what `start` chose; false if there is no cluster in DIR.
load_cluster() {
    local key value i
    [[ -f $dir/cluster ]] || return 1
    while IFS='=' read -r key value; do
        case $key in
        replicas) replicas=$value ;;
        first_port) first_port=$value ;;
        cluster_id) cluster_id=$value ;;
        complete) complete=$value ;;
        esac
    done <"$dir/cluster"
    if ! [[ $replicas =~ ^[1-9]$ && $first_port =~ ^[0-9]+$ && $cluster_id =~ ^[0-9a-f]{16}$ ]]; then
        die "$CONFIGURATION" "$dir/cluster is damaged: it must name replicas, first_port and" \
            "cluster_id. Repair it, or remove this cluster's data with: $(hint destroy)"
    fi
    cluster_of=127.0.0.1:$first_port
    for ((i = 1; i < replicas; i++)); do
        cluster_of+=,127.0.0.1:$((first_port + i))
    done
}

need_cluster() {
    load_cluster || die "$CONFIGURATION" "there is no cluster in $dir: $(hint start) makes one"
}

replicas_in_words() { # "1 replica", "3 replicas"
    printf '%s replica' "$replicas"
    [[ $replicas -eq 1 ]] || printf 's'
}

ports_from() { # "9700", "9700-9702"
    printf '%s' "$1"
    [[ $replicas -eq 1 ]] || printf -- '-%s' "$(($1 + replicas - 1))"
}

# No replica was ever initialised: whatever else lies in DIR is the rest of a start that was killed.
never_started() {
    [[ -z $complete ]] && ! compgen -G "$dir/replica-[0-9]" >/dev/null
}

need_programs() {
    [[ -x $server && -x $client ]] ||
        die "$FAILED" "$bin/vr-server and vr-client are not built yet: $(hint start) builds them"
}

# For verbs that act on the whole group: a word too many is a misunderstanding, and not to be acted on.
need_no_words() { # verb, advice, words
    local verb=$1 advice=$2
    shift 2
    [[ $# -eq 0 ]] || die "$USAGE" "$verb does not know '$1': $advice. Nothing was done"
}

need_replica() { # words that must be one replica number
    [[ $# -eq 1 ]] || die "$USAGE" "name one replica, 0 to $((replicas - 1))"
    [[ $1 =~ ^[0-9]$ && $1 -lt $replicas ]] ||
        die "$USAGE" "there is no replica '$1': they are 0 to $((replicas - 1))"
}

# Two of these at once would start a replica twice, or stop one half started.
take_lock() {
    while :; do
        exec 9>"$dir/lock" || die "$FAILED" "cannot write $dir/lock: check the permissions of $dir"
        flock -w 120 9 || die "$FAILED" "another $self works on $dir since two minutes: wait for it, or end it"
        # Who held it may have removed it at the end: then this lock is nobody's.
        [[ ! $dir/lock -ef /proc/self/fd/9 ]] || return 0
    done
}

# --- processes ----------------------------------------------------------------------------------

# The pid of replica I if it runs. A number in a file proves nothing: the process must be a vr-server
# that was started on this very data directory.
pid_of() {
    local pid arguments i
    pid=$(cat "$dir/replica-$1.pid" 2>/dev/null) || return 1
    [[ $pid =~ ^[0-9]+$ ]] || return 1
    [[ $(readlink "/proc/$pid/exe" 2>/dev/null) == */vr-server* ]] || return 1
    mapfile -d '' -t arguments 2>/dev/null <"/proc/$pid/cmdline" || return 1
    for ((i = 0; i + 1 < ${#arguments[@]}; i++)); do
        if [[ ${arguments[i]} == --data-dir && ${arguments[i + 1]} == "$(data_of "$1")" ]]; then
            printf '%s' "$pid"
            return 0
        fi
    done
    return 1
}

is_paused() { # pid
    [[ $(sed -n 's/^State:\t\(.\).*/\1/p' "/proc/$1/status" 2>/dev/null) == T ]]
}

running_count() {
    local i count=0
    for ((i = 0; i < replicas; i++)); do
        ! pid_of "$i" >/dev/null || count=$((count + 1))
    done
    printf '%s' "$count"
}

wait_until_gone() { # replica, seconds; false if it is still there
    local deadline=$((SECONDS + $2))
    while pid_of "$1" >/dev/null; do
        [[ $SECONDS -lt $deadline ]] || return 1
        sleep 0.02
    done
    rm -f "$dir/replica-$1.pid"
}

# A thread that runs when the signal comes goes on until the kernel interrupts it.
wait_until_paused() { # pid; false if it still runs after STOP_SECONDS
    local deadline=$((SECONDS + STOP_SECONDS))
    while sed -n 's/^State:\t\(.\).*/\1/p' "/proc/$1/task"/*/status 2>/dev/null | grep -q '[^T]'; do
        [[ $SECONDS -lt $deadline ]] || return 1
        sleep 0.02
    done
}

start_replica() { # I, flags for this once
    local flags=() data pid deadline=$((SECONDS + STOP_SECONDS))
    data=$(data_of "$1")
    [[ -d $data ]] ||
        die "$CONFIGURATION" "the data directory of replica $1, $data, is missing. A lost directory is" \
            "never made again silently: put it back, or give the whole cluster up with: $(hint destroy)"
    if [[ -f $dir/server-flags.new ]]; then
        mapfile -t flags <"$dir/server-flags.new"
    elif [[ -f $dir/server-flags ]]; then
        mapfile -t flags <"$dir/server-flags"
    fi
    # A session of its own each: Ctrl-C at a REPL must not reach the servers or their logs. They are
    # children of this shell, so that exit_as_ended knows how one ended.
    setsid "$server" start --data-dir "$data" "${flags[@]}" "${@:2}" </dev/null 9>&- \
        > >(exec setsid "$root/tools/log_pump.sh" "$dir/replica-$1.log" >/dev/null 2>&1 9>&-) 2>&1 &
    pid=$!
    printf '%s\n' "$pid" >"$dir/replica-$1.pid"
    while [[ -d /proc/$pid && $SECONDS -lt $deadline ]]; do # until it is vr-server, no longer this shell
        ! pid_of "$1" >/dev/null || break
        sleep 0.01
    done
}

# Says how replica I, which was just started and runs no more, ended; exits as it did.
exit_as_ended() {
    local pid code=0
    pid=$(cat "$dir/replica-$1.pid" 2>/dev/null) || pid=
    rm -f "$dir/replica-$1.pid"
    # Not a child of this shell if it was started earlier: `wait` says 127 then.
    if [[ $pid =~ ^[0-9]+$ ]]; then
        wait "$pid" 2>/dev/null || code=$?
    fi
    # Its last words pass through log_pump, which may still be writing them.
    sleep 0.1
    say "replica $1 ended right after its start. The end of its log, $dir/replica-$1.log:"
    tail -n 5 "$dir/replica-$1.log" 2>/dev/null | sed 's/^/    /'
    [[ $code -ne 0 && $code -lt 126 ]] || code=$FAILED
    exit "$code"
}

# Once and no more: a second SIGTERM ends a replica at once, amid its clean stop.
ask_to_stop() {
    local pid
    pid=$(pid_of "$1") || return 0
    kill -TERM "$pid" 2>/dev/null || true
    kill -CONT "$pid" 2>/dev/null || true # a paused one could not hear it
}

await_stop() { # after STOP_SECONDS by force
    local pid
    pid=$(pid_of "$1") || return 0
    if ! wait_until_gone "$1" "$STOP_SECONDS"; then
        say "replica $1 (pid $pid) did not stop within $STOP_SECONDS s: killing it"
        kill -KILL "$pid" 2>/dev/null || true
        wait_until_gone "$1" "$STOP_SECONDS" ||
            die "$FAILED" "replica $1 (pid $pid) cannot be killed; is its disk hanging?"
    fi
}

# All at once, so that nobody starts a view change for those who went first.
stop_replicas() {
    local i
    for ((i = 0; i < replicas; i++)); do
        ask_to_stop "$i"
    done
    for ((i = 0; i < replicas; i++)); do
        await_stop "$i"
        rm -f "$dir/replica-$i.pid"
    done
}

# --- what the group says of itself --------------------------------------------------------------

status_json() {
    "$client" --cluster "$cluster_of" --timeout 1000 --json status 2>/dev/null
}

# What status --json (stdin) says of replica I, on one line.
report_of() {
    sed -E 's/\{"id": ?/\n&/g' | sed -nE "/^\{\"id\": ?$1,/p"
}

# "normal", "recovering", ...; nothing if it did not answer. stdin: what report_of prints
status_in() {
    sed -nE 's/.*"status": ?"([^"]*)".*/\1/p'
}

# The number of the last operation that the replica executed. stdin: what report_of prints
executed_in() {
    sed -nE 's/.*"state_digest": ?\{"op": ?([0-9]+).*/\1/p'
}

# The highest commit number that any replica knows of. stdin: status --json
committed_in() {
    { grep -oE '"commit": ?[0-9]+' || true; } | grep -oE '[0-9]+' | sort -n | tail -n 1
}

# D9: too few remember when more replicas lost what they had than may fail. Those that recover did, and
# where it was in memory those that do not run and will have to. stdin: status --json
group_is_lost() {
    local json recovering stopped
    json=$(cat)
    [[ $json =~ \"primary\":\ ?null ]] || return 1
    recovering=$(grep -oE '"status": ?"recovering"' <<<"$json" | wc -l)
    stopped=0
    [[ ! $json =~ \"durability\":\ ?\"memory\" ]] || stopped=$((replicas - $(running_count)))
    [[ $recovering -gt 0 && $((recovering + stopped)) -gt $((replicas - replicas / 2 - 1)) ]]
}

# "replica 0 up to op 17, replica 3 up to op 12": those that lost nothing. stdin: status --json
holders_in() {
    local json i report status op holders=''
    json=$(cat)
    for ((i = 0; i < replicas; i++)); do
        report=$(report_of "$i" <<<"$json")
        status=$(status_in <<<"$report")
        op=$(sed -nE 's/.*"op": ?([0-9]+), ?"commit".*/\1/p' <<<"$report")
        case $status in
        '' | recovering | 'no answer') ;;
        *) holders+="${holders:+, }replica $i up to op ${op:-?}" ;;
        esac
    done
    printf '%s' "$holders"
}

# How many replicas but I remember what the group keeps in memory: those that run and do not recover. One
# that is paused remembers, though it does not answer.
others_remember() { # I, status --json
    local i count=0
    for ((i = 0; i < replicas; i++)); do
        if [[ $i -ne $1 ]] && pid_of "$i" >/dev/null &&
            [[ $(report_of "$i" <<<"$2" | status_in) != recovering ]]; then
            count=$((count + 1))
        fi
    done
    printf '%s' "$count"
}

# D9 again: refuses a restart after which fewer than a quorum would remember what is in memory. A primary
# that stays can still hand it on; without one it is lost. A replica that does not run has forgotten
# already, and one that recovers does not know yet. If nobody answers, nothing says that it is on a disk.
refuse_to_risk_data() { # I
    local json others quorum=$((replicas / 2 + 1)) what='all of it is lost'
    pid_of "$1" >/dev/null || return 0
    json=$(status_json) || true
    if [[ $json =~ \"durability\":\ ?\"(sync|async)\" && ! $json =~ \"durability\":\ ?\"memory\" ]] ||
        [[ $(report_of "$1" <<<"$json" | status_in) == recovering ]]; then
        return 0
    fi
    others=$(others_remember "$1" "$json")
    [[ $others -lt $quorum ]] || return 0
    if [[ $json =~ \"primary\":\ ?([0-9]+) && ${BASH_REMATCH[1]} -ne $1 ]]; then
        what="all of it hangs on replica ${BASH_REMATCH[1]}, the primary, until replica $1 has caught up"
    fi
    die "$UNAVAILABLE" "replica $1 was not restarted: this group keeps its data in memory (durability memory)," \
        "and $others of its $(replicas_in_words) would remember it meanwhile. If fewer than $quorum do, $what." \
        "First start those that are down: $(hint status) names them. To restart it all the same:" \
        "$(hint restart "$1 --risk-data")"
}

say_group_is_lost() { # stdin: status --json
    local json gone holders
    json=$(cat)
    if [[ ! $json =~ \"durability\":\ ?\"memory\" ]]; then
        say "This group cannot go on by itself: the disks of too many of its replicas lack what they may have" \
            "acknowledged, as after a power cut in mode async. $(hint client unsafe-restore)" \
            "shows what is left and what going on from there would lose, and asks."
        return
    fi
    gone=$(($(grep -oE '"status": ?"recovering"' <<<"$json" | wc -l) + replicas - $(running_count)))
    holders=$(holders_in <<<"$json")
    say "This group cannot go on by itself: it kept its data in memory (durability memory), and $gone of its" \
        "$(replicas_in_words) stopped at the same time or too soon one after the other. Too few remember for" \
        "the group to know what it had."
    if [[ -n $holders ]]; then
        say "What is left of its log, in memory only: $holders. $(hint client unsafe-restore)" \
            "says what going on from there would lose, and asks."
    else
        say "No replica that answers holds any of it."
    fi
    say "Remove the remains with: $(hint destroy)" \
        "- then $(hint start) makes a new, empty group."
}

# For loops that wait: exits once the group was seen lost for a second on end, for one that is just
# starting looks like that for a moment.
lost_since=''
exit_if_lost() { # json
    if ! group_is_lost <<<"$1"; then
        lost_since=''
    elif [[ -z $lost_since ]]; then
        lost_since=$EPOCHREALTIME
    elif [[ $((${EPOCHREALTIME/[.,]/} - ${lost_since/[.,]/})) -gt 1000000 ]]; then
        say_group_is_lost <<<"$1"
        exit "$UNAVAILABLE"
    fi
}

# Waits until a primary answers. Says what is wrong and exits if none does.
wait_for_primary() {
    local deadline=$((SECONDS + PRIMARY_SECONDS)) json code i
    while :; do
        code=0
        json=$(status_json) || code=$?
        [[ $code -ne 0 && $code -ne 3 ]] || return 0
        for ((i = 0; i < replicas; i++)); do
            pid_of "$i" >/dev/null || exit_as_ended "$i"
        done
        exit_if_lost "$json"
        [[ $SECONDS -lt $deadline ]] || break
        sleep 0.1
    done
    "$client" --cluster "$cluster_of" status || true
    die "$UNAVAILABLE" "no primary after $PRIMARY_SECONDS s. Look at the logs with: $(hint logs)"
}

# --- verbs --------------------------------------------------------------------------------------

build() {
    if [[ -n ${VR_BIN:-} ]]; then
        need_programs
        return
    fi
    "$root/tools/deps.sh" build
    if ! make -q -C "$root" all >/dev/null 2>&1; then
        say "building ..."
        make --no-print-directory -s -C "$root" -j"$(nproc)" all >/dev/null ||
            die "$FAILED" "the build failed; what make printed above says where"
    fi
    need_programs
}

make_cluster() { # replicas, first port
    local id
    mkdir -p "$dir" || die "$FAILED" "cannot make $dir: check the permissions above it, or use -d"
    make_dir_absolute
    take_lock
    if load_cluster && ! never_started; then # somebody else was quicker
        return
    fi
    id=$(od -An -N8 -tx8 /dev/urandom | tr -d ' ')
    printf 'replicas=%s\nfirst_port=%s\ncluster_id=%s\n' "$1" "$2" "$id" >"$dir/cluster.new"
    mv "$dir/cluster.new" "$dir/cluster"
    rm -f "$dir/server-flags"
    remove_logs # of a first start that failed: its last words are not those of this one
    trap undo_first_start EXIT
    load_cluster
}

# The first start, or what an interrupted one left to do.
initialise_replicas() {
    local i
    for ((i = 0; i < replicas; i++)); do
        [[ ! -d $(data_of "$i") ]] || continue
        "$server" init --data-dir "$(data_of "$i")" --replica "$i" --cluster "$cluster_of" \
            --cluster-id "$cluster_id" "${parameters[@]}" >/dev/null ||
            die "$?" "replica $i could not be initialised; what vr-server printed above says why"
    done
    say 'complete=1' >>"$dir/cluster"
    complete=1
}

# They may be of more replicas than there are now: of a first start that failed and chose otherwise.
remove_logs() {
    rm -f "$dir"/replica-[0-9].{pid,log,log.1}
}

# A port that this cluster needs and another process has, or nothing.
taken_port() {
    local first i
    for first in "$first_port" "$((first_port + PEER_PORT_OFFSET))"; do
        for ((i = first; i < first + replicas; i++)); do
            if grep -qsE "^ *[0-9]+: [0-9A-F]+:$(printf '%04X' "$i") " /proc/net/udp /proc/net/udp6; then
                printf '%s' "$i"
                return 0 # said, for in an exit trap a bare return is that of the code before
            fi
        done
    done
}

# On the exit of a start that failed: what was never in use must not be in the way of the next one.
undo_first_start() {
    local i port
    rm -f "$dir/server-flags.new"
    load_cluster || return 0
    stop_replicas
    for ((i = 0; i < replicas; i++)); do
        rm -rf "$(data_of "$i")"
    done
    rm -f "$dir/cluster" "$dir/server-flags"
    port=$(taken_port)
    if [[ -n $port ]]; then
        say "UDP port $port is taken. Replicas use the ports $(ports_from "$first_port") for clients and, for" \
            "each other, these + $PEER_PORT_OFFSET: $(ports_from "$((first_port + PEER_PORT_OFFSET))")." \
            "Choose others with -p, or stop what runs there." >&2
    fi
    rm -f "$dir/lock"
    rmdir "$dir" 2>/dev/null || true
}

# Cluster parameters among the server's flags belong to init: into `parameters`, the rest into `flags`.
split_parameters() { # flags
    flags=()
    parameters=()
    while [[ $# -gt 0 ]]; do
        case $1 in
        --checkpoint-interval | --state-size-max | --sessions-max | --operation-size-max | --reply-stored-max)
            [[ $# -ge 2 ]] || die "$USAGE" "$1 needs a value; vr-server init --help explains it"
            parameters+=("$1=$2")
            shift 2
            ;;
        --checkpoint-interval=* | --state-size-max=* | --sessions-max=* | --operation-size-max=* | --reply-stored-max=*)
            parameters+=("$1")
            shift
            ;;
        *)
            flags+=("$1")
            shift
            ;;
        esac
    done
}

check_choice() { # what was asked for, what the cluster has, the option
    [[ -z $1 || $1 == "$2" ]] ||
        die "$CONFIGURATION" "$dir holds a cluster of $(replicas_in_words) from port $first_port on, and is" \
            "resumed as it is; $3 $1 does not fit. Leave $3 out, use another -d DIR, or remove this" \
            "cluster's data first with: $(hint destroy)"
}

verb_start() {
    local count='' port='' flags=() parameters=() flags_given='' durability='' i started=0
    while [[ $# -gt 0 ]]; do
        case $1 in
        -n | -p | --durability) [[ $# -ge 2 ]] || die "$USAGE" "$1 needs a value; '$self help' shows the usage" ;;&
        -n) count=$2 && shift 2 ;;
        -p) port=$2 && shift 2 ;;
        --durability) durability=$2 && shift 2 ;;
        --)
            shift
            split_parameters "$@"
            [[ ${#flags[@]} -eq 0 && ${#parameters[@]} -gt 0 ]] || flags_given=1
            break
            ;;
        *) die "$USAGE" "start does not know '$1'; '$self help' shows the usage" ;;
        esac
    done
    [[ -z $count || $count =~ ^[1-$REPLICAS_MAX]$ ]] ||
        die "$USAGE" "-n $count: a group has 1 to $REPLICAS_MAX replicas"
    if [[ -n $port ]] && ! [[ $port =~ ^[1-9][0-9]{0,4}$ &&
        $port -le $((65535 - PEER_PORT_OFFSET - REPLICAS_MAX)) ]]; then
        die "$USAGE" "-p $port: the first port is a number from 1 to $((65535 - PEER_PORT_OFFSET - REPLICAS_MAX))"
    fi
    case $durability in
    '' | sync | async | memory) ;;
    *) die "$USAGE" "--durability $durability: it is sync, async or memory" ;;
    esac

    build
    if load_cluster && ! never_started; then
        take_lock
        trap 'rm -f "$dir/server-flags.new"' EXIT
    else
        make_cluster "${count:-$REPLICAS_DEFAULT}" "${port:-$FIRST_PORT_DEFAULT}"
    fi
    check_choice "$count" "$replicas" -n
    check_choice "$port" "$first_port" -p
    if [[ -n $complete && ${#parameters[@]} -gt 0 ]]; then
        die "$CONFIGURATION" "${parameters[0]} is a parameter of a whole cluster, decided when it is made, and" \
            "$dir holds one already: leave it out, use another -d DIR, or remove this cluster's data first" \
            "with: $(hint destroy)"
    fi
    if [[ -n $durability ]]; then
        flags+=(--durability "$durability")
        flags_given=1
    fi
    [[ -z $flags_given ]] || printf '%s\n' "${flags[@]}" | sed '/^$/d' >"$dir/server-flags.new"

    [[ -n $complete ]] || initialise_replicas
    for ((i = 0; i < replicas; i++)); do
        if ! pid_of "$i" >/dev/null; then
            start_replica "$i"
            started=$((started + 1))
        fi
    done
    wait_for_primary
    [[ -z $flags_given ]] || mv "$dir/server-flags.new" "$dir/server-flags"
    trap - EXIT
    if [[ $started -eq 0 ]]; then
        say "$(replicas_in_words) already running: 127.0.0.1:$(ports_from "$first_port")"
    else
        say "started $started of $(replicas_in_words) on 127.0.0.1:$(ports_from "$first_port"), data and logs in $dir"
    fi
    exec 9>&-
}

verb_up() {
    # In a subshell, so that the servers are nobody's children who will not wait for them.
    (verb_start "$@")
    need_cluster
    if [[ -t 0 ]]; then
        exec "$client" --cluster "$cluster_of"
    fi
    say "talk to it with: $(hint client) ; stop it with: $(hint stop)"
}

verb_stop() {
    local json='' was
    need_no_words stop "it takes no replica number and stops the whole group; to end one: $(hint kill I)" "$@"
    need_cluster
    take_lock
    was=$(running_count)
    [[ ! -x $client || $was -eq 0 ]] || json=$(status_json) || true
    stop_replicas
    say "stopped $was of $(replicas_in_words); data and logs stay in $dir"
    if [[ $json =~ \"durability\":\ ?\"memory\" ]]; then
        say "Its data was in memory (durability memory) and went with the last replica: before a new" \
            "start, remove the remains with: $(hint destroy)"
    fi
}

verb_status() {
    local code=0 i pid json
    need_cluster
    need_programs
    if [[ $# -gt 0 ]]; then
        exec "$client" --cluster "$cluster_of" status "$@"
    fi
    "$client" --cluster "$cluster_of" status || code=$?
    for ((i = 0; i < replicas; i++)); do
        if ! pid=$(pid_of "$i"); then
            say "replica $i does not run; start it with: $(hint restart "$i")"
        elif is_paused "$pid"; then
            say "replica $i (pid $pid) is paused; wake it with: $(hint resume "$i")"
        fi
    done
    if [[ $code -ne 0 ]]; then
        json=$(status_json) || true
        if group_is_lost <<<"$json"; then
            say_group_is_lost <<<"$json"
        fi
    fi
    return "$code"
}

verb_client() {
    need_cluster
    need_programs
    exec "$client" --cluster "$cluster_of" "$@"
}

verb_signal() { # signal, word, replica
    local pid signal=$1 word=$2
    shift 2
    need_cluster
    need_replica "$@"
    take_lock
    pid=$(pid_of "$1") ||
        die "$FAILED" "replica $1 does not run; start it with: $(hint restart "$1")"
    kill "-$signal" "$pid"
    if [[ $signal == KILL ]]; then
        wait_until_gone "$1" "$STOP_SECONDS" || die "$FAILED" "replica $1 (pid $pid) cannot be killed; is its disk hanging?"
    elif [[ $signal == STOP ]]; then
        wait_until_paused "$pid" || die "$FAILED" "replica $1 (pid $pid) does not pause; is its disk hanging?"
    fi
    say "replica $1 (pid $pid) $word"
}

# Again of use: its status is normal, and it executed what was committed when it became so. Under load
# the others are ahead of that by then, as they are ahead of any backup.
verb_restart() {
    local deadline json report status='' executed='' committed='' pid word which=() once=() insist=''
    for word in "$@"; do
        case $word in
        --risk-data) insist=1 ;;
        --rebuild) once+=("$word") ;;
        *) which+=("$word") ;;
        esac
    done
    need_cluster
    need_programs
    need_replica "${which[@]}"
    set -- "${which[@]}"
    take_lock
    [[ -n $insist ]] || refuse_to_risk_data "$1"
    ask_to_stop "$1"
    await_stop "$1"
    start_replica "$1" "${once[@]}"
    deadline=$((SECONDS + STOP_SECONDS))
    while [[ $SECONDS -lt $deadline ]]; do
        pid=$(pid_of "$1") || exit_as_ended "$1"
        json=$(status_json) || true
        report=$(report_of "$1" <<<"$json")
        status=$(status_in <<<"$report")
        executed=$(executed_in <<<"$report")
        if [[ $status == normal ]]; then
            [[ -n $committed ]] || committed=$(committed_in <<<"$json")
            if [[ -n $executed && $executed -ge $committed ]]; then
                say "replica $1 (pid $pid) runs again, status normal, executed up to op $executed"
                return
            fi
        else
            committed=''
        fi
        exit_if_lost "$json"
        sleep 0.05
    done
    if [[ $status == normal ]]; then
        die "$UNAVAILABLE" "replica $1 (pid $pid) runs again, but after $STOP_SECONDS s it still catches up:" \
            "it executed ${executed:-0} of $committed committed operations. Look with: $(hint status)"
    fi
    die "$UNAVAILABLE" "replica $1 (pid $pid) runs again, but after $STOP_SECONDS s its status is" \
        "'${status:-no answer}': it needs a primary to catch up from. Look with: $(hint status)"
}

verb_logs() {
    local follow='' i word which=() files=()
    need_cluster
    for word in "$@"; do
        case $word in
        -f) follow=1 ;;
        -*) die "$USAGE" "logs does not know '$word'; '$self logs --help' shows the usage" ;;
        *) which+=("$word") ;;
        esac
    done
    if [[ ${#which[@]} -gt 0 ]]; then
        need_replica "${which[@]}"
        set -- "${which[@]}"
        files=("$dir/replica-$1.log")
    else
        for ((i = 0; i < replicas; i++)); do
            files+=("$dir/replica-$i.log")
        done
    fi
    if [[ -n $follow ]]; then
        exec tail -n 20 -F "${files[@]}"
    fi
    for i in "${files[@]}"; do
        [[ -f $i ]] || continue
        [[ ${#files[@]} -eq 1 ]] || say "==> $i <=="
        tail -n "$((${#files[@]} == 1 ? 200 : 20))" "$i"
    done
}

# Only what this script made; whatever else lies in DIR is somebody else's.
remove_directory() {
    rm -f "$dir/cluster" "$dir/cluster.new" "$dir/server-flags" "$dir/server-flags.new" "$dir/lock"
    rmdir "$dir" 2>/dev/null || say "$dir itself stays: it holds other files"
}

verb_destroy() {
    local i
    need_no_words destroy "it takes no replica number and removes the whole group; to end one: $(hint kill I)" "$@"
    if ! load_cluster; then
        if compgen -G "$dir/replica-[0-9].log*" >/dev/null; then
            take_lock
            say "removing the logs of a start that failed, in $dir"
            remove_logs
            remove_directory
        else
            say "there is no cluster in $dir: nothing to remove"
        fi
        return
    fi
    take_lock
    say "removing cluster $cluster_id: $(replicas_in_words) from port $first_port on," \
        "$(du -sh "$dir" 2>/dev/null | cut -f1) in $dir"
    stop_replicas
    for ((i = 0; i < replicas; i++)); do
        rm -rf "$(data_of "$i")"
    done
    remove_logs
    remove_directory
}

# On a group of its own, which is gone afterwards.
verb_demo() {
    [[ -z $dir_given ]] || die "$USAGE" "demo makes a group of its own: it takes no -d"
    build
    exec "$root/tools/demo.sh" "$@"
}

verb_help() { # nothing, or one verb
    [[ $# -le 1 ]] || die "$USAGE" "help takes one verb"
    if [[ $# -eq 0 || $1 == help ]]; then
        usage
    elif ! verb_usage "$1"; then
        usage >&2
        die "$USAGE" "there is no verb '$1'"
    fi
}

# True if the words ask what the verb does. What follows `client` or `--` belongs to somebody else, but
# for a first word: `client --help`.
wants_help() { # verb, words
    local verb=$1 word
    shift
    for word in "$@"; do
        case $word in
        --help | -h) return 0 ;;
        --) return 1 ;;
        esac
        [[ $verb != client ]] || return 1
    done
    return 1
}

main() {
    local verb=up words=()
    if [[ $# -gt 0 && $1 != -[dnp] && $1 != --durability && $1 != -- ]]; then
        verb=$1
        shift
    fi
    # -d DIR may stand anywhere; but what follows `client` or `--` belongs to somebody else.
    while [[ $# -gt 0 ]]; do
        case $1 in
        -d)
            [[ $# -ge 2 && -n $2 ]] || die "$USAGE" "-d needs a directory"
            dir=$2
            dir_given=$2
            shift 2
            ;;
        --)
            words+=("$@")
            shift $#
            ;;
        *)
            words+=("$1")
            shift
            [[ $verb != client ]] || break
            ;;
        esac
    done
    [[ $verb != client ]] || words+=("$@")
    if wants_help "$verb" "${words[@]}"; then
        verb_help "${verb/#up/start}"
        return
    fi
    make_dir_absolute

    case $verb in
    up) verb_up "${words[@]}" ;;
    start) verb_start "${words[@]}" ;;
    stop) verb_stop "${words[@]}" ;;
    status) verb_status "${words[@]}" ;;
    client) verb_client "${words[@]}" ;;
    kill) verb_signal KILL 'was killed' "${words[@]}" ;;
    pause) verb_signal STOP 'is paused' "${words[@]}" ;;
    resume) verb_signal CONT 'runs on' "${words[@]}" ;;
    restart) verb_restart "${words[@]}" ;;
    logs) verb_logs "${words[@]}" ;;
    destroy) verb_destroy "${words[@]}" ;;
    demo) verb_demo "${words[@]}" ;;
    help | -h | --help) verb_help "${words[@]}" ;;
    *)
        usage >&2
        die "$USAGE" "there is no verb '$verb'"
        ;;
    esac
}

main "$@"
