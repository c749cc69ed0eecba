# SPDX-License-Identifier: Apache-2.0
# Completion of run_cluster.sh for bash; its verbs are asked of the script's own help. It is not
# installed, as the script is not: `source packaging/completion/run_cluster.sh` in a clone.
# shellcheck shell=bash

_run_cluster() {
    local word=${COMP_WORDS[COMP_CWORD]} option=${COMP_WORDS[COMP_CWORD - 1]} words
    COMPREPLY=()
    if [[ $option == -d ]]; then
        compopt -o filenames
        mapfile -t COMPREPLY < <(compgen -d -- "$word")
        return
    fi
    if [[ $COMP_CWORD -eq 1 ]]; then
        words="help $("${COMP_WORDS[0]}" help 2>/dev/null |
            sed -n 's/.*run_cluster\.sh  *\([a-z]*\)\( [^|]*| *\([a-z]*\)\)*.*/\1 \3/p')"
    elif [[ ${COMP_WORDS[1]} == start ]]; then
        words='-n -p -d --durability --'
    elif [[ ${COMP_WORDS[1]} == restart ]]; then
        words='-d --rebuild --risk-data'
    else
        words='-d'
    fi
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word" | sort -u)
}

complete -F _run_cluster run_cluster.sh ./run_cluster.sh
