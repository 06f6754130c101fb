/** What a manager refuses because its backend cannot do it. */
import { expect } from 'chai'
import { LeaseManager } from 'leasewheel'
import { ManualClock, MemoryBackend, MemoryStore } from 'leasewheel/memory'
import { quorum } from 'leasewheel/quorum'

/** Does what every backend must, and no more. */
class PlainBackend extends MemoryBackend {
  override readonly joints: boolean = false
  override readonly stays: boolean = false
}

async function onPlain(work: (manager: LeaseManager, backend: PlainBackend) => Promise<void>): Promise<void> {
  const clock = new ManualClock()
  const backend = new PlainBackend({ store: new MemoryStore({ clock }) })
  const manager = new LeaseManager(backend, { clock })
  try {
    await work(manager, backend)
  } finally {
    await manager.close()
  }
}

async function refusal(call: () => unknown): Promise<unknown> {
  try {
    return await call()
  } catch (error) {
    return error
  }
}

describe('a backend without `joints`', () => {
  const joint = { mode: 'permit', permits: 3, weight: 1 } as const
  const calls: [string, string, (manager: LeaseManager) => Promise<unknown>][] = [
    ['acquire with permits', 'permits', (manager) => manager.acquire('a', { permits: 3 })],
    ['tryAcquire with permits', 'permits', (manager) => manager.tryAcquire('a', { permits: 3 })],
    ['using with permits', 'permits', (manager) => manager.using('a', () => 1, { permits: 3 })],
    ['acquire of a reader', 'mode', (manager) => manager.acquire('a', { mode: 'read' })],
    ['acquire of a writer', 'mode', (manager) => manager.acquire('a', { mode: 'write' })],
    ['adopt of a permit', 'permits', (manager) => manager.adopt({ key: 'a', token: 't', fence: 1, ttl: 1_000, joint })],
  ]
  for (const [name, option, call] of calls) {
    it(`refuses ${name}, and is not asked`, () =>
      onPlain(async (manager, backend) => {
        expect(await refusal(() => call(manager)))
          .to.be.instanceOf(TypeError)
          .with.property('message')
          .that.includes(`Expected no \`${option}\` with this connection`)
        expect(backend.requests).to.include({ acquire: 0, renew: 0 })
        expect(await manager.tryAcquire('a')).to.have.property('held', true)
      }))
  }
})

describe('a backend without `stays`', () => {
  it('refuses `atLeast`, and is not asked: it would delete the key at once', () =>
    onPlain(async (manager, backend) => {
      let worked = false
      const call = (): Promise<unknown> => manager.using('a', () => (worked = true), { atLeast: 1_000 })
      expect(await refusal(call))
        .to.be.instanceOf(TypeError)
        .with.property('message')
        .that.includes('Expected no `atLeast` with this connection')
      expect(worked).to.equal(false)
      expect(backend.requests).to.include({ acquire: 0 })
      expect(await manager.using('a', () => 1)).to.equal(1)
    }))

  it('makes a quorum one without', () => {
    const able = (): MemoryBackend => new MemoryBackend()
    expect(quorum([able(), able(), able()]).stays).to.equal(true)
    expect(quorum([able(), able(), new PlainBackend()]).stays).to.equal(false)
  })
})

describe('a backend without `catalogue`', () => {
  it('refuses a share, because its members could not learn of each other', () =>
    onPlain(async (manager, backend) => {
      Object.defineProperty(backend, 'catalogue', { value: undefined })
      expect(await refusal(() => manager.share(['a'], { group: 'g' })))
        .to.be.instanceOf(TypeError)
        .with.property('message')
        .that.includes('Expected no `share` with this connection')
      expect(backend.requests).to.include({ acquire: 0 })
      const claim = manager.claim(['a'])
      await claim.close()
    }))
})
