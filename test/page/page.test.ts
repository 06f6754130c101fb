/** The page without a browser: what its server answers. */
import { expect } from 'chai'
import { page } from 'leasewheel/page'
import type { Hello, LockPage, LockStory, Tick } from '#src/page/wire.js'
import { grant, type Member, type Stage, TTL, withManager } from '../support/manager.ts'
import { until } from '../support/until.ts'
import { PageStage, TOKEN } from './support.ts'

type Options = Parameters<typeof PageStage.open>[1]

/** A manager in memory, and its page. Time stands still unless the test moves it. */
function withPage(
  options: Options,
  work: (stage: Stage & Member & { site: PageStage }) => Promise<void>,
): Promise<void> {
  return withManager({ owner: 'web-1' }, async (stage) => {
    const site = await PageStage.open(stage.manager, { clock: stage.clock, ...options })
    try {
      await work({ ...stage, site })
    } finally {
      await site.close()
    }
  })
}

const ODD_KEYS = [
  'plain',
  '"quotes\' `and`',
  'line\nbreak',
  '<script>alert(1)</script>',
  'é😀',
  `long ${'x'.repeat(1_024)}`,
  '../..',
  '__proto__',
]

describe('the page’s server', () => {
  it('sends the page, its style, its script and its icon, and nothing inline', () =>
    withPage({}, async ({ site }) => {
      const html = await site.ask('/')
      expect(html.status).to.equal(200)
      expect(html.headers['content-type']).to.equal('text/html; charset=utf-8')
      expect(html.text).to.include('src="page.js"').and.include('href="page.css"')
      expect(html.text).to.not.match(/<style|<script(?![^>]*\ssrc=)|\sstyle=|\son\w+=|https?:/)
      const script = await site.ask('/page.js')
      expect(script.headers['content-type']).to.equal('text/javascript; charset=utf-8')
      expect(script.text)
        .to.include('live.sse')
        .and.not.match(/innerHTML|\beval\(|new Function/)
      expect((await site.ask('/page.css')).text)
        .to.include('.uplot')
        .and.include('prefers-color-scheme: dark')
      expect((await site.ask('/icon.svg')).headers['content-type']).to.equal('image/svg+xml; charset=utf-8')
    }))

  it('forbids a browser everything that the page does not need', () =>
    withPage({}, async ({ site }) => {
      for (const path of ['/', '/page.js', '/locks.json', '/nothing.txt']) {
        const { headers } = await site.ask(path)
        const policy = headers['content-security-policy']
        expect(policy).to.include("default-src 'none'").and.include("script-src 'self'").and.include("style-src 'self'")
        expect(policy).to.include("require-trusted-types-for 'script'").and.not.include('unsafe')
        expect(policy).to.include("frame-ancestors 'none'")
        expect(headers).to.include({ 'x-content-type-options': 'nosniff', 'cache-control': 'no-store' })
        expect(headers['cross-origin-resource-policy']).to.equal('same-origin')
      }
    }))

  it('answers under any path, and adds the slash that relative addresses need', () =>
    withPage({}, async ({ site }) => {
      expect((await site.ask('/ops/locks/page.css')).status).to.equal(200)
      expect((await site.ask('/ops/locks/')).text).to.include('<!doctype html>')
      const { status, headers } = await site.ask('/ops/locks?a=b')
      expect([status, headers.location]).to.deep.equal([308, './locks/?a=b'])
      // Two slashes would name another host.
      expect((await site.ask('//evil.example')).status).to.equal(404)
      expect((await site.ask('//evil')).headers.location).to.equal('./evil/')
    }))

  it('refuses other methods and other paths', () =>
    withPage({}, async ({ site }) => {
      const { status, headers } = await site.ask('/locks.json', { method: 'DELETE' })
      expect([status, headers['allow']]).to.deep.equal([405, 'GET'])
      expect((await site.ask('/lock.json')).status).to.equal(405)
      expect((await site.ask('/else.txt')).status).to.equal(404)
      expect((await site.ask('/', { method: 'HEAD' })).text).to.equal('')
    }))

  it('checks its arguments', () =>
    withManager({}, async ({ manager }) => {
      expect(() => page(manager, { readOnly: false })).to.throw(TypeError, '`token`')
      expect(() => page(manager, { readOnly: false, token: 'short' })).to.throw(
        RangeError,
        /^(?!.*short).*16 characters/,
      )
      expect(() => page(manager, { hosts: ['example.com:80'] })).to.throw(RangeError, '`hosts`')
      expect(() => page(manager, { view: 'all' as never })).to.throw(RangeError, '`view`')
      expect(() => page(manager, { readonly: false } as never)).to.throw(TypeError, '`readonly`')
      expect(() => page({} as never)).to.throw(TypeError, '`leases`')
    }))
})

describe('who may ask the page’s server', () => {
  it('refuses hosts that it does not expect, for whatever they ask', () =>
    withPage({ hosts: ['ops.example.com'] }, async ({ site }) => {
      for (const host of [
        'evil.example',
        'evil.example:80',
        'ops.example.com.evil.example',
        'a@localhost',
        'localhost/x',
      ]) {
        for (const path of ['/', '/page.js', '/locks.json', '/live.sse']) {
          const { status, data } = await site.ask(path, { headers: { host } })
          expect([status, String(data['error']).includes('`hosts`')], `${host} ${path}`).to.deep.equal([403, true])
        }
      }
      for (const host of [
        'localhost',
        'LOCALHOST:1',
        'app.localhost:80',
        '127.0.0.1:3000',
        '[::1]:80',
        '10.1.2.3',
        'Ops.Example.com',
      ]) {
        expect((await site.ask('/', { headers: { host } })).status, host).to.equal(200)
      }
    }))

  it('gives data to no other site', () =>
    withPage({}, async ({ site }) => {
      for (const site_ of ['cross-site', 'same-site']) {
        const headers = { 'sec-fetch-site': site_ }
        expect((await site.ask('/locks.json', { headers })).status).to.equal(403)
        expect((await site.ask('/live.sse', { headers })).status).to.equal(403)
        expect((await site.post('/lock.json', { key: 'a' }, headers)).status).to.equal(403)
        // A link may lead here from anywhere.
        expect((await site.ask('/', { headers })).status).to.equal(200)
      }
      expect((await site.ask('/locks.json', { headers: { 'sec-fetch-site': 'same-origin' } })).status).to.equal(200)
    }))

  it('releases nothing for another origin, without the token, or with another one', () =>
    withPage({ readOnly: false, token: TOKEN }, async ({ site, manager }) => {
      const lease = await grant(manager.tryAcquire('a'))
      const [{ owner, since }] = (await site.ask('/locks.json')).data['rows'] as [{ owner: string; since: number }]
      const body = { key: 'a', owner, since }
      const good = { 'x-leasewheel-token': TOKEN, origin: `http://127.0.0.1:${site.port}` }
      const refused: Record<string, string>[] = [
        { ...good, origin: 'http://evil.example' },
        { ...good, origin: `http://127.0.0.1:${site.port + 1}` },
        { ...good, origin: 'null' },
        { ...good, 'sec-fetch-site': 'cross-site' },
        { origin: good.origin },
        { ...good, 'x-leasewheel-token': `${TOKEN}x` },
        { ...good, 'x-leasewheel-token': '' },
        { ...good, host: 'evil.example', origin: 'http://evil.example' },
      ]
      for (const headers of refused) {
        expect((await site.post('/release.json', body, headers)).status, JSON.stringify(headers)).to.equal(403)
      }
      expect((await site.post('/release.json', body, { ...good, 'content-type': 'text/plain' })).status).to.equal(400)
      expect(lease.held).to.equal(true)
      expect((await site.post('/release.json', body, good)).data).to.deep.equal({ released: true })
    }))

  it('takes an origin behind a proxy with a name of its own, if that is allowed', () =>
    withPage({ readOnly: false, token: TOKEN, hosts: ['ops.example.com'] }, async ({ site }) => {
      const headers = { 'x-leasewheel-token': TOKEN, origin: 'https://ops.example.com' }
      expect((await site.post('/release.json', { key: 'free' }, headers)).data).to.deep.equal({ released: false })
    }))

  it('releases nothing at all unless it is told that it may', () =>
    withPage({ token: TOKEN }, async ({ site, manager }) => {
      await grant(manager.tryAcquire('a'))
      const { status, data } = await site.post('/release.json', { key: 'a' }, { 'x-leasewheel-token': TOKEN })
      expect([status, data['error']]).to.deep.equal([403, 'The page is read-only'])
      expect(manager.get('a')?.held).to.equal(true)
    }))
})

describe('locks on the page', () => {
  const writable = { readOnly: false, token: TOKEN }
  const release = (site: PageStage, lock: object) => site.post('/release.json', lock, { 'x-leasewheel-token': TOKEN })

  it('shows and releases keys that are any text', () =>
    withPage(writable, async ({ site, manager }) => {
      const leases = await Promise.all(ODD_KEYS.map((key) => grant(manager.tryAcquire(key))))
      const { rows } = (await site.ask('/locks.json')).data as unknown as LockPage
      expect(rows.map(({ key }) => key).toSorted()).to.deep.equal(ODD_KEYS.toSorted())
      for (const [index, lease] of leases.entries()) {
        const { key } = lease
        const row = rows.find((one) => one.key === key)
        expect(row).to.deep.include({ kind: 'lease', owner: 'web-1', fence: lease.fence, bytes: null, waiters: 0 })
        const story = (await site.post('/lock.json', { key })).data as unknown as LockStory
        expect(story.lock).to.deep.equal(row)
        expect(story.lease).to.deep.equal({ state: 'held', ttl: TTL, remaining: lease.remaining })
        expect((await release(site, { ...row })).data, key).to.deep.equal({ released: true })
        await until(`the lease on ${key} is lost`, () => !lease.held)
        const later = (await site.post('/lock.json', { key })).data as unknown as LockStory
        expect([later.lock, later.lease]).to.deep.equal([null, null])
        expect(later.losses).to.have.length(1)
        expect(later.losses[0]).to.include({ key, reason: 'missing', fence: lease.fence })
        expect(manager.size).to.equal(leases.length - index - 1)
      }
    }))

  it('counts the callers here that wait for a lock', () =>
    withPage({}, async ({ site, manager, store }) => {
      store.set('lease:a', 'somebody', TTL)
      const ending = new AbortController()
      const calls = [1, 2].map(() => manager.acquire('a', { signal: ending.signal }).catch(() => undefined))
      const story = (await site.post('/lock.json', { key: 'a' })).data as unknown as LockStory
      expect(story.lock).to.include({ kind: 'string', owner: null, since: null, waiters: 2, fence: null })
      ending.abort()
      await Promise.all(calls)
    }))

  it('does not release a lock that another holds by then', () =>
    withPage(writable, async ({ site, manager, store }) => {
      await grant(manager.tryAcquire('a'))
      const [row] = ((await site.ask('/locks.json')).data as unknown as LockPage).rows
      store.set('lease:a', 'another', TTL)
      const { status, data } = await release(site, { ...row })
      expect([status, data['error']]).to.deep.equal([409, 'Somebody else holds the lock meanwhile'])
      expect(store.get('lease:a')).to.equal('another')
    }))

  it('finds a part of a key, a pattern, an owner, and a whole key first', () =>
    withPage({}, async ({ site, manager, store }) => {
      await manager.acquireMany(['order:1', 'order:11', 'report', 'a\\b'])
      store.set('lease:order:2', 'somebody', TTL)
      const find = async (query: Record<string, string>): Promise<string[]> => {
        const { data } = await site.ask(`/locks.json?${String(new URLSearchParams(query))}`)
        return (data as unknown as LockPage).rows.map(({ key }) => key)
      }
      expect(await find({ text: 'rder:1' })).to.deep.equal(['order:1', 'order:11'])
      expect(await find({ text: 'order:11' })).to.deep.equal(['order:11'])
      expect(await find({ text: 'order:?' })).to.deep.equal(['order:1', 'order:2'])
      expect(await find({ text: 'order', owner: 'web-1' })).to.deep.equal(['order:1', 'order:11'])
      expect(await find({ text: '\\' })).to.deep.equal(['a\\b'])
      expect(await find({ text: 'none' })).to.deep.equal([])
    }))

  it('lists many locks page by page, each once, and ends', () =>
    withPage({}, async ({ site, store }) => {
      const keys = Array.from({ length: 5_000 }, (_, index) => `order:${index}`)
      for (const key of keys) store.set(`lease:${key}`, 'somebody', TTL)
      const seen: string[] = []
      let cursor: string | null = ''
      while (cursor !== null) {
        const path: string = `/locks.json${cursor && `?cursor=${cursor}`}`
        const { rows, cursor: next } = (await site.ask(path)).data as unknown as LockPage
        expect(rows.length).to.be.within(1, 1_124)
        seen.push(...rows.map(({ key }) => key))
        cursor = next
      }
      expect(seen.toSorted()).to.deep.equal(keys.toSorted())
    }))

  it('answers a long search in parts, so that its findings show early', () =>
    withPage({}, async ({ site, store, clock, backend }) => {
      for (let index = 0; index < 5_000; index += 1) store.set(`lease:${index}`, 'somebody', TTL)
      backend.block()
      const first = site.ask('/locks.json?text=x*')
      await until('the page asks', () => backend.requests.list === 1)
      clock.jump(1_000)
      backend.unblock()
      const { rows, cursor, took } = (await first).data as unknown as LockPage
      expect([rows.length, cursor === null, took]).to.deep.equal([0, false, 1_000])
    }))

  it('says what is wrong if locks cannot be listed', () =>
    withPage({}, async ({ site, backend }) => {
      expect((await site.ask(`/locks.json?text=${'x'.repeat(5_000)}`)).status).to.equal(400)
      for (const body of ['{', '[]x', '5', '{"key":5}', '{"key":"a","bytes":5}', `"${'x'.repeat(70_000)}"`]) {
        expect((await site.post('/lock.json', body)).status, body.slice(0, 20)).to.equal(400)
      }
      backend.fail(new Error('it is broken'))
      const { status, data } = await site.ask('/locks.json')
      expect(status).to.equal(503)
      expect(data['error']).to.include('it is broken')
      backend.fail(undefined)
    }))
})

describe('the live stream of the page', () => {
  it('shows at once how things are, and each second what has changed', () =>
    withPage({ title: 'my locks' }, async ({ site, manager, store, clock }) => {
      await manager.acquireMany(['a', 'b', 'c'])
      const viewer = await site.watch()
      await until('the first event is there', () => viewer.events.length > 0)
      const [hello] = viewer.of<Hello>('hello')
      expect(hello).to.include({ title: 'my locks', readOnly: true, view: 'process' })
      expect(hello?.points).to.have.length(1)
      expect(hello?.points[0]).to.include({ held: 3, waiting: 0, gap: true, lost: 0 })
      expect(hello?.facts.own).to.include({ connection: 'connected', acquired: 3 })
      store.delete('lease:b')
      await clock.advance(1_000)
      await until('a second is over', () => viewer.of('tick').length === 1)
      const [tick] = viewer.of<Tick>('tick')
      expect(tick?.point).to.include({ held: 2, lost: 1, gap: false })
      expect(tick?.losses.map(({ key, reason }) => [key, reason])).to.deep.equal([['b', 'missing']])
      expect(tick?.facts.lost).to.equal(1)
      await clock.advance(1_000)
      await until('two seconds are over', () => viewer.of('tick').length === 2)
      expect(viewer.of<Tick>('tick')[1]?.losses).to.deep.equal([])
      const late = await site.watch()
      await until('the other one has its first event', () => late.events.length > 0)
      expect(late.of<Hello>('hello')[0]?.points.map(({ held }) => held)).to.deep.equal([3, 2, 2])
      expect(late.of<Hello>('hello')[0]?.losses).to.have.length(1)
      expect(late.response.headers['cache-control']).to.include('no-transform')
    }))

  it('looks once for all viewers, and not at all without one', () =>
    withPage({}, async ({ site, manager, clock, backend }) => {
      let looks = 0
      const stats = manager.stats.bind(manager)
      manager.stats = () => {
        looks += 1
        return stats()
      }
      const idle = clock.timers
      await clock.advance(5_000)
      expect([looks, backend.requests.announce, clock.timers]).to.deep.equal([0, 0, idle])
      const viewers = [await site.watch(), await site.watch(), await site.watch()]
      await until('all have their first event', () => viewers.every(({ events }) => events.length > 0))
      const [before, asked] = [looks, backend.requests.announce]
      await clock.advance(3_000)
      await until('all have three more', () => viewers.every((viewer) => viewer.of('tick').length === 3))
      expect([looks - before, backend.requests.announce - asked]).to.deep.equal([3, 3])
      for (const viewer of viewers) viewer.close()
      await until('no timer is left', () => clock.timers === idle)
      const after = looks
      await clock.advance(5_000)
      expect(looks).to.equal(after)
    }))

  it('goes on while Redis does not answer, and shows the managers again afterwards', () =>
    withManager({ announce: 100 }, async ({ manager, backend, clock, events }) => {
      const site = await PageStage.open(manager, { clock })
      try {
        await clock.advance(200)
        const viewer = await site.watch()
        const lastTick = (): Tick | undefined => viewer.of<Tick>('tick').at(-1)
        await until('the first event is there', () => viewer.events.length > 0)
        await clock.advance(1_000)
        await until('the managers are there', () => lastTick()?.facts.memberCount === 1)
        backend.block()
        await clock.advance(3_000)
        await until('three seconds more', () => viewer.of('tick').length === 4)
        expect(lastTick()?.facts.members).to.equal(null)
        expect(events.errors.splice(0)).to.have.length(1)
        backend.unblock()
        await clock.advance(3_000)
        await until('the managers are there again', () => lastTick()?.facts.memberCount === 1)
      } finally {
        await site.close()
      }
    }))

  it('adds up all managers that announce themselves, and tells who lost how much', () =>
    withManager({ owner: 'web-1', announce: 100 }, async ({ manager, open, store, clock }) => {
      const other = open({ owner: 'web-2', announce: 100 }).manager
      await manager.acquireMany(['a', 'b'])
      await other.acquireMany(['c', 'd', 'e'])
      await clock.advance(200)
      const looker = open({ watch: false }).manager
      const site = await PageStage.open(looker, { clock, view: 'members' })
      try {
        const viewer = await site.watch()
        await until('the first event is there', () => viewer.events.length > 0)
        await clock.advance(1_000)
        const last = (): Tick | undefined => viewer.of<Tick>('tick').at(-1)
        await until('a second is over', () => last() !== undefined)
        expect(last()?.point).to.include({ held: 5, waiting: 0, lost: 0 })
        expect(last()?.facts.own).to.equal(null)
        expect(last()?.facts.members?.map(({ owner, held }) => [owner, held])).to.deep.equal([
          ['web-2', 3],
          ['web-1', 2],
        ])
        store.delete('lease:c')
        store.delete('lease:d')
        await clock.advance(3_000)
        await until('three more', () => viewer.of('tick').length === 4)
        const losses = viewer.of<Tick>('tick').flatMap((tick) => tick.losses)
        expect(losses.map(({ key, owner, count }) => [key, owner, count])).to.deep.equal([[null, 'web-2', 2]])
        expect(viewer.of<Tick>('tick').reduce((sum, { point }) => sum + point.lost, 0)).to.equal(2)
      } finally {
        await site.close()
      }
    }))

  it('remembers the last losses, and no more, though nobody watches', () =>
    withPage({}, async ({ site, manager, store }) => {
      const keys = Array.from({ length: 150 }, (_, index) => `k${index}`)
      await manager.acquireMany(keys)
      for (const key of keys) store.delete(`lease:${key}`)
      await until('all are lost', () => manager.size === 0)
      const viewer = await site.watch()
      await until('the first event is there', () => viewer.events.length > 0)
      const [hello] = viewer.of<Hello>('hello')
      expect(hello?.losses.map(({ key }) => key)).to.deep.equal(keys.slice(50).toReversed())
      expect(hello?.facts.lost).to.equal(150)
    }))

  it('ends the streams once it is closed, or the manager is', () =>
    withManager({}, async ({ manager, clock }) => {
      const site = await PageStage.open(manager, { clock })
      try {
        const viewer = await site.watch()
        await until('the first event is there', () => viewer.events.length > 0)
        await manager.close()
        await clock.advance(1_000)
        await until('the stream has ended', () => viewer.response.readableEnded)
        expect(viewer.events.at(-1)?.name).to.equal('end')
        expect((await site.ask('/live.sse')).status).to.equal(503)
      } finally {
        await site.close()
      }
    }))
})
