#!/usr/bin/env bash
# Node.js 22.23.3 and 26.9.0 (20.20.2 and 24.21.0 as well). A `message` listener that is added to a Worker after `worker.unref()` cancels the unref:
# the process does not end any more. The same listener, added before, does not keep it alive, and one that is removed again does no harm. So whether
# a program ends depends on the order of two calls that look independent. Removing the listener gives the unref back without another call.
# Seen with a worker that runs for ever:
#   v22.23.3: no listener ends, listener before unref ends, listener after unref goes on, listener added and removed ends
#   v26.9.0: no listener ends, listener before unref ends, listener after unref goes on, listener added and removed ends
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund old@npm:node@22.23.3 new@npm:node@26.9.0 >/dev/null
cat > try.cjs <<'JS'
const { Worker } = require('node:worker_threads')
const worker = new Worker(
  "require('node:worker_threads').parentPort.on('message', () => {}); setInterval(() => {}, 1000)",
  { eval: true },
)
const listener = () => {}
const order = process.argv[2]
if (order === 'before') worker.on('message', listener)
worker.unref()
if (order === 'after' || order === 'removed') worker.on('message', listener)
if (order === 'removed') worker.off('message', listener)
// Unreferenced, too: it only says how it was if nothing else keeps the process alive for so long.
setTimeout(() => process.exit(7), 5000).unref()
JS
end() {
  local code=0
  "$1" try.cjs "$2" || code=$?
  case $code in 0) echo ends ;; 7) echo goes on ;; *) echo "exit code $code" ;; esac
}
output=''
for name in old new; do
  node=$folder/node_modules/$name/bin/node
  output+="$("$node" --version): no listener $(end "$node" none), listener before unref $(end "$node" before), "
  output+="listener after unref $(end "$node" after), listener added and removed $(end "$node" removed)"$'\n'
done
printf '%s' "$output"
expected='v22.23.3: no listener ends, listener before unref ends, listener after unref goes on, listener added and removed ends
v26.9.0: no listener ends, listener before unref ends, listener after unref goes on, listener added and removed ends
'
[ "$output" = "$expected" ] || { echo 'It behaves otherwise now.' >&2; exit 1; }
