#!/usr/bin/env bash
# ioredis 5.11.1 and 6.0.0. An application that has called `select` gets a SELECT of ioredis' own after each reconnection. Nobody awaits it: if the client
# is disconnected before it is answered, its failure is an unhandled rejection, which ends a Node.js process, although the application handles the
# errors of all its own calls. It may be sent behind a PING that waited for the connection, so that an answered PING does not show that it is over.
# Seen on Node.js 20.20, with a listener that speaks the protocol and leaves the second SELECT without an answer:
#   ioredis 5.11.1: unhandled rejection, Connection is closed.
#   ioredis 6.0.0: unhandled rejection, Connection is closed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund five@npm:ioredis@5.11.1 six@npm:ioredis@6.0.0 >/dev/null
cat > try.cjs <<'JS'
const net = require('node:net')
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
let unhandled = []
process.on('unhandledRejection', (error) => unhandled.push(error.message))
async function main() {
  for (const [name, version] of [['five', '5.11.1'], ['six', '6.0.0']]) {
    const { Redis } = require(name)
    unhandled = []
    const sockets = []
    const server = net.createServer((socket) => {
      const round = sockets.push(socket)
      socket.on('error', () => {})
      socket.on('data', (data) => {
        for (const [, command] of data.toString().matchAll(/\*\d+\r\n\$\d+\r\n(\w+)/g)) {
          const verb = command.toLowerCase()
          if (verb === 'info') socket.write('$15\r\nredis_version:7\r\n')
          else if (verb !== 'select' || round === 1) socket.write('+OK\r\n')
        }
      })
    })
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
    const client = new Redis({ port: server.address().port, host: '127.0.0.1', protocol: 2, retryStrategy: () => 20 })
    client.on('error', () => {})
    await client.select(4)
    sockets[0].destroy()
    for (let waited = 0; sockets.length < 2 && waited < 5000; waited += 20) await sleep(20)
    await sleep(500)
    client.disconnect()
    await sleep(200)
    console.log(`ioredis ${version}: ${unhandled.length > 0 ? `unhandled rejection, ${unhandled[0]}` : 'nothing unhandled'}`)
    server.close()
  }
}
main().then(() => process.exit(0))
JS
output=$(node try.cjs)
echo "$output"
expected='ioredis 5.11.1: unhandled rejection, Connection is closed.
ioredis 6.0.0: unhandled rejection, Connection is closed.'
[ "$output" = "$expected" ] || { echo 'It behaves otherwise now.' >&2; exit 1; }
