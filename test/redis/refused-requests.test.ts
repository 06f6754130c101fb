/** Servers that refuse some requests: for one key, for one command, or all of them for a while. */
import { expect } from 'chai'
import { type Backend, type LockEntry, UnavailableError } from 'leasewheel'
import { RedisBackend } from '#src/redis/redis-backend.js'
import { Listener } from '../contract/backend.contract.ts'
import { type RedisServer, withRedis } from '../support/redis-server.ts'
import { only, until, withClient } from './support.ts'

const TTL = 600_000

interface Scene {
  readonly backend: Backend
  readonly server: RedisServer
  readonly listener: Listener
  /** Changes what the backend's user may do. */
  readonly allow: (...rules: string[]) => Promise<void>
}

/** Runs `work` with a backend whose user may do everything but for these rules. */
function withUser(rules: readonly string[], work: (scene: Scene) => Promise<void>, watch = true): Promise<void> {
  return withRedis(async (server) => {
    const allow = async (...changes: string[]): Promise<void> => {
      await server.command('ACL', 'SETUSER', 'worker', ...changes)
    }
    await allow('on', '>s3cret', '~*', '&*', '+@all', ...rules)
    const backend = new RedisBackend(`redis://worker:s3cret@127.0.0.1:${server.port}`)
    const listener = new Listener()
    backend.open({ prefix: 'lease:', timeout: 5_000, watch }, listener)
    try {
      await backend.ready()
      if (watch) await until('changes are told', () => backend.watching)
      await work({ backend, server, listener, allow })
    } finally {
      await backend.close()
    }
  })
}

function entries(...keys: string[]): LockEntry[] {
  return keys.map((key) => ({ key, token: `mine ${key}`, ttl: TTL }))
}

async function calls(server: RedisServer, command: string): Promise<number> {
  const { calls, rejected } = (await server.commandStats()).get(command) ?? { calls: 0, rejected: 0 }
  return calls + rejected
}

/** Each kind of request, once, on keys that nobody else has. */
async function worksAsEver(backend: Backend, key: string): Promise<void> {
  const batch = entries(key)
  expect(only(await backend.acquire(batch))).to.include({ type: 'granted' })
  for (const what of ['renew', 'verify', 'release'] as const) {
    expect(await backend[what](batch)).to.deep.equal([{ type: 'done' }])
  }
  expect(await backend.inspect(key)).to.equal(null)
}

describe('a key that the ACL denies', () => {
  const KEYS = Array.from({ length: 50 }, (_, index) => (index === 17 ? 'denied' : `key ${index}`))

  it('P20 fails alone: its neighbours in the batch are acquired, renewed, verified and released', () =>
    withUser([], async ({ backend, server, listener, allow }) => {
      const batch = entries(...KEYS)
      await backend.acquire(batch)
      await allow('resetkeys', '~lease:key*', '~leasewheel:fence')
      await server.command('CONFIG', 'RESETSTAT')
      const outcomes = {
        acquire: await backend.acquire(batch),
        renew: await backend.renew(batch),
        verify: await backend.verify(batch),
        release: await backend.release(batch),
      }
      for (const [what, answers] of Object.entries(outcomes)) {
        answers.forEach((answer, index) => {
          if (KEYS[index] !== 'denied') {
            expect(answer.type, `${what} ${index}`).to.equal(what === 'acquire' ? 'granted' : 'done')
            return
          }
          if (answer.type !== 'unknown') expect.fail(`${what}: ${answer.type}`)
          expect(answer.error).to.be.instanceOf(UnavailableError).and.include({ final: true, key: 'denied' })
          expect(answer.error.message).to.include('the key `denied` or the fence counter').and.include('NOPERM')
        })
      }
      // In pieces of 7, and then the 7 of one piece.
      const asked = (await calls(server, 'evalsha')) + (await calls(server, 'eval'))
      expect(asked, 'requests').to.be.at.most(4 * (1 + 8 + 7))
      expect(listener.errors, 'a key is no fault of the server').to.deep.equal([])
      expect(await server.command('GET', 'lease:denied')).to.equal('mine denied')
      expect(await server.command('DBSIZE'), 'it and the fence counter').to.equal(2)
    }))

  it('P20 many denied keys may come among allowed ones', () =>
    withUser([], async ({ backend, allow }) => {
      const keys = Array.from({ length: 40 }, (_, index) => `${index % 2 ? 'denied' : 'key'} ${index}`)
      await allow('resetkeys', '~lease:key*', '~leasewheel:fence')
      const answers = await backend.acquire(entries(...keys))
      expect(answers.map(({ type }) => type)).to.deep.equal(keys.map((_, index) => (index % 2 ? 'unknown' : 'granted')))
    }))

  it('a denied key is named if somebody inspects or deletes it', () =>
    withUser([], async ({ backend, allow }) => {
      await allow('resetkeys', '~lease:key*', '~leasewheel:fence')
      for (const call of [backend.inspect('denied'), backend.forceRelease('denied')]) {
        const error = await call.then(
          () => undefined,
          (reason: unknown) => reason,
        )
        expect(error).to.be.instanceOf(UnavailableError).and.include({ final: true, key: 'denied' })
      }
    }))

  it('P23 leaves the repeated neighbours watched', () =>
    withUser([], async ({ backend, server, listener, allow }) => {
      await allow('resetkeys', '~lease:key*', '~leasewheel:fence')
      const batch = entries('key 1', 'denied', 'key 2')
      await server.command('SET', 'lease:key 2', 'theirs')
      const [granted, , refused] = await backend.acquire(batch, true)
      expect(granted).to.include({ type: 'granted' })
      expect(refused).to.include({ type: 'refused', watched: true })
      await server.command('DEL', 'lease:key 1')
      await listener.hears('key 1')
      await server.command('DEL', 'lease:key 2')
      await listener.hears('key 2')
    }))
})

describe('a server that refuses everything for a while', () => {
  it('P18 a refusal is reported once until the server obeys: REPLICAOF, READONLY', () =>
    withUser(
      [],
      async ({ backend, server, listener }) => {
        const batch = entries('a', 'b')
        await backend.acquire(batch)
        for (let outage = 1; outage <= 2; outage += 1) {
          await server.command('REPLICAOF', '127.0.0.1', 1)
          // Each such answer makes the connection anew, and what is asked meanwhile fails for another reason.
          let refusals = 0
          await until('it was refused three times', async () => {
            const outcome = (await backend.renew(batch))[0]
            if (outcome?.type !== 'unknown') expect.fail(`expected no answer, got ${outcome?.type}`)
            expect(outcome.error).not.to.include({ final: true })
            if (outcome.error.message.startsWith('READONLY')) refusals += 1
            return refusals >= 3
          })
          await server.command('REPLICAOF', 'NO', 'ONE')
          await until('it renews', async () => (await backend.renew(batch)).every(({ type }) => type === 'done'))
          const told = listener.errors.filter(({ message }) => message.includes('READONLY'))
          expect(told, `told of ${outage} outages`).to.have.length(outage)
          expect(told[0]).to.be.instanceOf(UnavailableError)
        }
      },
      false,
    ))

  it('P18 a refusal is reported once while other requests work: maxmemory, OOM', () =>
    withUser([], async ({ backend, server, listener }) => {
      const held = entries('held')
      await backend.acquire(held)
      await server.command('CONFIG', 'SET', 'maxmemory', 1)
      for (let turn = 0; turn < 3; turn += 1) {
        expect(only(await backend.acquire(entries('a'))).type).to.equal('unknown')
        expect(await backend.renew(held)).to.deep.equal([{ type: 'done' }])
      }
      expect(only(listener.errors).message).to.include('OOM')
      await server.command('CONFIG', 'SET', 'maxmemory', 0)
      expect(only(await backend.acquire(entries('a'))).type).to.equal('granted')
      expect(listener.errors).to.have.length(1)
    }))
})

describe('a command that the ACL denies', () => {
  it('is final inside a script, and reported once', () =>
    withUser(['-set'], async ({ backend, listener }) => {
      for (let turn = 0; turn < 3; turn += 1) {
        const outcome = only(await backend.acquire(entries('a')))
        if (outcome.type !== 'unknown') expect.fail(`expected no answer, got ${outcome.type}`)
        expect(outcome.error).to.include({ final: true })
        expect(outcome.error.message).to.include('The ACL denies the user a command')
      }
      expect(only(listener.errors).message).to.include('The ACL denies the user a command')
    }))

  for (const command of ['evalsha', 'script|load', 'eval']) {
    it(`the manager works without ${command.toUpperCase()}`, () =>
      withUser([`-${command}`], async ({ backend, server, listener }) => {
        for (let turn = 1; turn <= 5; turn += 1) await worksAsEver(backend, `key ${turn}`)
        // One attempt shows that it is refused; with EVAL it is one for each script.
        if (command === 'evalsha') expect(await calls(server, 'evalsha')).to.equal(1)
        if (command === 'script|load') expect(await calls(server, 'eval')).to.equal(5)
        if (command === 'eval') expect(await calls(server, 'evalsha')).to.equal(25)
        expect(listener.errors).to.deep.equal([])
      }))
  }

  it('is final if no other command does the same: EVAL and EVALSHA', () =>
    withUser(['-eval', '-evalsha'], async ({ backend }) => {
      const outcome = only(await backend.acquire(entries('a')))
      if (outcome.type !== 'unknown') expect.fail(`expected no answer, got ${outcome.type}`)
      expect(outcome.error).to.include({ final: true })
    }))
})

describe('a script', () => {
  it('is loaded before it is run, so that the server does not evict it', () =>
    withUser(
      [],
      async ({ backend, server }) => {
        await withClient({ port: server.port }, async (client) => {
          const monitor = await client.monitor()
          const seen: string[] = []
          monitor.on('monitor', (_time: string, [name = '', sub = '']: string[]) => {
            if (/^(script|eval)/.test(name)) seen.push(name === 'script' ? `${name} ${sub}` : name)
          })
          try {
            await worksAsEver(backend, 'a')
            await worksAsEver(backend, 'b')
            await until('all is seen', () => seen.length >= 15)
          } finally {
            monitor.disconnect()
          }
          const first = Array.from({ length: 5 }, () => ['script load', 'eval'])
          expect(seen).to.deep.equal([...first.flat(), ...Array.from({ length: 5 }, () => 'evalsha')])
        })
      },
      false,
    ))

  for (const [what, forget] of [
    ['the server has forgotten it', async ({ server }: Scene) => server.command('SCRIPT', 'FLUSH')],
    ['EVALSHA is now denied', async ({ allow }: Scene) => allow('-evalsha')],
    [
      'EVAL is not allowed',
      async ({ allow, server }: Scene) => {
        await allow('-eval')
        await server.command('SCRIPT', 'FLUSH')
      },
    ],
  ] as const) {
    it(`P23 a script that is sent again still watches its keys: ${what}`, () =>
      withUser([], async (scene) => {
        const { backend, server, listener } = scene
        await worksAsEver(backend, 'other')
        await server.command('SET', 'lease:a', 'theirs')
        await forget(scene)
        expect(only(await backend.acquire(entries('a')))).to.include({ type: 'refused', watched: true })
        await server.command('DEL', 'lease:a')
        await listener.hears('a')
      }))
  }
})
