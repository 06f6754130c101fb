/** What every catalogue promises, whatever keeps the locks: `src/catalogue.ts` as tests. */
import { setTimeout } from 'node:timers/promises'
import { expect } from 'chai'
import type { Catalogue, KeyView } from 'leasewheel'
import type { Store } from './backend.contract.ts'

/** For keys and announcements whose time must not run out in a test, ms. */
const TTL = 600_000
/** So many that they need several pages. */
const MANY = 3_000

/** Patterns, and which of `NAMES` they match. */
const NAMES = ['order:1', 'order:2', 'order:10', 'report', 'a*b', 'axb', '[x]', 'back\\slash', 'é', '']
const PATTERNS: Readonly<Record<string, readonly string[]>> = {
  '*': NAMES,
  'order:*': ['order:1', 'order:2', 'order:10'],
  'order:?': ['order:1', 'order:2'],
  'order:[12]': ['order:1', 'order:2'],
  'order:[^1]': ['order:2'],
  'order:[0-1]*': ['order:1', 'order:10'],
  '*o*t': ['report'],
  report: ['report'],
  repor: [],
  'a\\*b': ['a*b'],
  'a*b': ['a*b', 'axb'],
  '\\[x]': ['[x]'],
  '??': ['é'],
}

export function describeCatalogue(name: string, start: () => Promise<Store>): void {
  describe(`the catalogue of ${name}`, () => {
    let store: Store
    let catalogue: Catalogue

    const open = async (prefix = 'lock:'): Promise<Catalogue> =>
      (await store.open({ prefix })).catalogue ?? expect.fail('there is no catalogue')

    before(async () => {
      store = await start()
    })
    beforeEach(async () => {
      catalogue = await open()
    })
    afterEach(() => store.clear())
    after(() => store.stop())

    it('lists nothing if there is nothing', async () => {
      expect(await listAll(catalogue)).to.deep.equal([])
    })

    it('lists what is on each key under the prefix, and nothing else', async () => {
      await store.set('lock:a', 'mine', TTL)
      await store.set('lock:b', 'theirs', Number.POSITIVE_INFINITY)
      await store.set('lock', 'outside', TTL)
      await store.set('other:c', 'outside', TTL)
      const views = await listAll(catalogue)
      expect(views.map(({ token }) => token)).to.deep.equal(['mine', 'theirs'])
      expect(views.map(nameOf)).to.deep.equal(['a', 'b'])
      expect(views.map(({ type, holders }) => [type, holders])).to.deep.equal([
        ['string', 1],
        ['string', 1],
      ])
      expect(views[0]?.remaining).to.be.within(1, TTL)
      expect(views[1]?.remaining).to.equal(Number.POSITIVE_INFINITY)
    })

    it('lists many keys in pages, each key once', async () => {
      const names = Array.from({ length: MANY }, (_, index) => `key ${index}`)
      await Promise.all(names.map((each) => store.set(`lock:${each}`, 'mine', TTL)))
      expect((await listAll(catalogue)).map(nameOf)).to.deep.equal(names.toSorted())
      expect((await catalogue.list('*')).keys.length).to.be.lessThan(MANY / 2)
    })

    it('lists a key that is there all the time, though others come and go between pages', async () => {
      const names = Array.from({ length: MANY }, (_, index) => `key ${index}`)
      await Promise.all(names.map((each) => store.set(`lock:${each}`, 'mine', TTL)))
      const kept = names.filter((_, index) => index % 3 === 0)
      const found = new Set<string>()
      let cursor: string | undefined
      let turn = 0
      do {
        const page = await catalogue.list('*', cursor)
        for (const view of page.keys) found.add(nameOf(view))
        cursor = page.cursor
        // Some go, those first that come first.
        const going = names.slice(turn * 100, turn * 100 + 100).filter((each) => !kept.includes(each))
        await Promise.all(going.map((each) => store.delete(`lock:${each}`)))
        await store.set(`lock:new ${turn}`, 'mine', TTL)
        turn += 1
      } while (cursor !== undefined)
      expect(kept.filter((each) => !found.has(each))).to.deep.equal([])
    })

    it('goes on from a cursor as often as it is asked to', async () => {
      const names = Array.from({ length: MANY }, (_, index) => `key ${index}`)
      await Promise.all(names.map((each) => store.set(`lock:${each}`, 'mine', TTL)))
      const { keys, cursor } = await catalogue.list('*')
      await catalogue.list('*', cursor)
      for (let turn = 0; turn < 2; turn += 1) {
        const rest = await listAll(catalogue, '*', cursor)
        expect([...keys, ...rest].map(nameOf).toSorted()).to.deep.equal(names.toSorted())
      }
    })

    it('matches patterns as Redis does', async () => {
      for (const each of NAMES) await store.set(`lock:${each}`, 'mine', TTL)
      for (const [pattern, expected] of Object.entries(PATTERNS)) {
        expect((await listAll(catalogue, pattern)).map(nameOf), pattern).to.deep.equal(expected.toSorted())
      }
    })

    it('takes every letter of a prefix as it is', async () => {
      const prefix = 'a*[b]?\\^-:'
      await store.set(`${prefix}mine`, 'mine', TTL)
      await store.set('axb?\\^-:theirs', 'theirs', TTL)
      await store.set('a*b?\\^-:theirs', 'theirs', TTL)
      expect((await listAll(await open(prefix))).map(nameOf)).to.deep.equal(['mine'])
    })

    it('looks at keys by their names, and leaves out those that are gone', async () => {
      for (const each of NAMES) await store.set(`lock:${each}`, each, TTL)
      const keys = ['é', 'gone', 'back\\slash', ''].map((key) => Buffer.from(key))
      const views = await catalogue.look(keys)
      expect(views.map((view) => [nameOf(view), view.token, view.type])).to.deep.equal([
        ['é', 'é', 'string'],
        ['back\\slash', 'back\\slash', 'string'],
        ['', '', 'string'],
      ])
      for (const { remaining } of views) expect(remaining).to.be.within(1, TTL)
      expect(await catalogue.look([])).to.deep.equal([])
    })

    it('removes a lock, whoever holds it, and says whether there was one', async () => {
      for (const each of NAMES) await store.set(`lock:${each}`, 'mine', TTL)
      expect(await catalogue.remove(Buffer.from('é'))).to.equal(true)
      expect(await catalogue.remove(Buffer.from('é'))).to.equal(false)
      expect((await listAll(catalogue)).map(nameOf)).to.deep.equal(NAMES.filter((each) => each !== 'é').toSorted())
    })

    it('neither looks at nor removes what belongs to all managers', async () => {
      const bare = await store.open({ prefix: '' })
      await bare.acquire([{ key: 'a', token: 'mine', ttl: TTL }])
      await bare.catalogue?.announce({ id: 'one', text: 'text' }, TTL)
      const own = ['leasewheel:fence', 'leasewheel:{members}:index:', 'leasewheel:{members}:id:one'].map((key) =>
        Buffer.from(key),
      )
      expect(await bare.catalogue?.look(own)).to.deep.equal([])
      for (const key of own) expect(await bare.catalogue?.remove(key)).to.equal(false)
      expect(await bare.catalogue?.announced()).to.deep.equal(['text'])
    })

    it('leaves out what belongs to all managers', async () => {
      const bare = await store.open({ prefix: '' })
      await bare.acquire([{ key: 'a', token: 'mine', ttl: TTL }])
      await bare.catalogue?.announce({ id: 'one', text: 'text' }, TTL)
      expect((await listAll(bare.catalogue ?? expect.fail('there is no catalogue'))).map(nameOf)).to.deep.equal(['a'])
    })

    it('keeps announcements until their time is over, apart for each prefix', async () => {
      const [other, same] = [await open('other:'), await open()]
      expect(await catalogue.announce({ id: 'one', text: 'first' }, TTL)).to.deep.equal(['one'])
      expect(await other.announce({ id: 'elsewhere', text: 'other' }, TTL)).to.deep.equal(['elsewhere'])
      expect((await same.announce({ id: 'two', text: 'second' }, TTL)).toSorted()).to.deep.equal(['one', 'two'])
      expect((await catalogue.announced()).toSorted()).to.deep.equal(['first', 'second'])
      expect(await catalogue.announced(['two', 'nobody'])).to.deep.equal(['second'])
      expect(await other.announced()).to.deep.equal(['other'])
      await catalogue.announce({ id: 'one', text: 'renewed' }, 1)
      while ((await catalogue.announced()).includes('renewed')) await setTimeout(1)
      expect(await catalogue.announced()).to.deep.equal(['second'])
      await setTimeout(1)
      expect(await catalogue.announce({ id: 'two', text: 'second' }, TTL)).to.deep.equal(['two'])
    })

    it('takes announcements back', async () => {
      await catalogue.announce({ id: 'one', text: 'first' }, TTL)
      await catalogue.announce({ id: 'two', text: 'second' }, TTL)
      await catalogue.withdraw('one')
      await catalogue.withdraw('never was')
      expect(await catalogue.announced()).to.deep.equal(['second'])
      expect(await catalogue.announce({ id: 'two', text: 'second' }, TTL)).to.deep.equal(['two'])
    })
  })
}

/** All pages from a cursor on, sorted by key. */
async function listAll(catalogue: Catalogue, match = '*', start?: string): Promise<KeyView[]> {
  const views: KeyView[] = []
  let cursor = start
  do {
    const page = await catalogue.list(match, cursor)
    views.push(...page.keys)
    cursor = page.cursor
  } while (cursor !== undefined)
  return views.sort((one, other) => (nameOf(one) < nameOf(other) ? -1 : 1))
}

function nameOf({ key }: KeyView): string {
  return Buffer.from(key).toString()
}
