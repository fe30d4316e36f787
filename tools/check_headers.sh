#!/usr/bin/env bash
# Checks that every header compiles on its own, and the public ones as C++, too.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

flags=(-D_GNU_SOURCE -Wall -Wextra -Wpedantic -Wno-unused-parameter -Werror -fsyntax-only)
flags+=(-Iinclude -Isrc -Iservers -Itest -Itools)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# check_header SUFFIX HEADER COMPILER...: compiles a file that includes nothing but HEADER (and
# declares something, for a header of macros alone leaves an empty file).
failed=0
count=0
check_header() {
    local suffix=$1 header=$2
    shift 2
    printf '#include "%s"\nextern int not_empty;\n' "$header" >"$work/alone.$suffix"
    count=$((count + 1))
    "$@" "${flags[@]}" "$work/alone.$suffix" || {
        echo "check_headers: $header does not compile on its own ($suffix)" >&2
        failed=1
    }
}

for root in include src servers test tools; do
    [ -d "$root" ] || continue
    while IFS= read -r header; do
        check_header c "${header#"$root"/}" cc -std=c11
    done < <(find "$root" -name '*.h' | sort)
done
while IFS= read -r header; do
    check_header cpp "${header#include/}" c++ -std=c++17
done < <(find include -name '*.h' | sort)
echo "check_headers: $count headers"
exit $failed
