/** What every backend promises that hands locks over in one step, whatever keeps the locks: `Backend.handOver` as tests. */
import { expect } from 'chai'
import type { Backend, Exchange, HandOverEntry, LockEntry } from 'leasewheel'
import { Listener, type Store } from './backend.contract.ts'

/** For keys whose time must not run out in a test, however slow the machine is; ms. */
const TTL = 600_000
/** What a whole ttl is told from; ms. */
const SHORT = 200_000

const DONE = { type: 'done' } as const
const TAKEN = { type: 'refused', reason: 'taken' } as const
const MISSING = { type: 'refused', reason: 'missing' } as const

export function describeHandOver(name: string, start: () => Promise<Store>): void {
  describe(`a hand-over by ${name}`, () => {
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

    it('P6 gives the key the next token, a whole ttl and a larger fence', async () => {
      const before = await acquire(backend, lock('a', 'mine'))
      await store.set('lock:a', 'mine', SHORT)
      const { released, acquired } = only(await handOver(backend, [entry('a', 'mine', 'next')]))
      expect(released).to.deep.equal(DONE)
      expect(fenceOf(acquired)).to.be.greaterThan(before)
      expect(await store.get('lock:a')).to.equal('next')
      expect(await store.remaining('lock:a')).to.be.within(SHORT + 1, TTL)
    })

    it('P6 gives each holder of a chain a larger fence', async () => {
      const fences = [await acquire(backend, lock('a', 'holder 0'))]
      for (let turn = 1; turn <= 20; turn += 1) {
        const { acquired } = only(await handOver(backend, [entry('a', `holder ${turn - 1}`, `holder ${turn}`)]))
        fences.push(fenceOf(acquired))
      }
      for (const [index, fence] of fences.slice(1).entries()) expect(fence).to.be.greaterThan(fences[index] as number)
    })

    it("P5 P7 leaves a key alone that holds another's token", async () => {
      await store.set('lock:a', 'theirs', SHORT)
      const { released, acquired } = only(await handOver(backend, [entry('a', 'mine', 'next')]))
      expect(released).to.deep.equal(TAKEN)
      expect(acquired).to.deep.include({ type: 'refused', holder: 'theirs', watched: true })
      expect(acquired).to.have.property('remaining').within(1, SHORT)
      expect(await store.get('lock:a')).to.equal('theirs')
      expect(await store.remaining('lock:a')).to.be.within(1, SHORT)
    })

    it('acquires a key that is gone, and says that it was', async () => {
      const { released, acquired } = only(await handOver(backend, [entry('a', 'mine', 'next')]))
      expect(released).to.deep.equal(MISSING)
      expect(fenceOf(acquired)).to.be.greaterThan(0)
      expect(await store.get('lock:a')).to.equal('next')
      expect(await store.remaining('lock:a')).to.be.within(SHORT + 1, TTL)
    })

    it('P11 recognises its own repetition by the next token', async () => {
      await acquire(backend, lock('a', 'mine'))
      const first = fenceOf(only(await handOver(backend, [entry('a', 'mine', 'next')])).acquired)
      await store.set('lock:a', 'next', SHORT)
      const { released, acquired } = only(await handOver(backend, [entry('a', 'mine', 'next')]))
      expect(released).to.deep.equal(TAKEN)
      expect(fenceOf(acquired)).to.be.greaterThan(first)
      expect(await store.get('lock:a')).to.equal('next')
      expect(await store.remaining('lock:a')).to.be.within(SHORT + 1, TTL)
    })

    it('answers each entry on its own, in order, in one call', async () => {
      const keys = ['a', 'b', 'c', 'd', 'e']
      await backend.acquire(keys.map((key) => lock(key, 'mine')))
      await store.set('lock:b', 'theirs', SHORT)
      await store.delete('lock:d')
      const outcomes = await handOver(
        backend,
        keys.map((key) => entry(key, 'mine', `next ${key}`)),
      )
      expect(outcomes.map(({ released }) => released)).to.deep.equal([DONE, TAKEN, DONE, MISSING, DONE])
      expect(outcomes.map(({ acquired }) => acquired.type)).to.deep.equal([
        'granted',
        'refused',
        'granted',
        'granted',
        'granted',
      ])
      const tokens = await Promise.all(keys.map((key) => store.get(`lock:${key}`)))
      expect(tokens).to.deep.equal(['next a', 'theirs', 'next c', 'next d', 'next e'])
    })

    it('gives each entry of one call its own ttl', async () => {
      await backend.acquire([lock('a', 'mine'), lock('b', 'mine')])
      await handOver(backend, [entry('a', 'mine', 'next', 2 * TTL), entry('b', 'mine', 'next', 3 * TTL)])
      expect(await store.remaining('lock:a')).to.be.within(TTL + 1, 2 * TTL)
      expect(await store.remaining('lock:b')).to.be.within(2 * TTL + 1, 3 * TTL)
    })

    it('keeps its place among other calls, even on its first use', async () => {
      const answers = await Promise.all([
        backend.acquire([lock('a', 'mine')]),
        handOver(backend, [entry('a', 'mine', 'next')]),
        backend.renew([lock('a', 'mine')]),
        backend.renew([lock('a', 'next')]),
        backend.release([lock('a', 'next')]),
        handOver(backend, [entry('a', 'next', 'last')]),
      ])
      const [acquired, exchanged, renewed, renewedNext, released, exchangedLast] = answers
      expect(acquired[0]?.type).to.equal('granted')
      expect(only(exchanged).released).to.deep.equal(DONE)
      expect([renewed, renewedNext, released]).to.deep.equal([[TAKEN], [DONE], [DONE]])
      expect(only(exchangedLast).released).to.deep.equal(MISSING)
      expect(await store.get('lock:a')).to.equal('last')
    })

    it('watches the key for the next holder if it is to, and not otherwise', async () => {
      const listener = new Listener()
      const watcher = await store.open({ prefix: 'lock:', listener })
      await watcher.acquire([lock('watched', 'mine'), lock('unwatched', 'mine')], true)
      await handOver(watcher, [entry('unwatched', 'mine', 'next')])
      await handOver(watcher, [entry('watched', 'mine', 'next')], true)
      listener.heard.length = 0
      await store.delete('lock:unwatched')
      await store.delete('lock:watched')
      await listener.hears('watched')
      expect(listener.heard).to.deep.equal(['watched'])
    })

    it('P23 notifies those who wait for the key elsewhere', async () => {
      const listener = new Listener()
      const watcher = await store.open({ prefix: 'lock:', listener })
      await acquire(backend, lock('a', 'mine'))
      await watcher.acquire([lock('a', 'theirs')])
      listener.heard.length = 0
      await handOver(backend, [entry('a', 'mine', 'next')])
      await listener.hears('a')
    })

    it('is unknown after the end of the backend, and changes nothing', async () => {
      await acquire(backend, lock('a', 'mine'))
      await backend.close()
      const outcomes = await backend.handOver?.([entry('a', 'mine', 'next')])
      expect(outcomes?.map(({ type }) => type)).to.deep.equal(['unknown'])
      expect(await store.get('lock:a')).to.equal('mine')
    })
  })
}

/** @throws if there is no outcome for an entry. */
async function handOver(
  backend: Backend,
  entries: readonly HandOverEntry[],
  watch?: boolean,
): Promise<readonly Exchange[]> {
  const outcomes = (await backend.handOver?.(entries, watch)) ?? expect.fail('there are no hand-overs')
  expect(outcomes).to.have.length(entries.length)
  return outcomes.map((outcome) => {
    if (outcome.type === 'unknown') throw outcome.error
    return outcome
  })
}

async function acquire(backend: Backend, wanted: LockEntry): Promise<number> {
  return fenceOf((await backend.acquire([wanted]))[0])
}

function lock(key: string, token: string): LockEntry {
  return { key, token, ttl: TTL }
}

function entry(key: string, from: string, token: string, ttl = TTL): HandOverEntry {
  return { key, from, token, ttl }
}

function fenceOf(outcome: Exchange['acquired'] | undefined): number {
  if (outcome?.type !== 'granted') expect.fail(`expected a grant, got ${outcome?.type}`)
  return outcome.fence
}

function only<T>(list: readonly T[]): T {
  expect(list).to.have.length(1)
  return list[0] as T
}
