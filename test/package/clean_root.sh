#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Makes a minimal Debian in memory, seen by nobody else, and runs a script in it.
#
#   clean_root.sh DIR SCRIPT [ARGUMENT...]      DIR is /test in there; SCRIPT lies in it
#
# Mounts and processes live in namespaces of their own, which the kernel ends with this script,
# however it ends. Packages come from where apt on this machine gets Debian's.
set -euo pipefail

if [[ ${1:-} != --inside ]]; then
    # A broken download is tried again from the beginning, that is cheap here.
    exec unshare --mount --propagation private --pid --fork --kill-child=SIGKILL --mount-proc \
        --ipc "$0" --inside "$@"
fi
shift
dir=$1
shift

scratch=$(mktemp -d)
leave() {
    umount --recursive --lazy "$scratch/root" 2>/dev/null || true
    rm -rf --one-file-system "$scratch"
}
trap leave EXIT
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
    DEBIAN_FRONTEND=noninteractive "$@"
