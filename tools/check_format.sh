#!/usr/bin/env bash
# Checks that C and C++ sources are as clang-format would have them.
#
#   tools/check_format.sh [--fix] [PATH...]    --fix makes them so; paths are files or folders
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Versions differ in what they make of the same settings, so only Debian 12's counts.
version_wanted=14
tool=$(command -v clang-format-$version_wanted || command -v clang-format || true)
if [ -z "$tool" ] || ! "$tool" --version | grep -q "version $version_wanted\."; then
    echo "check_format: needs clang-format $version_wanted" >&2
    exit 1
fi

mode=(--dry-run -Werror)
if [ "${1:-}" = --fix ]; then
    mode=(-i)
    shift
fi
paths=("$@")
if [ $# -eq 0 ]; then
    for folder in include src servers examples bench test tools; do
        [ ! -d $folder ] || paths+=($folder)
    done
fi
mapfile -d '' files < <(find "${paths[@]}" -type f \
    \( -name '*.c' -o -name '*.h' -o -name '*.cpp' \) -print0 | sort -z)

failed=0
for file in "${files[@]}"; do
    "$tool" "${mode[@]}" "$file" || failed=1
done
echo "check_format: ${#files[@]} files"
if [ $failed -ne 0 ]; then
    echo "check_format: run tools/check_format.sh --fix (or make format)" >&2
fi
exit $failed
