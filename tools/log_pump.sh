#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Copies stdin to a log file and keeps it bounded: at most two files of LOG_BYTES_MAX, FILE and the
# older FILE.1. Ends with its input. If the disk refuses the bytes they are thrown away, so that the
# program that logs is never blocked by its log.
#
#   program 2>&1 | tools/log_pump.sh FILE
set -u

file=$1
limit=${LOG_BYTES_MAX:-4194304}

while :; do
    size=$(stat -c %s "$file" 2>/dev/null || echo 0)
    if [[ $size -ge $limit ]]; then
        mv -f "$file" "$file.1"
        size=0
    fi
    # Unbuffered, so that a line is in the file as soon as it is written; head takes exactly what
    # fits, and the rest stays in the pipe for the next round.
    if ! stdbuf -o0 head -c "$((limit - size))" >>"$file" 2>/dev/null; then
        exec cat >/dev/null
    fi
    # Stopped short of the limit: the input has ended.
    [[ $(stat -c %s "$file" 2>/dev/null || echo 0) -ge $limit ]] || break
done
