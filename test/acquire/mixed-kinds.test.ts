/** Callers of one process that want one key in different ways, and ask for it in one turn of the event loop. */
import { expect } from 'chai'
import type { AcquireOptions } from 'leasewheel'
import { watch, withStage } from '../support/manager.ts'

const KINDS = {
  plain: {},
  permit: { permits: 2 },
  read: { mode: 'read' },
  write: { mode: 'write' },
} as const satisfies Record<string, AcquireOptions>

type Kind = keyof typeof KINDS

const ALL = Object.keys(KINDS) as Kind[]

function ordersOf(kinds: readonly Kind[]): Kind[][] {
  if (kinds.length === 0) return [[]]
  return kinds.flatMap((first) => ordersOf(kinds.filter((kind) => kind !== first)).map((rest) => [first, ...rest]))
}

/** Calls in this order while another process holds the key. @returns in which order they had it, and how long after the end of that process. */
async function serve(holder: Kind, order: readonly Kind[]): Promise<{ served: Kind[]; took: number }> {
  const served: Kind[] = []
  let took = 0
  await withStage(async ({ clock, open }) => {
    const [{ manager }, other] = [open(), open()]
    const held = await other.manager.acquire('a', KINDS[holder])
    for (const kind of order) {
      void manager.acquire('a', { ...KINDS[kind], wait: 60_000 }).then((lease) => {
        served.push(kind)
        return lease.release()
      })
    }
    await clock.advance(100)
    const from = clock.now()
    await held.release()
    while (served.length < order.length) await clock.advance(10)
    took = clock.now() - from
  })
  return { served, took }
}

describe('callers that want one key in different ways', () => {
  for (const holder of ALL) {
    it(`have it in the order of their calls, as soon as a ${holder} is over`, async () => {
      // A permit, or a reader, would join another one at once.
      const orders = ordersOf(ALL.filter((kind) => kind !== holder || kind === 'plain' || kind === 'write'))
      for (const order of [...orders, ['write', 'write', 'read'], ['write', 'read', 'write', 'read']] as Kind[][]) {
        const { served, took } = await serve(holder, order)
        expect(served, order.join(', ')).to.deep.equal(order)
        expect(took, order.join(', ')).to.be.below(100)
      }
    })
  }

  it('are not kept out by one behind them that has little patience', () =>
    withStage(async ({ clock, open }) => {
      const [{ manager }, other] = [open(), open()]
      const held = await other.manager.acquire('a', KINDS.permit)
      const reader = watch(manager.acquire('a', { mode: 'read', wait: 60_000 }))
      const writer = watch(manager.acquire('a', { mode: 'write', wait: 400 }))
      await clock.advance(100)
      await held.release()
      await clock.advance(10)
      await reader.value.release()
      await clock.advance(100)
      await writer.value.release()
    }))
})
