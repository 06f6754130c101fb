/** What the ledger of grants must notice, shown with a backend that grants whatever it is told to. */
import { expect } from 'chai'
import type { AcquireOutcome } from 'leasewheel'
import { MemoryBackend } from 'leasewheel/memory'
import { GrantLedger } from './grant-ledger.ts'
import { Verdict } from './violation.ts'

function ledger() {
  const verdict = new Verdict()
  const grants = new GrantLedger(verdict)
  const backend = new MemoryBackend()
  let answer = (_fence: number): void => undefined
  backend.acquire = () =>
    new Promise<readonly AcquireOutcome[]>((resolve) => {
      answer = (fence) => resolve([{ type: 'granted', fence }])
    })
  grants.follow(backend)
  /** Asks; the function that it returns answers with a fence. */
  const ask = (key: string, token: string) => {
    const outcomes = backend.acquire([{ key, token, ttl: 1_000 }])
    const grant = answer
    return async (fence: number): Promise<void> => {
      grant(fence)
      await outcomes
    }
  }
  return { verdict, grants, ask }
}

describe('the ledger of grants', () => {
  it('counts grants whose fences grow, for each key apart', async () => {
    const { verdict, grants, ask } = ledger()
    await ask('a', 'token 1')(5)
    await ask('b', 'token 2')(3)
    await ask('a', 'token 3')(6)
    expect(verdict.violation).to.equal(undefined)
    expect(grants.count).to.equal(3)
  })

  it('finds a fence that two grants have', async () => {
    const { verdict, ask } = ledger()
    const second = ask('a', 'token 2')
    await ask('a', 'token 1')(5)
    await second(5)
    expect(verdict.violation?.message).to.equal('P32: two grants of a have the fence 5')
  })

  it('finds a fence that is smaller than that of a grant before it', async () => {
    const { verdict, ask } = ledger()
    await ask('a', 'token 1')(5)
    await ask('a', 'token 2')(4)
    expect(verdict.violation?.message).to.equal('P32: the fence of a fell from 5 to 4')
  })

  it('lets grants be answered in another order than they were made in', async () => {
    const { verdict, ask } = ledger()
    const first = ask('a', 'token 1')
    await ask('a', 'token 2')(5)
    await first(4)
    expect(verdict.violation).to.equal(undefined)
  })

  it('counts a grant once if the same token is told of it again', async () => {
    const { verdict, grants, ask } = ledger()
    await ask('a', 'token 1')(5)
    await ask('a', 'token 1')(5)
    expect(verdict.violation).to.equal(undefined)
    expect(grants.count).to.equal(1)
  })
})
