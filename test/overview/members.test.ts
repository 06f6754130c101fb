import { expect } from 'chai'
import { LeaseManager, type Member, UnavailableError } from 'leasewheel'
import { MemoryBackend } from 'leasewheel/memory'
import { readMember } from '#src/member.js'
import { VERSION } from '#src/version.js'
import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { rejectionOf, type Stage, withManager, withStage } from '../support/manager.ts'

const EVERY = 2_000

interface Seen {
  readonly manager: LeaseManager
  readonly told: string[]
}

function open({ open: openMember }: Stage, owner: string, announce: boolean | number = true): Seen {
  const { manager } = openMember({ owner, announce })
  const told: string[] = []
  manager.on('joined', ({ member }) => told.push(`joined ${member.owner}`))
  manager.on('left', ({ member }) => told.push(`left ${member.owner}`))
  return { manager, told }
}

async function ownersIn(manager: LeaseManager): Promise<string[]> {
  return (await manager.members()).map(({ owner }) => owner).toSorted()
}

describe('announce', () => {
  it('shows a manager to others, with what it does', () =>
    withStage(async (stage) => {
      const { clock } = stage
      const before = Date.now()
      const { manager } = open(stage, 'web-1')
      const watcher = stage.open({ owner: 'web-2' })
      await manager.acquireMany(['a', 'b'])
      await clock.advance(EVERY + 100)
      const [member, ...others] = await watcher.manager.members()
      expect(others).to.deep.equal([])
      const { id, startedAt, announcedAt, stats, ...rest } = member as Member
      expect(id).to.be.a('string')
      expect(rest).to.deep.equal({
        owner: 'web-1',
        host: hostname(),
        pid: process.pid,
        version: VERSION,
        leads: [],
        shares: [],
      })
      for (const time of [startedAt, announcedAt]) expect(time.getTime()).to.be.within(before, Date.now())
      expect(stats).to.include({ held: 2, acquired: 2, lost: 0, waiting: 0 })
      expect(stats.renewals).to.be.greaterThan(0)
    }))

  it('shows which offices a manager has, and its shares', () =>
    withStage(async (stage) => {
      const { clock } = stage
      const { manager } = open(stage, 'web-1')
      const other = open(stage, 'web-2')
      const watcher = stage.open({ owner: 'watcher' })
      manager.elect('scheduler', { elected: () => undefined })
      await clock.settle()
      other.manager.elect('scheduler', { elected: () => undefined })
      manager.share(['a', 'b'], { group: 'items' })
      await clock.advance(2 * EVERY + 100)
      const members = (await watcher.manager.members()).toSorted((one, two) => (one.owner < two.owner ? -1 : 1))
      expect(members.map(({ leads, shares }) => [leads, shares])).to.deep.equal([
        [['scheduler'], [{ group: 'items', held: 2 }]],
        [[], []],
      ])
    }))

  it('reads roles as far as they can be read, and takes a member without them', () => {
    const text = (roles: object): string => {
      const counts = {
        held: 1,
        jeopardy: 0,
        waiting: 0,
        acquired: 1,
        released: 0,
        lost: 0,
        renewals: 0,
        failures: 0,
        lag: 0,
      }
      const names = { id: 'id', owner: 'web-1', host: 'host', version: '1' }
      return JSON.stringify({ ...names, pid: 1, startedAt: 1, announcedAt: 2, stats: counts, ...roles })
    }
    expect(readMember(text({}))).to.deep.include({ leads: [], shares: [] })
    const odd = { leads: ['a', 5], shares: [{ group: 'a', held: 1 }, { group: 5, held: 1 }, { group: 'a' }, null] }
    expect(readMember(text(odd))).to.deep.include({ leads: ['a'], shares: [{ group: 'a', held: 1 }] })
    expect(readMember(text({ leads: 'a', shares: 5 }))).to.deep.include({ leads: [], shares: [] })
  })

  it('is off unless the options say otherwise', () =>
    withManager({}, async ({ manager, clock, backend }) => {
      await clock.advance(10 * EVERY)
      expect(backend.requests.announce).to.equal(0)
      expect(await manager.members()).to.deep.equal([])
    }))

  it('tells managers of those that join and leave, and of nobody who was there before', () =>
    withStage(async (stage) => {
      const { clock } = stage
      const first = open(stage, 'web-1')
      await clock.advance(100)
      const second = open(stage, 'web-2')
      await clock.advance(EVERY)
      expect([first.told, second.told]).to.deep.equal([['joined web-2'], []])
      await clock.advance(3 * EVERY)
      expect([first.told, second.told]).to.deep.equal([['joined web-2'], []])
      await second.manager.close()
      expect(await ownersIn(first.manager)).to.deep.equal(['web-1'])
      await clock.advance(2 * EVERY)
      expect(first.told).to.deep.equal(['joined web-2', 'left web-2'])
    }))

  it('forgets a manager that does not answer any more, after five times the pause', () =>
    withStage(async (stage) => {
      const { clock } = stage
      const first = open(stage, 'web-1')
      const second = stage.open({ owner: 'web-2', announce: true })
      await clock.advance(EVERY)
      second.backend.block()
      await clock.advance(4 * EVERY)
      expect(first.told).to.deep.equal(['joined web-2'])
      await clock.advance(4 * EVERY)
      expect(first.told).to.deep.equal(['joined web-2', 'left web-2'])
      expect(second.events.takeErrors()).to.have.length(1)
      second.backend.unblock()
      await clock.advance(2 * EVERY)
      expect(first.told).to.deep.equal(['joined web-2', 'left web-2', 'joined web-2'])
    }))

  it('tells of nobody who only announced itself anew after a loss of data', () =>
    withStage(async (stage) => {
      const { clock, store } = stage
      const first = open(stage, 'web-1')
      await clock.advance(100)
      const second = open(stage, 'web-2')
      await clock.advance(2 * EVERY)
      first.told.length = 0
      // Shortly before the first announces itself, and shortly before the second does.
      for (const lead of [EVERY - 50, 60]) {
        await clock.advance(lead)
        store.clear()
        await clock.advance(3 * EVERY)
      }
      expect([first.told, second.told]).to.deep.equal([[], []])
      expect(await ownersIn(first.manager)).to.deep.equal(['web-1', 'web-2'])
    }))

  it('keeps to the pause that the option gives', () =>
    withManager({ announce: 500 }, async ({ clock, backend }) => {
      await clock.advance(100)
      expect(backend.requests.announce).to.equal(1)
      await clock.advance(5_000)
      expect(backend.requests.announce).to.be.within(9, 11)
    }))

  it('reports a failure once, and none that the connection reports, and goes on', () =>
    withManager({ announce: true }, async ({ manager, clock, backend, events }) => {
      await clock.advance(100)
      const { catalogue } = backend
      Object.assign(catalogue ?? expect.fail('there is no catalogue'), {
        announce: () => Promise.reject(new Error('NOPERM')),
      })
      await clock.advance(5 * EVERY)
      expect(events.takeErrors().map(({ message }) => message)).to.deep.equal([
        'Managers could not be asked for: NOPERM',
      ])
      Reflect.deleteProperty(catalogue as object, 'announce')
      await clock.advance(2 * EVERY)
      expect(await manager.members()).to.have.length(1)
      Object.defineProperty(backend, 'fault', { value: new Error('no connection'), configurable: true })
      backend.fail(new Error('no connection'))
      await clock.advance(3 * EVERY)
      backend.fail(undefined)
      expect(events.takeErrors()).to.deep.equal([])
    }))

  it('is refused unless it is a boolean or a number of ms', () => {
    for (const announce of [99, 3_600_001, 0.5, 'yes', null]) {
      expect(() => new LeaseManager(new MemoryBackend(), { announce: announce as never }), String(announce)).to.throw(
        'announce',
      )
    }
  })
})

describe('members', () => {
  it('leaves out what is no announcement', () => {
    for (const text of ['', 'null', '5', '{}', '{"id":"a","owner":"b","host":"c","version":"d","pid":1}', '[']) {
      expect(readMember(text), text).to.equal(undefined)
    }
  })

  it('rejects if the backend cannot be asked, and once the manager is closed', () =>
    withManager({}, async ({ manager, backend }) => {
      backend.fail(new Error('ECONNREFUSED'))
      expect(await rejectionOf(manager.members())).to.be.instanceOf(UnavailableError)
      backend.fail(undefined)
      await manager.close()
      expect(await rejectionOf(manager.members())).to.have.property('code', 'ERR_CLOSED')
    }))

  it('says the version that package.json has', () => {
    expect(VERSION).to.equal((JSON.parse(readFileSync('package.json', 'utf8')) as { version: string }).version)
  })
})
