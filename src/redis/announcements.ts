/** The announcements of managers, which are all on one server: the keys have one hash tag. */
import { type Announcement, type Catalogue, MEMBERS_KEY } from '../catalogue.ts'
import { ANNOUNCE, WITHDRAW } from './catalogue-scripts.ts'
import { type Call, Script } from './script.ts'

const SCRIPTS = { announce: new Script(ANNOUNCE), withdraw: new Script(WITHDRAW) }

/** The server of the announcements. A fault rejects with an error for users. */
export interface AnnouncementServer {
  run(script: Script, call: Call): Promise<unknown>
  command(name: string, args: readonly string[]): Promise<unknown>
}

export class Announcements implements Omit<Catalogue, 'list' | 'look' | 'remove'> {
  readonly #server: AnnouncementServer
  readonly #index: string

  /** @param prefix precedes every key, that of the client included. */
  constructor(server: AnnouncementServer, prefix: string) {
    this.#server = server
    this.#index = `${MEMBERS_KEY}index:${prefix}`
  }

  async announce({ id, text }: Announcement, ttl: number): Promise<readonly string[]> {
    return (await this.#run(SCRIPTS.announce, id, [id, text, String(ttl)])) as readonly string[]
  }

  async announced(ids?: readonly string[]): Promise<readonly string[]> {
    const wanted = ids ?? ((await this.#server.command('zrange', [this.#index, '0', '-1'])) as readonly string[])
    if (wanted.length === 0) return []
    const texts = (await this.#server.command('mget', wanted.map(memberKey))) as readonly (string | null)[]
    return texts.filter((text) => text !== null)
  }

  async withdraw(id: string): Promise<void> {
    await this.#run(SCRIPTS.withdraw, id, [id])
  }

  #run(script: Script, id: string, values: readonly string[]): Promise<unknown> {
    const call = script.prepare([{ texts: [this.#index, memberKey(id)] }], [{ texts: values }])
    return this.#server.run(script, call)
  }
}

function memberKey(id: string): string {
  return `${MEMBERS_KEY}id:${id}`
}
