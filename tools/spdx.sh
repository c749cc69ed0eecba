#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Every file of source names its licence in one of its first lines. Texts for people, data and
# patches are covered by LICENSE and need none.
set -uo pipefail

checked=0
failed=0
while IFS= read -r file; do
    [[ -f $file ]] || continue
    case $file in
    LICENSE | *.md | *.txt | *.patch | *.scd | *.cast | *.svg | *.png | *.example) continue ;;
    test/fuzz/corpus/*) continue ;;
    debian/*) [[ $file == debian/rules ]] || continue ;;
    .gitignore | .clang-format) continue ;;
    esac
    checked=$((checked + 1))
    if ! head -n 3 "$file" | grep -q 'SPDX-License-Identifier: Apache-2\.0'; then
        echo "$file: no SPDX-License-Identifier: Apache-2.0 in its first three lines"
        failed=$((failed + 1))
    fi
done < <(git ls-files -co --exclude-standard)
echo "spdx: $((checked - failed)) passed, $failed failed"
[[ $failed -eq 0 && $checked -gt 0 ]]
