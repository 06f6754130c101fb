/**
 * Moves slots from one master of a cluster to another: in the old way, key by key; at once, where the server can; or by half. Many slots are
 * moved in stretches, so that each is on its way for a short time only.
 */
import { Redis } from 'ioredis'
import { rangesOf } from './cluster-view.ts'
import type { RedisServer } from './redis-server.ts'
import { until } from './until.ts'

/** Slots that are on their way at once, the old way. */
const STRETCH = 64
/** Keys that one command moves. */
const KEYS = 100
/** What a command that moves keys may take, in ms. */
const LIMIT = 10_000

export interface Moving {
  readonly from: RedisServer
  readonly to: RedisServer
  readonly fromId: string
  readonly toId: string
  readonly password: string | undefined
}

export async function moveSlots(
  slots: readonly number[],
  moving: Moving,
  way: 'old' | 'atomic' | 'half',
  moves: (key: string, index: number) => boolean,
): Promise<void> {
  if (way === 'atomic') return moveAtOnce(slots, moving)
  const { from, to, fromId, toId } = moving
  const [source, target] = [new Lanes(from, slots.length), new Lanes(to, slots.length)]
  try {
    for (let begin = 0; begin < slots.length; begin += STRETCH) {
      const stretch = slots.slice(begin, begin + STRETCH)
      if (from !== to) {
        // The target first: it must accept what the source sends on to it.
        await target.set(stretch, 'IMPORTING', fromId)
        await source.set(stretch, 'MIGRATING', toId)
      }
      if (way === 'half') {
        await Promise.all(stretch.map((slot) => moveSome(slot, moving, moves)))
        continue
      }
      await Promise.all(stretch.map((slot) => moveAll(slot, moving)))
      // The target first again: until the source is told as well it sends everybody on to the target.
      await target.set(stretch, 'NODE', toId)
      await source.set(stretch, 'NODE', toId)
    }
  } finally {
    source.close()
    target.close()
  }
}

/** Connections on which a node is told of slots: a Valkey answers only when its replica knows it as well, and one connection waits for that each time. */
class Lanes {
  readonly #clients: readonly Redis[]

  constructor(node: RedisServer, slots: number) {
    this.#clients = Array.from({ length: Math.min(slots, STRETCH) }, () => new Redis(node.url))
  }

  async set(slots: readonly number[], ...words: readonly string[]): Promise<void> {
    await Promise.all(
      slots.map((slot, index) =>
        (this.#clients[index % this.#clients.length] as Redis).call('CLUSTER', 'SETSLOT', slot, ...words),
      ),
    )
  }

  close(): void {
    for (const client of this.#clients) client.disconnect()
  }
}

async function moveAll(slot: number, moving: Moving): Promise<void> {
  for (;;) {
    const keys = await keysIn(slot, moving.from, KEYS)
    if (keys.length === 0) return
    await send(keys, moving)
  }
}

async function moveSome(slot: number, moving: Moving, moves: (key: string, index: number) => boolean): Promise<void> {
  const keys = await keysIn(slot, moving.from, Number.MAX_SAFE_INTEGER)
  const chosen = keys.toSorted().filter(moves)
  for (let begin = 0; begin < chosen.length; begin += KEYS) await send(chosen.slice(begin, begin + KEYS), moving)
}

async function keysIn(slot: number, node: RedisServer, count: number): Promise<string[]> {
  return (await node.command('CLUSTER', 'GETKEYSINSLOT', slot, count)) as string[]
}

/** A key that has expired meanwhile is not sent. One that the target has as well is an error. */
async function send(keys: readonly string[], { from, to, password }: Moving): Promise<void> {
  const credentials = password === undefined ? [] : ['AUTH', password]
  await from.command('MIGRATE', '127.0.0.1', to.port, '', 0, LIMIT, ...credentials, 'KEYS', ...keys)
}

async function moveAtOnce(slots: readonly number[], moving: Moving): Promise<void> {
  const ranges = rangesOf(slots).flat()
  const { from, to, toId } = moving
  if (from === to) return
  // Redis: the target fetches.
  const task = await unlessUnknown(to.command('CLUSTER', 'MIGRATION', 'IMPORT', ...ranges))
  if (task !== undefined) return untilEnded(() => redisState(to, task as string))
  // Valkey: the source sends.
  const begun = await unlessUnknown(from.command('CLUSTER', 'MIGRATESLOTS', 'SLOTSRANGE', ...ranges, 'NODE', toId))
  if (begun !== undefined) return untilEnded(() => valkeyState(from))
  throw new Error('The server cannot move a slot at once: Redis 8.4 and later and Valkey 9 and later can')
}

/** Resolves with undefined if the server does not know the command. */
async function unlessUnknown(answer: Promise<unknown>): Promise<unknown> {
  return answer.catch((error: Error) => {
    if (/unknown subcommand/i.test(error.message)) return undefined
    throw error
  })
}

async function untilEnded(look: () => Promise<ReadonlyMap<string, string>>): Promise<void> {
  let fields: ReadonlyMap<string, string> = new Map()
  await until(
    () => `the slots have moved (${JSON.stringify([...fields])})`,
    async () => {
      fields = await look()
      const state = fields.get('state') ?? ''
      if (/^(failed|cancel+ed)$/i.test(state)) throw new Error(`The move failed: ${JSON.stringify([...fields])}`)
      return /^(completed|success)$/i.test(state)
    },
  )
}

async function redisState(node: RedisServer, task: string): Promise<ReadonlyMap<string, string>> {
  const tasks = (await node.command('CLUSTER', 'MIGRATION', 'STATUS', 'ID', task)) as unknown[]
  return fieldsOf(tasks[0])
}

/** The latest move stands first. */
async function valkeyState(node: RedisServer): Promise<ReadonlyMap<string, string>> {
  const moves = (await node.command('CLUSTER', 'GETSLOTMIGRATIONS')) as unknown[]
  return fieldsOf(moves[0])
}

/** A flat reply of names and values, or a map. */
function fieldsOf(reply: unknown): ReadonlyMap<string, string> {
  const flat = Array.isArray(reply) ? reply : Object.entries(reply ?? {}).flat()
  const fields = new Map<string, string>()
  for (let index = 0; index + 1 < flat.length; index += 2) fields.set(String(flat[index]), String(flat[index + 1]))
  return fields
}
