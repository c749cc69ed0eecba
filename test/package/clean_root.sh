#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Makes a minimal Debian in memory, seen by nobody else, runs a script in it, boots it with systemd
# and runs another. Exits 77 if all is well but it could not be booted.
#
#   clean_root.sh DIR PORT      DIR is /test in there; in_clean_root.sh (which gets PORT) and
#                               in_booted_root.sh lie in it
#
# Mounts and processes live in namespaces of their own, which the kernel ends with this script,
# however it ends. Packages come from where apt on this machine gets Debian's.
set -euo pipefail

# A booted system makes control groups; these are where they go, to be found and removed again.
own_groups() { # name
    local controllers path base
    while IFS=: read -r _ controllers path; do
        case $controllers in
        name=systemd) base=/sys/fs/cgroup/systemd ;;
        '') base=/sys/fs/cgroup/unified ;;
        *) continue ;;
        esac
        [[ -d $base ]] || base=/sys/fs/cgroup
        echo "$base${path%/}/$1"
    done </proc/self/cgroup
}

if [[ ${1:-} != --inside ]]; then
    mapfile -t groups < <(own_groups "viewstamp-test-$$")
    mkdir -p "${groups[@]}"
    trap 'find "${groups[@]}" -depth -type d -exec rmdir {} + 2>/dev/null' EXIT
    status=0
    setpriv --pdeathsig KILL unshare --mount --propagation private --pid --fork \
        --kill-child=SIGKILL --mount-proc --ipc "$0" --inside "$@" "${groups[@]}" || status=$?
    exit "$status"
fi
shift
dir=$1
port=$2
shift 2
groups=("$@")

readonly BOOT_SECONDS=300

scratch=$(mktemp -d)
trap 'umount --recursive --lazy "$scratch/root" 2>/dev/null; rm -rf --one-file-system "$scratch"' EXIT
root=$scratch/root
mkdir "$root"
chmod 755 "$scratch" # apt fetches as a user of its own

# shellcheck source=/dev/null
codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
# What apt is configured with, whatever form its files have; only what is Debian's own.
# shellcheck disable=SC2016 # the names are apt's
apt-get indextargets --format '$(ORIGIN)|$(CODENAME)|$(REPO_URI)|$(RELEASE)|$(COMPONENT)' \
    'Created-By: Packages' |
    while IFS='|' read -r origin name uri release component; do
        if [[ $origin == Debian && $name == "$codename"* ]]; then
            echo "deb $uri $release $component"
        fi
    done | sort -u >"$scratch/sources"
if [[ ! -s $scratch/sources ]]; then
    echo "clean_root.sh: apt on this machine knows no source of Debian $codename: run apt-get update" >&2
    exit 1
fi
{
    apt-config dump | grep -E '^Acquire::(Check-|https?::|ForceIPv|Retries)' || true
    echo 'Acquire::Retries "5";'
    echo 'Acquire::Languages "none";'
} >"$scratch/options"

for try in 1 2 3; do
    mount -t tmpfs -o mode=755,size=3g tmpfs "$root"
    if mmdebstrap --quiet --mode=root --variant=minbase --skip=cleanup/apt/lists \
        --aptopt="$scratch/options" "$codename" "$root" - <"$scratch/sources" \
        >"$scratch/output" 2>&1; then
        break
    fi
    umount "$root"
    if [[ $try -eq 3 ]]; then
        cat "$scratch/output" >&2
        echo "clean_root.sh: no minimal Debian could be made" >&2
        exit 1
    fi
    sleep 5
done

mkdir "$root/test"
mount --bind "$dir" "$root/test"
mount -t proc proc "$root/proc"
cp /etc/resolv.conf "$root/etc/resolv.conf"
chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 HOME=/root \
    DEBIAN_FRONTEND=noninteractive /bin/bash /test/in_clean_root.sh "$port"
umount "$root/proc"

# Its own network: only loopback is there. The script's exit code is the system's.
cat >"$root/etc/systemd/system/in-booted-root.service" <<'UNIT'
[Unit]
After=basic.target dbus.service
SuccessAction=exit-force
FailureAction=exit-force
[Service]
Type=oneshot
Environment=LC_ALL=C.UTF-8 HOME=/root DEBIAN_FRONTEND=noninteractive
ExecStartPre=/usr/bin/touch /test/booted
ExecStart=/bin/bash /test/in_booted_root.sh
StandardOutput=file:/test/output
StandardError=file:/test/errors
UNIT
mount -t tmpfs tmpfs /run # what nspawn notes there is gone with us
for group in "${groups[@]}"; do
    echo 0 >"$group/cgroup.procs"
done
status=0
timeout --kill-after=10 "$BOOT_SECONDS" systemd-nspawn --quiet --register=no --keep-unit \
    --private-network --directory="$root" --boot -- --unit=in-booted-root.service \
    </dev/null >"$dir/console" 2>&1 || status=$?
cat "$dir/output" 2>/dev/null || true
cat "$dir/errors" >&2 2>/dev/null || true
if [[ ! -e $dir/booted ]]; then
    tail -n 20 "$dir/console" >&2
    exit 77
fi
exit "$status"
