#!/usr/bin/env bash
# Every shell and Python script of the tree parses.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

count=0
while IFS= read -r file; do
    case "$(head -c 64 "$file" | head -n 1 | tr -d '\0')" in
    '#!'*bash) bash -n "$file" ;;
    '#!'*/sh) sh -n "$file" ;;
    '#!'*python3) python3 -c 'import ast, sys; ast.parse(open(sys.argv[1]).read())' "$file" ;;
    *) continue ;;
    esac
    count=$((count + 1))
done < <(git ls-files)
echo "$count scripts parse"
[ "$count" -gt 0 ]
