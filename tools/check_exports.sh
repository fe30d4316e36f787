#!/usr/bin/env bash
# Checks that nothing but rr_ symbols leaves the libraries in a build directory (default: build).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
build=${1:-build}

failed=0
# check LIBRARY NM-FLAGS...: its defined global symbols all start with rr_.
check() {
    local library=$1 others
    shift
    if [ ! -e "$library" ]; then
        echo "check_exports: skipped, no $library"
        return
    fi
    others=$(nm "$@" --defined-only "$library" | awk 'NF == 3 && $3 !~ /^rr_/ {print $3}')
    if [ -n "$others" ]; then
        printf 'check_exports: %s exports %s\n' "$library" "$(echo $others)" >&2
        failed=1
    else
        echo "check_exports: $library has $(nm "$@" --defined-only "$library" |
            awk 'NF == 3' | wc -l) symbols, all rr_"
    fi
}
check "$build/lib/librockraft.so" -D
check "$build/lib/librockraft.a" --extern-only
exit $failed
