/** Faults while which no question about a lock is answered, or none with more than an error. */
import { mkdirSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import type { Direction, Proxy } from '../support/proxy.ts'
import type { RedisServer, ServerOptions } from '../support/redis-server.ts'
import { rejectionOf, until, withClient } from '../redis/support.ts'
import type { Scene } from './scene.ts'

export interface Outage {
  /** What distinguishes it from others of the same title. */
  readonly variant?: string
  readonly server?: ServerOptions
  /** What renewals and acquires that fail of it say. */
  readonly says: RegExp
  /** For how long it lasts at least, in ms, where that is not decided by whoever mends it. */
  readonly lasts?: number
  /** Resolves when nothing works any more, with what makes everything work again. */
  inflict(scene: Scene): Promise<() => Promise<unknown>>
}

/** Nothing is said: the question was given up, or the connection. */
const SILENCE = /not answered within|[Cc]onnection|[Tt]imed? ?out/

/** Of faults whose end nobody can bring about, in ms: longer than the ttl of a brief lease. */
const DURATION = 1_500

const DIRECTIONS = {
  requests: ({ up }) => [up],
  answers: ({ down }) => [down],
  both: ({ up, down }) => [up, down],
} as const satisfies Record<string, (proxy: Proxy) => readonly Direction[]>

/** The same in each direction, and in both. */
function eachWay(inflict: (direction: Direction) => void): readonly Outage[] {
  return Object.entries(DIRECTIONS).map(([variant, of]) => ({
    variant,
    says: SILENCE,
    inflict: async ({ proxy }) => {
      for (const direction of of(proxy)) inflict(direction)
      return async () => {
        for (const direction of of(proxy)) direction.mend()
      }
    },
  }))
}

/** By title. */
export const OUTAGES: Readonly<Record<string, readonly Outage[]>> = {
  'a network that is a black hole either way and both ways, for new connections, too': eachWay((direction) =>
    direction.blackHole({ future: true }),
  ),
  'a network that delays requests, answers and both for longer than anybody waits': eachWay((direction) => {
    direction.delay = 5_000
  }),
  'a network that throttles requests, answers and both to next to nothing': eachWay((direction) => {
    direction.bytesPerSecond = 1
  }),
  'a server that is stopped: SIGSTOP, SIGCONT': [
    {
      says: SILENCE,
      inflict: async ({ server }) => {
        server.pause()
        return async () => server.resume()
      },
    },
  ],
  'CLIENT PAUSE ALL': [
    {
      says: SILENCE,
      lasts: DURATION,
      inflict: async ({ server }) => {
        await server.command('CLIENT', 'PAUSE', DURATION, 'ALL')
        // It cannot be unpaused: that would have to wait as well.
        return () => server.command('PING')
      },
    },
  ],
  'CLIENT PAUSE WRITE': [
    {
      says: SILENCE,
      inflict: async ({ server }) => {
        await server.command('CLIENT', 'PAUSE', 600_000, 'WRITE')
        return () => server.command('CLIENT', 'UNPAUSE')
      },
    },
  ],
  'DEBUG SLEEP': [
    {
      says: SILENCE,
      lasts: DURATION,
      inflict: async ({ server }) => {
        const slept = server.command('DEBUG', 'SLEEP', DURATION / 1_000).catch(async () => {
          // A server that does not know it, or does not permit it, does the same when its system tells it to.
          server.pause()
          await setTimeout(DURATION)
          server.resume()
        })
        await withClient({ port: server.port }, async (client) => {
          const answers = (): Promise<boolean> => Promise.race([client.ping().then(Boolean), setTimeout(50, false)])
          await until('it sleeps', async () => !(await answers()))
        })
        return () => slept
      },
    },
  ],
  'a server that crashes and comes back with its AOF, or its RDB: SIGKILL': (['aof', 'rdb'] as const).map(
    (persistence) => ({
      variant: persistence,
      server: { persistence },
      says: /[Cc]onnection|ECONN/,
      inflict: async ({ server }) => {
        if (persistence === 'rdb') await server.command('SAVE')
        await server.kill()
        return () => server.restart()
      },
    }),
  ),
  'a server that is busy with a long script of somebody else: BUSY, SCRIPT KILL': [
    {
      says: /BUSY/,
      inflict: async ({ server }) => {
        await server.command('CONFIG', 'SET', 'lua-time-limit', 20)
        const over = withClient({ port: server.port }, async (client) =>
          rejectionOf(client.eval('while true do end', 0)),
        )
        await until('the server is busy', async () => isBusy(server))
        return async () => {
          await server.command('SCRIPT', 'KILL')
          await over
        }
      },
    },
  ],
  'a server that is made a replica: REPLICAOF, READONLY': [
    {
      says: /READONLY/,
      inflict: async ({ server }) => {
        // Nobody listens there: the server keeps what it has.
        await server.command('REPLICAOF', '127.0.0.1', 1)
        return () => server.command('REPLICAOF', 'NO', 'ONE')
      },
    },
  ],
  'a server whose password changes or is new, and changes back: WRONGPASS, NOAUTH': [
    {
      variant: 'changed',
      server: { password: 'right' },
      says: /WRONGPASS|NOAUTH/,
      inflict: ({ server }) => changePassword(server, 'wrong', 'right'),
    },
    {
      variant: 'new',
      says: /NOAUTH/,
      inflict: ({ server }) => changePassword(server, 'secret', ''),
    },
  ],
  'a server that cannot save its data: MISCONF': [
    {
      server: { persistence: 'rdb' },
      says: /MISCONF/,
      inflict: async ({ server }) => {
        // Where the file should be there is a folder.
        const folder = join(server.directory, 'dump.rdb')
        mkdirSync(folder)
        await save(server, 'err')
        return async () => {
          rmdirSync(folder)
          await save(server, 'ok')
        }
      },
    },
  ],
}

async function isBusy(server: RedisServer): Promise<boolean> {
  return server.command('PING').then(
    () => false,
    ({ message }: Error) => message.startsWith('BUSY'),
  )
}

async function changePassword(server: RedisServer, to: string, back: string): Promise<() => Promise<unknown>> {
  await server.command('CONFIG', 'SET', 'requirepass', to)
  // Who is in already may stay.
  await killConnections(server)
  return () => server.command('CONFIG', 'SET', 'requirepass', back)
}

/** Ends all connections but our own. */
async function killConnections(server: RedisServer): Promise<void> {
  for (const type of ['normal', 'pubsub']) await server.command('CLIENT', 'KILL', 'TYPE', type, 'SKIPME', 'yes')
}

async function save(server: RedisServer, status: 'ok' | 'err'): Promise<void> {
  await server.command('BGSAVE')
  await until(`saving ends with ${status}`, async () => {
    const info = await server.info('persistence')
    return info.get('rdb_bgsave_in_progress') === '0' && info.get('rdb_last_bgsave_status') === status
  })
}
