/**
 * Kubernetes: what the probes of a pod should look at, and how much time a pod needs to end. This program plays the cluster
 * (docs/recipes/kubernetes.md).
 */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { LeaseManager } from 'leasewheel'
import { parse } from 'yaml'
import { Program } from './support/program.ts'

/** What is read of the manifest. */
interface Manifest {
  readonly spec: {
    readonly template: {
      readonly spec: {
        readonly terminationGracePeriodSeconds: number
        readonly containers: readonly [Container]
      }
    }
  }
}
interface Container {
  readonly env: readonly { readonly name: string; readonly value: string }[]
  readonly lifecycle: { readonly preStop: { readonly exec: { readonly command: readonly [string, string] } } }
  readonly readinessProbe: Probe
  readonly livenessProbe: Probe
}
interface Probe {
  readonly httpGet: { readonly path: string }
}

const manifest = parse(readFileSync(new URL('kubernetes/deployment.yaml', import.meta.url), 'utf8')) as Manifest
const { terminationGracePeriodSeconds, containers } = manifest.spec.template.spec
const [{ env, lifecycle, readinessProbe, livenessProbe }] = containers
const settings = new Map(env.map(({ name, value }) => [name, Number(value)]))

// preStop counts as well. What is to spare is for the end of the last answers, and of the process.
const [, preStop] = lifecycle.preStop.exec.command
const needed = Number(preStop) * 1_000 + (settings.get('CLOSE_DRAIN') ?? 0) + (settings.get('CLOSE_TIMEOUT') ?? 0)
assert.ok(needed > 20_000 && needed + 5_000 <= terminationGracePeriodSeconds * 1_000)
console.log(`${needed} ms are needed at most, and ${terminationGracePeriodSeconds} s are given`)

// The pod, with a ttl that makes trouble show sooner.
const url = process.env.REDIS_URL ?? 'redis://localhost:6379'
for (const { name, value } of env) process.env[name] = value
process.env['LEASE_TTL'] = '6000'
process.env['PORT'] = '0'
const pod = new Program('kubernetes/server.ts')
const port = await pod.line('listening on ')

/** The status, and `undefined` if nobody answers. */
async function get(path: string): Promise<number | undefined> {
  const response = await fetch(`http://127.0.0.1:${port}${path}`).catch(() => undefined)
  await response?.arrayBuffer()
  return response?.status
}
const probe = async (): Promise<string> =>
  `live ${await get(livenessProbe.httpGet.path)}, ready ${await get(readinessProbe.httpGet.path)}`

/** ms. Only a failure takes so long. */
const LIMIT = 60_000

/** Probes until the pod says so. */
async function until(wanted: string): Promise<number> {
  const startedAt = performance.now()
  let found = await probe()
  for (; found !== wanted && performance.now() - startedAt < LIMIT; found = await probe()) await sleep(20)
  assert.equal(found, wanted)
  return Math.round(performance.now() - startedAt)
}

await until('live 200, ready 200')
console.log('Redis answers:  live and ready')

// Redis hangs, for longer than a lease lasts. The pod is not to be restarted for that, and gets no more work.
const admin = new Redis(url)
await admin.client('PAUSE', 10_000)
const noticed = await until('live 200, ready 503')
assert.ok(!pod.lines.some((line) => line.startsWith('lost ')), 'jeopardy shows before leases are lost')
await pod.line('lost pod:')
assert.equal(await probe(), 'live 200, ready 503')
console.log(`Redis hangs:    live, not ready, after ${noticed} ms; nor when the leases are lost`)
await until('live 200, ready 200')
console.log('Redis is back:  live and ready')

// The pod ends while it works, and another one wants its lock.
const other = new LeaseManager(url)
const report = get('/report')
await pod.line('writing')
const next = other.acquire('report', { wait: Number.POSITIVE_INFINITY })
pod.kill('SIGTERM')
await until('live 200, ready 503')
assert.equal(await get('/report'), 503, 'a request that comes now gets no lock')
const isFree = await Promise.race([next, sleep(200, false)])
assert.equal(isFree, false, 'no lock changes hands before the work has ended')
pod.write('go on')
const lease = await next
await pod.line('written')
assert.equal(await report, 200)
assert.equal(await pod.end(), 0)
console.log('SIGTERM:        live, not ready; the work was finished, and its lock was free then')

await lease.release()
await other.close()
admin.disconnect()
