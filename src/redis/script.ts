/**
 * One Lua script on one connection: sent by its SHA, and whole if the server does not know it: it may be new,
 * restarted or flushed.
 *
 * A script that is refused as unknown and sent again runs behind what was sent after it, out of order. So it is sent whole
 * the first time on each connection, and again after any script turned out to be unknown.
 *
 * SCRIPT LOAD stands before it: Redis 7.4 and Valkey 8.1 evict what they know by EVAL alone after 500 other scripts. Nobody waits for
 * the answer, and a server that refuses SCRIPT LOAD runs the EVAL behind it.
 *
 * ioredis' own `defineCommand` does the same, one argument at a time; with hundreds of keys in a call, copying and encoding
 * them was most of what a renewal cost. Here a request is encoded in one go, and sent again as it is (docs/adr/0005).
 */
import { createHash } from 'node:crypto'
import type { Connection } from './connection.ts'
import { type Arguments, EncodedCommand, encode, PLAIN } from './encoded-command.ts'
import { isReply, refusesCommand } from './reply-fault.ts'

/** What is known of the server behind a connection; shared by all scripts. */
export class ScriptMemory {
  /** Scripts that were sent whole. */
  readonly known: Set<Script> = new Set()
  /** Whether SCRIPT LOAD has not been refused. */
  loads = true
  /** Whether EVALSHA has not been refused: to a user who may use EVAL, for example. */
  runsBySha = true

  /** The connection is another one, maybe to another server. */
  forget(): void {
    this.known.clear()
    this.loads = true
    this.runsBySha = true
  }
}

export class Script {
  readonly #connection: Connection
  /** How a call begins: by its SHA, and whole. */
  readonly #bySha: string
  readonly #byText: string
  readonly #load: Buffer
  readonly #memory: ScriptMemory

  constructor(connection: Connection, lua: string, memory: ScriptMemory) {
    this.#connection = connection
    this.#bySha = wordsOf('evalsha', createHash('sha1').update(lua).digest('hex'))
    this.#byText = wordsOf('eval', lua)
    this.#load = encode('*3', [{ texts: ['script', 'load', lua] }])
    this.#memory = memory
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
   * @param prepare sends what must come right before the script on the connection; called again each time the script is sent again.
   * @returns the script's answer, with replies of text as strings.
   * @throws what the server answered, or that the connection broke.
   */
  async run(call: Call, prepare?: () => void): Promise<unknown> {
    const memory = this.#memory
    if (!memory.known.has(this) || !memory.runsBySha) return this.#runWhole(call, prepare)
    try {
      return await this.#sendBySha(call, prepare)
    } catch (error) {
      if (!isReply(error)) throw error
      if (refusesCommand(error)) memory.runsBySha = false
      else if (!error.message.startsWith('NOSCRIPT')) throw error
      // Others that were under way fail for the same flush, and are no reason to send everything whole again.
      else if (memory.known.has(this)) memory.known.clear()
      return this.#runWhole(call, prepare)
    }
  }

  async #runWhole(call: Call, prepare?: () => void): Promise<unknown> {
    const memory = this.#memory
    const isNew = !memory.known.has(this)
    memory.known.add(this)
    const loaded = isNew && memory.loads && memory.runsBySha ? this.#sendLoad() : undefined
    const { count, wire, own } = call
    const whole = Buffer.concat([Buffer.from(`*${count}${this.#byText}`), wire.subarray(own)])
    prepare?.()
    try {
      return await this.#connection.send(new EncodedCommand('eval', whole))
    } catch (error) {
      if (isReply(error) && refusesCommand(error) && (await loaded)) return this.#sendBySha(call, prepare)
      throw error
    }
  }

  #sendBySha({ wire }: Call, prepare?: () => void): Promise<unknown> {
    prepare?.()
    return this.#connection.send(new EncodedCommand('evalsha', wire))
  }

  /** @returns whether the server knows the script by its SHA from now on. */
  async #sendLoad(): Promise<boolean> {
    try {
      await this.#connection.send(new EncodedCommand('script', this.#load))
      return true
    } catch (error) {
      if (isReply(error) && refusesCommand(error)) this.#memory.loads = false
      return false
    }
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
