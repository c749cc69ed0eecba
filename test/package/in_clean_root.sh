#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# An installation in a Debian that has nothing else: installed, used by somebody who is not root, built
# upon. Says "ok: ..." after each step. The rest of its life is in in_booted_root.sh.
#
#   in_clean_root.sh FIRST_PORT      the packages are beside it; three ports and the peers' are free
set -euo pipefail

trap 'echo "in_clean_root.sh: line $LINENO: $BASH_COMMAND" >&2' ERR

port=$1
here=$(dirname "${BASH_SOURCE[0]}")
cluster=127.0.0.1:$port,127.0.0.1:$((port + 1)),127.0.0.1:$((port + 2))

die() {
    echo "in_clean_root.sh: $*" >&2
    exit 1
}

apt_install() {
    apt-get install -qq -y --no-install-recommends -o Dpkg::Use-Pty=0 "$@" >/tmp/apt 2>&1 || {
        cat /tmp/apt >&2
        die "apt-get install $* failed"
    }
}

find / -xdev \( -path /proc -o -path /test \) -prune -o -iname '*viewstamp*' -print | grep . &&
    die "this root is not clean"

# The packages alone: what they need comes with them.
apt_install "$here"/viewstamp_*.deb
ldd /usr/bin/vr-server /usr/bin/vr-client | grep 'not found' && die "a library is missing"
dpkg --verify viewstamp
echo "ok: viewstamp is installed"

# Somebody who is not root runs a group from what is installed.
useradd --create-home somebody
as=(setpriv --reuid=somebody --regid=somebody --init-groups
    env HOME=/home/somebody VR_CLUSTER="$cluster")
as_somebody() {
    "${as[@]}" "$@"
}
servers=()
for i in 0 1 2; do
    as_somebody vr-server init --data-dir "/home/somebody/$i" --replica "$i" --cluster "$cluster" \
        --cluster-id 1234abcd
    (exec "${as[@]}" vr-server start --data-dir "/home/somebody/$i" >/home/somebody/ready-$i \
        2>/home/somebody/log-$i) &
    servers+=($!)
done
for i in 0 1 2; do
    for ((n = 0; n < 600; n++)); do
        [[ $(cat /home/somebody/ready-$i) != ready ]] || break
        sleep 0.1
    done
    [[ $(cat /home/somebody/ready-$i) == ready ]] || die "replica $i: $(cat /home/somebody/log-$i)"
done
as_somebody vr-client --timeout 30000 set greeting 'hello, clean root'
[[ $(as_somebody vr-client --timeout 30000 get greeting) == 'hello, clean root' ]]
as_somebody vr-client status
kill -KILL "${servers[0]}"
[[ $(as_somebody vr-client --timeout 30000 incr visits 2) == 2 ]]
[[ $(as_somebody vr-client --timeout 30000 get greeting) == 'hello, clean root' ]]
echo "ok: three replicas serve, and two of them go on"

# Programs built upon it, as its own documentation says.
apt_install g++ pkg-config man-db "$here"/libvr*.deb
cd /home/somebody
for library in libvrclient-dev libvr-dev; do
    cp /usr/share/doc/$library/examples/* .
done
build() { # compiler, program, source, library
    local flags
    read -ra flags < <(pkg-config --cflags --libs "$4")
    "$1" -Wall -Werror -o "$2" "$3" "${flags[@]}"
}
build g++ hello hello.cc vrclient
build gcc adder_client adder_client.c vrclient
build gcc adder_server adder_server.c vr
[[ $(ldd hello) == *libvrclient.so.0* ]]
[[ $(as_somebody ./hello "$cluster") == 'hello from C++' ]]
[[ $(as_somebody vr-client get greeting) == 'hello from C++' ]]
complaint=$(as_somebody ./adder_server start /home/somebody/nowhere 2>&1) && die "it started nowhere"
[[ $complaint == *nowhere* ]]
echo "ok: programs in C and C++ are built and talk to it"

# Manuals and completion.
for page in 'vr-client 1' 'libvrclient 3' 'vr.conf 5' 'vr-server 8'; do
    # shellcheck disable=SC2086 # name and section
    set -- $page
    man --warnings "$2" "$1" >/tmp/page 2>/tmp/warnings
    [[ ! -s /tmp/warnings ]] || die "man $page: $(cat /tmp/warnings)"
    grep -q "$1" /tmp/page
done
bash -c 'source /usr/share/bash-completion/completions/vr-client; complete -p vr-client' >/dev/null
echo "ok: manuals and completion are there"

kill -TERM "${servers[1]}" "${servers[2]}"
wait "${servers[1]}" || die "replica 1 did not stop well"
wait "${servers[2]}" || die "replica 2 did not stop well"

# What the next part wants, in_booted_root.sh.
apt_install systemd systemd-sysv dbus
