/** Connections break, wholly or by half, between requests or within them, or go silent. The server works, and accepts new connections. */
import { expect } from 'chai'
import { type Lease, UnavailableError } from 'leasewheel'
import { exists, expiredKeys, rejectionOf, until, untilRenewed } from '../redis/support.ts'
import {
  CHANGES,
  COMMANDS,
  expectRecovered,
  type Holder,
  type Scene,
  type SceneOptions,
  together,
  withEach,
  withScene,
} from './scene.ts'

/** Which connections break, by what they begin with. */
const WHICH = {
  'those that locks are asked for on': COMMANDS,
  'the one on which changes are told': CHANGES,
  all: '',
} as const

/** Breaks connections; resolves when it has happened, or is about to. */
type Break = (scene: Scene, mark: string) => unknown

const BREAKS: Readonly<Record<string, Break>> = {
  'are cut by the network': ({ proxy }, mark) => proxy.cut(mark),
  'become black holes for requests': ({ proxy }, mark) => proxy.up.blackHole({ mark }),
  'become black holes for answers': ({ proxy }, mark) => proxy.down.blackHole({ mark }),
  'are half-closed by the network: requests': ({ proxy }, mark) => proxy.up.halfClose(mark),
  'are half-closed by the network: answers': ({ proxy }, mark) => proxy.down.halfClose(mark),
  'are cut inside a request': ({ proxy }, mark) => void proxy.up.cutAfter(20, mark),
  'are cut inside a reply': ({ proxy }, mark) => void proxy.down.cutAfter(2, mark),
  'are ended by the server: CLIENT KILL': async ({ server }, mark) => {
    const list = (await server.command('CLIENT', 'LIST')) as string
    for (const line of list.split('\n')) {
      const { 1: id, 2: name } = / ?id=(\d+) .* name=(\S*) /.exec(line) ?? []
      if (id && name?.startsWith('leasewheel') && name.includes(mark)) {
        await server.command('CLIENT', 'KILL', 'ID', id).catch(() => undefined)
      }
    }
  },
}
/** How often each of them happens. */
const TURNS = 2

describe('broken connections', () => {
  for (const [title, inflict] of Object.entries(BREAKS)) {
    it(`P14 P18 P21 connections that ${title}, again and again, cost no lease`, () =>
      together(
        Object.entries(WHICH).map(([which, mark]) => [
          which,
          () =>
            withScene({}, async (scene) => {
              const { holders, server } = scene
              for (let turn = 0; turn < TURNS; turn += 1) {
                // Some of it is under way when it happens.
                const renewals = withEach(holders, renewAll)
                await inflict(scene, mark)
                await Promise.all([renewals, withEach(holders, renewAll)])
                await withEach(holders, async ({ lasting }) => Promise.all(lasting.map(untilRenewed)))
              }
              await withEach(holders, async (holder) => {
                await expectRecovered(holder, server)
                expect(holder.manager.stats().lost).to.deep.equal({ expired: 0, taken: 0, missing: 0, maxHold: 0 })
                for (const lease of holder.lasting) expect(holder.journal.story(lease).join()).to.match(/renewed|safe/)
              })
            }),
        ]),
      ))
  }
})

async function renewAll({ lasting }: Holder): Promise<void> {
  await Promise.allSettled(lasting.map((lease) => lease.renew()))
}

/**
 * The lengths of replies where everything is as hoped for, in bytes: an empty list; a list of one number of 16 digits. Without the last byte, which
 * the parser of ioredis does not wait for.
 */
const EMPTY = '*0\r'.length
const FENCE = '*1\r\n:1234567890123456\r'.length

/** Requests fail because their connection breaks, and for no other reason. */
const PATIENT: SceneOptions = { timeout: 5_000 }

describe('a reply that a broken connection cuts', () => {
  it('P11 an acquire cut after any byte gets the lock through another connection', () =>
    withScene(PATIENT, async ({ proxy, server, holders: [, { manager }] }) => {
      for (let bytes = 1; bytes < FENCE; bytes += 3) {
        const cut = proxy.down.cutAfter(bytes, COMMANDS)
        const waiting = manager.acquire(`waited for ${bytes}`)
        const tried = manager.tryAcquire(`tried ${bytes}`)
        const token = cut.then(async () => server.command('GET', `lease:waited for ${bytes}`))
        const leases = [await waiting, await tried]
        expect(
          leases.map((lease) => lease?.held),
          `after ${bytes} bytes`,
        ).to.deep.equal([true, true])
        expect(leases[0]?.token).to.equal(await token)
        for (const lease of leases) expect(await lease?.release()).to.equal(true)
        for (const lease of leases) expect(await exists(server, `lease:${lease?.key}`)).to.equal(false)
      }
      expect(await expiredKeys(server), 'it was deleted').to.equal(0)
    }))

  it('P11 an acquire without another connection in time leaves no key behind', () =>
    withScene({ timeout: 500 }, async ({ proxy, server, holders: [, { manager }] }) => {
      const cut = proxy.down.cutAfter(1, COMMANDS)
      // The next one is silent.
      proxy.down.blackHole({ mark: 'no connection of now', future: true })
      expect(await rejectionOf(manager.tryAcquire('tried'))).to.be.instanceOf(UnavailableError)
      await cut
      proxy.down.mend()
      await until('what was tried is gone', async () => !(await exists(server, 'lease:tried')))
    }))

  it('P18 a renewal cut after any byte puts the lease in jeopardy, then in safety', () =>
    withScene(PATIENT, async ({ proxy, holders: [, { manager, journal }] }) => {
      const lease = await manager.acquire('a')
      const expected = ['acquired']
      for (let bytes = 1; bytes < EMPTY; bytes += 1) {
        const cut = proxy.down.cutAfter(bytes, COMMANDS)
        expect(await rejectionOf(lease.renew())).to.be.instanceOf(UnavailableError)
        await cut
        await until('it is safe', () => journal.story(lease).at(-1) === 'safe')
        expected.push('jeopardy', 'safe')
      }
      expect(journal.story(lease)).to.deep.equal(expected)
    }))

  it('P5 a release cut after any byte is unconfirmed, and the key is gone', () =>
    withScene(PATIENT, async ({ proxy, server, holders: [, { manager, journal }] }) => {
      for (let bytes = 1; bytes < EMPTY; bytes += 1) {
        const lease: Lease = await manager.acquire(`a ${bytes}`)
        const cut = proxy.down.cutAfter(bytes, COMMANDS)
        expect(await lease.release()).to.equal(false)
        await cut
        expect(journal.story(lease)).to.deep.equal(['acquired', 'released'])
        expect(await exists(server, `lease:${lease.key}`)).to.equal(false)
      }
    }))

  it('P18 an inspection cut inside the token rejects instead of returning half a token', () =>
    withScene(PATIENT, async ({ proxy, holders: [, { manager, lasting }] }) => {
      const [lease] = lasting as [Lease]
      const cut = proxy.down.cutAfter('*2\r\n$40\r\n'.length + lease.token.length / 2, COMMANDS)
      expect(await rejectionOf(manager.inspect(lease.key))).to.be.instanceOf(UnavailableError)
      await cut
      await untilRenewed(lease)
      expect((await manager.inspect(lease.key))?.lease).to.equal(lease)
    }))
})
