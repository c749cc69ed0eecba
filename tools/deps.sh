#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Debian packages that viewstamp needs, and how each is recognised.
#
#   tools/deps.sh SET ...             installs what is missing, and says what (NO_DEPS=1: only says)
#   tools/deps.sh --missing SET ...             prints the names of what is missing, on one line
#
# A package counts as there when what it brings is there, however it came. Only the installation
# itself asks for root (sudo), and only when something is missing.
set -euo pipefail

# set: package = how to see that it is there
needs() {
    case $1 in
    build)
        echo 'gcc                  command gcc cc clang'
        echo 'make                 command make'
        echo 'pkg-config           command pkg-config'
        echo 'protobuf-c-compiler  command protoc-c'
        echo 'libc6-dev            header pthread.h'
        echo 'libprotobuf-c-dev    library libprotobuf-c'
        echo 'libsodium-dev        library libsodium'
        echo 'libxxhash-dev        library libxxhash'
        echo 'libedit-dev          library libedit'
        echo 'libjansson-dev       library jansson'
        echo 'libinih-dev          library inih'
        echo 'libjudy-dev          header Judy.h'
        ;;
    test)
        echo 'check                library check'
        echo 'python3              command python3'
        ;;
    check)
        echo 'git                  command git'
        echo 'patch                command patch'
        echo 'clang-14             command clang-14'
        echo 'libclang-rt-14-dev   clang-runtime libclang_rt.fuzzer'
        echo 'clang-format-14      command clang-format-14'
        echo 'shellcheck           command shellcheck'
        echo 'jq                   command jq'
        echo 'tmux                 command tmux'
        echo 'asciinema            command asciinema'
        ;;
    demo)
        echo 'jq                   command jq'
        ;;
    demo-panes)
        echo 'tmux                 command tmux'
        ;;
    demo-record)
        echo 'asciinema            command asciinema'
        ;;
    install)
        echo 'scdoc                command scdoc'
        ;;
    package)
        needs install
        echo 'dpkg-dev             command dpkg-buildpackage'
        echo 'debhelper            command dh'
        echo 'lintian              command lintian'
        echo 'mmdebstrap           command mmdebstrap'
        echo 'man-db               command man'
        echo 'groff-base           command groff'
        echo 'systemd              command systemd-analyze'
        echo 'systemd-container    command systemd-nspawn'
        echo 'g++                  command g++'
        echo 'util-linux           command unshare'
        ;;
    bench)
        echo 'gnuplot-nox          command gnuplot'
        echo 'redis-server         command redis-server'
        echo 'redis-tools          command redis-benchmark'
        echo 'libhiredis-dev       header hiredis/hiredis.h'
        echo 'zookeeper            file /usr/share/java/zookeeper.jar'
        echo 'default-jre-headless command java'
        echo 'libzookeeper-mt-dev  header zookeeper/zookeeper.h'
        echo 'etcd-server          command etcd'
        echo 'libnghttp2-dev       header nghttp2/nghttp2.h'
        ;;
    *)
        echo "tools/deps.sh: unknown set '$1' (build, test, check, install, package, demo, demo-panes, demo-record, bench)" >&2
        return 2
        ;;
    esac
}

is_there() { # kind name...
    local kind=$1 name
    shift
    for name in "$@"; do
        case $kind in
        command) command -v "$name" >/dev/null && return 0 ;;
        library) pkg-config --exists "$name" 2>/dev/null && return 0 ;;
        file) [[ -e $name ]] && return 0 ;;
        clang-runtime)
            compgen -G "$(clang-14 --print-resource-dir 2>/dev/null)/lib/linux/$name-*.a" >/dev/null && return 0
            ;;
        header)
            [[ -e /usr/include/$name || -e /usr/local/include/$name ]] && return 0
            ;;
        esac
    done
    return 1
}

missing() { # set...
    local set package kind names
    for set in "$@"; do
        needs "$set" | while read -r package kind names; do
            # shellcheck disable=SC2086 # several names are several ways to be there
            is_there "$kind" $names || echo "$package"
        done
    done
}

as_root() {
    if [[ $(id -u) -eq 0 ]]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        echo "tools/deps.sh: installing needs root and there is no sudo: run as root: $*" >&2
        return 1
    fi
}

install_packages() { # package...
    if ! command -v apt-get >/dev/null; then
        echo "missing packages (by their Debian names): $*" >&2
        echo "This system has no apt-get: please install them with its own tools." >&2
        return 1
    fi
    echo "installing Debian packages: $*" >&2
    local options=(-qq -y --no-install-recommends -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300)
    if ! as_root env DEBIAN_FRONTEND=noninteractive apt-get install "${options[@]}" "$@" \
        >/dev/null 2>&1; then
        as_root apt-get update -qq
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install "${options[@]}" "$@" >/dev/null
    fi
}

main() {
    local only_say=${NO_DEPS:-0} packages
    if [[ ${1:-} == --missing ]]; then
        shift
        missing "$@" | paste -sd ' '
        return 0
    fi
    packages=$(missing "${@:-build}" | paste -sd ' ')
    if [[ -z $packages ]]; then
        return 0
    fi
    if [[ $only_say == 1 ]]; then
        echo "missing Debian packages: $packages (NO_DEPS=1: nothing was installed; 'make deps' installs them)" >&2
        return 1
    fi
    # shellcheck disable=SC2086 # a list of names
    install_packages $packages
    packages=$(missing "${@:-build}" | paste -sd ' ')
    if [[ -n $packages ]]; then
        echo "still missing after the installation: $packages" >&2
        return 1
    fi
}

main "$@"
