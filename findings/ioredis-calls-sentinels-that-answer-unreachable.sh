#!/usr/bin/env bash
# ioredis 5.11.1 and 6.0.0 behind one Sentinel that answers every time. ioredis goes through its list of Sentinels once for each connection, and when it
# comes to the end emits the error "All sentinels are unreachable", with a delay in it: at the second, third and fourth reconnection of a healthy client.
# Seen on Redis 7.0.15 and Node.js 20.20, each time the server's connection was killed:
#   ioredis 5.11.1: 3 reconnections, 3 times "All sentinels are unreachable"
#   ioredis 6.0.0: 3 reconnections, 3 times "All sentinels are unreachable"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund five@npm:ioredis@5.11.1 six@npm:ioredis@6.0.0 >/dev/null
cat > try.cjs <<'JS'
const { spawn } = require('node:child_process')
const { writeFileSync } = require('node:fs')
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
  const sentinel = await free()
  const children = [spawn('redis-server', ['--port', String(port), '--bind', '127.0.0.1', '--save', ''], { stdio: 'ignore' })]
  await sleep(500)
  writeFileSync('sentinel.conf', `port ${sentinel}\nbind 127.0.0.1\nsentinel monitor primary 127.0.0.1 ${port} 1\n`)
  children.push(spawn('redis-server', ['sentinel.conf', '--sentinel'], { stdio: 'ignore' }))
  await sleep(1000)
  for (const [name, version] of [['five', '5.11.1'], ['six', '6.0.0']]) {
    const { Redis } = require(name)
    const admin = new Redis(port)
    const client = new Redis({ sentinels: [{ host: '127.0.0.1', port: sentinel }], name: 'primary', connectionName: 'watched' })
    let ready = 0
    let complaints = 0
    client.on('ready', () => { ready += 1 })
    client.on('error', (error) => { if (error.message.startsWith('All sentinels are unreachable')) complaints += 1 })
    while (ready < 1) await sleep(20)
    for (let turn = 1; turn <= 3; turn += 1) {
      const [, id] = /id=(\d+) .*name=watched /.exec(await admin.client('LIST'))
      await admin.call('CLIENT', 'KILL', 'ID', id)
      while (ready < turn + 1) await sleep(20)
    }
    console.log(`ioredis ${version}: 3 reconnections, ${complaints} times "All sentinels are unreachable"`)
    client.disconnect()
    admin.disconnect()
  }
  for (const child of children) child.kill()
}
main().then(() => process.exit(0))
JS
output=$(node try.cjs)
echo "$output"
expected='ioredis 5.11.1: 3 reconnections, 3 times "All sentinels are unreachable"
ioredis 6.0.0: 3 reconnections, 3 times "All sentinels are unreachable"'
[ "$output" = "$expected" ] || { echo 'It behaves otherwise now.' >&2; exit 1; }
