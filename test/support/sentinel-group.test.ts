import { existsSync } from 'node:fs'
import { expect } from 'chai'
import { Redis } from 'ioredis'
import { type SentinelGroup, withSentinelGroup } from './sentinel-group.ts'

describe('SentinelGroup', () => {
  it('starts three Sentinels that know a master with two replicas, and leaves nothing behind', async () => {
    const group = await withSentinelGroup(async (whole) => {
      const [master, ...replicas] = whole.servers
      expect(await Promise.all(whole.sentinels.map((sentinel) => whole.masterPort(sentinel)))).to.deep.equal([
        master.port,
        master.port,
        master.port,
      ])
      expect(await whole.master()).to.equal(master)
      expect(await whole.replicas()).to.have.members(replicas)
      await master.command('SET', 'a', 1)
      expect(await master.command('WAIT', 2, 10_000)).to.equal(2)
      for (const replica of replicas) expect(await replica.command('GET', 'a')).to.equal('1')
      return whole
    })
    expectGone(group)
  })

  it('promotes another server on request, twice in a row', () =>
    withSentinelGroup(async (group) => {
      const first = await group.failover()
      expect(first.from).to.equal(group.servers[0].port)
      expect(first.to).to.not.equal(first.from)
      expect(first.at).to.be.greaterThan(first.askedAt)
      const second = await group.failover()
      expect(second.from).to.equal(first.to)
      const client = new Redis({ sentinels: group.addresses, name: group.name })
      try {
        expect(await client.set('a', 1)).to.equal('OK')
      } finally {
        client.disconnect()
      }
      expect(await group.at(second.to).command('GET', 'a')).to.equal('1')
    }))

  it('replaces a master that hangs, and one that is killed', () =>
    withSentinelGroup(async (group) => {
      const hung = await group.master()
      hung.pause()
      const { to } = await group.untilSwitched(hung.port)
      hung.resume()
      await group.at(to).kill()
      const second = await group.untilSwitched(to)
      expect(await group.at(second.to).command('PING')).to.equal('PONG')
    }))

  it('stops everything if the work throws, even paused and killed servers', async () => {
    let left: SentinelGroup | undefined
    const failure = new Error('from the work')
    const outcome = await withSentinelGroup(async (group) => {
      left = group
      group.servers[1].pause()
      group.sentinels[2].pause()
      await group.servers[2].kill()
      throw failure
    }).catch((error: unknown) => error)
    expect(outcome).to.equal(failure)
    expectGone(left as SentinelGroup)
  })
})

function expectGone({ servers, sentinels }: SentinelGroup): void {
  for (const { directory, pid } of [...servers, ...sentinels]) {
    expect(existsSync(directory)).to.equal(false)
    expect(() => process.kill(pid, 0)).to.throw('ESRCH')
  }
}
