import { spawnSync } from 'node:child_process'
import { setTimeout } from 'node:timers/promises'
import { expect } from 'chai'
import type { RedisServer } from '../support/redis-server.ts'
import { type SentinelGroup, withSentinelGroup } from '../support/sentinel-group.ts'
import {
  connectionIds,
  connectionsNamed,
  type Session,
  until,
  untilRenewed,
  untilWatching,
  withClient,
  withNewManager,
} from './support.ts'

/** Nothing is renewed by the wheel for longer than a test takes; a request that is not answered is given up soon. */
const OPTIONS = { ttl: 600_000, timeout: 500, wait: 30_000, random: () => 0 } as const
const KEYS = Array.from({ length: 600 }, (_, index) => `key ${index}`)

interface Scene extends Session {
  readonly group: SentinelGroup
}

function withScene(
  options: { readonly watch?: boolean; readonly timeout?: number },
  work: (scene: Scene) => Promise<void>,
): Promise<void> {
  return withSentinelGroup(async (group) =>
    withClient({ sentinels: group.addresses, name: group.name, lazyConnect: true }, async (client) =>
      withNewManager(client, { ...OPTIONS, ...options }, async (session) => {
        if (options.watch !== false) await untilWatching(session.manager)
        await work({ ...session, group })
      }),
    ),
  )
}

/** Both replicas have all that was written until now: their first data take up to a second. */
async function untilCopied(master: RedisServer): Promise<void> {
  await master.command('SET', 'copied', 'so far')
  expect(await master.command('WAIT', 2, 0)).to.equal(2)
}

async function untilConnected(server: RedisServer, name: string, count: number): Promise<void> {
  await until(`${count} connections are called ${name}`, async () => (await connectionsNamed(server, name)) === count)
}

/** A planned failover, as another process asks for it. Returns when all Sentinels name the new master; until then this process does nothing at all. */
function failOverMeanwhile({ name, sentinels }: SentinelGroup): void {
  const ports = sentinels.map(({ port }) => String(port))
  const { status, stderr } = spawnSync(
    process.execPath,
    ['--input-type=module', '--eval', FAIL_OVER, '--', name, ...ports],
    { encoding: 'utf8' },
  )
  expect(status, stderr).to.equal(0)
}

const FAIL_OVER = `
import { Redis } from 'ioredis'
const [name, ...ports] = process.argv.slice(1)
const sentinels = ports.map((port) => new Redis({ port: Number(port), enableReadyCheck: false }))
const named = () => Promise.all(sentinels.map((one) => one.call('SENTINEL', 'get-master-addr-by-name', name)))
const [[, before]] = await named()
await sentinels[0].call('SENTINEL', 'FAILOVER', name)
while ((await named()).some(([, port]) => port === before)) await new Promise((resolve) => setTimeout(resolve, 10))
process.exit()
`

describe('a failover that the Sentinels announce', () => {
  for (const watch of [true, false]) {
    it(`P26 every lease is renewed on the new server: ${watch ? 'watched' : 'unwatched'}`, () =>
      withScene({ watch }, async ({ group, manager, journal }) => {
        const leases = await manager.acquireAll(KEYS)
        await untilCopied(await group.master())
        const renewals = journal.count('renewed')
        // For good: nobody else makes those leave who are connected to it.
        await (await group.master()).command('ACL', 'SETUSER', 'default', '-slaveof', '-replicaof')
        const { from, to } = await group.failover()
        await until('all are renewed', () => journal.count('renewed') - renewals >= KEYS.length)
        await untilConnected(group.at(from), 'leasewheel', 0)
        await untilConnected(group.at(from), 'leasewheel:watch', 0)
        await untilConnected(group.at(to), 'leasewheel', 1)
        expect(journal.count('lost')).to.equal(0)
        expect(leases.every(({ held }) => held)).to.equal(true)
        if (!watch) return
        await untilWatching(manager)
        await group.at(to).command('DEL', 'lease:key 7')
        await journal.until('lost', leases[7] as (typeof leases)[number])
      }))
  }

  it('P7 P23 moves a waiter along, without a grant from the old server', () =>
    withScene({}, async ({ group, manager }) => {
      const master = await group.master()
      await master.command('SET', 'lease:a', 'theirs')
      await untilCopied(master)
      const call = manager.acquire('a')
      await until('it waits', () => manager.stats().asks >= 1 && manager.stats().roundTrip.count >= 1)
      const { from, to } = await group.failover()
      await group.at(from).command('DEL', 'lease:a')
      await untilConnected(group.at(to), 'leasewheel', 1)
      await setTimeout(50)
      expect(manager.size).to.equal(0)
      await group.at(to).command('DEL', 'lease:a')
      expect((await call).held).to.equal(true)
      expect(await group.at(to).command('EXISTS', 'lease:a')).to.equal(1)
    }))

  it('P21 P26 a failover of a master that hangs ends the attempts to reach it', () =>
    // Nothing else would end what is under way: a request may take longer than this test.
    withScene({ timeout: 60_000 }, async ({ group, manager, journal }) => {
      const lease = await manager.acquire('a')
      const master = await group.master()
      await untilCopied(master)
      master.pause()
      // In vain, as often as it takes: attempts to connect to it are under way when the others switch.
      const asking = untilRenewed(lease)
      const { to } = await group.untilSwitched(master.port)
      await asking
      expect(await group.at(to).command('GET', 'lease:a')).to.equal(lease.token)
      master.resume()
      await untilConnected(master, 'leasewheel', 0)
      expect(journal.count('lost')).to.equal(0)
    }))

  it('P7 leaves no caller on a master that hangs and goes on later', () =>
    withScene({}, async ({ group, manager }) => {
      const master = await group.master()
      await master.command('SET', 'lease:a', 'theirs', 'PX', 600_000)
      await untilCopied(master)
      const call = manager.acquire('a')
      await until('it waits', () => manager.stats().asks >= 1 && manager.stats().roundTrip.count >= 1)
      master.pause()
      const { to } = await group.untilSwitched(master.port)
      await untilConnected(group.at(to), 'leasewheel', 1)
      master.resume()
      await master.command('DEL', 'lease:a').catch(() => undefined)
      await setTimeout(50)
      expect(manager.size).to.equal(0)
      await group.at(to).command('DEL', 'lease:a')
      expect((await call).held).to.equal(true)
    }))

  it('P7 a process that was stopped meanwhile learns of it before it sends any request', () =>
    withScene({}, async ({ group, manager }) => {
      const [old] = group.servers
      const held = await manager.acquire('held')
      await untilCopied(old)
      failOverMeanwhile(group)
      // The first that this process does is to ask: what the Sentinels have said has not been read yet.
      const calls = [manager.acquireMany(KEYS), manager.acquire('a'), held.renew(), manager.inspect('held')] as const
      const [leases, lease] = await Promise.all(calls)
      expect((await group.master()).port).to.not.equal(old.port)
      expect(await old.command('EXISTS', 'lease:a', 'lease:key 0', 'lease:key 599'), 'asked of the old one').to.equal(0)
      const master = await group.master()
      expect(await master.command('GET', 'lease:a')).to.equal(lease.token)
      expect(await master.command('EXISTS', 'lease:key 0', 'lease:key 599')).to.equal(2)
      expect(leases.every((one) => one?.held)).to.equal(true)
    }))

  it('P21 a Sentinel that hangs keeps nobody from finding the server again', () =>
    withScene({}, async ({ group, manager, journal }) => {
      const lease = await manager.acquire('a')
      const master = group.servers[0]
      // Two of three, and often: a connection asks them in an order of its own.
      const hung = group.sentinels.slice(0, 2)
      for (const sentinel of hung) sentinel.pause()
      for (let turn = 0; turn < 8; turn += 1) {
        const ids = await connectionIds(master, 'leasewheel')
        for (const id of ids) await master.command('CLIENT', 'KILL', 'ID', id)
        await untilRenewed(lease)
      }
      for (const sentinel of hung) sentinel.resume()
      expect(journal.count('lost')).to.equal(0)
    }))
})
