/**
 * Lua scripts, and who runs them on one connection. A script is sent by its SHA, or whole if the server does not know it: the server may be new,
 * restarted or flushed.
 *
 * If a server refuses a SHA as unknown, the script has to be sent again, and runs out of order, after later requests. So it is
 * sent whole the first time on each connection, and again after any script turned out to be unknown.
 *
 * SCRIPT LOAD precedes it: Redis 7.4 and Valkey 8.1 evict scripts known by EVAL alone after 500 others. Nothing waits for the
 * answer, and a server that refuses SCRIPT LOAD runs the EVAL behind it.
 *
 * `defineCommand` of ioredis does the same, one argument at a time. With hundreds of keys in a call, copying and encoding them
 * was most of the cost of a renewal. Here a request is encoded at once, and sent again as it is (docs/adr/0005).
 */
import { createHash } from 'node:crypto'
import type { Connection } from './connection.ts'
import { type Arguments, EncodedCommand, encode, encodeBytes, PLAIN } from './encoded-command.ts'
import { isReply, refusesCommand } from './reply-fault.ts'
import type { Leading } from './reply-group.ts'

/** What we know of the server behind a connection. */
class ScriptMemory {
  /** Scripts that were sent whole. */
  readonly known: Set<Script> = new Set()
  /** False once the server has refused SCRIPT LOAD. */
  loads = true
  /** False once the server has refused EVALSHA, for example by an ACL that allows EVAL. */
  runsBySha = true

  /** There is a new connection, maybe to another server. */
  forget(): void {
    this.known.clear()
    this.loads = true
    this.runsBySha = true
  }
}

export class Script {
  /** The beginnings of a call: by the SHA, and whole. */
  readonly bySha: string
  readonly byText: string
  /** The whole command that loads it. */
  readonly load: Buffer

  constructor(lua: string) {
    this.bySha = wordsOf('evalsha', createHash('sha1').update(lua).digest('hex'))
    this.byText = wordsOf('eval', lua)
    this.load = encode('*3', [{ texts: ['script', 'load', lua] }])
  }

  /** Encodes a call, which may be sent many times. @param keys become KEYS. @param values become ARGV. */
  prepare(keys: readonly Arguments[], values: readonly Arguments[]): Call {
    return this.#prepareBy(encode, keys, values)
  }

  /** As `prepare`, for keys of which each character stands for one byte. */
  prepareBytes(keys: readonly Arguments[]): Call {
    return this.#prepareBy(encodeBytes, keys, [])
  }

  #prepareBy(encodeWith: typeof encode, keys: readonly Arguments[], values: readonly Arguments[]): Call {
    const keyCount = countOf(keys)
    const count = keyCount + countOf(values) + 3
    const start = `*${count}${this.bySha}`
    const wire = encodeWith(start, [{ texts: [String(keyCount)] }, ...keys, ...values])
    return { count, wire, own: start.length }
  }
}

/** Runs scripts on one connection. */
export class ScriptRunner {
  readonly #connection: Connection
  readonly #memory = new ScriptMemory()

  constructor(connection: Connection) {
    this.#connection = connection
    connection.client.on('connect', () => this.#memory.forget())
  }

  /** Whether the server was sent the script, and runs scripts by their SHA. */
  knows(script: Script): boolean {
    return this.#memory.runsBySha && this.#memory.known.has(script)
  }

  /**
   * @param leading what goes right before the script, also if that is sent again.
   * @returns the script's answer, with text replies as strings.
   * @throws the server's error reply, or the error of a broken connection.
   */
  async run(script: Script, call: Call, leading?: Leading): Promise<unknown> {
    const memory = this.#memory
    if (!memory.known.has(script) || !memory.runsBySha) return this.#runWhole(script, call, leading)
    try {
      return await this.#sendBySha(call, leading)
    } catch (error) {
      if (!isReply(error)) throw error
      if (refusesCommand(error)) memory.runsBySha = false
      else if (!error.message.startsWith('NOSCRIPT')) throw error
      // Other calls under way fail because of the same flush. They must not clear the memory again.
      else if (memory.known.has(script)) memory.known.clear()
      return this.#runWhole(script, call, leading)
    }
  }

  async #runWhole(script: Script, call: Call, leading?: Leading): Promise<unknown> {
    const memory = this.#memory
    const isNew = !memory.known.has(script)
    memory.known.add(script)
    const loaded = isNew && memory.loads && memory.runsBySha ? this.#sendLoad(script) : undefined
    try {
      return await this.#connection.client.sendOne(wholeWire(script, call), leading?.lead)
    } catch (error) {
      if (isReply(error) && refusesCommand(error) && (await loaded)) return this.#sendBySha(call, leading)
      throw error
    }
  }

  #sendBySha({ wire }: Call, leading?: Leading): Promise<unknown> {
    return this.#connection.client.sendOne(wire, leading?.lead)
  }

  /** @returns whether the server knows the script by its SHA from now on. */
  async #sendLoad({ load }: Script): Promise<boolean> {
    try {
      await this.#connection.send(new EncodedCommand('script', load))
      return true
    } catch (error) {
      if (isReply(error) && refusesCommand(error)) this.#memory.loads = false
      return false
    }
  }
}

/** An encoded call. */
export interface Call {
  /** The number of arguments, the command's name included. */
  readonly count: number
  readonly wire: Buffer
  /** The offset in `wire` at which the script's own arguments begin. */
  readonly own: number
}

/** A call with the text of its script, which every server knows how to run. */
export function wholeCommand(script: Script, call: Call): EncodedCommand {
  return new EncodedCommand('eval', wholeWire(script, call))
}

function wholeWire({ byText }: Script, { count, wire, own }: Call): Buffer {
  return Buffer.concat([Buffer.from(`*${count}${byText}`), wire.subarray(own)])
}

function countOf(groups: readonly Arguments[]): number {
  return groups.reduce((count, { texts }) => count + texts.length, 0)
}

/** The first words of a command. */
function wordsOf(...words: string[]): string {
  return words.map((word) => PLAIN.of(word) + word).join('')
}
