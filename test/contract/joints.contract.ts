/**
 * What every backend promises about keys that several may hold. The last test compares each backend with the rules themselves, over random requests:
 * scripts and rules are two texts of one thing.
 */
import { expect } from 'chai'
import fc from 'fast-check'
import type { AcquireOutcome, Backend, LockEntry, Joint } from 'leasewheel'
import { acquireJoint, releaseJoint, renewJoint, type Sharing } from '#src/rules/sharing.js'
import { Listener, type Store } from './backend.contract.ts'

/** For keys whose time must not run out in a test, however slow the machine is; ms. */
const TTL = 600_000
/** A time that runs out soon; ms. */
const SHORT = 100

const permit = (permits: number, weight = 1): Joint => ({ mode: 'permit', permits, weight })
const read: Joint = { mode: 'read', permits: 0, weight: 1, announce: TTL }
const write: Joint = { mode: 'write', permits: 0, weight: 1, announce: TTL }
/** They do not wait. */
const tryRead: Joint = { ...read, announce: 0 }
const tryWrite: Joint = { ...write, announce: 0 }

export function describeJoints(name: string, start: () => Promise<Store>): void {
  describe(`${name} as a backend of joints`, () => {
    let store: Store
    let backend: Backend

    before(async () => {
      store = await start()
    })
    beforeEach(async () => {
      backend = await store.open({ prefix: 'lock:' })
    })
    afterEach(() => store.clear())
    after(() => store.stop())

    const ask = async (token: string, joint: Joint, more: Partial<LockEntry> = {}): Promise<AcquireOutcome> =>
      only(await backend.acquire([{ key: 'a', token, ttl: TTL, joint, ...more }]))
    const typeOf = async (token: string, joint: Joint, more: Partial<LockEntry> = {}): Promise<string> =>
      (await ask(token, joint, more)).type
    const release = async (token: string, joint: Joint): Promise<unknown> =>
      only(await backend.release([{ key: 'a', token, ttl: TTL, joint }]))

    it('P33 grants as many permits as there are, and refuses the next', async () => {
      const outcomes = await backend.acquire(
        ['t1', 't2', 't3', 't4'].map((token) => ({ key: 'a', token, ttl: TTL, joint: permit(3) })),
      )
      expect(outcomes.map(({ type }) => type)).to.deep.equal(['granted', 'granted', 'granted', 'refused'])
      expect(await typeOf('t5', permit(3))).to.equal('refused')
    })

    it('P33 counts the weights of permits, and not the holders', async () => {
      expect(await typeOf('heavy', permit(10, 7))).to.equal('granted')
      expect(await typeOf('too heavy', permit(10, 4))).to.equal('refused')
      expect(await typeOf('light', permit(10, 3))).to.equal('granted')
      expect(await release('heavy', permit(10, 7))).to.deep.equal({ type: 'done' })
      expect(await typeOf('again', permit(10, 7))).to.equal('granted')
      expect(await typeOf('one more', permit(10))).to.equal('refused')
    })

    it('P33 lets each caller keep to its own number of permits', async () => {
      for (const token of ['t1', 't2', 't3']) expect(await typeOf(token, permit(3))).to.equal('granted')
      expect(await typeOf('fewer', permit(2))).to.equal('refused')
      expect(await typeOf('more', permit(4))).to.equal('granted')
      expect(await release('t1', permit(3))).to.deep.equal({ type: 'done' })
      expect(await typeOf('fewer', permit(3))).to.equal('refused')
    })

    it('P33 frees the permit of a dead holder at its ttl, whatever others do', async () => {
      await ask('dead', permit(2), { ttl: SHORT })
      await ask('alive', permit(2))
      expect(await typeOf('next', permit(2))).to.equal('refused')
      await untilMissing('dead', permit(2))
      expect(await typeOf('next', permit(2))).to.equal('granted')
      expect(await typeOf('one more', permit(2))).to.equal('refused')
      expect(only(await backend.renew([{ key: 'a', token: 'dead', ttl: TTL, joint: permit(2) }]))).to.deep.equal({
        type: 'refused',
        reason: 'missing',
      })
    })

    it('P6 gives each holder of a key a larger fence than all before', async () => {
      const fences: number[] = []
      for (const outcome of await backend.acquire(
        ['t1', 't2', 't3'].map((token) => ({ key: 'a', token, ttl: TTL, joint: permit(9) })),
      ))
        fences.push(fenceOf(outcome))
      fences.push(fenceOf(await ask('t4', permit(9))))
      for (const token of ['t1', 't2', 't3', 't4']) await release(token, permit(9))
      fences.push(fenceOf(only(await backend.acquire([{ key: 'a', token: 'plain', ttl: TTL }]))))
      expect(fences).to.deep.equal([...new Set(fences)].sort((a, b) => a - b))
    })

    it('P11 grants the same token again, and counts it once', async () => {
      expect(await typeOf('t1', permit(2))).to.equal('granted')
      expect(await typeOf('t1', permit(2))).to.equal('granted')
      expect(await typeOf('t2', permit(2))).to.equal('granted')
      expect(await typeOf('t3', permit(2))).to.equal('refused')
    })

    it('reports of a refusal who is the first whose ttl ends, and when', async () => {
      await ask('late', permit(2))
      await ask('early', permit(2), { ttl: TTL / 2 })
      const outcome = await ask('next', permit(2))
      if (outcome.type !== 'refused') expect.fail(`expected a refusal, got ${outcome.type}`)
      expect(outcome).to.include({ holder: 'early', watched: true })
      expect(outcome.remaining).to.be.within(1, TTL / 2)
    })

    it('P33 lets many read, and one write beside nobody', async () => {
      expect(await typeOf('r1', read)).to.equal('granted')
      expect(await typeOf('r2', read)).to.equal('granted')
      expect(await typeOf('w1', tryWrite)).to.equal('refused')
      await release('r1', read)
      expect(await typeOf('w1', tryWrite)).to.equal('refused')
      await release('r2', read)
      expect(await typeOf('w1', tryWrite)).to.equal('granted')
      expect(await typeOf('w2', tryWrite)).to.equal('refused')
      expect(await typeOf('r3', tryRead)).to.equal('refused')
    })

    it('lets new readers wait while a writer waits', async () => {
      await ask('r1', read)
      expect(await typeOf('w1', write)).to.equal('refused')
      expect(await typeOf('r2', read)).to.equal('refused')
      await release('r1', read)
      expect(await typeOf('r2', read)).to.equal('refused')
      expect(await typeOf('w1', write)).to.equal('granted')
    })

    it('forgets a writer that waits no more', async () => {
      await ask('r1', read)
      expect(await typeOf('w1', { ...write, announce: SHORT })).to.equal('refused')
      while ((await typeOf('r2', tryRead)) === 'refused');
    })

    it('is not impressed by a writer that does not wait', async () => {
      await ask('r1', read)
      expect(await typeOf('w1', tryWrite)).to.equal('refused')
      expect(await typeOf('r2', read)).to.equal('granted')
    })

    it('after a writer lets the readers go first that it kept waiting, and then the next writer', async () => {
      await ask('w1', write)
      const refused = await ask('r1', read)
      if (refused.type !== 'refused') expect.fail(`expected a refusal, got ${refused.type}`)
      expect(await typeOf('w2', write)).to.equal('refused')
      await release('w1', write)
      expect(await typeOf('w2', write), 'a writer before the readers that waited').to.equal('refused')
      expect(await typeOf('late', read), 'a reader that came after the writer').to.equal('refused')
      expect(await typeOf('r1', read, { turn: refused.turn })).to.equal('granted')
      expect(await typeOf('late', read)).to.equal('refused')
      await release('r1', read)
      expect(await typeOf('w2', write)).to.equal('granted')
    })

    it('forgets the readers that wait no more', async () => {
      await ask('w1', write)
      await ask('r1', { ...read, announce: SHORT })
      await release('w1', write)
      while ((await typeOf('w2', tryWrite)) === 'refused');
    })

    it('makes a reader of a writer that renews as one', async () => {
      await ask('w1', write)
      expect(only(await backend.renew([{ key: 'a', token: 'w1', ttl: TTL, joint: read }]))).to.deep.equal({
        type: 'done',
      })
      expect(await typeOf('r1', tryRead)).to.equal('granted')
      expect(await typeOf('w2', tryWrite)).to.equal('refused')
      // A renewal that was on its way.
      expect(only(await backend.renew([{ key: 'a', token: 'w1', ttl: TTL, joint: write }]))).to.deep.equal({
        type: 'done',
      })
      expect(await typeOf('r2', tryRead)).to.equal('granted')
      for (const token of ['w1', 'r1', 'r2']) expect(await release(token, read)).to.deep.equal({ type: 'done' })
      expect(await store.get('lock:a')).to.equal(null)
    })

    it('keeps a key until the last of its holders ends, whoever renews, and each for its own ttl', async () => {
      await ask('short', permit(2), { ttl: SHORT })
      await ask('long', permit(2))
      const entries = [
        { key: 'a', token: 'short', ttl: SHORT, joint: permit(2) },
        { key: 'a', token: 'long', ttl: TTL, joint: permit(2) },
      ]
      await backend.renew(entries)
      await backend.renew(entries.slice(0, 1))
      await untilMissing('short', permit(2))
      // Some time later a key that was cut short is gone for certain.
      const other = { key: 'b', token: 'other', ttl: SHORT, joint: permit(2) }
      await backend.acquire([other])
      while (only(await backend.verify([other])).type === 'done');
      expect(only(await backend.verify(entries.slice(1)))).to.deep.equal({ type: 'done' })
    })

    it('P33 frees the key of a dead writer at its ttl', async () => {
      await ask('dead', write, { ttl: SHORT })
      expect(await typeOf('r1', tryRead)).to.equal('refused')
      await untilMissing('dead', write)
      expect(await typeOf('r1', tryRead)).to.equal('granted')
    })

    it('keeps permits, readers and writers, and plain locks apart', async () => {
      await store.set('lock:a', 'plain', TTL)
      for (const joint of [permit(9), tryRead, tryWrite]) {
        expect(await ask('t1', joint)).to.include({ type: 'refused', holder: 'plain' })
        expect(only(await backend.renew([{ key: 'a', token: 'plain', ttl: TTL, joint }]))).to.deep.equal({
          type: 'refused',
          reason: 'taken',
        })
        expect(await release('plain', joint)).to.deep.equal({ type: 'refused', reason: 'taken' })
      }
      expect(await store.get('lock:a')).to.equal('plain')
      await store.delete('lock:a')
      await ask('t1', permit(9))
      expect(await typeOf('t2', tryRead)).to.equal('refused')
      expect(await typeOf('t2', tryWrite)).to.equal('refused')
      expect(only(await backend.acquire([{ key: 'a', token: 't2', ttl: TTL }]))).to.include({
        type: 'refused',
        holder: '',
      })
      await release('t1', permit(9))
      await ask('t1', read)
      expect(await typeOf('t2', permit(9))).to.equal('refused')
      expect(only(await backend.acquire([{ key: 'a', token: 't2', ttl: TTL }]))).to.include({ type: 'refused' })
    })

    it('answers plain locks and joints of one batch each for itself, in order', async () => {
      await store.set('lock:taken', 'theirs', TTL)
      const entries: LockEntry[] = [
        { key: 'plain', token: 't1', ttl: TTL },
        { key: 'a', token: 't2', ttl: TTL, joint: permit(2) },
        { key: 'taken', token: 't3', ttl: TTL },
        { key: 'b', token: 't4', ttl: TTL, joint: write },
        { key: 'a', token: 't5', ttl: TTL, joint: permit(2) },
        { key: 'a', token: 't6', ttl: TTL, joint: permit(2) },
        { key: 'other', token: 't7', ttl: TTL },
      ]
      const types = (outcomes: readonly { type: string }[]): string[] => outcomes.map(({ type }) => type)
      const expected = ['granted', 'granted', 'refused', 'granted', 'granted', 'refused', 'granted']
      expect(types(await backend.acquire(entries))).to.deep.equal(expected)
      const done = expected.map((type) => (type === 'granted' ? 'done' : type))
      expect(types(await backend.renew(entries))).to.deep.equal(done)
      expect(types(await backend.renew(entries)), 'the same array again').to.deep.equal(done)
      expect(types(await backend.verify(entries))).to.deep.equal(done)
      expect(types(await backend.release(entries))).to.deep.equal(done)
      expect(types(await backend.verify(entries))).to.deep.equal(entries.map(() => 'refused'))
    })

    it('leaves nothing behind once nobody holds a key, and nobody waits', async () => {
      for (const token of ['t1', 't2']) await ask(token, permit(2))
      for (const token of ['t1', 't2']) await release(token, permit(2))
      await ask('r', read)
      await release('r', read)
      expect(await store.get('lock:a')).to.equal(null)
    })

    it('reports changes of a key to those that were refused', async () => {
      const listener = new Listener()
      const other = await store.open({ prefix: 'lock:', listener })
      await ask('t1', permit(1))
      expect(only(await other.acquire([{ key: 'a', token: 't2', ttl: TTL, joint: permit(1) }]))).to.include({
        type: 'refused',
        watched: true,
      })
      await release('t1', permit(1))
      await listener.hears('a')
    })

    it('shows all holders to operators', async () => {
      await ask('t1', permit(9))
      await ask('t2', permit(9, 3), { ttl: TTL / 2 })
      const view = await backend.inspect('a')
      expect(view?.joint?.mode).to.equal('permit')
      const holders = [...(view?.joint?.holders ?? [])].sort((a, b) => a.token.localeCompare(b.token))
      expect(holders.map(({ token, weight }) => [token, weight])).to.deep.equal([
        ['t1', 1],
        ['t2', 3],
      ])
      expect(holders[1]?.remaining).to.be.within(1, TTL / 2)
      const { catalogue } = backend
      const listed: unknown[] = []
      let cursor: string | undefined
      do {
        const page = await catalogue?.list('*', cursor)
        for (const { joint, holders: count } of page?.keys ?? []) listed.push([joint, count])
        cursor = page?.cursor
      } while (cursor !== undefined)
      if (catalogue) expect(listed).to.deep.equal([['permit', 2]])
    })

    it('P33 does what the rules say, over random requests', async () => {
      const token = fc.constantFrom('t1', 't2', 't3', 't4')
      const joint = fc.constantFrom(permit(2), permit(3), permit(3, 2), read, write, tryRead, tryWrite)
      const step = fc.record({
        what: fc.constantFrom('acquire', 'acquire', 'acquire', 'renew', 'release', 'verify'),
        token,
        joint,
        waited: fc.boolean(),
      })
      let round = 0
      await fc.assert(
        fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 40 }), async (steps) => {
          round += 1
          const key = `random ${round}`
          const joints = new Map<string, Joint>()
          const [ours, theirs] = [new Map<string, number>(), new Map<string, number>()]
          let sharing: Sharing | undefined
          let now = 0
          for (const { what, token: name, joint: wanted, waited } of steps) {
            now += 1
            // A token never changes its weight.
            const before = joints.get(name)
            const asked = before && sharing?.holders.has(name) ? { ...before, mode: before.mode } : wanted
            const entry = { key, token: `${name} ${asked.weight}`, ttl: TTL, joint: asked }
            if (what === 'acquire') {
              const turn = waited ? ours.get(name) : undefined
              const expected = acquireJoint(sharing, { ...entry, turn }, now)
              sharing = expected.sharing
              const there = only(await backend.acquire([{ ...entry, turn: waited ? theirs.get(name) : undefined }]))
              expect(there.type).to.equal(expected.refusal ? 'refused' : 'granted')
              if (there.type === 'refused' && expected.refusal) {
                ours.set(name, expected.refusal.turn)
                theirs.set(name, there.turn as number)
              } else if (there.type === 'granted') {
                joints.set(name, asked)
              }
            } else if (what === 'renew') {
              const expected = renewJoint(sharing, entry, now)
              if (expected) sharing = expected
              expect(only(await backend.renew([entry])).type).to.equal(expected ? 'done' : 'refused')
            } else if (what === 'release') {
              const expected = releaseJoint(sharing, entry.token, now)
              if (expected) sharing = expected.sharing
              expect(only(await backend.release([entry])).type).to.equal(expected ? 'done' : 'refused')
            } else {
              const isHeld = sharing?.holders.has(entry.token) ?? false
              expect(only(await backend.verify([entry])).type).to.equal(isHeld ? 'done' : 'refused')
            }
          }
        }),
        { numRuns: 40 },
      )
    })

    async function untilMissing(token: string, joint: Joint): Promise<void> {
      while (only(await backend.verify([{ key: 'a', token, ttl: TTL, joint }])).type === 'done');
    }
  })
}

function only<T>(list: readonly T[]): T {
  expect(list).to.have.lengthOf(1)
  return list[0] as T
}

function fenceOf(outcome: AcquireOutcome): number {
  if (outcome.type !== 'granted') expect.fail(`expected a grant, got ${outcome.type}`)
  return outcome.fence
}
