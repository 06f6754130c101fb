/**
 * A worker with everything wired that an operator wants: logs, metrics for Prometheus and OpenTelemetry, spans, health. It loses a lock, and shows
 * where that can be seen.
 */
import assert from 'node:assert/strict'
import { subscribe } from 'node:diagnostics_channel'
import { metrics, trace } from '@opentelemetry/api'
import { LeaseManager, type LostEvent } from 'leasewheel'
import { log } from 'leasewheel/log'
import { observe } from 'leasewheel/opentelemetry'
import { collect } from 'leasewheel/prometheus'
import { Registry } from 'prom-client'
import { connect, disconnect } from './support/connect.ts'
import { deleteKey } from './support/other-party.ts'

const connection = connect()
const leases = new LeaseManager(connection)
/** Few labels for many keys: the kind of the job. */
const label = (key: string): string => key.split(':')[0] ?? ''

// A worker of your own has a logger and a registry already, and has set up OpenTelemetry; without that its API does nothing.
const register = new Registry()
const stops = [
  log(leases, console),
  collect(leases, { register, label }),
  observe(leases, { meter: metrics.getMeter('worker'), tracer: trace.getTracer('worker'), label }),
]
let published = 0
subscribe('leasewheel:lost', () => (published += 1))

await leases.using('invoice:1', () => console.log('the work'))
await leases.acquireMany(['order:1', 'order:2'])

const loss = new Promise<LostEvent>((resolve) => leases.once('lost', resolve))
await deleteKey(connection, 'order:1')
await loss

const { wait, hold, lost } = leases.stats()
console.log(`waited ${wait.p99} ms, held ${hold.p99} ms, lost ${lost.missing}`)
const health = leases.health()
const scrape = await register.metrics()
console.log(
  scrape
    .split('\n')
    .filter((line) => line.startsWith('leasewheel_lost_total{lock="order"'))
    .join('\n'),
)

for (const stop of stops) stop()
await leases.close()
disconnect(connection)

assert.deepEqual(health, { ok: true, reasons: [] })
assert.match(scrape, /^leasewheel_lost_total\{lock="order",reason="missing"\} 1$/m)
assert.match(scrape, /^leasewheel_held\{lock="order"\} 1$/m)
assert.match(scrape, /^leasewheel_wait_seconds_count 3$/m)
assert.equal(published, 1)
