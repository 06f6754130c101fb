/**
 * What operators ask of one server: its keys by SCAN and one script for each page, and the announcements of managers.
 *
 * Keys travel as bytes, because other programs may write keys that are no text. A string of one character per byte ("latin1") has them.
 */
import type { Announcement, Catalogue, KeyPage, KeyView } from '../catalogue.ts'
import { MEMBERS_KEY } from '../catalogue.ts'
import { FENCE_KEY } from '../backend.ts'
import { ANNOUNCE, VIEW, WITHDRAW } from './catalogue-scripts.ts'
import type { ConnectionPair } from './connection-pair.ts'
import type { Script } from './script.ts'

/** Keys that the server looks at for one page: about a fifth of a millisecond of its time. */
const PAGE = 128

export interface RedisCatalogueParts {
  readonly pair: ConnectionPair
  readonly script: (lua: string) => Script
  /** Precedes every key, that of the client included. */
  readonly prefix: string
  /** Turns what was thrown into an error for users. */
  readonly explain: (thrown: unknown) => Error
}

export class RedisCatalogue implements Catalogue {
  readonly #parts: RedisCatalogueParts
  readonly #view: Script
  readonly #announce: Script
  readonly #withdraw: Script
  readonly #index: string
  readonly #prefix: Buffer

  constructor(parts: RedisCatalogueParts) {
    this.#parts = parts
    this.#view = parts.script(VIEW)
    this.#announce = parts.script(ANNOUNCE)
    this.#withdraw = parts.script(WITHDRAW)
    this.#index = `${MEMBERS_KEY}index:${parts.prefix}`
    this.#prefix = Buffer.from(parts.prefix)
  }

  list(match: string, cursor = '0'): Promise<KeyPage> {
    const { pair, prefix } = this.#parts
    return this.#ask(async () => {
      const pattern = `${literally(prefix)}${match}`
      const [next, names] = await pair.commands.client.scanBuffer(cursor, 'MATCH', pattern, 'COUNT', PAGE)
      const following = next.toString()
      // One page may have a key twice.
      const distinct = [...new Set(names.map((name) => name.toString('latin1')))].filter(isNotOurs)
      return { keys: await this.#look(distinct), cursor: following === '0' ? undefined : following }
    })
  }

  announce({ id, text }: Announcement, ttl: number): Promise<readonly string[]> {
    const keys = [{ texts: [this.#index, memberKey(id)] }]
    const values = [{ texts: [id, text, String(ttl)] }]
    return this.#ask(async () => (await this.#announce.run(this.#announce.prepare(keys, values))) as readonly string[])
  }

  announced(ids?: readonly string[]): Promise<readonly string[]> {
    const { client } = this.#parts.pair.commands
    return this.#ask(async () => {
      const wanted = ids ?? (await client.zrange(this.#index, '0', '-1'))
      if (wanted.length === 0) return []
      const texts = await client.mget(wanted.map(memberKey))
      return texts.filter((text) => text !== null)
    })
  }

  async withdraw(id: string): Promise<void> {
    const keys = [{ texts: [this.#index, memberKey(id)] }]
    await this.#ask(() => this.#withdraw.run(this.#withdraw.prepare(keys, [{ texts: [id] }])))
  }

  async #look(names: readonly string[]): Promise<KeyView[]> {
    if (names.length === 0) return []
    const reply = (await this.#view.run(this.#view.prepareBytes([{ texts: names }]))) as (string | number)[]
    return names.flatMap((name, index) => {
      const [remaining, type, token, holders] = reply.slice(4 * index) as [number, string, string, number]
      if (remaining === -2) return []
      const key = Buffer.from(name, 'latin1').subarray(this.#prefix.length)
      return [{ key, type, token, holders, remaining: remaining === -1 ? Number.POSITIVE_INFINITY : remaining }]
    })
  }

  async #ask<T>(work: () => Promise<T>): Promise<T> {
    const { pair, explain } = this.#parts
    try {
      await pair.onAsked()
      return await work()
    } catch (thrown) {
      throw explain(thrown)
    }
  }
}

function memberKey(id: string): string {
  return `${MEMBERS_KEY}id:${id}`
}

/** Keys that belong to all managers are no locks. */
function isNotOurs(name: string): boolean {
  return name !== FENCE_KEY && !name.startsWith(MEMBERS_KEY)
}

/** A pattern that matches the text itself. */
function literally(text: string): string {
  return text.replaceAll(/[*?[\]\\^-]/g, String.raw`\$&`)
}
