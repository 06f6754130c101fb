/**
 * `npm run claims-load -- [--keys 100000] [--ttl 30000] [--seconds 60]`: what claimed keys cost. One process holds all of them, then another one claims
 * them as well and waits for all. The server counts the commands of each; CPU and heap are those of the two processes.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { LeaseManager } from 'leasewheel'
import { liveBytes } from '../bench/live-bytes.ts'
import { RedisServer } from '../test/support/redis-server.ts'
import { until } from '../test/support/until.ts'

const { values } = parseArgs({
  options: {
    keys: { type: 'string', default: '100000' },
    ttl: { type: 'string', default: '30000' },
    seconds: { type: 'string', default: '60' },
    role: { type: 'string' },
    url: { type: 'string', default: '' },
  },
})
const [count, ttl, seconds] = [values.keys, values.ttl, values.seconds].map(Number) as [number, number, number]

/** Of a process: user and system CPU since its start, in ms, and bytes. */
interface Usage {
  readonly cpu: number
  readonly bytes: number
  readonly timers: number
  readonly lost: number
}

if (values.role === undefined) await measure()
else await claimAll(values.role)

/** Claims all keys, says when it holds or waits for each, and tells its usage when asked. */
async function claimAll(role: string): Promise<void> {
  const keys = Array.from({ length: count }, (_, index) => `order:${index}`)
  const empty = await liveBytes()
  const manager = new LeaseManager(values.url, { ttl })
  manager.on('error', (error) => console.error(role, error.message))
  const claim = manager.claim(keys)
  const isReady = (): boolean => (role === 'holder' ? claim.size : manager.stats().waiting) === count
  await until(`the ${role} is ready`, isReady, 120_000)
  const tell = async (): Promise<void> => {
    const { user, system } = process.cpuUsage()
    const { timers, lost } = manager.stats()
    const usage: Usage = {
      cpu: (user + system) / 1_000,
      bytes: (await liveBytes()) - empty,
      timers,
      lost: sum(Object.values(lost)),
    }
    process.send?.(usage)
  }
  process.on('message', () => void tell())
  process.on('disconnect', () => process.exit(0))
  process.send?.('ready')
}

async function start(role: string, { url }: RedisServer): Promise<ChildProcess> {
  const words = ['--role', role, '--url', url, '--keys', values.keys, '--ttl', values.ttl]
  const child = fork(import.meta.filename, words, { execArgv: [...process.execArgv, '--expose-gc'] })
  const ended = once(child, 'close').then(() => {
    throw new Error(`The ${role} has ended by itself`)
  })
  await Promise.race([once(child, 'message'), ended])
  // Later it is ended.
  ended.catch(() => undefined)
  return child
}

async function usageOf(child: ChildProcess): Promise<Usage> {
  child.send('usage')
  const [usage] = (await once(child, 'message')) as [Usage]
  return usage
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}

/** Of the server: user and system CPU of its main thread since its start, in ms. */
async function serverCpu(server: RedisServer): Promise<number> {
  const fields = await server.info('cpu')
  const of = (name: string): number => Number(fields.get(name)) * 1_000
  return of('used_cpu_user_main_thread') + of('used_cpu_sys_main_thread')
}

async function measure(): Promise<void> {
  const server = await RedisServer.start()
  const children: [role: string, child: ChildProcess][] = []
  try {
    for (const role of ['holder', 'waiter']) {
      children.push([role, await start(role, server)])
      await report(server, children)
    }
  } finally {
    for (const [, child] of children) child.kill()
    await server.stop()
  }
}

async function report(server: RedisServer, children: readonly [string, ChildProcess][]): Promise<void> {
  // The first renewals are over.
  await sleep(ttl / 3)
  const before = await Promise.all(children.map(([, child]) => usageOf(child)))
  const cpu = await serverCpu(server)
  await server.command('CONFIG', 'RESETSTAT')
  await sleep(seconds * 1_000)
  const statistics = await server.commandStats()
  const used = (await serverCpu(server)) - cpu
  const after = await Promise.all(children.map(([, child]) => usageOf(child)))
  const calls = (statistics.get('evalsha')?.calls ?? 0) / seconds
  console.log(
    `${children.map(([role]) => role).join(' and ')}: ${calls.toFixed(1)} scripts a second; the server used ${(used / seconds).toFixed(1)} ms a second`,
  )
  for (const [index, [role]] of children.entries()) {
    const [first, last] = [before[index] as Usage, after[index] as Usage]
    console.log(
      `  ${role.padEnd(8)} ${((last.cpu - first.cpu) / seconds).toFixed(1)} ms of CPU a second, ${Math.round(last.bytes / count)} bytes for each key, ${last.timers} timers, ${last.lost} lost`,
    )
  }
  const others = [...statistics]
    .filter(([name]) => !/evalsha|config|info/.test(name))
    .map(([name, { calls: n }]) => `${name} ${n}`)
  console.log(`  in these ${seconds} s, inside the scripts included: ${others.join(', ')}`)
}
