/**
 * `npm run list-load -- [--locks 1000000] [--leases 100000] [--seconds 40]`: what listing many locks does to the server and to a manager that
 * holds many leases. It measures the renewal lag without and with a process that lists all locks again and again, and the longest calls of the list
 * by the server's own slow log.
 */
import { fork } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { setTimeout } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { LeaseManager } from 'leasewheel'
import { VIEW } from '#src/redis/catalogue-scripts.js'
import { RedisServer } from '../test/support/redis-server.ts'

/** Calls that take longer are in the slow log, µs. */
const LOGGED = 100
/** A call of the list should not take longer, µs. */
const LONG = 2_000
/** Keys written by one call. */
const CHUNK = 1_000

const { values } = parseArgs({
  options: {
    locks: { type: 'string', default: '1000000' },
    leases: { type: 'string', default: '100000' },
    seconds: { type: 'string', default: '40' },
    role: { type: 'string' },
    url: { type: 'string', default: '' },
  },
})
const [locks, leases, seconds] = [values.locks, values.leases, values.seconds].map(Number) as [number, number, number]

if (values.role === 'holder') await hold()
else if (values.role === 'lister') await list()
else await measure()

/** Holds leases for a time, and prints how late renewals were sent. */
async function hold(): Promise<void> {
  const manager = new LeaseManager(values.url, { prefix: 'held:', watch: false, timeout: 5_000 })
  await manager.acquireMany(Array.from({ length: leases }, (_, index) => `${index}`))
  process.send?.('ready')
  await setTimeout(seconds * 1_000)
  const { renewalLag, roundTrip, renewals, failures, lost } = manager.stats()
  await manager.close()
  process.send?.({ renewalLag, roundTrip, renewals, failures, lost })
  process.disconnect?.()
}

/** Lists all locks again and again. */
async function list(): Promise<void> {
  const manager = new LeaseManager(values.url, { watch: false, timeout: 5_000 })
  const durations: number[] = []
  let found = 0
  process.once('message', () => void manager.close())
  try {
    for (;;) {
      const startedAt = performance.now()
      found = 0
      for await (const { remaining } of manager.list()) if (remaining > 0) found += 1
      durations.push(Math.round(performance.now() - startedAt))
      process.send?.({ found, durations })
    }
  } catch {
    process.disconnect?.()
  }
}

function start(role: string, server: RedisServer): ReturnType<typeof fork> {
  const words = ['--role', role, '--url', server.url, '--leases', values.leases, '--seconds', values.seconds]
  return fork(import.meta.filename, words, { execArgv: process.execArgv })
}

async function measure(): Promise<void> {
  const server = await RedisServer.start()
  try {
    console.log(`writing ${locks} locks`)
    const fill = `for i = ARGV[1], ARGV[1] + ${CHUNK - 1} do
      redis.call('SET', 'lease:order:' .. i, 'web-1:4711:AZ0123456789abcdefghij', 'PX', 7200000) end`
    for (let first = 0; first < locks; first += CHUNK) await server.command('EVAL', fill, 0, first)
    console.log('without a list', JSON.stringify(await phase(server, false)))
    console.log('with a list   ', JSON.stringify(await phase(server, true)))
  } finally {
    await server.stop()
  }
}

async function phase(server: RedisServer, lists: boolean): Promise<object> {
  const holder = start('holder', server)
  await once(holder, 'message')
  await server.command('CONFIG', 'SET', 'slowlog-log-slower-than', LOGGED, 'slowlog-max-len', 100_000)
  await server.command('CONFIG', 'RESETSTAT')
  await server.command('SLOWLOG', 'RESET')
  const lister = lists ? start('lister', server) : undefined
  let listed: unknown = 'nothing'
  lister?.on('message', (message) => {
    listed = message
  })
  const [report] = (await once(holder, 'message')) as [object]
  const slow = await slowestCalls(server)
  if (lister?.connected) lister.send('end')
  return { ...report, listed, slow }
}

/** The calls in the slow log, in µs: those of the list apart from all others. */
async function slowestCalls(server: RedisServer): Promise<object> {
  const sha = createHash('sha1').update(VIEW).digest('hex')
  const entries = (await server.command('SLOWLOG', 'GET', 100_000)) as [number, number, number, string[]][]
  const of = (accepts: (words: string[]) => boolean): object => {
    const times = entries.filter(([, , , words]) => accepts(words)).map(([, , time]) => time)
    const sorted = times.toSorted((one, other) => other - one)
    const at = (part: number): number | undefined => sorted[Math.floor(sorted.length * part)]
    const long = times.filter((time) => time > LONG).length
    return { over: LOGGED, count: times.length, long, longest: sorted.slice(0, 5), median: at(0.5) }
  }
  const name = (words: string[]): string => words[0]?.toLowerCase() ?? ''
  const isView = (words: string[]): boolean => words[1] === sha || words[1] === VIEW
  const isScan = (words: string[]): boolean => name(words) === 'scan'
  const statistics = await server.commandStats()
  return {
    view: of(isView),
    scan: { ...of(isScan), ...statistics.get('scan') },
    other: of((words) => !isView(words) && !isScan(words) && !/slowlog|config/.test(name(words))),
    evalsha: statistics.get('evalsha'),
  }
}
