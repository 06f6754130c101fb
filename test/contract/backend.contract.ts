/**
 * What every backend promises, whatever keeps its locks: the port of `src/backend.ts` as tests. One suite, run against
 * each implementation by `backend.test.ts`.
 */
import { expect } from 'chai'
import type { AcquireOutcome, Backend, BackendListener, ChangeOutcome, LockEntry } from 'leasewheel'

/** A place where locks are kept, with everything that others could do to them. Keys are whole: prefix included. */
export interface Store {
  /** Another backend on the same locks, open, ready to be asked and watching; closed after the test. */
  open(settings?: { readonly prefix?: string; readonly listener?: Listener }): Promise<Backend>
  /** The value of a key; `null` when there is none. */
  get(key: string): Promise<string | null>
  /** What is left of a key's ttl in ms; Infinity without one. */
  remaining(key: string): Promise<number>
  /** Writes a key, whoever holds it. */
  set(key: string, value: string, ttl: number): Promise<void>
  delete(key: string): Promise<void>
  /** Lets a key's time run out, and resolves once it is gone. */
  expire(key: string): Promise<void>
  /** Deletes everything there is, the backend's own counters included. */
  flush(): Promise<void>
  /** From now on nothing is answered. */
  hang(): void
  /** Ends it. */
  resume(): void
  /** Called after each test. */
  clear(): Promise<void>
  /** Called after the last test. */
  stop(): Promise<void>
}

/** For keys whose time must not run out in a test, however slow the machine is; ms. */
const TTL = 600_000
/** What a restored ttl is told from: a key that has this much left has not been extended, ms. */
const SHORT = 200_000

/** What a backend told unasked. */
export class Listener implements BackendListener {
  readonly errors: Error[] = []
  /** Keys that were said to have changed, in the order in which they were; `*` where nobody knows which. */
  readonly heard: string[] = []
  #onHeard: (() => void) | undefined

  onRecovered(): void {}
  onSuspect(): void {}
  onMissed(): void {}

  onChange(keys: readonly string[] = ['*']): void {
    this.heard.push(...keys)
    this.#onHeard?.()
  }

  onForgotten(): void {}

  onUnwatched(): void {}

  onError(error: Error): void {
    this.errors.push(error)
  }

  /** Resolves when a key has been told of, however long that takes: what is told comes when it comes. */
  async hears(key: string): Promise<void> {
    while (!this.heard.includes(key)) {
      await new Promise<void>((resolve) => {
        this.#onHeard = resolve
      })
    }
  }
}

/** Runs the whole suite against one kind of backend. */
/** Keys on each of three nodes: one node may report changes later than another. */
const MARKS = ['mark', 'mark 1', 'mark 2', 'mark 3', 'mark 4', 'mark 5', 'mark 6', 'mark 7']

export function describeBackend(name: string, start: () => Promise<Store>): void {
  describe(`${name} as a backend`, () => {
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

    describe('acquire', () => {
      it('acquires a free key for the whole ttl', async () => {
        const fence = fenceOf(only(await backend.acquire([entry('a', 'mine')])))
        expect(Number.isSafeInteger(fence)).to.equal(true)
        expect(fence).to.be.greaterThan(0)
        expect(await store.get('lock:a')).to.equal('mine')
        expect(await store.remaining('lock:a')).to.be.within(SHORT + 1, TTL)
      })

      it('acquires and renews a key for a ttl that is no whole number of seconds', async () => {
        const backend = await store.open()
        expect(await backend.acquire([entry('a', 'mine', 12_345)])).to.have.nested.property('[0].type', 'granted')
        expect(await store.remaining('lease:a')).to.be.within(1, 12_345)
        expect(await backend.renew([entry('a', 'mine', 23_456)])).to.deep.equal([{ type: 'done' }])
        expect(await store.remaining('lease:a')).to.be.within(12_346, 23_456)
      })

      it('refuses a held key, reports the rest of its ttl, and leaves it alone', async () => {
        await store.set('lock:a', 'theirs', SHORT)
        const outcome = only(await backend.acquire([entry('a', 'mine')]))
        if (outcome.type !== 'refused') expect.fail(`expected a refusal, got ${outcome.type}`)
        expect(outcome.remaining).to.be.within(1, SHORT)
        expect(await store.get('lock:a')).to.equal('theirs')
        expect(await store.remaining('lock:a')).to.be.within(1, SHORT)
      })

      it('reports no remaining time for a ttl that never ends', async () => {
        await store.set('lock:a', 'theirs', Number.POSITIVE_INFINITY)
        const refused = { type: 'refused', remaining: Number.POSITIVE_INFINITY, holder: 'theirs' }
        expect(only(await backend.acquire([entry('a', 'mine')]))).to.include(refused)
      })

      it('P11 grants the same token again, and restores its ttl', async () => {
        fenceOf(only(await backend.acquire([entry('a', 'mine')])))
        await store.set('lock:a', 'mine', SHORT)
        fenceOf(only(await backend.acquire([entry('a', 'mine')])))
        expect(await store.get('lock:a')).to.equal('mine')
        expect(await store.remaining('lock:a')).to.be.within(SHORT + 1, TTL)
      })

      it('answers each entry on its own, in order, in one call', async () => {
        await store.set('lock:b', 'theirs', SHORT)
        await store.set('lock:c', 'mine c', SHORT)
        await store.set('lock:e', 'theirs', SHORT)
        const keys = ['a', 'b', 'c', 'd', 'e', 'f']
        const outcomes = await backend.acquire(keys.map((key) => entry(key, `mine ${key}`)))
        expect(typesOf(outcomes)).to.deep.equal(['granted', 'refused', 'granted', 'granted', 'refused', 'granted'])
        expect(await Promise.all(keys.map((key) => store.get(`lock:${key}`)))).to.deep.equal([
          'mine a',
          'theirs',
          'mine c',
          'mine d',
          'theirs',
          'mine f',
        ])
      })

      it('gives each entry of one call its own ttl', async () => {
        await store.set('lock:b', 'mine', SHORT)
        await backend.acquire([entry('a', 'mine', TTL), entry('b', 'mine', 2 * TTL), entry('c', 'mine', 3 * TTL)])
        expect(await store.remaining('lock:a')).to.be.within(SHORT + 1, TTL)
        expect(await store.remaining('lock:b')).to.be.within(TTL + 1, 2 * TTL)
        expect(await store.remaining('lock:c')).to.be.within(2 * TTL + 1, 3 * TTL)
      })

      it('acquires a thousand keys in one call, except the held ones', async () => {
        await store.set('lock:key 500', 'theirs', SHORT)
        const outcomes = await backend.acquire(thousand('mine'))
        expect(outcomes).to.have.length(1_000)
        expect(outcomes.flatMap(({ type }, index) => (type === 'granted' ? [] : [index]))).to.deep.equal([500])
        expect(await store.get('lock:key 999')).to.equal('mine 999')
      })

      it('refuses what another backend on the same locks holds', async () => {
        const other = await store.open({ prefix: 'lock:' })
        expect(typesOf(await other.acquire([entry('a', 'theirs')]))).to.deep.equal(['granted'])
        expect(typesOf(await backend.acquire([entry('a', 'mine')]))).to.deep.equal(['refused'])
      })
    })

    describe('fences', () => {
      for (const [end, work] of [
        ['release', () => backend.release([entry('a', 'mine')])],
        ['expiry', () => store.expire('lock:a')],
        ['forced deletion', () => store.delete('lock:a')],
        ['the deletion of everything', () => store.flush()],
      ] as const) {
        it(`P6 are larger for the next holder after ${end}`, async () => {
          const fences: number[] = []
          for (let turn = 0; turn < 5; turn += 1) {
            fences.push(fenceOf(only(await backend.acquire([entry('a', 'mine')]))))
            await work()
          }
          expectRising(fences)
        })
      }

      it('P6 are larger for the next holder through any backend', async () => {
        const other = await store.open({ prefix: 'lock:' })
        const fences: number[] = []
        for (let turn = 0; turn < 10; turn += 1) {
          const holder = turn % 2 === 0 ? backend : other
          fences.push(fenceOf(only(await holder.acquire([entry('a', `holder ${turn}`)]))))
          await holder.release([entry('a', `holder ${turn}`)])
        }
        expectRising(fences)
      })

      it('P6 are larger for the next holder if calls overlap', async () => {
        const turns = Array.from({ length: 100 }, (_, turn) => entry('a', `holder ${turn}`))
        const outcomes = await Promise.all(
          turns.map(async (turn) => {
            const acquired = backend.acquire([turn])
            const released = backend.release([turn])
            expect(await released).to.deep.equal([{ type: 'done' }])
            return acquired
          }),
        )
        expectRising(outcomes.map((outcome) => fenceOf(only(outcome))))
      })

      it('P6 are larger for holders of the same keys in a later call', async () => {
        const first = await backend.acquire(thousand('first'))
        await backend.release(thousand('first'))
        const second = await backend.acquire(thousand('second'))
        for (const [index, outcome] of second.entries()) {
          expect(fenceOf(outcome)).to.be.greaterThan(fenceOf(first[index] as AcquireOutcome))
        }
      })
    })

    describe('renew', () => {
      it('gives a key that holds our token a whole ttl', async () => {
        await store.set('lock:a', 'mine', SHORT)
        expect(await backend.renew([entry('a', 'mine')])).to.deep.equal([DONE])
        expect(await store.get('lock:a')).to.equal('mine')
        expect(await store.remaining('lock:a')).to.be.within(SHORT + 1, TTL)
      })

      it('P4 never creates a key: a missing one stays missing', async () => {
        for (const gone of ['never was', 'deleted', 'expired', 'released']) await backend.acquire([entry(gone, 'mine')])
        await store.delete('lock:never was')
        await store.delete('lock:deleted')
        await store.expire('lock:expired')
        await backend.release([entry('released', 'mine')])
        for (const gone of ['never was', 'deleted', 'expired', 'released']) {
          expect(await backend.renew([entry(gone, 'mine')]), gone).to.deep.equal([MISSING])
          expect(await store.get(`lock:${gone}`), gone).to.equal(null)
        }
      })

      it("P4 never touches a key with another's token", async () => {
        await store.set('lock:a', 'theirs', SHORT)
        await store.set('lock:b', 'theirs', Number.POSITIVE_INFINITY)
        expect(await backend.renew([entry('a', 'mine'), entry('b', 'mine')])).to.deep.equal([TAKEN, TAKEN])
        expect(await store.get('lock:a')).to.equal('theirs')
        expect(await store.remaining('lock:a')).to.be.within(1, SHORT)
        expect(await store.get('lock:b')).to.equal('theirs')
        expect(await store.remaining('lock:b')).to.equal(Number.POSITIVE_INFINITY)
      })

      it('answers each entry on its own, in order, in one call', async () => {
        await acquireAll(backend, ['a', 'b', 'c', 'd', 'e'])
        await store.delete('lock:a')
        await store.set('lock:c', 'theirs', SHORT)
        await store.delete('lock:e')
        const outcomes = await backend.renew(['a', 'b', 'c', 'd', 'e'].map((key) => entry(key, 'mine')))
        expect(outcomes).to.deep.equal([MISSING, DONE, TAKEN, DONE, MISSING])
      })

      it('gives each entry of one call its own ttl', async () => {
        await acquireAll(backend, ['a', 'b', 'c'], SHORT)
        await backend.renew([entry('a', 'mine', TTL), entry('b', 'mine', 2 * TTL), entry('c', 'mine', 3 * TTL)])
        expect(await store.remaining('lock:a')).to.be.within(SHORT + 1, TTL)
        expect(await store.remaining('lock:b')).to.be.within(TTL + 1, 2 * TTL)
        expect(await store.remaining('lock:c')).to.be.within(2 * TTL + 1, 3 * TTL)
      })

      it('reads the same array anew each time', async () => {
        const entries = ['a', 'b'].map((key) => entry(key, 'mine'))
        await backend.acquire(entries)
        expect(await backend.renew(entries)).to.deep.equal([DONE, DONE])
        await store.delete('lock:b')
        expect(await backend.renew(entries)).to.deep.equal([DONE, MISSING])
        await store.set('lock:a', 'theirs', SHORT)
        expect(await backend.renew(entries)).to.deep.equal([TAKEN, MISSING])
        await store.set('lock:a', 'mine', SHORT)
        expect(await backend.renew(entries)).to.deep.equal([DONE, MISSING])
        expect(await store.remaining('lock:a')).to.be.within(SHORT + 1, TTL)
      })

      it('renews a thousand keys in one call, except those of others', async () => {
        await backend.acquire(thousand('mine'))
        await store.set('lock:key 0', 'theirs', SHORT)
        await store.delete('lock:key 999')
        const outcomes = await backend.renew(thousand('mine'))
        expect(outcomes).to.have.length(1_000)
        expect(outcomes[0]).to.deep.equal(TAKEN)
        expect(outcomes[999]).to.deep.equal(MISSING)
        expect(outcomes.slice(1, -1).every(({ type }) => type === 'done')).to.equal(true)
      })
    })

    describe('release', () => {
      it('deletes a key that holds our token', async () => {
        await backend.acquire([entry('a', 'mine')])
        expect(await backend.release([entry('a', 'mine')])).to.deep.equal([DONE])
        expect(await store.get('lock:a')).to.equal(null)
      })

      it("P5 never deletes a key with another's token, even one of this very backend's", async () => {
        await store.set('lock:a', 'theirs', SHORT)
        await backend.acquire([entry('b', 'a later acquisition')])
        expect(await backend.release([entry('a', 'mine'), entry('b', 'mine')])).to.deep.equal([TAKEN, TAKEN])
        expect(await store.get('lock:a')).to.equal('theirs')
        expect(await store.remaining('lock:a')).to.be.within(1, SHORT)
        expect(await store.get('lock:b')).to.equal('a later acquisition')
      })

      it('P5 finds nothing on repetition, and leaves a later holder’s key alone', async () => {
        await backend.acquire([entry('a', 'mine')])
        expect(await backend.release([entry('a', 'mine')])).to.deep.equal([DONE])
        expect(await backend.release([entry('a', 'mine')])).to.deep.equal([MISSING])
        await backend.acquire([entry('a', 'a later acquisition')])
        expect(await backend.release([entry('a', 'mine')])).to.deep.equal([TAKEN])
        expect(await store.get('lock:a')).to.equal('a later acquisition')
      })

      it('answers each entry on its own, in order, in one call', async () => {
        await acquireAll(backend, ['a', 'b', 'c', 'd', 'e'])
        await store.delete('lock:a')
        await store.set('lock:c', 'theirs', SHORT)
        await store.expire('lock:e')
        const outcomes = await backend.release(['a', 'b', 'c', 'd', 'e'].map((key) => entry(key, 'mine')))
        expect(outcomes).to.deep.equal([MISSING, DONE, TAKEN, DONE, MISSING])
        expect(await store.get('lock:b')).to.equal(null)
        expect(await store.get('lock:c')).to.equal('theirs')
        expect(await store.get('lock:d')).to.equal(null)
      })

      it('deletes a thousand keys in one call', async () => {
        await backend.acquire(thousand('mine'))
        const outcomes = await backend.release(thousand('mine'))
        expect(outcomes).to.have.length(1_000)
        expect(outcomes.every(({ type }) => type === 'done')).to.equal(true)
        expect(await store.get('lock:key 999')).to.equal(null)
      })
    })

    describe('release of a key that stays', () => {
      const stay = (since: number, duration: number) => ({ since, duration })

      it('lets it expire at its time, counted from its fence, and deletes the others', async () => {
        const granted = await backend.acquire(['a', 'b', 'c', 'd'].map((key) => entry(key, 'mine')))
        const fence = fenceOf(granted[0] as AcquireOutcome)
        await store.set('lock:d', 'theirs', SHORT)
        const outcomes = await backend.release([
          { ...entry('a', 'mine'), stay: stay(fence, SHORT) },
          entry('b', 'mine'),
          { ...entry('c', 'mine'), stay: stay(fence - SHORT * 1_000, SHORT) },
          { ...entry('d', 'mine'), stay: stay(fence, TTL) },
        ])
        expect(outcomes).to.deep.equal([DONE, DONE, DONE, TAKEN])
        expect(await store.remaining('lock:a')).to.be.within(SHORT / 2, SHORT)
        expect(await store.get('lock:b')).to.equal(null)
        expect(await store.get('lock:c')).to.equal(null)
        expect(await store.remaining('lock:d')).to.be.at.most(SHORT)
      })

      it('counts what is over by the time of the store', async () => {
        const fence = fenceOf(only(await backend.acquire([entry('a', 'mine')])))
        await backend.release([{ ...entry('a', 'mine'), stay: stay(fence - 100_000 * 1_000, SHORT) }])
        expect(await store.remaining('lock:a')).to.be.within(1, SHORT - 100_000)
      })

      it('keeps it no longer than its time, even if the fence is ahead of the store', async () => {
        const fence = fenceOf(only(await backend.acquire([entry('a', 'mine')])))
        await backend.release([{ ...entry('a', 'mine'), stay: stay(fence + 10 ** 12, SHORT) }])
        expect(await store.remaining('lock:a')).to.be.within(SHORT / 2, SHORT)
      })

      it('does the same again on repetition', async () => {
        const fence = fenceOf(only(await backend.acquire([entry('a', 'mine')])))
        const entries = [{ ...entry('a', 'mine'), stay: stay(fence, SHORT), watch: true }]
        expect(await backend.release(entries)).to.deep.equal([DONE])
        expect(await backend.release(entries)).to.deep.equal([DONE])
        expect(await store.remaining('lock:a')).to.be.within(SHORT / 2, SHORT)
      })
    })

    describe('inspect', () => {
      it('reports nothing of a key that nobody holds', async () => {
        expect(await backend.inspect('a')).to.equal(null)
        await backend.acquire([entry('a', 'mine')])
        await store.expire('lock:a')
        expect(await backend.inspect('a')).to.equal(null)
      })

      it('reports the token on a key, and the rest of its ttl', async () => {
        await backend.acquire([entry('a', 'mine')])
        await store.set('lock:b', 'theirs', SHORT)
        await store.set('lock:c', 'theirs', Number.POSITIVE_INFINITY)
        const [a, b, c] = await Promise.all(['a', 'b', 'c'].map((key) => backend.inspect(key)))
        expect(a?.token).to.equal('mine')
        expect(a?.remaining).to.be.within(SHORT + 1, TTL)
        expect(b?.token).to.equal('theirs')
        expect(b?.remaining).to.be.within(1, SHORT)
        expect(c).to.include({ token: 'theirs', remaining: Number.POSITIVE_INFINITY })
      })

      it('changes nothing', async () => {
        await store.set('lock:a', 'theirs', SHORT)
        await backend.inspect('a')
        expect(await store.get('lock:a')).to.equal('theirs')
        expect(await store.remaining('lock:a')).to.be.within(1, SHORT)
      })
    })

    describe('watching', () => {
      let listener: Listener
      let watcher: Backend

      beforeEach(async () => {
        listener = new Listener()
        watcher = await store.open({ prefix: 'lock:', listener })
        // That it has begun to watch may be told as a change of everything.
        listener.heard.length = 0
        for (const mark of MARKS) await store.set(`lock:${mark}`, 'theirs', SHORT)
        await watcher.acquire(MARKS.map((mark) => entry(mark, 'marking')))
      })
      afterEach(() => expect(listener.errors).to.deep.equal([]))

      /** Everything that was told until now: what is told comes in order, so whatever was to be told comes before this. */
      async function heard(): Promise<string[]> {
        for (const mark of MARKS) await store.delete(`lock:${mark}`)
        for (const mark of MARKS) await listener.hears(mark)
        return listener.heard.filter((key) => !MARKS.includes(key))
      }

      it('is on, until the backend is closed', async () => {
        expect(watcher.watching).to.equal(true)
        await watcher.close()
        expect(watcher.watching).to.equal(false)
      })

      it('is reported by a refusal, together with the key’s holder', async () => {
        await backend.acquire([entry('a', 'theirs')])
        const outcome = only(await watcher.acquire([entry('a', 'mine')]))
        expect(outcome).to.include({ type: 'refused', holder: 'theirs', watched: true })
      })

      const changes: readonly [string, () => Promise<unknown>][] = [
        ['is released', () => backend.release([entry('a', 'theirs')])],
        ['is renewed', () => backend.renew([entry('a', 'theirs')])],
        ['is deleted', () => store.delete('lock:a')],
        ['is released by force', () => backend.forceRelease('a')],
        ['is overwritten', () => store.set('lock:a', 'somebody', SHORT)],
        ['expires', () => store.expire('lock:a')],
      ]
      for (const [what, change] of changes) {
        it(`notifies a refused caller that the key ${what}`, async () => {
          await backend.acquire([entry('a', 'theirs')])
          await watcher.acquire([entry('a', 'mine')])
          await change()
          await listener.hears('a')
          expect(await heard()).to.deep.equal(['a'])
        })
      }

      it('notifies of the next change only', async () => {
        await store.set('lock:a', 'theirs', SHORT)
        await watcher.acquire([entry('a', 'mine')])
        await store.delete('lock:a')
        await store.set('lock:a', 'theirs', SHORT)
        await store.delete('lock:a')
        expect(await heard()).to.deep.equal(['a'])
      })

      it('notifies of changes of any key of one request, and of no other', async () => {
        const keys = ['a', 'b', 'c', '鍵 {1}', 'a:b']
        for (const key of keys) await store.set(`lock:${key}`, 'theirs', SHORT)
        await store.set('a', 'without the prefix', SHORT)
        await watcher.acquire(keys.map((key) => entry(key, 'mine')))
        for (const key of ['c', '鍵 {1}', 'a:b', 'a']) await store.delete(`lock:${key}`)
        await store.delete('a')
        await store.delete('lock:not asked for')
        expect((await heard()).toSorted()).to.deep.equal(['a', 'a:b', 'c', '鍵 {1}'].toSorted())
      })

      it('does not notify of a backend’s own changes', async () => {
        await watcher.acquire([entry('a', 'mine'), entry('b', 'mine')], true)
        await watcher.renew([entry('a', 'mine'), entry('b', 'mine')], true)
        await watcher.acquire([entry('a', 'mine')], true)
        await watcher.release([entry('a', 'mine')])
        await watcher.forceRelease('b')
        expect(await heard()).to.deep.equal([])
      })

      it('notifies of changes of a granted key if that was requested', async () => {
        await watcher.acquire([entry('watched', 'mine')], true)
        await watcher.acquire([entry('unwatched', 'mine')], false)
        await watcher.acquire([entry('unsaid', 'mine')])
        for (const key of ['unwatched', 'unsaid', 'watched']) await store.set(`lock:${key}`, 'theirs', SHORT)
        expect(await heard()).to.deep.equal(['watched'])
      })

      it('notifies of changes of a renewed key if that was requested, again and again', async () => {
        const keys = ['watched', 'unwatched', 'no more']
        const [watched, unwatched, noMore] = keys.map((key) => [entry(key, 'mine')]) as [
          LockEntry[],
          LockEntry[],
          LockEntry[],
        ]
        await watcher.acquire(keys.map((key) => entry(key, 'mine')))
        for (let times = 0; times < 3; times += 1) {
          await watcher.renew(watched, true)
          await watcher.renew(noMore, true)
          await watcher.renew(unwatched)
        }
        await watcher.renew(noMore, false)
        for (const key of ['unwatched', 'no more', 'watched']) await store.delete(`lock:${key}`)
        expect(await heard()).to.deep.equal(['watched'])
      })

      it('does not notify of changes of keys that belong to others', async () => {
        await store.set('lock:taken', 'theirs', SHORT)
        await watcher.renew([entry('taken', 'mine'), entry('missing', 'mine')])
        await watcher.release([entry('taken', 'mine'), entry('missing', 'mine')])
        await watcher.verify([entry('taken', 'mine'), entry('missing', 'mine')])
        await store.delete('lock:taken')
        await store.set('lock:missing', 'theirs', SHORT)
        expect(await heard()).to.deep.equal([])
      })

      it('notifies of the next holder if a release requests that', async () => {
        await watcher.acquire([entry('offered', 'mine'), entry('released', 'mine')], true)
        await watcher.release([{ ...entry('released', 'mine'), watch: false }])
        await watcher.release([{ ...entry('offered', 'mine'), watch: true }])
        await backend.acquire([entry('released', 'theirs')])
        await backend.acquire([entry('offered', 'theirs')])
        expect(await heard()).to.deep.equal(['offered'])
      })

      it('notifies that everything may have changed if everything was deleted', async () => {
        await store.set('lock:a', 'theirs', SHORT)
        await watcher.acquire([entry('a', 'mine')])
        await store.flush()
        await listener.hears('*')
      })

      it('continues after a notification', async () => {
        for (let times = 0; times < 3; times += 1) {
          await store.set('lock:a', 'theirs', SHORT)
          await watcher.acquire([entry('a', `mine ${times}`)])
          listener.heard.length = 0
          await store.delete('lock:a')
          await listener.hears('a')
        }
      })
    })

    describe('verify', () => {
      it('reports for each key whether it holds the token, and changes nothing', async () => {
        await store.set('lock:mine', 'mine', SHORT)
        await store.set('lock:theirs', 'theirs', SHORT)
        const outcomes = await backend.verify([entry('mine', 'mine'), entry('theirs', 'mine'), entry('gone', 'mine')])
        expect(outcomes).to.deep.equal([DONE, TAKEN, MISSING])
        for (const key of ['mine', 'theirs']) {
          expect(await store.get(`lock:${key}`)).to.equal(key)
          expect(await store.remaining(`lock:${key}`)).to.be.within(1, SHORT)
        }
        expect(await store.get('lock:gone')).to.equal(null)
      })

      it('leaves watched keys watched, and others unwatched', async () => {
        const listener = new Listener()
        const watcher = await store.open({ prefix: 'lock:', listener })
        listener.heard.length = 0
        await watcher.acquire([entry('unwatched', 'mine')])
        await watcher.acquire([entry('watched', 'mine')], true)
        await watcher.verify([entry('watched', 'mine'), entry('unwatched', 'mine')])
        await store.delete('lock:unwatched')
        await store.delete('lock:watched')
        await listener.hears('watched')
        expect(listener.heard).to.deep.equal(['watched'])
      })

      it('verifies a thousand keys in one call', async () => {
        await backend.acquire(thousand('mine'))
        await store.delete('lock:key 7')
        const outcomes = await backend.verify(thousand('mine'))
        expect(outcomes).to.have.length(1_000)
        expect(outcomes.flatMap(({ type }, index) => (type === 'done' ? [] : [index]))).to.deep.equal([7])
      })
    })

    describe('forceRelease', () => {
      it('deletes a key of any holder, and reports whether there was one', async () => {
        await store.set('lock:a', 'theirs', Number.POSITIVE_INFINITY)
        expect(await backend.forceRelease('a')).to.equal(true)
        expect(await store.get('lock:a')).to.equal(null)
        expect(await backend.forceRelease('a')).to.equal(false)
      })
    })

    describe('keys', () => {
      for (const [what, keys] of Object.entries(ODD_KEYS)) {
        it(`may have ${what}`, async () => {
          const entries = keys.map((key) => entry(key, `token of ${key}`))
          expect(typesOf(await backend.acquire(entries))).to.deep.equal(keys.map(() => 'granted'))
          for (const { key, token } of entries) {
            expect(await store.get(`lock:${key}`)).to.equal(token)
            expect((await backend.inspect(key))?.token).to.equal(token)
          }
          expect(typesOf(await backend.acquire(keys.map((key) => entry(key, 'theirs'))))).to.deep.equal(
            keys.map(() => 'refused'),
          )
          expect(await backend.renew(entries)).to.deep.equal(keys.map(() => DONE))
          expect(await backend.release(entries)).to.deep.equal(keys.map(() => DONE))
          for (const key of keys) expect(await store.get(`lock:${key}`)).to.equal(null)
        })
      }
    })

    describe('the prefix', () => {
      it('stands before every key', async () => {
        for (const prefix of ['', 'lease:', 'a b\r\n', '{slot}', '鍵:']) {
          const prefixed = await store.open({ prefix })
          await prefixed.acquire([entry('a', 'mine')])
          expect(await store.get(`${prefix}a`)).to.equal('mine')
          expect((await prefixed.inspect('a'))?.token).to.equal('mine')
          expect(await prefixed.renew([entry('a', 'mine')])).to.deep.equal([DONE])
          expect(await prefixed.release([entry('a', 'mine')])).to.deep.equal([DONE])
          expect(await store.get(`${prefix}a`)).to.equal(null)
        }
      })

      it('keeps the locks of two backends apart', async () => {
        const other = await store.open({ prefix: 'other:' })
        expect(typesOf(await backend.acquire([entry('a', 'mine')]))).to.deep.equal(['granted'])
        expect(typesOf(await other.acquire([entry('a', 'theirs')]))).to.deep.equal(['granted'])
        expect(await other.release([entry('a', 'mine')])).to.deep.equal([TAKEN])
        expect(await other.release([entry('a', 'theirs')])).to.deep.equal([DONE])
        expect(await store.get('lock:a')).to.equal('mine')
      })
    })

    describe('the order of calls', () => {
      it('is kept without waiting for the answers, even on a script’s first use', async () => {
        const [first, second] = [entry('a', 'first'), entry('a', 'second')]
        await backend.acquire([first])
        const answers = await Promise.all([
          backend.release([first]),
          backend.acquire([second]),
          backend.renew([first]),
          backend.renew([second]),
          backend.release([first]),
          backend.release([second]),
          backend.acquire([first]),
        ])
        expect(answers.map((outcomes) => only<AcquireOutcome | ChangeOutcome>(outcomes).type)).to.deep.equal([
          'done',
          'granted',
          'refused',
          'done',
          'refused',
          'done',
          'granted',
        ])
      })
    })

    describe('close', () => {
      it('can be called again, and at the same time', async () => {
        await Promise.all([backend.close(), backend.close()])
        await backend.close()
      })

      it('leaves locks unchanged', async () => {
        await backend.acquire([entry('a', 'mine')])
        await backend.close()
        expect(await store.get('lock:a')).to.equal('mine')
      })

      it('makes every later request unknown, and executes none of them', async () => {
        await store.set('lock:b', 'mine', SHORT)
        await backend.close()
        const entries = [entry('a', 'mine'), entry('b', 'mine')]
        expectUnknown(await backend.acquire(entries), 2)
        expectUnknown(await backend.renew(entries), 2)
        expectUnknown(await backend.release(entries), 2)
        expectUnknown(await backend.verify(entries), 2)
        expect(await rejectionOf(backend.inspect('a'))).to.be.instanceOf(Error)
        expect(await rejectionOf(backend.forceRelease('b'))).to.be.instanceOf(Error)
        expect(await store.get('lock:a')).to.equal(null)
        expect(await store.get('lock:b')).to.equal('mine')
        expect(await store.remaining('lock:b')).to.be.within(1, SHORT)
      })

      it('P24 settles unanswered requests', async () => {
        await backend.acquire([entry('a', 'mine')])
        store.hang()
        const calls = Promise.all([
          backend.acquire([entry('b', 'mine')]),
          backend.renew([entry('a', 'mine')]),
          backend.release([entry('a', 'mine')]),
          rejectionOf(backend.inspect('a')),
        ])
        await backend.close()
        const [acquired, renewed, released, inspected] = await calls
        store.resume()
        expectUnknown(acquired, 1)
        expectUnknown(renewed, 1)
        expectUnknown(released, 1)
        expect(inspected).to.be.instanceOf(Error)
      })
    })
  })
}

const ODD_KEYS: Readonly<Record<string, readonly string[]>> = {
  'letters of any script': ['schlüssel', 'schlu\u0308ssel', 'schlussel', '鍵', 'مفتاح', '🔑', '🗝'],
  spaces: [' ', '  ', 'a b', ' a', 'a ', '\t'],
  'line ends and control characters': ['\r\n', '\n', 'a\r\nb', '$3\r\nfoo\r\n', '\0', 'a\0b', '\u007f'],
  'characters that mean something elsewhere': ['*', '?', '[a-z]', '{tag}:a', '{}', '"', "'", '\\', '%s', ':', 'a:b'],
  'names of what every object has': ['__proto__', 'constructor', 'toString'],
  'a length of 4,096 characters': ['x'.repeat(4_096), `${'x'.repeat(4_095)}y`, '鍵'.repeat(4_096)],
}

const DONE = { type: 'done' } as const
const TAKEN = { type: 'refused', reason: 'taken' } as const
const MISSING = { type: 'refused', reason: 'missing' } as const

function entry(key: string, token: string, ttl = TTL): LockEntry {
  return { key, token, ttl }
}

function thousand(token: string): LockEntry[] {
  return Array.from({ length: 1_000 }, (_, index) => entry(`key ${index}`, `${token} ${index}`))
}

async function acquireAll(backend: Backend, keys: readonly string[], ttl = TTL): Promise<void> {
  const outcomes = await backend.acquire(keys.map((key) => entry(key, 'mine', ttl)))
  expect(typesOf(outcomes)).to.deep.equal(keys.map(() => 'granted'))
}

function typesOf(outcomes: readonly (AcquireOutcome | ChangeOutcome)[]): string[] {
  return outcomes.map(({ type }) => type)
}

function fenceOf(outcome: AcquireOutcome): number {
  if (outcome.type !== 'granted') expect.fail(`expected a grant, got ${outcome.type}`)
  return outcome.fence
}

function expectRising(numbers: readonly number[]): void {
  for (const [index, number] of numbers.slice(1).entries()) {
    expect(number, `fences ${numbers.join(', ')}`).to.be.greaterThan(numbers[index] as number)
  }
}

function expectUnknown(outcomes: readonly (AcquireOutcome | ChangeOutcome)[], count: number): void {
  expect(outcomes).to.have.length(count)
  for (const outcome of outcomes) {
    if (outcome.type !== 'unknown') expect.fail(`expected an unknown outcome, got ${outcome.type}`)
    expect(outcome.error).to.be.instanceOf(Error)
  }
}

async function rejectionOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => expect.fail('expected a rejection'),
    (error: unknown) => error,
  )
}

function only<T>(list: readonly T[]): T {
  expect(list).to.have.length(1)
  return list[0] as T
}
