/** The command line on a real server. What is typed and shown goes through streams of the test. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { PassThrough, Writable } from 'node:stream'
import { expect } from 'chai'
import type { LeaseManagerOptions } from 'leasewheel'
import { run } from '#src/cli/run.js'
import { withRedisCluster } from '../support/redis-cluster.ts'
import { type RedisServer, withRedis } from '../support/redis-server.ts'
import { PRIMARY, withSentinel } from '../support/sentinel-group.ts'
import { LASTING, until, withManager } from '../redis/support.ts'

/** A terminal of 100 columns, or a pipe. */
class Terminal {
  readonly stdin: PassThrough & { isTTY?: boolean; setRawMode?(raw: boolean): unknown } = new PassThrough()
  readonly stdout: Writable & { isTTY?: boolean; columns?: number; rows?: number }
  readonly stderr: Writable
  readonly ending = new AbortController()
  readonly raw: boolean[] = []
  output = ''
  errors = ''

  constructor(isTTY: boolean) {
    this.stdout = collector((text) => {
      this.output += text
    })
    this.stderr = collector((text) => {
      this.errors += text
    })
    if (!isTTY) return
    Object.assign(this.stdin, { isTTY, setRawMode: (raw: boolean) => this.raw.push(raw) })
    Object.assign(this.stdout, { isTTY, columns: 100, rows: 10 })
  }

  run(server: RedisServer, ...words: string[]): Promise<number> {
    const { stdin, stdout, stderr, ending } = this
    return run(words, { stdin, stdout, stderr, env: { REDIS_URL: server.url }, ending: ending.signal })
  }
}

function collector(take: (text: string) => void): Writable {
  return new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      take(chunk.toString())
      done()
    },
  })
}

interface Result {
  readonly code: number
  readonly output: string
  readonly errors: string
}

async function pipe(server: RedisServer, ...words: string[]): Promise<Result> {
  const terminal = new Terminal(false)
  const code = await terminal.run(server, ...words)
  return { code, output: terminal.output, errors: terminal.errors }
}

async function show(server: RedisServer, ...words: string[]): Promise<Result> {
  const terminal = new Terminal(true)
  const code = await terminal.run(server, ...words)
  return { code, output: terminal.output, errors: terminal.errors }
}

const OPTIONS: LeaseManagerOptions = { ...LASTING, owner: 'web-1:4711', announce: true }
const ODD = Buffer.from([...Buffer.from('lease:'), 0xff, 0x5c, 0x0a])

/** A server with one lease `order:42`, an announced manager, and a key of each other kind. */
function withLocks(work: (server: RedisServer) => Promise<void>): Promise<void> {
  return withRedis((server) =>
    withManager(server.url, OPTIONS, async ({ manager }) => {
      await manager.acquireMany(['order:42'])
      await server.command('SET', 'lease:plain', 'somebody')
      await server.command('SET', 'lease:short', 'somebody', 'PX', 600_000)
      await server.command('HSET', 'lease:redisson', 'uuid:1', '1')
      await server.command('ZADD', 'lease:symfony', '1', 'a', '2', 'b')
      await server.command('SET', ODD as never, 'somebody')
      await server.command('SET', 'lease:<b>\n\x1b[31m', 'somebody')
      await server.command('SET', 'other', 'somebody')
      await until('its lease is announced', async () => (await manager.members())[0]?.stats.held === 1)
      await work(server)
    }),
  )
}

/** The value of every key, byte by byte, as the server would write it to a file. */
async function dumpOf(server: RedisServer): Promise<string> {
  const script = `local dump = {}
    for _, key in ipairs(redis.call('KEYS', '*')) do
      if not string.find(key, 'leasewheel:{members}', 1, true) then
        dump[#dump + 1] = key .. ' ' .. redis.sha1hex(redis.call('DUMP', key)) .. ' ' .. tostring(redis.call('PTTL', key) < 0)
      end
    end
    table.sort(dump)
    return redis.sha1hex(table.concat(dump, '\\n')) .. ' of ' .. #dump`
  return String(await server.command('EVAL', script, '0'))
}

describe('leasewheel ls', () => {
  it('prints one line with five fields for each lock to a pipe, whatever its key is', () =>
    withLocks(async (server) => {
      const { code, output, errors } = await pipe(server, 'ls')
      const rows = output.trimEnd().split('\n').toSorted()
      expect([code, errors]).to.deep.equal([0, ''])
      expect(rows.map((row) => row.split('\t').slice(2))).to.have.deep.members([
        ['lease', 'web-1:4711', 'order:42'],
        ['string without a ttl', '-', 'plain'],
        ['string', '-', 'short'],
        ['hash (Redisson)', '-', 'redisson'],
        ['sorted set of 2 (Symfony, redis-semaphore)', '-', 'symfony'],
        ['string without a ttl', '-', '\\xff\\\\\\n'],
        ['string without a ttl', '-', '<b>\\n\\x1b[31m'],
      ])
      const lease = rows.find((row) => row.endsWith('order:42'))
      expect(lease).to.match(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\t\d+\t/)
    }))

  it('prints JSON that has every key as it is', () =>
    withLocks(async (server) => {
      const { output } = await pipe(server, 'ls', '--json')
      const locks = output
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as Record<string, string>)
      const keys = locks.map(({ key = '', bytes }) =>
        (bytes ? Buffer.from(bytes, 'base64') : Buffer.from(key)).toString('hex'),
      )
      const expected = ['order:42', 'plain', 'short', 'redisson', 'symfony', '<b>\n\x1b[31m'].map((key) =>
        Buffer.from(key),
      )
      expect(keys).to.have.members([...expected, ODD.subarray(6)].map((key) => key.toString('hex')))
    }))

  it('prints a table to a terminal, and selects', () =>
    withLocks(async (server) => {
      const { output } = await show(server, 'ls', '--match', 'order:*')
      expect(output).to.match(/^HELD FOR {2}TTL LEFT {2}OWNER {7}KEY\n\S+ +\d+\S* +web-1:4711 {2}order:42\n$/)
      expect((await pipe(server, 'ls', '--owner', 'nobody')).output).to.equal('')
      expect((await pipe(server, 'ls', '--prefix', 'oth')).output).to.match(/\ter\n$/)
    }))

  it('ends quietly if its reader goes away', async function () {
    this.timeout(60_000)
    await withRedis(async (server) => {
      // More than a pipe and the streams hold.
      const fill = `for i = 1, 20000 do redis.call('SET', 'lease:' .. i, string.rep('x', 50)) end`
      await server.command('EVAL', fill, '0')
      const child = spawn(
        process.execPath,
        ['--import', 'tsx', '--conditions=leasewheel:source', 'src/cli/main.ts', 'ls', '--json'],
        { env: { ...process.env, REDIS_URL: server.url, NODE_OPTIONS: '' }, stdio: ['ignore', 'pipe', 'pipe'] },
      )
      let errors = ''
      child.stderr.on('data', (text: Buffer) => {
        errors += text.toString()
      })
      for await (const line of createInterface(child.stdout)) {
        expect(JSON.parse(line)).to.include({ kind: 'string' })
        break
      }
      child.stdout.destroy()
      const [code] = (await once(child, 'close')) as [number | null]
      expect([code, errors]).to.deep.equal([0, ''])
    })
  })
})

describe('leasewheel inspect', () => {
  it('says who holds the permits of a key', () =>
    withRedis(async (server) => {
      await withManager(server.url, { owner: 'web-1', ...LASTING }, async ({ manager }) => {
        await manager.acquire('api', { permits: 3, weight: 2 })
        await manager.acquire('api', { permits: 3 })
        const { code, output } = await pipe(server, 'inspect', 'api')
        expect(code).to.equal(0)
        expect(output).to.match(/^api is held by 2:\n/)
        expect(output).to.match(/^ {2}permit, weight 2: web-1, for /m)
        expect(output).to.match(/^ {2}permit: web-1, for /m)
        const { mode, holders } = JSON.parse((await pipe(server, 'inspect', 'api', '--json')).output) as {
          mode: string
          holders: { owner: string; weight: number }[]
        }
        expect(mode).to.equal('permit')
        expect(holders.map(({ owner, weight }) => `${owner} ${weight}`)).to.have.members(['web-1 2', 'web-1 1'])
      })
    }))

  it('says who holds a lock, and exits with 1 if nobody does', () =>
    withLocks(async (server) => {
      const held = await pipe(server, 'inspect', 'order:42')
      expect(held.code).to.equal(0)
      expect(held.output).to.match(/^order:42 is held by web-1:4711, for \S+, with \S+ of its ttl left\n$/)
      expect((await pipe(server, 'inspect', 'plain')).output).to.equal(
        'plain is held by somebody who gives no name, without a ttl\n',
      )
      expect(await pipe(server, 'inspect', 'free')).to.deep.equal({ code: 1, output: 'free is free\n', errors: '' })
      const { key, owner } = JSON.parse((await pipe(server, 'inspect', 'order:42', '--json')).output) as Record<
        string,
        string
      >
      expect([key, owner]).to.deep.equal(['order:42', 'web-1:4711'])
      expect((await pipe(server, 'inspect', 'free', '--json')).output).to.equal('null\n')
    }))
})

describe('leasewheel release', () => {
  const exists = (server: RedisServer, key: string): Promise<unknown> => server.command('EXISTS', `lease:${key}`)

  it('asks before it deletes a key, and takes only yes for yes', () =>
    withLocks(async (server) => {
      for (const [answer, code, left] of [
        ['\n', 1, 1],
        ['no\n', 1, 1],
        ['yes please\n', 1, 1],
        ['Y\n', 0, 0],
      ] as const) {
        const terminal = new Terminal(true)
        const running = terminal.run(server, 'release', 'order:42')
        await until('it asks', () => Promise.resolve(terminal.errors.includes('[y/N]')))
        expect(terminal.errors).to.match(/order:42 is held by web-1:4711, for /)
        terminal.stdin.write(answer)
        expect(await running, answer).to.equal(code)
        expect(await exists(server, 'order:42'), answer).to.equal(left)
      }
    }))

  it('deletes nothing if it is ended at its question, or if its input ends', () =>
    withLocks(async (server) => {
      for (const leave of [(terminal: Terminal) => terminal.ending.abort(), ({ stdin }: Terminal) => stdin.end()]) {
        const terminal = new Terminal(true)
        const running = terminal.run(server, 'release', 'order:42')
        await until('it asks', () => Promise.resolve(terminal.errors.includes('[y/N]')))
        leave(terminal)
        expect(await running).to.not.equal(0)
        expect(await exists(server, 'order:42')).to.equal(1)
      }
    }))

  it('needs --yes if nobody can be asked', () =>
    withLocks(async (server) => {
      const { code, errors } = await pipe(server, 'release', 'order:42')
      expect(code).to.equal(2)
      expect(errors).to.include('--yes')
      expect(await exists(server, 'order:42')).to.equal(1)
      const released = await pipe(server, 'release', 'order:42', '--yes')
      expect(released).to.deep.equal({ code: 0, output: 'order:42 is released\n', errors: '' })
      expect(await exists(server, 'order:42')).to.equal(0)
      expect(await pipe(server, 'release', 'order:42', '--yes')).to.include({ code: 1, output: 'order:42 is free\n' })
    }))
})

describe('leasewheel members', () => {
  it('lists managers that announce themselves', () =>
    withLocks(async (server) => {
      const line = (await pipe(server, 'members')).output.split('\t')
      expect([line[0], line[2], line[5]]).to.deep.equal(['web-1:4711', String(process.pid), '1'])
      expect((await show(server, 'members')).output).to.match(
        /^OWNER {7}HOST +PID +VERSION +UP +HELD +WAITING +LOST +LEADS +SHARES\n/,
      )
      expect((await show(server, 'members', '--prefix', 'other:')).output).to.include('No manager announces itself')
      expect(JSON.parse((await pipe(server, 'members', '--json')).output)).to.include({ owner: 'web-1:4711' })
    }))
})

describe('leasewheel top', () => {
  it('prints each look as plain lines to a pipe, or as JSON', () =>
    withLocks(async (server) => {
      const { code, output } = await pipe(server, 'top', '-n', '2', '--every', '0.05')
      expect(code).to.equal(0)
      expect(output).to.not.include('\x1b')
      expect(output.match(/^leasewheel {2}/gm)).to.have.length(2)
      expect(output).to.include('7 locks, 1 owner, 1 manager announced')
      const { owners } = JSON.parse((await pipe(server, 'top', '-n', '1', '--json')).output) as { owners: object[] }
      expect(owners).to.have.length(2)
    }))

  it('draws in place, follows the size of the terminal, and leaves it clean at q, Ctrl-C and a signal', () =>
    withLocks(async (server) => {
      for (const leave of [
        ({ stdin }: Terminal) => stdin.write('q'),
        ({ stdin }: Terminal) => stdin.write('\x03'),
        ({ ending }: Terminal) => ending.abort(),
      ]) {
        const terminal = new Terminal(true)
        const running = terminal.run(server, 'top', '--every', '0.05')
        await until('it has looked', () => Promise.resolve(terminal.output.includes('web-1:4711')))
        expect(terminal.output.startsWith('\x1b[?1049h\x1b[?25l'), 'it is on the second screen').to.equal(true)
        Object.assign(terminal.stdout, { columns: 20, rows: 3 })
        terminal.stdout.emit('resize')
        const drawn = terminal.output.slice(terminal.output.lastIndexOf('\x1b[H'))
        expect(drawn.split('\r\n')).to.have.length(3)
        expect(drawn).to.include('more')
        leave(terminal)
        expect(await running).to.equal(0)
        expect(terminal.output.endsWith('\x1b[?25h\x1b[?1049l'), 'it is on the first screen').to.equal(true)
        expect(terminal.raw).to.deep.equal([true, false])
        expect(terminal.stdout.listenerCount('resize')).to.equal(0)
      }
    }))
})

describe('leasewheel watch', () => {
  it('prints what changes between two looks', () =>
    withLocks(async (server) => {
      const terminal = new Terminal(false)
      const running = terminal.run(server, 'watch', '--every', '0.05')
      let turn = 0
      // The first look may come at any time.
      await until('it sees a lock come', async () => {
        turn += 1
        await server.command('SET', `lease:new ${turn}`, 'somebody')
        return terminal.output.includes('acquired\t-\tnew ')
      })
      await server.command('SET', 'lease:order:42', 'somebody')
      await until('it sees a lock change hands', () =>
        Promise.resolve(terminal.output.includes('changed hands\t-\torder:42')),
      )
      await server.command('DEL', 'lease:plain')
      await until('it sees a lock go', () => Promise.resolve(terminal.output.includes('gone\t-\tplain')))
      await withManager(server.url, { ...LASTING, owner: 'web-2', announce: true }, async () => {
        await until('it sees a manager join', () => Promise.resolve(terminal.output.includes('joined\tweb-2\n')))
      })
      await until('it sees a manager leave', () => Promise.resolve(terminal.output.includes('left\tweb-2\n')))
      terminal.ending.abort()
      expect(await running).to.equal(0)
    }))
})

describe('the command line', () => {
  it('changes no key, whatever it is asked, but for release', () =>
    withLocks(async (server) => {
      const before = await dumpOf(server)
      for (const words of [
        ['ls'],
        ['ls', '--json', '--match', '*'],
        ['inspect', 'order:42'],
        ['inspect', 'plain'],
        ['inspect', 'redisson'],
        ['members'],
        ['top', '-n', '2', '--every', '0.05'],
        ['watch', '-n', '2', '--every', '0.05'],
        ['release', 'order:42'],
        ['release', 'free', '--yes'],
      ]) {
        await pipe(server, ...words)
        expect(await dumpOf(server), words.join(' ')).to.equal(before)
      }
      expect((await pipe(server, 'release', 'plain', '--yes')).code).to.equal(0)
      expect(await dumpOf(server)).to.not.equal(before)
    }))

  it('says in one line why the server cannot be asked, and exits with 3', () =>
    withRedis(async (server) => {
      const { code, output, errors } = await pipe(server, 'ls', '-r', 'redis://:secret@127.0.0.1:1', '--timeout', '1')
      expect([code, output]).to.deep.equal([3, ''])
      expect(errors)
        .to.match(/^leasewheel: .*ECONNREFUSED.*\n$/)
        .and.to.not.include('secret')
      expect((await pipe(server, 'ls', '-r', 'http://example.org')).code).to.equal(3)
      expect((await pipe(server, 'ls', '--sentinel', 'mymaster', '-r', 'nonsense')).code).to.equal(3)
    }))

  it('finds a server behind Sentinel', () =>
    withLocks((server) =>
      withSentinel(server, async (port) => {
        const words = ['--sentinel', PRIMARY, '-r', `redis://127.0.0.1:${port}`]
        expect((await pipe(server, 'inspect', 'order:42', ...words)).output).to.include('web-1:4711')
        expect((await pipe(server, 'top', '-n', '1', ...words)).output).to.include(`${PRIMARY}@127.0.0.1:${port}`)
      }),
    ))

  it('finds the locks of a cluster by any of its nodes, with the login of the URL for all of them', () =>
    withRedisCluster(
      (cluster) =>
        withManager(cluster.client(), OPTIONS, async ({ manager }) => {
          const keys = Array.from({ length: 30 }, (_, index) => `order:${index}`)
          await manager.acquireMany(keys)
          await until('its leases are announced', async () => (await manager.members())[0]?.stats.held === keys.length)
          const [first, second] = cluster.nodes as [RedisServer, RedisServer]
          const words = ['--cluster', '-r', `redis://:secret@127.0.0.1:${second.port}`]
          const { code, output, errors } = await pipe(first, 'ls', ...words)
          expect([code, errors]).to.deep.equal([0, ''])
          const rows = output.trimEnd().split('\n')
          expect(rows.map((row) => row.split('\t').at(-1) ?? '').toSorted()).to.deep.equal(keys.toSorted())
          expect((await pipe(first, 'members', ...words)).output).to.include('web-1:4711')
          const lost = new Promise((resolve) => manager.once('lost', ({ lease }) => resolve(lease.key)))
          expect((await pipe(first, 'release', 'order:7', '--yes', ...words)).code).to.equal(0)
          expect(await lost).to.equal('order:7')
          expect((await pipe(first, 'inspect', 'order:7', ...words)).code).to.equal(1)
        }),
      { replicas: 0, nodeTimeout: 15_000, password: 'secret' },
    ))

  it('says what is wrong with its arguments, and exits with 2', () =>
    withRedis(async (server) => {
      const { code, errors } = await pipe(server, 'frobnicate')
      expect([code, errors.split('\n').length]).to.deep.equal([2, 2])
      expect(errors).to.include('frobnicate').and.to.include('--help')
    }))

  it('prints help and its version without a server', () =>
    withRedis(async (server) => {
      await server.stop()
      expect((await pipe(server, '--help')).output).to.match(/^Usage: leasewheel COMMAND/)
      expect((await pipe(server, 'ls', '--help')).output).to.match(/^Usage: leasewheel ls/)
      expect((await pipe(server, '--version')).output).to.match(/^\d+\.\d+\.\d+\n$/)
    }))
})
