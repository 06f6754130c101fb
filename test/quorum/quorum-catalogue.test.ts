/** Lists of quorums in memory: members that are slow, or lack a key. */
import { expect } from 'chai'
import type { Catalogue, LeaseManager } from 'leasewheel'
import type { MemoryBackend } from 'leasewheel/memory'
import { type World, withWorld } from './world.ts'

/** ms; longer than a list waits for a member that it does not need. */
const SLOW = 200

function slowDown(world: World, backend: MemoryBackend): void {
  const catalogue = backend.catalogue as Catalogue
  const look = catalogue.look.bind(catalogue)
  const slowly: Catalogue['look'] = async (keys) => {
    await new Promise<void>((resolve) => void world.clock.setTimer(resolve, SLOW))
    return look(keys)
  }
  Object.assign(catalogue, { look: slowly })
}

async function keysOf(manager: LeaseManager): Promise<string[]> {
  const keys: string[] = []
  for await (const { key } of manager.list()) keys.push(key)
  return keys.sort()
}

describe('list on a quorum', () => {
  for (const index of [0, 1, 2]) {
    it(`shows a lock once although member ${index + 1} answers slowly`, () =>
      withWorld({ timeout: 10_000 }, async (world) => {
        const { manager, members } = world.party()
        await world.finish(manager.acquireMany(['a', 'b']))
        slowDown(world, members[index] as MemoryBackend)
        expect(await world.finish(keysOf(manager), 10)).to.deep.equal(['a', 'b'])
      }))
  }

  it('shows a lock that one member lacks while another answers slowly', () =>
    withWorld({ timeout: 10_000 }, async (world) => {
      const { manager, members } = world.party()
      await world.finish(manager.acquireMany(['a', 'b']))
      world.stores[0]?.delete('b')
      slowDown(world, members[2] as MemoryBackend)
      expect(await world.finish(keysOf(manager), 10)).to.deep.equal(['a', 'b'])
    }))

  it('leaves out what only a minority has', () =>
    withWorld({}, async (world) => {
      const { manager } = world.party()
      await world.finish(manager.acquire('a'))
      world.stores[1]?.set('minority', 'somebody', 60_000)
      for (const [index, store] of world.stores.entries()) store.set('split', `token ${index}`, 60_000)
      expect(await world.finish(keysOf(manager))).to.deep.equal(['a'])
    }))

  for (const size of [1, 2, 3, 4, 5]) {
    it(`shows a lock that is not on the first members, of ${size}`, () =>
      withWorld({ size }, async (world) => {
        const { manager } = world.party()
        await world.finish(manager.acquireMany(['a', 'b', 'is not on the first member']))
        const spare = size - Math.floor(size / 2) - 1
        for (const store of world.stores.slice(0, spare)) store.delete('is not on the first member')
        for (const store of world.stores.slice(0, spare + 1)) store.delete('b')
        expect(await world.finish(keysOf(manager))).to.deep.equal(['a', 'is not on the first member'])
      }))
  }
})
