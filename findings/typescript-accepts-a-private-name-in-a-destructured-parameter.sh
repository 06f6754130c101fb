#!/usr/bin/env bash
# TypeScript 5.9.3 and 7.0.2 accept a private name in a destructuring pattern of a parameter or of a variable, report nothing, and write it out as it is.
# JavaScript has no such pattern: Node.js refuses to parse the file that the compiler has called correct.
# Seen on Node.js 20.20:
#   TypeScript 5.9.3: 0 errors, Node.js: SyntaxError
#   TypeScript 7.0.2: 0 errors, Node.js: SyntaxError
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund five@npm:typescript@5.9.3 seven@npm:typescript@7.0.2 >/dev/null
cat > account.ts <<'TS'
class Account {
  #pence = 5
  static read({ #pence: pence }: Account): number {
    return pence
  }
}
Account.read(new Account())
TS
output=$(for copy in five:5.9.3 seven:7.0.2; do
  errors=0
  node "node_modules/${copy%%:*}/bin/tsc" --strict --target es2022 --module commonjs --outDir "out-${copy%%:*}" account.ts >&2 || errors=$?
  verdict=$({ node "out-${copy%%:*}/account.js" 2>&1 || true; } | grep -o '^SyntaxError' || echo runs)
  echo "TypeScript ${copy##*:}: $errors errors, Node.js: $verdict"
done)
echo "$output"
expected='TypeScript 5.9.3: 0 errors, Node.js: SyntaxError
TypeScript 7.0.2: 0 errors, Node.js: SyntaxError'
[ "$output" = "$expected" ] || { echo 'It behaves otherwise now.' >&2; exit 1; }
