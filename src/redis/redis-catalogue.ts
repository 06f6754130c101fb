/** What operators ask of one server: its keys by SCAN and one script for each page, and the announcements of managers. */
import type { Catalogue, KeyPage, KeyView } from '../catalogue.ts'
import { Announcements } from './announcements.ts'
import type { ConnectionPair } from './connection-pair.ts'
import { EncodedCommand, encodeBytes, encodeCommand } from './encoded-command.ts'
import { namesOf, scan, VIEW_KEYS, VIEWED, viewsOf } from './key-views.ts'
import type { ScriptRunner } from './script.ts'

export interface RedisCatalogueParts {
  readonly pair: ConnectionPair
  readonly runner: ScriptRunner
  /** Precedes every key, that of the client included. */
  readonly prefix: string
  /** Turns what was thrown into an error for users. */
  readonly explain: (thrown: unknown) => Error
}

export class RedisCatalogue extends Announcements implements Catalogue {
  readonly #parts: RedisCatalogueParts

  constructor(parts: RedisCatalogueParts) {
    const { pair, runner } = parts
    const ask = <T>(work: () => Promise<T>): Promise<T> => this.#ask(work)
    super(
      {
        run: (script, call) => ask(() => runner.run(script, call)),
        command: (name, args) => ask(() => pair.commands.send(new EncodedCommand(name, encodeCommand(name, args)))),
      },
      parts.prefix,
    )
    this.#parts = parts
  }

  list(match: string, start = '0'): Promise<KeyPage> {
    const { pair, prefix } = this.#parts
    return this.#ask(async () => {
      const { cursor, names } = await scan(pair.commands.client, start, prefix, match)
      return { keys: await this.#view(names), cursor: cursor === '0' ? undefined : cursor }
    })
  }

  look(keys: readonly Uint8Array[]): Promise<readonly KeyView[]> {
    return this.#ask(() => this.#view(namesOf(keys, this.#parts.prefix)))
  }

  remove(key: Uint8Array): Promise<boolean> {
    const { pair, prefix } = this.#parts
    return this.#ask(async () => {
      const [name] = namesOf([key], prefix)
      if (name === undefined) return false
      return (await pair.commands.send(new EncodedCommand('del', encodeBytes('*2', [{ texts: ['del', name] }])))) === 1
    })
  }

  async #view(names: readonly string[]): Promise<KeyView[]> {
    const views: KeyView[] = []
    for (let start = 0; start < names.length; start += VIEWED) {
      const some = names.slice(start, start + VIEWED)
      const reply = await this.#parts.runner.run(VIEW_KEYS, VIEW_KEYS.prepareBytes([{ texts: some }]))
      views.push(...viewsOf(some, reply, this.#parts.prefix))
    }
    return views
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
