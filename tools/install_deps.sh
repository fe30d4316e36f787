#!/usr/bin/env bash
# Installs the Debian packages that are missing, and does nothing, without network, when none is.
#
#   tools/install_deps.sh [build|test]    what building needs, or (the default) all
#
# Uses sudo only when not root. The packages are in tools/packages.txt.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
purpose=${1:-test}
case $purpose in
build) wanted=$(awk '$1 == "build" {print $2}' "$here/packages.txt") ;;
test) wanted=$(awk '$1 == "build" || $1 == "test" {print $2}' "$here/packages.txt") ;;
*)
    echo "usage: $0 [build|test]" >&2
    exit 2
    ;;
esac

if ! command -v dpkg-query >/dev/null; then
    echo "install_deps: not a Debian system; needed are packages like these:" $wanted >&2
    exit 0
fi

# What a package provides counts too: a nodejs from elsewhere brings npm with it and refuses Debian's.
installed=$(dpkg-query -W -f='${db:Status-Status} ${binary:Package}, ${Provides}\n' |
    sed -n 's/^installed //p' | tr ',' '\n' | sed 's/^ *//; s/[ :(].*//')
missing=$(comm -23 <(sort <<<"$wanted") <(sort -u <<<"$installed"))
if [ -z "$missing" ]; then
    exit 0
fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
        echo "install_deps: neither root nor sudo; as root, run: apt-get install" $missing >&2
        exit 1
    fi
    as_root=(sudo)
fi

echo "installing" $missing
"${as_root[@]}" apt-get -q update
# shellcheck disable=SC2086 # one word per package
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get -q -y -o DPkg::Lock::Timeout=120 install --no-install-recommends $missing </dev/null
