/**
 * No library: the two commands without which no lock is taken and given back safely, sent by ioredis. What they take
 * is what a library cannot take less than, unless it sends many locks in one command.
 */
import { createHash, randomUUID } from 'node:crypto'
import { Redis } from 'ioredis'
import { inParallel } from '../in-parallel.ts'
import type { Held, Holder, Library } from '../library.ts'

const COMPARE_AND_DELETE = `if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0`
const SHA = createHash('sha1').update(COMPARE_AND_DELETE).digest('hex')

class BareHolder implements Holder {
  readonly #client: Redis
  readonly #ttl: number
  #held: Held[] = []

  constructor(client: Redis, ttl: number) {
    this.#client = client
    this.#ttl = ttl
  }

  async acquireAll(keys: readonly string[]): Promise<void> {
    this.#held = await inParallel(keys, (key) => this.take(key))
  }

  async releaseAll(): Promise<void> {
    await inParallel(this.#held, (held) => held.release())
    this.#held = []
  }

  async take(key: string): Promise<Held> {
    const token = randomUUID()
    const answer = await this.#client.set(key, token, 'PX', this.#ttl, 'NX')
    if (answer !== 'OK') throw new Error(`${key} was refused`)
    return { release: () => this.#client.evalsha(SHA, 1, key, token) }
  }

  acquire(key: string): Promise<Held> {
    return this.take(key)
  }

  held(): number {
    return this.#held.length
  }

  lost(): number {
    return 0
  }

  async close(): Promise<void> {
    await this.releaseAll()
    this.#client.disconnect()
  }
}

export const bareIoredis: Library = {
  async open(url, ttl) {
    const client = new Redis(url)
    await client.script('LOAD', COMPARE_AND_DELETE)
    return new BareHolder(client, ttl)
  },
}
