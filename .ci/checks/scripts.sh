#!/usr/bin/env bash
# Every shell and Python script of the tree parses.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

count=0
python=()
while IFS= read -r file; do
    line=
    IFS= read -r line <"$file" 2>/dev/null || true
    case "$line" in
    '#!'*bash) bash -n "$file" ;;
    '#!'*/sh) sh -n "$file" ;;
    '#!'*python3) python+=("$file") ;;
    *) continue ;;
    esac
    count=$((count + 1))
done < <(git ls-files)
python3 -c 'import ast, sys
for name in sys.argv[1:]:
    ast.parse(open(name).read(), name)' "${python[@]}"
echo "$count scripts parse"
[ "$count" -gt 0 ]
