#!/usr/bin/env bash
# ioredis 5.11.1, enableReadyCheck: false. If the server closes a connection while ioredis sends CLIENT SETINFO, ioredis goes from `reconnecting` to
# `ready` without a connection, and never connects again: every later command fails, although the server is there. ioredis 6.0.0 recovers.
# Seen on Redis 7.0.15 and Node.js 20.20, by a listener that closes its first connection at once:
#   ioredis 5.11.1: status ready, PING fails
#   ioredis 6.0.0: status ready, PING answers PONG
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund five@npm:ioredis@5.11.1 six@npm:ioredis@6.0.0 >/dev/null
cat > try.cjs <<'JS'
const { spawn } = require('node:child_process')
const net = require('node:net')
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
const free = () => new Promise((resolve) => {
  const probe = net.createServer().listen(0, '127.0.0.1', () => {
    const { port } = probe.address()
    probe.close(() => resolve(port))
  })
})
async function main() {
  const port = await free()
  const server = spawn('redis-server', ['--port', String(port), '--bind', '127.0.0.1', '--save', ''], { stdio: 'ignore' })
  await sleep(500)
  for (const [name, version] of [['five', '5.11.1'], ['six', '6.0.0']]) {
    const { Redis } = require(name)
    let first = true
    const door = net.createServer((client) => {
      client.on('error', () => {})
      if (first) {
        first = false
        client.destroy()
        return
      }
      const upstream = net.connect(port, '127.0.0.1')
      upstream.on('error', () => {})
      client.on('close', () => upstream.destroy())
      client.pipe(upstream).pipe(client)
    })
    await new Promise((resolve) => door.listen(0, '127.0.0.1', resolve))
    const client = new Redis({ port: door.address().port, enableReadyCheck: false, enableOfflineQueue: false, maxRetriesPerRequest: 0, retryStrategy: () => 50 })
    client.on('error', () => {})
    await sleep(2000)
    const answer = await client.ping().then((pong) => `answers ${pong}`, () => 'fails')
    console.log(`ioredis ${version}: status ${client.status}, PING ${answer}`)
    client.disconnect()
    door.close()
  }
  server.kill()
}
main().then(() => process.exit(0))
JS
output=$(node try.cjs)
echo "$output"
expected='ioredis 5.11.1: status ready, PING fails
ioredis 6.0.0: status ready, PING answers PONG'
[ "$output" = "$expected" ] || { echo 'It behaves otherwise now.' >&2; exit 1; }
