#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds the Debian packages from a copy of the sources.
#
#   packaging/deb.sh DIR VERSION     DIR gets the .deb files and what belongs to them
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

dir=$1
version=$2

changelog_version=$(dpkg-parsechangelog -S Version)
if [[ $changelog_version != "$version" ]]; then
    echo "packaging/deb.sh: debian/changelog ends with version $changelog_version, but" \
        "common/base/version.h says $version: write an entry for it" >&2
    exit 1
fi

sources() { # what belongs to the project, NUL-separated
    if [[ -e .git ]]; then
        git ls-files -coz --exclude-standard
    else
        find . -path ./build -prune -o -path ./bin -prune -o -path ./run -prune -o -type f -print0
    fi
}

rm -rf "$dir"
mkdir -p "$dir/viewstamp-$version"
# Files that were removed and not committed yet are listed too.
sources | while IFS= read -r -d '' file; do
    [[ ! -e $file ]] || printf '%s\0' "$file"
done | tar --null --files-from=- --create --file=- | tar --extract --file=- --directory="$dir/viewstamp-$version"

cd "$dir/viewstamp-$version"
# What make hands on to its children was meant for the other build.
unset MAKEFLAGS MFLAGS MAKELEVEL BUILD BIN CC CFLAGS CPPFLAGS LDFLAGS WERROR SANITIZE
dpkg-buildpackage --build=binary --no-sign -j"$(nproc)" >../build.log 2>&1 || {
    tail -n 60 ../build.log >&2
    echo "packaging/deb.sh: the build failed; all it said is in $dir/build.log" >&2
    exit 1
}
cd ..
rm -rf "viewstamp-$version"
ls -1 -- *.deb
