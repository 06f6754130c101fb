/** The keys that a manager accepts. */
import { inspect } from 'node:util'
import { expect } from 'chai'
import { LeaseManager } from 'leasewheel'
import { MemoryBackend } from 'leasewheel/memory'
import { rejectionOf, withManager } from '../support/manager.ts'

const HALF = '\ud83d'

describe('a key with half of a surrogate pair', () => {
  for (const key of [HALF, `order:${HALF}`, '\udd12 first', `${HALF} apart \udd12`]) {
    it(`a key with half of a surrogate pair is refused, with the reason: ${JSON.stringify(key)}`, () =>
      withManager({}, async ({ manager, backend }) => {
        const calls = [
          manager.tryAcquire(key),
          manager.acquire(key),
          manager.acquireMany(['a', key]),
          manager.acquireAll(['a', key]),
          manager.using(key, () => undefined),
          manager.inspect(key),
          manager.forceRelease(key),
          manager.adopt({ key, token: 't', fence: 1, ttl: 1_000 }),
        ]
        for (const call of calls) {
          const error = await rejectionOf(call)
          expect(error).to.be.instanceOf(RangeError)
          expect((error as Error).message)
            .to.include('`key`')
            .and.to.include('surrogate')
        }
        expect(() => manager.get(key)).to.throw(RangeError, 'surrogate')
        expect(backend.requests.acquire).to.equal(0)
      }))
  }

  it('half of a surrogate pair is refused in a prefix, an owner and a token', () =>
    withManager({}, async ({ manager }) => {
      expect(() => new LeaseManager(new MemoryBackend(), { prefix: HALF })).to.throw(RangeError, '`prefix`')
      expect(() => new LeaseManager(new MemoryBackend(), { owner: HALF })).to.throw(RangeError, '`owner`')
      const error = await rejectionOf(manager.adopt({ key: 'a', token: HALF, fence: 1, ttl: 1_000 }))
      expect(error).to.be.instanceOf(RangeError)
    }))

  it('a key with a whole surrogate pair is accepted', () =>
    withManager({}, async ({ manager }) => {
      expect((await manager.acquire('🔒')).key).to.equal('🔒')
    }))
})

describe('forceRelease', () => {
  for (const key of [null, undefined, 5, {}]) {
    it(`forceRelease complains about the key that came: ${inspect(key)}`, () =>
      withManager({}, async ({ manager }) => {
        const error = await rejectionOf(manager.forceRelease(key as never))
        expect(error).to.be.instanceOf(TypeError)
        expect((error as Error).message).to.match(/^Expected `key` to be a string, got /)
      }))
  }
})
