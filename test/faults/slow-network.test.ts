/** A network and a server that are slow, but not so slow that a request times out. */
import { expect } from 'chai'
import type { Lease } from 'leasewheel'
import { LASTING, clock, heldFor, withManager } from '../redis/support.ts'
import { type Direction, withProxy } from '../support/proxy.ts'
import { withRedis } from '../support/redis-server.ts'

const TTL = LASTING.ttl as number
/** ms. */
const DELAY = 100

interface Slowness {
  readonly inflict: (direction: Direction) => void
  /** What everything takes at least, in ms. */
  readonly least: number
}

const SLOW: Readonly<Record<string, Slowness>> = {
  'delays what it is given': {
    inflict: (direction) => {
      direction.delay = DELAY
    },
    least: DELAY,
  },
  'lets a thousand bytes pass in a second': {
    inflict: (direction) => {
      direction.bytesPerSecond = 1_000
    },
    least: 0,
  },
}

describe('a slow network', () => {
  for (const [title, { inflict, least }] of Object.entries(SLOW)) {
    it(`P1 P18 a network that ${title} causes no jeopardy and no later deadline`, () =>
      withRedis((server) =>
        withProxy(server.port, (proxy) =>
          withManager(`redis://127.0.0.1:${proxy.port}`, LASTING, async ({ manager, journal }) => {
            // So that no script has to be sent whole any more, which is only slow.
            const warm = await manager.acquire('warm')
            await warm.renew()
            for (const [index, ways] of [[proxy.up], [proxy.down], [proxy.up, proxy.down]].entries()) {
              for (const direction of ways) inflict(direction)
              const late = least * ways.length
              const lease = await expectDeadline(late, () => manager.acquire(`a ${index}`))
              await expectDeadline(late, async () => {
                await lease.renew()
                return lease
              })
              for (const direction of ways) direction.mend()
              expect(await lease.release()).to.equal(true)
              expect(journal.story(lease)).to.deep.equal(['acquired', 'renewed', 'released'])
            }
            expect(journal.errors).to.deep.equal([])
          }),
        ),
      ))
  }
})

/** @param late what an answer takes at least after its question was sent, in ms: so much is missing from the time that the lease has left. */
async function expectDeadline(late: number, ask: () => Promise<Lease>): Promise<Lease> {
  const askedAt = clock.now()
  const lease = await ask()
  const { remaining } = lease
  expect(remaining).to.be.within(heldFor(TTL) - (clock.now() - askedAt), heldFor(TTL) - late)
  return lease
}
