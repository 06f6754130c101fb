/** acquireMany: each key on its own, together in batches, with null for a key that was refused. */
import { expect } from 'chai'
import { type Lease, LeaseManager, LockNotHeldError, UnavailableError } from 'leasewheel'
import { MemoryBackend } from 'leasewheel/memory'
import sinon from 'sinon'
import { grant, rejectionOf, TICK, TTL, watch, withManager } from '../support/manager.ts'

describe('acquireMany', () => {
  it('acquires each key on its own, in the order of the keys', () =>
    withManager({}, async ({ manager, store, events }) => {
      store.set('lease:b', 'somebody', TTL)
      const leases = await manager.acquireMany(['c', 'b', 'a'])
      expect(leases.map((lease) => lease?.key)).to.deep.equal(['c', undefined, 'a'])
      expect(leases[1]).to.equal(null)
      expect(leases.map((lease) => lease?.held)).to.deep.equal([true, undefined, true])
      expect(events.lines).to.deep.equal(['acquired c', 'acquired a'])
    }))

  it('sends the keys in batches of bounded size', () =>
    withManager({ batchSize: 100 }, async ({ manager, backend }) => {
      const leases = await manager.acquireMany(Array.from({ length: 950 }, (_, index) => `key-${index}`))
      expect(leases.filter((lease) => lease?.held)).to.have.length(950)
      expect(backend.calls('acquire').map(({ entries }) => entries.length)).to.deep.equal([
        ...Array.from({ length: 9 }, () => 100),
        50,
      ])
    }))

  it('acquires any number of keys', () =>
    withManager({ autoRenew: false, batchSize: 1_000 }, async ({ manager }) => {
      const keys = Array.from({ length: 25_000 }, (_, index) => `key-${index}`)
      const leases = await manager.acquireMany(keys)
      expect(leases.map((lease) => lease?.key)).to.deep.equal(keys)
      expect(manager.size).to.equal(25_000)
    }))

  it('starts with a few thousand keys, and yields to the event loop in between', () =>
    withManager({ autoRenew: false }, async ({ manager, backend, clock }) => {
      backend.holdAnswers('acquire')
      const soon: (() => void)[] = []
      const stub = sinon.stub(clock, 'soon').callsFake((callback) => void soon.push(callback))
      const call = watch(manager.acquireMany(Array.from({ length: 8_000 }, (_, index) => `key-${index}`)))
      const asked: number[] = []
      for (let turns = 0; turns < 5; turns += 1) {
        for (let moment = 0; moment < 10; moment += 1) await Promise.resolve()
        asked.push(backend.calls('acquire').reduce((sum, { entries }) => sum + entries.length, 0))
        for (const goOn of soon.splice(0)) goOn()
      }
      stub.restore()
      expect(asked).to.deep.equal([2_048, 4_096, 6_144, 8_000, 8_000])
      backend.deliverAll()
      await clock.settle()
      expect(call.value).to.have.length(8_000)
    }))

  it('P7 returns null for the second occurrence of a key', () =>
    withManager({}, async ({ manager }) => {
      const leases = await manager.acquireMany(['a', 'b', 'a', 'a'])
      expect(leases.map((lease) => lease?.key)).to.deep.equal(['a', 'b', undefined, undefined])
    }))

  it('accepts any iterable of keys, and nothing else', () =>
    withManager({}, async ({ manager, backend }) => {
      function* generate() {
        yield 'x'
        yield 'y'
      }
      expect((await manager.acquireMany(new Set(['a', 'b']))).map((lease) => lease?.key)).to.deep.equal(['a', 'b'])
      expect((await manager.acquireMany(generate())).map((lease) => lease?.key)).to.deep.equal(['x', 'y'])
      expect(await manager.acquireMany([])).to.deep.equal([])
      const { acquire } = backend.requests
      for (const keys of ['abc', undefined, 5, [5], ['c', null]]) {
        expect(await rejectionOf(manager.acquireMany(keys as string[]))).to.be.instanceOf(TypeError)
      }
      expect(await rejectionOf(manager.acquireMany(['c', '']))).to.be.instanceOf(RangeError)
      expect(backend.requests.acquire).to.equal(acquire)
    }))

  it('does not wait for held keys unless it is told to', () =>
    withManager({}, async ({ manager, clock, store }) => {
      store.set('lease:b', 'somebody', 1_000)
      const before = clock.now()
      expect((await manager.acquireMany(['a', 'b'])).map((lease) => lease?.key)).to.deep.equal(['a', undefined])
      expect(clock.now()).to.equal(before)

      const call = watch(manager.acquireMany(['b', 'c'], { wait: 2_000 }))
      await clock.advance(999)
      expect(call.state).to.equal('pending')
      expect(manager.get('c')?.held).to.equal(true)
      await clock.advance(2 + TICK)
      expect(call.value.map((lease) => lease?.key)).to.deep.equal(['b', 'c'])
    }))

  it('returns null for a key it waited for in vain, and keeps the rest', () =>
    withManager({}, async ({ manager, clock, store }) => {
      store.set('lease:b', 'somebody', 60_000)
      const call = watch(manager.acquireMany(['a', 'b'], { wait: 1_000 }))
      await clock.advance(1_000 + 2 * TICK)
      expect(call.value.map((lease) => lease?.key)).to.deep.equal(['a', undefined])
      expect(call.value[0]?.held).to.equal(true)
    }))

  it('rejects with UnavailableError if the server answers nothing', () =>
    withManager({}, async ({ manager, backend, clock, store }) => {
      backend.block()
      const call = watch(manager.acquireMany(['a', 'b'], { timeout: 100 }))
      await clock.advance(100 + 2 * TICK)
      expect(call.error).to.be.instanceOf(UnavailableError)
      backend.unblock()
      await clock.settle()
      expect(store.keys()).to.deep.equal([])
    }))

  it('releases everything if one attempt gets no answer', () =>
    withManager({ batchSize: 2 }, async ({ manager, backend, clock, store, events }) => {
      backend.holdAnswers('acquire')
      const call = watch(manager.acquireMany(['a', 'b', 'c', 'd', 'e', 'f']))
      await clock.settle()
      const [first, second, third] = backend.answers.splice(0)
      first?.deliver()
      second?.reject(new Error('ECONNRESET'))
      third?.deliver()
      await clock.advance(100)
      expect(call.error).to.be.instanceOf(UnavailableError)
      expect(call.error).to.have.property('message').that.includes('ECONNRESET')
      expect(manager.size).to.equal(0)
      expect(store.keys()).to.deep.equal([])
      const keys = ['a', 'b', 'e', 'f']
      expect(events.lines).to.have.members([
        ...keys.map((key) => `acquired ${key}`),
        ...keys.map((key) => `released ${key}`),
      ])
    }))

  it('P21 repeats unanswered requests as long as it may wait', () =>
    withManager({ batchSize: 2 }, async ({ manager, backend, clock, store, events }) => {
      backend.holdAnswers('acquire')
      const call = watch(manager.acquireMany(['a', 'b', 'c', 'd'], { wait: 2_000 }))
      await clock.settle()
      const [first, second] = backend.answers.splice(0)
      first?.reject(new Error('ECONNRESET'))
      second?.deliver()
      backend.deliverAll()
      await clock.advance(1_000)
      expect(call.value.map((lease) => lease?.held)).to.deep.equal([true, true, true, true])
      for (const lease of call.value) expect(store.get(`lease:${lease?.key}`)).to.equal(lease?.token)
      const acquired = events.lines.filter((line) => line.startsWith('acquired'))
      expect(acquired).to.have.members(['acquired a', 'acquired b', 'acquired c', 'acquired d'])
    }))

  it('releases everything if it is aborted while it waits for some keys', () =>
    withManager({}, async ({ manager, clock, store }) => {
      store.set('lease:b', 'somebody', 60_000)
      const abort = new AbortController()
      const call = watch(manager.acquireMany(['a', 'b', 'c'], { wait: Infinity, signal: abort.signal }))
      await clock.advance(500)
      expect(store.keys()).to.have.members(['lease:a', 'lease:b', 'lease:c'])
      abort.abort()
      await clock.advance(TICK)
      expect(call.error).to.include({ name: 'AbortError' })
      expect(store.keys()).to.deep.equal(['lease:b'])
    }))

  it('passes its options to every lease', () =>
    withManager({}, async ({ manager, clock }) => {
      const leases = await manager.acquireMany(['a', 'b'], { ttl: 500, autoRenew: false })
      expect(leases.map((lease) => lease?.ttl)).to.deep.equal([500, 500])
      await clock.advance(500)
      expect(leases.map((lease) => lease?.held)).to.deep.equal([false, false])
    }))
})

describe('acquireMany with concurrent callers', () => {
  it('P7 concurrent callers wait for the answer of acquireMany', () =>
    withManager({}, async ({ manager, backend, clock }) => {
      backend.holdAnswers('acquire')
      const many = watch(manager.acquireMany(['a', 'b']))
      const one = watch(manager.tryAcquire('a'))
      const other = watch(manager.tryAcquire('a'))
      const waiting = watch(manager.acquire('b'))
      await clock.settle()
      expect([one.state, other.state, waiting.state]).to.deep.equal(['pending', 'pending', 'pending'])
      expect(backend.requests.acquire).to.equal(1)
      backend.deliverAll()
      await clock.advance(TICK)
      expect([one.value, other.value]).to.deep.equal([null, null])
      expect(many.value.map((lease) => lease?.held)).to.deep.equal([true, true])
      expect(waiting.state).to.equal('pending')
      void many.value[1]?.release()
      await clock.advance(TICK)
      expect(waiting.value.held).to.equal(true)
    }))

  it('P24 never makes a caller without a wait queue behind a waiter', async () => {
    for (const outcome of ['granted', 'refused'] as const) {
      await withManager({}, async ({ manager, backend, clock, store }) => {
        if (outcome === 'refused') store.set('lease:a', 'somebody', 60_000)
        backend.holdAnswers('acquire')
        const many = watch(manager.acquireMany(['a']))
        const patient = watch(manager.acquire('a', { wait: 60_000 }))
        const impatient = watch(manager.tryAcquire('a'))
        await clock.settle()
        backend.deliverAll()
        await clock.advance(TICK)
        expect(many.value.map((lease) => lease !== null)).to.deep.equal([outcome === 'granted'])
        expect(impatient.value).to.equal(null)
        expect(patient.state).to.equal('pending')
        await manager.close()
        expect(patient.state).to.equal('rejected')
      })
    }
  })

  for (const [what, keys] of [
    ['a change', ['b']],
    ['changes of who knows what', undefined],
  ] as const) {
    it(`P18 acquireMany learns of ${what} before its answer`, () =>
      withManager({ batchSize: 1 }, async ({ manager, backend, clock, store, events }) => {
        backend.deaf = true
        backend.holdAnswers('acquire')
        const many = watch(manager.acquireMany(['a', 'b']))
        await clock.settle()
        store.delete('lease:b')
        backend.listener.onChange(keys)
        const [first] = backend.answers.splice(0, 1)
        first?.deliver()
        await clock.settle()
        backend.deliverAll()
        await clock.advance(2 * TICK)
        expect(many.value.map((lease) => lease?.held)).to.deep.equal([true, false])
        expect(events.lines).to.include('lost b: missing')
      }))
  }

  it('P24 ends if a listener aborts it while it takes up keys', () =>
    withManager({ autoRenew: false }, async ({ manager, clock, store }) => {
      store.set('lease:c', 'somebody', 600_000)
      const abort = new AbortController()
      manager.on('lost', () => abort.abort())
      await manager.acquire('b')
      const other = watch(manager.acquire('c', { wait: 600_000 }))
      await clock.settle()
      clock.jump(TTL)
      // That `b` has expired is noticed when it is looked at.
      const many = watch(manager.acquireMany(['a', 'b', 'c', 'd'], { wait: 600_000, signal: abort.signal }))
      await clock.advance(1_000)
      expect(many.error).to.have.property('name', 'AbortError')
      expect(other.state).to.equal('pending')
      expect(manager.stats()).to.include({ waiting: 1, held: 0 })
    }))

  it('P18 does not pass its own missing answer on to other callers', () =>
    withManager({}, async ({ manager, backend, clock }) => {
      backend.holdAnswers('acquire')
      const many = watch(manager.acquireMany(['a'], { timeout: 100 }))
      const one = watch(manager.tryAcquire('a'))
      await clock.advance(50)
      backend.answers.splice(0)[0]?.reject(new Error('ECONNRESET'))
      await clock.settle()
      expect(many.error).to.be.instanceOf(UnavailableError)
      backend.deliverAll()
      await clock.advance(100)
      expect(one.value?.held).to.equal(true)
    }))

  it('yields to callers that came earlier', () =>
    withManager({}, async ({ manager, backend, clock }) => {
      backend.holdAnswers('acquire')
      const one = watch(manager.tryAcquire('a'))
      const many = watch(manager.acquireMany(['a', 'b']))
      await clock.settle()
      backend.deliverAll()
      await clock.advance(TICK)
      expect(one.value?.held).to.equal(true)
      expect(many.value.map((lease) => lease?.key)).to.deep.equal([undefined, 'b'])
    }))

  it('P11 P24 releases a grant that arrives after an abort or a close', async () => {
    for (const how of ['abort', 'close'] as const) {
      await withManager({ batchSize: 2 }, async ({ manager, backend, clock, store, events }) => {
        const abort = new AbortController()
        backend.holdAnswers('acquire')
        const call = watch(manager.acquireMany(['a', 'b', 'c'], { signal: abort.signal }))
        await clock.settle()
        if (how === 'abort') abort.abort()
        else void manager.close()
        await clock.settle()
        expect(call.error).to.have.property('name', how === 'abort' ? 'AbortError' : 'ManagerClosedError')
        expect(store.keys()).to.include('lease:a')
        backend.deliverAll()
        await clock.advance(TTL)
        expect(store.keys()).to.deep.equal([])
        expect(events.lines).to.deep.equal([])
      })
    }
  })

  it('P10 does not return a lease that was granted too late', () =>
    withManager({}, async ({ manager, backend, clock, store }) => {
      backend.holdAnswers('acquire')
      const call = watch(manager.acquireMany(['a', 'b']))
      await clock.settle()
      clock.jump(TTL)
      backend.deliverAll()
      await clock.advance(TICK)
      expect(call.error).to.be.instanceOf(UnavailableError)
      expect(store.keys()).to.deep.equal([])
    }))

  it('P11 acquireMany releases all if a listener aborts on the first lease', () =>
    withManager({}, async ({ manager, clock, store, events }) => {
      const abort = new AbortController()
      manager.once('acquired', () => abort.abort())
      const many = watch(manager.acquireMany(['a', 'b', 'c'], { signal: abort.signal }))
      const other = watch(manager.acquire('b', { wait: 10_000 }))
      await clock.advance(2_000)
      expect(many.error).to.have.property('name', 'AbortError')
      expect(other.value.held).to.equal(true)
      expect(store.keys()).to.deep.equal(['lease:b'])
      expect([manager.size, manager.stats().waiting]).to.deep.equal([1, 0])
      expect(events.lines.filter((line) => line.startsWith('released'))).to.have.length(3)
    }))

  it('P10 loses no lease or caller if a listener requests a key found expired', () =>
    withManager({ autoRenew: false }, async ({ manager, clock, store }) => {
      await manager.acquire('a')
      const calls: { value: unknown }[] = []
      manager.once('lost', () => calls.push(watch(manager.tryAcquire('a')), watch(manager.acquireMany(['a']))))
      clock.jump(TTL)
      const [lease] = await manager.acquireMany(['a'])
      await clock.settle()
      expect(lease?.held).to.equal(true)
      expect(calls.map(({ value }) => value)).to.deep.equal([null, [null]])
      expect([manager.size, manager.stats().waiting, manager.stats().queues]).to.deep.equal([1, 0, 0])
      await manager.close()
      expect(store.keys()).to.deep.equal([])
    }))

  it('P10 loses no lease or caller if a listener requests a key being adopted', () =>
    withManager({}, async ({ manager, backend, clock, store }) => {
      backend.deaf = true
      const handle = (await grant(manager.tryAcquire('a'))).detach()
      store.delete('lease:a')
      await manager.acquire('a')
      store.set('lease:a', handle.token, TTL)
      const calls: { value: unknown }[] = []
      manager.once('lost', () => calls.push(watch(manager.acquireMany(['a']))))
      const adopted = await manager.adopt(handle)
      await clock.settle()
      expect(adopted.held).to.equal(true)
      expect(manager.get('a')).to.equal(adopted)
      expect(calls.map(({ value }) => value)).to.deep.equal([[null]])
      expect([manager.size, manager.stats().waiting, manager.stats().queues]).to.deep.equal([1, 0, 0])
      await manager.close()
      expect(store.keys()).to.deep.equal([])
    }))

  for (const how of ['on', 'once'] as const) {
    it(`P10 does not return a lease that its only listener, attached by ${how}, has ended`, async () => {
      const manager = new LeaseManager(new MemoryBackend())
      const end = ({ lease }: { readonly lease: Lease }): void => void lease.release()
      manager[how]('acquired', end)
      expect(await manager.acquireMany(['a'])).to.deep.equal([null])
      manager.off('acquired', end)
      for (const call of [async () => manager.tryAcquire('a'), async () => manager.acquireAll(['a'])]) {
        manager[how]('acquired', end)
        expect(await rejectionOf(call())).to.be.instanceOf(LockNotHeldError)
        manager.off('acquired', end)
      }
      await manager.close()
    })
  }

  it('leaves a lease alone that was adopted while its key was requested and refused', () =>
    withManager({}, async ({ manager, backend, clock }) => {
      const handle = (await grant(manager.tryAcquire('a'))).detach()
      backend.holdAnswers('acquire')
      const call = watch(manager.acquireMany(['a', 'b']))
      await clock.settle()
      expect([manager.size, manager.stats().waiting]).to.deep.equal([0, 2])
      const adopted = await manager.adopt(handle)
      expect([manager.size, [...manager]]).to.deep.equal([1, [adopted]])
      backend.deliverAll()
      await clock.settle()
      expect(call.value.map((lease) => lease?.key)).to.deep.equal([undefined, 'b'])
      expect(manager.get('a')).to.equal(adopted)
      expect(adopted.held).to.equal(true)
      expect([manager.size, manager.stats().waiting]).to.deep.equal([2, 0])
    }))

  it('P10 ends a lease that was adopted while its key was requested and granted', () =>
    withManager({}, async ({ manager, backend, clock, store, events }) => {
      backend.deaf = true
      const handle = (await grant(manager.tryAcquire('a'))).detach()
      backend.holdAnswers('renew')
      backend.holdAnswers('acquire')
      const adoption = watch(manager.adopt(handle))
      await clock.settle()
      store.delete('lease:a')
      const call = watch(manager.acquireMany(['a']))
      await clock.settle()
      const [renewed, granted] = backend.answers.splice(0)
      renewed?.deliver()
      await clock.settle()
      expect(adoption.value.held).to.equal(true)
      granted?.deliver()
      backend.deliverAll()
      await clock.settle()
      expect(adoption.value.held).to.equal(false)
      expect(call.value.map((lease) => lease?.held)).to.deep.equal([true])
      expect(manager.get('a')).to.equal(call.value[0])
      expect([manager.size, manager.stats().waiting]).to.deep.equal([1, 0])
      expect(events.lines.slice(-2)).to.deep.equal(['lost a: taken', 'acquired a'])
    }))
})

describe('the progress reports of acquireMany', () => {
  it('progress is reported after each batch and each awaited key', () =>
    withManager({ batchSize: 2 }, async ({ manager, store, clock }) => {
      store.set('lease:b', 'somebody', 1_000)
      const told: number[][] = []
      const call = watch(
        manager.acquireMany(['a', 'b', 'c', 'd', 'e'], {
          wait: 5_000,
          onProgress: ({ done, total }) => told.push([done, total]),
        }),
      )
      await clock.settle()
      expect(told).to.deep.equal([
        [1, 5],
        [3, 5],
        [4, 5],
      ])
      await clock.advance(1_000 + 2 * TICK)
      expect(told.at(-1)).to.deep.equal([5, 5])
      expect(call.value.every((lease) => lease?.held)).to.equal(true)
    }))

  it('P17 do no harm if the listener throws', () =>
    withManager({}, async ({ manager, events }) => {
      const fault = new Error('on purpose')
      const onProgress = (): void => {
        throw fault
      }
      const leases = await manager.acquireMany(['a', 'b'], { onProgress })
      expect(leases.every((lease) => lease?.held)).to.equal(true)
      await manager.close({ onProgress })
      expect(events.takeErrors()).to.deep.equal([fault, fault])
    }))
})

describe('acquireMany with a duplicate key', () => {
  for (const wait of [0, 1_000, Number.POSITIVE_INFINITY]) {
    it(`gives null the second time, and waits for nobody: wait ${wait}`, () =>
      withManager({ batchSize: 4 }, async ({ manager, clock }) => {
        const progress: number[] = []
        const keys = ['a', 'b', 'a', 'c', 'd', 'e', 'a', 'e', 'b']
        const call = watch(manager.acquireMany(keys, { wait, onProgress: ({ done }) => progress.push(done) }))
        await clock.settle()
        expect(call.value.map((lease) => lease?.key ?? null)).to.deep.equal([
          'a',
          'b',
          null,
          'c',
          'd',
          'e',
          null,
          null,
          null,
        ])
        expect(progress.at(-1)).to.equal(keys.length)
      }))
  }

  it('acquireMany waits once for a held key, and returns null for duplicates', () =>
    withManager({}, async ({ manager, clock, store }) => {
      store.set('lease:a', 'somebody', 1_000)
      const call = watch(manager.acquireMany(['a', 'a', 'b', 'a'], { wait: Number.POSITIVE_INFINITY }))
      await clock.advance(1_100)
      expect(call.value.map((lease) => lease?.key ?? null)).to.deep.equal(['a', null, 'b', null])
    }))

  it('waits for a key that another lease of this manager holds', () =>
    withManager({}, async ({ manager, clock }) => {
      const lease = await manager.acquire('a')
      const call = watch(manager.acquireMany(['a', 'b', 'a'], { wait: Number.POSITIVE_INFINITY }))
      await clock.advance(100)
      expect(call.state).to.equal('pending')
      await lease.release()
      await clock.settle()
      expect(call.value.map((one) => one?.key ?? null)).to.deep.equal(['a', 'b', null])
    }))

  it('gives each key to one of two concurrent calls while the other waits', () =>
    withManager({}, async ({ manager, clock }) => {
      const calls = [1, 2].map(() => watch(manager.acquireMany(['a', 'b', 'a'], { wait: Number.POSITIVE_INFINITY })))
      await clock.settle()
      const [first, second] = calls
      expect(first?.value.map((one) => one?.key ?? null)).to.deep.equal(['a', 'b', null])
      expect(second?.state).to.equal('pending')
      for (const lease of first?.value ?? []) await lease?.release()
      await clock.advance(100)
      expect(second?.value.map((one) => one?.key ?? null)).to.deep.equal(['a', 'b', null])
    }))

  it('takes time proportional to the number of keys, not to its square', () =>
    withManager({ batchSize: 256 }, async ({ manager, clock }) => {
      const keys = Array.from({ length: 12_000 }, (_, index) => `k${index % 4_000}`)
      const call = watch(manager.acquireMany(keys, { wait: Number.POSITIVE_INFINITY }))
      for (let turn = 0; turn < 400 && call.state === 'pending'; turn += 1) await clock.settle()
      expect(call.value.filter((lease) => lease !== null)).to.have.length(4_000)
      expect(call.value.slice(0, 4_000).every((lease) => lease?.held)).to.equal(true)
    }))
})

describe('a cancelled call for many keys', () => {
  type Call = (manager: LeaseManager, signal: AbortSignal) => Promise<unknown>
  const calls: Record<string, Call> = {
    acquireMany: (manager, signal) => manager.acquireMany(['a', 'b', 'c'], { wait: 60_000, signal }),
    acquireAll: (manager, signal) => manager.acquireAll(['a', 'b', 'c'], { wait: 60_000, signal }),
  }
  for (const [name, call] of Object.entries(calls)) {
    it(`P11 rejects at once on a server that hangs, and releases its keys later: ${name}`, () =>
      withManager({ ttl: 60_000 }, async ({ manager, backend, clock, store }) => {
        store.set('lease:c', 'somebody', 3_600_000)
        const abort = new AbortController()
        const result = watch(call(manager, abort.signal))
        await clock.advance(100)
        backend.block()
        abort.abort(new Error('enough'))
        await clock.settle()
        expect(String(result.error)).to.equal('Error: enough')
        backend.unblock()
        await clock.settle()
        expect(store.keys()).to.deep.equal(['lease:c'])
      }))

    it(`P11 rejects at once if nothing has been answered yet: ${name}`, () =>
      withManager({ ttl: 60_000 }, async ({ manager, backend, clock, store }) => {
        backend.block()
        const abort = new AbortController()
        const result = watch(call(manager, abort.signal))
        await clock.settle()
        abort.abort(new Error('enough'))
        await clock.settle()
        expect(String(result.error)).to.equal('Error: enough')
        backend.unblock()
        await clock.settle()
        expect(store.keys()).to.deep.equal([])
      }))

    it(`P24 is awaited by close, as long as its budget allows: ${name}`, () =>
      withManager({ ttl: 60_000 }, async ({ manager, backend, clock, store }) => {
        store.set('lease:c', 'somebody', 3_600_000)
        const abort = new AbortController()
        const result = watch(call(manager, abort.signal))
        await clock.advance(100)
        backend.block()
        abort.abort(new Error('enough'))
        await clock.settle()
        const closed = watch(manager.close({ timeout: 5_000 }))
        await clock.advance(1_000)
        expect(closed.state).to.equal('pending')
        backend.unblock()
        await clock.settle()
        expect([result.state, closed.state]).to.deep.equal(['rejected', 'fulfilled'])
        expect(store.keys()).to.deep.equal(['lease:c'])
      }))
  }

  it('P11 rejects at once while it releases its keys after an unanswered request', () =>
    withManager({ ttl: 60_000, timeout: 2_000, batchSize: 1 }, async ({ manager, backend, clock }) => {
      backend.holdAnswers('acquire')
      const abort = new AbortController()
      const result = watch(manager.acquireMany(['a', 'b'], { signal: abort.signal }))
      await clock.settle()
      backend.answers.shift()?.deliver()
      await clock.settle()
      backend.block()
      await clock.advance(2_000 + 2 * TICK)
      expect(result.state).to.equal('pending')
      abort.abort()
      await clock.settle()
      expect(result.error).to.be.instanceOf(UnavailableError)
      backend.unblock()
    }))
})

describe('a lease that a listener of `acquired` ends', () => {
  const ends: Record<string, (lease: Lease) => void> = {
    releases: (lease) => void lease.release(),
    detaches: (lease) => void lease.detach(),
  }
  for (const [how, end] of Object.entries(ends)) {
    it(`P10 a lease that a listener ${how} is said not to be held`, () =>
      withManager({ ttl: 1_000 }, async ({ manager, clock, store }) => {
        manager.on('acquired', ({ lease }) => {
          if (lease.key.startsWith('unwanted')) end(lease)
        })
        const detached = (await manager.acquire('other')).detach()
        const calls = [
          manager.tryAcquire('unwanted1'),
          manager.acquire('unwanted2', { wait: 500 }),
          manager.using('unwanted3', () => undefined),
          manager.acquireAll(['wanted1', 'unwanted4'], { wait: 0 }),
          manager.acquireAll(['wanted2', 'unwanted5'], { wait: 500 }),
          manager.acquireMany(['wanted3', 'unwanted6']),
          manager.acquireMany(['wanted4', 'unwanted7'], { wait: 500 }),
        ].map((call) => watch<unknown>(call))
        await clock.advance(100)
        for (const { error } of calls.slice(0, 5)) {
          expect(error).to.be.instanceOf(LockNotHeldError)
          expect(String(error)).to.not.match(/late/)
        }
        for (const { value } of calls.slice(5)) {
          const [wanted, unwanted] = value as (Lease | null)[]
          expect([wanted?.held, unwanted]).to.deep.equal([true, null])
        }
        expect(manager.size).to.equal(2)
        expect(detached.key).to.equal('other')
        await clock.advance(1_000)
        expect(store.keys()).to.deep.equal(['lease:wanted3', 'lease:wanted4'])
      }))
  }
})
