/**
 * A worker with everything wired that an operator wants: logs, metrics for Prometheus and OpenTelemetry, spans, health, and the live page. It loses a
 * lock, and shows where that can be seen.
 */
import assert from 'node:assert/strict'
import { subscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { metrics, trace } from '@opentelemetry/api'
import { LeaseManager, type LostEvent } from 'leasewheel'
import { log } from 'leasewheel/log'
import { observe } from 'leasewheel/opentelemetry'
import { page } from 'leasewheel/page'
import { collect } from 'leasewheel/prometheus'
import { Registry } from 'prom-client'
import { connect, disconnect } from './support/connect.ts'
import { deleteKey } from './support/other-party.ts'

const connection = connect()
const leases = new LeaseManager(connection, { announce: true })
/** Few labels for many keys: the kind of the job. */
const label = (key: string): string => key.split(':')[0] ?? ''

// A worker of your own has a logger and a registry already, and has set up OpenTelemetry; without that its API does nothing.
const register = new Registry()
const stops = [
  log(leases, console),
  collect(leases, { register, label }),
  observe(leases, { meter: metrics.getMeter('worker'), tracer: trace.getTracer('worker'), label }),
]
// One server for all that is asked: who is there to see it, whether there is work to be had, what to collect.
const live = page(leases)
const server = createServer((request, response) => {
  const { ok } = leases.health()
  if (request.url === '/ready') response.writeHead(ok ? 200 : 503).end(JSON.stringify(leases.health()))
  else if (request.url === '/metrics') void register.metrics().then((text) => response.end(text))
  else live(request, response)
})
server.listen(0, '127.0.0.1')
await once(server, 'listening')
const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
let published = 0
subscribe('leasewheel:lost', () => (published += 1))

await leases.using('invoice:1', () => console.log('the work'))
await leases.acquireMany(['order:1', 'order:2'])

const loss = new Promise<LostEvent>((resolve) => leases.once('lost', resolve))
await deleteKey(connection, 'order:1')
await loss

const { wait, hold, lost } = leases.stats()
console.log(`waited ${wait.p99} ms, held ${hold.p99} ms, lost ${lost.missing}`)
const readText = async (path: string): Promise<string> =>
  (await fetch(url + path, { headers: { connection: 'close' } })).text()
const health = JSON.parse(await readText('/ready')) as object
const scrape = await readText('/metrics')
const locks = await readText('/locks.json')
console.log(
  scrape
    .split('\n')
    .filter((line) => line.startsWith('leasewheel_lost_total{lock="order"'))
    .join('\n'),
)

for (const stop of stops) stop()
live.close()
server.close()
await leases.close()
disconnect(connection)

assert.deepEqual(health, { ok: true, reasons: [] })
assert.match(scrape, /^leasewheel_lost_total\{lock="order",reason="missing"\} 1$/m)
assert.match(scrape, /^leasewheel_held\{lock="order"\} 1$/m)
assert.match(scrape, /^leasewheel_wait_seconds_count 3$/m)
assert.match(locks, /"key":"order:2"/)
assert.doesNotMatch(locks, /"key":"order:1"/)
assert.equal(published, 1)
