/**
 * One Lua script on one connection: sent by its SHA, and whole where the server does not know it, be it new, restarted or
 * flushed. May import the connection's type, encoded commands and node:crypto.
 *
 * A script that is refused for being unknown and sent again runs behind what was sent after it, out of order. So it is sent
 * whole the first time on each connection, and again after any script turned out to be unknown.
 *
 * ioredis' own `defineCommand` does the same, one argument at a time; with hundreds of keys in a call, copying and encoding
 * them was most of what a renewal cost. Here a request is encoded in one go, and sent again as it is (docs/adr/0005).
 */
import { createHash } from 'node:crypto'
import type { Connection } from './connection.ts'
import { type Arguments, EncodedCommand, encode, PLAIN } from './encoded-command.ts'

export class Script {
  readonly #connection: Connection
  /** How a call begins: by its SHA, and whole. */
  readonly #bySha: string
  readonly #byText: string
  readonly #known: Set<Script>

  /** @param known the scripts that were sent whole on this connection; shared by all of them, and emptied when it is another one. */
  constructor(connection: Connection, lua: string, known: Set<Script>) {
    this.#connection = connection
    this.#bySha = wordsOf('evalsha', createHash('sha1').update(lua).digest('hex'))
    this.#byText = wordsOf('eval', lua)
    this.#known = known
  }

  /** Encodes a call, to be sent once or many times. @param keys what becomes KEYS; @param values what becomes ARGV. */
  prepare(keys: readonly Arguments[], values: readonly Arguments[]): Call {
    const keyCount = countOf(keys)
    const count = keyCount + countOf(values) + 3
    const start = `*${count}${this.#bySha}`
    const wire = encode(start, [{ texts: [String(keyCount)] }, ...keys, ...values])
    return { count, wire, own: start.length }
  }

  /**
   * @param prepare sends what must come right before the script on the connection.
   * @returns the script's answer, with replies of text as strings.
   * @throws what the server answered, or that the connection broke.
   */
  async run(call: Call, prepare?: () => void): Promise<unknown> {
    if (!this.#known.has(this)) return this.#runWhole(call, prepare)
    try {
      prepare?.()
      return await this.#connection.send(new EncodedCommand('evalsha', call.wire))
    } catch (error) {
      if (!(error instanceof Error && error.message.startsWith('NOSCRIPT'))) throw error
      // Others that were under way fail for the same flush, and are no reason to send everything whole again.
      if (this.#known.has(this)) this.#known.clear()
      return this.#runWhole(call, prepare)
    }
  }

  async #runWhole({ count, wire, own }: Call, prepare?: () => void): Promise<unknown> {
    this.#known.add(this)
    const whole = Buffer.concat([Buffer.from(`*${count}${this.#byText}`), wire.subarray(own)])
    prepare?.()
    return await this.#connection.send(new EncodedCommand('eval', whole))
  }
}

/** A call that is ready to be sent. */
export interface Call {
  /** How many arguments it has, the command's name included. */
  readonly count: number
  readonly wire: Buffer
  /** Where in that the script's own arguments begin. */
  readonly own: number
}

function countOf(groups: readonly Arguments[]): number {
  return groups.reduce((count, { texts }) => count + texts.length, 0)
}

/** The first words of a command. */
function wordsOf(...words: string[]): string {
  return words.map((word) => PLAIN.of(word) + word).join('')
}
