import { expect } from 'chai'
import { ManualClock } from 'leasewheel/memory'
import { type AskForMap, MapKeeper } from '#src/redis/cluster/map-keeper.js'
import type { SlotRange } from '#src/redis/cluster/slots-reply.js'

/** A keeper whose nodes answer as the test says. */
class Stage {
  readonly clock = new ManualClock()
  readonly maps: (readonly SlotRange[])[] = []
  readonly faults: Error[] = []
  nodes: AskForMap[] = [async () => []]
  troubled = false
  unsettled = false
  asked = 0
  readonly keeper = new MapKeeper({
    clock: this.clock,
    candidates: async () => {
      this.asked += 1
      return this.nodes
    },
    isTroubled: () => this.troubled,
    isUnsettled: () => this.unsettled,
    onMap: (map) => void this.maps.push(map),
    onFault: (error) => void this.faults.push(error),
  })

  /** How often nodes are asked within so many ms. */
  async within(duration: number): Promise<number> {
    const before = this.asked
    for (let passed = 0; passed < duration; passed += 10) {
      await this.clock.advance(10)
      await this.clock.settle()
    }
    return this.asked - before
  }
}

async function withKeeper(work: (stage: Stage) => Promise<void>): Promise<void> {
  const stage = new Stage()
  stage.keeper.start()
  await stage.clock.settle()
  expect(stage.asked, 'at the start').to.equal(1)
  await work(stage)
  stage.keeper.close()
  await stage.clock.settle()
  expect(stage.clock.timers, 'P24: timers').to.equal(0)
}

describe('the map of a cluster', () => {
  it('is asked for every ten seconds at most, without a reason', () =>
    withKeeper(async (stage) => {
      expect(await stage.within(4_990)).to.equal(0)
      expect(await stage.within(5_010)).to.be.within(1, 2)
    }))

  it('is asked for every second while the end of a move is awaited', () =>
    withKeeper(async (stage) => {
      stage.unsettled = true
      await stage.keeper.fresh()
      expect(await stage.within(10_000)).to.be.within(9, 20)
      stage.unsettled = false
      await stage.keeper.fresh()
      expect(await stage.within(4_990)).to.equal(0)
    }))

  it('is asked for ten times a second while a node is away, and then less often', () =>
    withKeeper(async (stage) => {
      stage.troubled = true
      await stage.keeper.fresh()
      expect(await stage.within(1_000)).to.be.within(8, 20)
      await stage.within(60_000)
      expect(await stage.within(10_000)).to.be.within(9, 20)
      stage.troubled = false
      await stage.within(1_000)
      expect(await stage.within(4_000)).to.equal(0)
    }))

  it('is asked for within 50 ms if somebody wishes, once for many, and less and less often', () =>
    withKeeper(async (stage) => {
      for (let wishes = 0; wishes < 20; wishes += 1) stage.keeper.wish()
      expect(await stage.within(110)).to.equal(1)
      let asked = 0
      for (let passed = 0; passed < 10_000; passed += 100) {
        stage.keeper.wish()
        asked += await stage.within(100)
      }
      expect(asked).to.be.within(10, 30)
    }))

  it('is asked for once more if somebody wishes while another is under way', () =>
    withKeeper(async (stage) => {
      let answer: (() => void) | undefined
      stage.nodes = [() => new Promise((resolve) => (answer = () => resolve([])))]
      void stage.keeper.fresh()
      await stage.clock.settle()
      stage.keeper.wish()
      answer?.()
      await stage.clock.settle()
      expect(await stage.within(200)).to.equal(1)
      answer?.()
      await stage.clock.settle()
    }))

  it('is taken from the next node if one fails, or is silent', () =>
    withKeeper(async (stage) => {
      const map: readonly SlotRange[] = []
      stage.nodes = [() => Promise.reject(new Error('no')), () => new Promise(() => undefined), async () => map]
      const fresh = stage.keeper.fresh()
      await stage.within(300)
      await fresh
      expect(stage.maps.at(-1)).to.equal(map)
      expect(stage.faults).to.deep.equal([])
    }))

  it('that nobody gives is reported once, and asked for again after pauses of a second at most', () =>
    withKeeper(async (stage) => {
      stage.nodes = [() => Promise.reject(new Error('no 1')), () => Promise.reject(new Error('no 2'))]
      const changed = stage.keeper.changed().catch((error: Error) => error)
      await stage.keeper.fresh()
      expect(await changed).to.have.property('message', 'No map of the cluster: no 2')
      await stage.within(5_000)
      expect(await stage.within(10_000)).to.be.within(9, 20)
      expect(stage.faults.map(({ message }) => message)).to.deep.equal(['No map of the cluster: no 2'])
      expect(stage.keeper.fault).to.be.instanceOf(Error)
      stage.nodes = [async () => []]
      await stage.within(1_000)
      expect(stage.keeper.fault).to.equal(undefined)
    }))
})
