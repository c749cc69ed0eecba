#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The rest of an installation's life, in the same Debian, booted: replicas as services under a real
# systemd with all that the unit forbids, the package removed, purged. Says "ok: ..." after each
# step.
set -euo pipefail
trap 'echo "in_booted_root.sh: line $LINENO: $BASH_COMMAND" >&2' ERR

state=/var/lib/private/viewstamp
cluster=127.0.0.1:8000,127.0.0.1:8001,127.0.0.1:8002
export VR_CLUSTER=$cluster

die() {
    echo "in_booted_root.sh: $*" >&2
    journalctl --no-pager -n 60 -u 'vr-server@*' >&2
    exit 1
}

until_true() { # what, command...
    local what=$1 n
    shift
    for ((n = 0; n < 300; n++)); do
        ! "$@" || return 0
        sleep 0.2
    done
    die "waited in vain: $what"
}

property() { # unit, name
    systemctl show --property "$2" --value "vr-server@$1"
}

status_says() { # unit, text
    [[ $(property "$1" StatusText) == *"$2"* ]]
}

# As vr-server(8) says: made by root, given to the service by its first start.
for i in 0 1 2; do
    install -d -m 700 $state/$i
    vr-server init --data-dir $state/$i/data --replica "$i" --cluster $cluster --cluster-id 5678
done
systemctl start vr-server@0 vr-server@1 vr-server@2 # returns when all said READY=1
until_true "a primary that says so" status_says 0 "primary of view"
until_true "a backup that says so" status_says 1 "backup of view"
vr-client --timeout 30000 set greeting 'hello, systemd'
[[ $(vr-client --timeout 30000 get greeting) == 'hello, systemd' ]]
pid=$(property 1 MainPID)
grep -q '^CapEff:.0*$' "/proc/$pid/status"
grep -q '^NoNewPrivs:.1$' "/proc/$pid/status"
grep -q '^Seccomp:.2$' "/proc/$pid/status"
[[ $(stat -c %u "$state/1/data") -ne 0 ]]
echo "ok: three services serve, without any privilege"

# One that is killed comes back, and gets its log back.
kill -KILL "$pid"
restarted() {
    [[ $(property 1 NRestarts) -eq 1 && $(property 1 ActiveState) == active ]]
}
until_true "a restart" restarted
until_true "a recovery" status_says 1 "backup of view"
[[ $(vr-client --timeout 30000 get greeting) == 'hello, systemd' ]]
echo "ok: a replica that was killed is started again and recovers"

# What a person has to put right is not tried again and again.
! systemctl start vr-server@3 2>/dev/null || die "a replica that was never made has started"
systemctl stop vr-server@2
if [[ $(vr-server start --help) == *--config* ]]; then
    printf '[timing]\nheartbeat-ms = soon\n' >/etc/viewstamp/2.conf
    ! systemctl start vr-server@2 2>/dev/null || die "it started with a heartbeat of \"soon\""
    [[ $(property 2 ExecMainStatus) -eq 78 && $(property 2 NRestarts) -eq 0 ]]
    printf '[timing]\nheartbeat-ms = 25\n' >/etc/viewstamp/2.conf
    systemctl reset-failed vr-server@2
fi
systemctl start vr-server@2
echo "ok: a configuration that cannot be is told and not tried again"

# Removing stops the services and keeps what they have promised; purging takes it.
touch /etc/viewstamp/0.conf
apt-get remove -qq -y -o Dpkg::Use-Pty=0 viewstamp libvrclient0 libvrclient-dev libvr-dev >/dev/null
[[ -s $state/0/data/state && -e /etc/viewstamp/0.conf ]] || die "removing has taken data"
[[ ! -e /usr/bin/vr-server && $(property 0 ActiveState) != active ]] || die "it still runs"
apt-get purge -qq -y -o Dpkg::Use-Pty=0 viewstamp >/dev/null # the others have no more to purge
left=$(find / -xdev \( -path /proc -o -path /sys -o -path /run -o -path /test -o -path /tmp \
    -o -path /home -o -path /var/cache/man \) -prune -o \( -iname '*viewstamp*' -o -name 'vr-*' \
    -o -name 'vr.*' -o -name 'libvr*' -o -path '*/include/vr*' \) -print)
[[ -z $left ]] || die "purging has left: $left"
echo "ok: removing keeps the data, purging leaves nothing"
