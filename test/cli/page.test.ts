/** The command `page` on a real server: what it serves, and to whom. */
import { once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { PassThrough, Writable } from 'node:stream'
import { expect } from 'chai'
import { run } from '#src/cli/run.js'
import type { Hello, LockPage } from '#src/page/wire.js'
import { ask, Stream } from '../page/support.ts'
import { LASTING, until, withManager } from '../redis/support.ts'
import { type RedisServer, withRedis } from '../support/redis-server.ts'

/** A key that is no text. */
const ODD = Buffer.from([0xff, 0x00, 0x0a, 0x22])

/** Runs the command, and ends it. @param work gets the line that it prints. */
async function withPage(
  server: RedisServer,
  words: readonly string[],
  work: (line: string) => Promise<void>,
): Promise<void> {
  let output = ''
  const stdout = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      output += chunk.toString()
      done()
    },
  })
  const ending = new AbortController()
  const io = { stdin: new PassThrough(), stdout, stderr: stdout, env: { REDIS_URL: server.url }, ending: ending.signal }
  const ended = run(['page', ...words], io)
  try {
    await until('it says where the page is', () => output.includes('\n'))
    await work(output.trim())
  } finally {
    ending.abort()
  }
  expect(await ended).to.equal(0)
}

function portOf(line: string): number {
  return Number(/:(\d+)\//.exec(line)?.[1])
}

describe('leasewheel page', () => {
  it('shows the locks and managers of a server, and changes nothing', () =>
    withRedis((server) =>
      withManager(server.url, { ...LASTING, owner: 'web-1', announce: 100 }, async ({ manager }) => {
        await manager.acquireMany(['a', 'b'])
        await withPage(server, ['--port', '0'], async (line) => {
          expect(line).to.match(/^The page is at http:\/\/127\.0\.0\.1:\d+\/$/)
          const port = portOf(line)
          expect((await ask(port, '/', {})).status).to.equal(200)
          const { rows } = (await ask(port, '/locks.json', {})).data as unknown as LockPage
          expect(rows.map(({ key, owner }) => `${key} ${owner}`).toSorted()).to.deep.equal(['a web-1', 'b web-1'])
          const viewer = await Stream.open(port)
          await until('both leases are announced, and seen', () => {
            const ticks = viewer.of<Hello>('tick') as unknown as { point: { held: number } }[]
            return ticks.at(-1)?.point.held === 2
          })
          expect(viewer.of<Hello>('hello')[0]).to.include({ readOnly: true, view: 'members' })
          const headers = { 'content-type': 'application/json', 'x-leasewheel-token': 'x'.repeat(24) }
          const answer = await ask(port, '/release.json', { method: 'POST', headers, body: { key: 'a' } })
          expect(answer.status).to.equal(403)
        })
        expect(manager.size).to.equal(2)
      }),
    ))

  it('releases locks with --read-write for whoever has the token in its address', () =>
    withRedis((server) =>
      withManager(server.url, { ...LASTING, owner: 'web-1' }, async ({ manager }) => {
        await manager.acquireMany(['a'])
        await server.command('SET', Buffer.concat([Buffer.from('lease:'), ODD]) as never, 'somebody')
        await withPage(server, ['--port', '0', '--read-write', '--json'], async (line) => {
          const { url } = JSON.parse(line) as { readonly url: string }
          const [, token = ''] = /#token=([\w-]{24})$/.exec(url) ?? []
          const port = portOf(url)
          const { rows } = (await ask(port, '/locks.json', {})).data as unknown as LockPage
          expect(rows.map(({ key }) => key).toSorted()).to.deep.equal(['\\xff\0\n"', 'a'])
          for (const row of rows) {
            const headers = { 'content-type': 'application/json' }
            const post = (more: object): ReturnType<typeof ask> =>
              ask(port, '/release.json', { method: 'POST', headers: { ...headers, ...more }, body: row })
            expect((await post({})).status).to.equal(403)
            expect((await post({ 'x-leasewheel-token': token })).data, row.key).to.deep.equal({ released: true })
          }
          await until('the lease is lost', () => manager.size === 0)
          expect(await server.command('DBSIZE')).to.equal(1)
        })
      }),
    ))

  it('takes another port if the usual one is taken, and fails if the named one is', () =>
    withRedis(async (server) => {
      const other = createServer()
      other.listen(0, '127.0.0.1')
      await once(other, 'listening')
      const { port } = other.address() as AddressInfo
      let errors = ''
      const stderr = new Writable({
        write: (chunk: Buffer, _encoding, done) => {
          errors += chunk.toString()
          done()
        },
      })
      const io = { stdin: new PassThrough(), stdout: new PassThrough(), stderr, env: { REDIS_URL: server.url } }
      const code = await run(['page', '--port', String(port)], { ...io, ending: new AbortController().signal })
      expect([code, errors]).to.deep.equal([
        3,
        `leasewheel: listen EADDRINUSE: address already in use 127.0.0.1:${port}\n`,
      ])
      await new Promise((resolve) => other.close(resolve))
      await withPage(server, [], async (line) => {
        await withPage(server, [], async (second) => {
          expect(portOf(second)).to.not.equal(portOf(line))
        })
      })
    }))

  it('answers only to the name under which it is served', () =>
    withRedis((server) =>
      withPage(server, ['--port', '0'], async (line) => {
        const answer = await ask(portOf(line), '/', { headers: { host: 'evil.example' } })
        expect(answer.status).to.equal(403)
      }),
    ))
})
