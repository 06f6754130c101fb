import { expect } from 'chai'
import { type Catalogue, type KeyView, UnavailableError } from 'leasewheel'
import { RedisCluster } from '../../support/redis-cluster.ts'
import { type Stage, withStage } from './stage.ts'

/** Bytes that are no text, with a hash tag that is none either. */
const ODD = Buffer.from([0x7b, 0xff, 0xc3, 0x7d, 0x3a, 0x80])
/** Keys of one slot. */
const KEYS = ['{s}:a', '{s}:b', '{s}:c', '{s}:d', '{s}:e']
const TTL = 600_000

describe('the catalogue of a cluster', () => {
  let cluster: RedisCluster

  before(async () => {
    // Nobody takes a slow node for dead.
    cluster = await RedisCluster.start({ replicas: 0, nodeTimeout: 15_000 })
  })
  after(() => cluster.stop())
  afterEach(async () => {
    for (const node of cluster.nodes) await node.command('FLUSHALL')
  })

  const withCatalogue = (prefix: string, work: (catalogue: Catalogue, stage: Stage) => Promise<void>): Promise<void> =>
    withStage(cluster.client({ lazyConnect: true }), { prefix }, (stage) =>
      work(stage.backend.catalogue ?? expect.fail('there is no catalogue'), stage),
    )

  it('lists keys that are no text', () =>
    withCatalogue('', async (catalogue) => {
      await cluster.client().set(ODD, 'somebody')
      const views = await listAll(catalogue)
      expect(views.map(({ key, token }) => [Buffer.from(key), token])).to.deep.equal([[ODD, 'somebody']])
    }))

  it('looks at and removes keys that are no text, under a prefix of several bytes', () =>
    withCatalogue('é:', async (catalogue) => {
      await cluster.client().set(Buffer.concat([Buffer.from('é:'), ODD]), 'somebody')
      const views = await catalogue.look([ODD])
      expect(views.map(({ key, token }) => [Buffer.from(key), token])).to.deep.equal([[ODD, 'somebody']])
      expect(await catalogue.remove(ODD)).to.equal(true)
      expect(await catalogue.remove(ODD)).to.equal(false)
      expect(await catalogue.look([ODD])).to.deep.equal([])
    }))

  it('lists each key of a slot once that is half moved', () =>
    withCatalogue('', async (catalogue, stage) => {
      await stage.backend.acquire(stage.entriesOf(...KEYS))
      const slot = await cluster.slotOf('{s}')
      const owner = await cluster.masterOf(slot)
      const target = cluster.nodes.find((node) => node !== owner) ?? expect.fail('there is one node')
      await cluster.migrate(slot, target, 'half')
      try {
        expect(namesOf(await listAll(catalogue))).to.deep.equal(KEYS)
      } finally {
        await cluster.migrate(slot, target, 'old')
      }
      expect(namesOf(await listAll(catalogue))).to.deep.equal(KEYS)
    }))

  it('goes on with the other nodes if that of the cursor serves nothing any more', () =>
    withCatalogue('', async (catalogue, stage) => {
      const { backend, routing } = stage
      const keys = Array.from({ length: 50 }, (_, index) => `key ${index}`).toSorted()
      await backend.acquire(stage.entriesOf(...keys))
      const [first] = routing.views()
      const left = keys.filter((key) => routing.routeOf(routing.placeOf(key)) !== first?.route)
      expect(namesOf(await listAll(catalogue, `${first?.route};99;1234`))).to.deep.equal(left)
    }))

  it('announces managers on the node that has the announcements by now', () =>
    withCatalogue('lock:', async (catalogue) => {
      await catalogue.announce({ id: 'one', text: 'first' }, TTL)
      const slot = await cluster.slotOf('{members}')
      const owner = await cluster.masterOf(slot)
      const target = cluster.nodes.find((node) => node !== owner) ?? expect.fail('there is one node')
      await cluster.migrate(slot, target, 'old')
      expect(await catalogue.announced()).to.deep.equal(['first'])
      expect((await catalogue.announce({ id: 'two', text: 'second' }, TTL)).toSorted()).to.deep.equal(['one', 'two'])
      await catalogue.withdraw('one')
      expect(await catalogue.announced()).to.deep.equal(['second'])
    }))

  it('rejects rather than to list too little if a slot has no node', async () => {
    const slot = await cluster.slotOf('{s}')
    const owner = await cluster.masterOf(slot)
    // The owner first: it would tell the others again that it serves the slot.
    for (const node of [owner, ...cluster.nodes]) await node.command('CLUSTER', 'DELSLOTS', slot).catch(() => undefined)
    try {
      await withCatalogue('', async (catalogue) => {
        const fault = await listAll(catalogue).catch((error: Error) => error)
        expect(fault).to.be.instanceOf(UnavailableError)
        expect(fault).to.have.property('message', 'No node serves some of the slots')
      })
    } finally {
      await owner.command('CLUSTER', 'ADDSLOTS', slot)
      await cluster.untilWhole()
    }
  })
})

/** All pages from a cursor on, sorted by key. */
async function listAll(catalogue: Catalogue, start?: string): Promise<KeyView[]> {
  const views: KeyView[] = []
  let cursor = start
  do {
    const page = await catalogue.list('*', cursor)
    views.push(...page.keys)
    cursor = page.cursor
  } while (cursor !== undefined)
  return views.sort((one, other) => Buffer.compare(one.key, other.key))
}

function namesOf(views: readonly KeyView[]): string[] {
  return views.map(({ key }) => Buffer.from(key).toString())
}
