/**
 * One Lua script on one connection: sent by its SHA, and whole where the server does not know it, be it new, restarted or
 * flushed. May import ioredis and node:crypto.
 *
 * ioredis' own `defineCommand` does the same, one argument at a time; with hundreds of keys in a call, copying and encoding
 * them was most of what a renewal cost. Here a request is one string, joined once (docs/adr/0005).
 */
import { createHash } from 'node:crypto'
import { Command, type Redis } from 'ioredis'

const CRLF = '\r\n'

export class Script {
  readonly #client: Redis
  readonly #lua: string
  readonly #sha: string

  constructor(client: Redis, lua: string) {
    this.#client = client
    this.#lua = lua
    this.#sha = createHash('sha1').update(lua).digest('hex')
  }

  /**
   * @param keys what becomes KEYS; @param values what becomes ARGV.
   * @returns the script's answer, with replies of text as strings.
   * @throws what the server answered, or that the connection broke.
   */
  async run(keys: readonly string[], values: readonly string[]): Promise<unknown> {
    const tail = encode([String(keys.length), ...keys, ...values])
    const count = keys.length + values.length + 3
    try {
      return await this.#send('evalsha', count, this.#sha, tail)
    } catch (error) {
      if (!(error instanceof Error && error.message.startsWith('NOSCRIPT'))) throw error
      return this.#send('eval', count, this.#lua, tail)
    }
  }

  #send(name: 'evalsha' | 'eval', count: number, script: string, tail: string): Promise<unknown> {
    const wire = `*${count}${CRLF}${encode([name, script])}${tail}`
    return this.#client.sendCommand(new Request(name, wire)) as Promise<unknown>
  }
}

/** A command that is encoded already. */
class Request extends Command {
  readonly #wire: string

  constructor(name: string, wire: string) {
    super(name, [], { replyEncoding: 'utf8' })
    this.#wire = wire
  }

  override toWritable(): string {
    return this.#wire
  }
}

/** The lengths of most arguments, as they stand before them. */
const HEADERS = Array.from({ length: 256 }, (_, length) => `$${length}`)

/** Bulk strings of the Redis protocol, each with its line ends. */
function encode(values: readonly string[]): string {
  const lines: string[] = []
  for (const value of values) {
    const length = Buffer.byteLength(value)
    lines.push(HEADERS[length] ?? `$${length}`, value)
  }
  lines.push('')
  return lines.join(CRLF)
}
