/**
 * A command that is encoded already, so that it can be sent many times: in RESP2, the protocol of Redis, an array of bulk strings. May
 * import ioredis.
 *
 * All pieces are joined at once: with a thousand arguments that is faster than writing them one at a time, be it by a call of Node's
 * `Buffer` for each or character by character. What stands before an argument is the same text for all of one length.
 */
import { Command } from 'ioredis'

const CRLF = '\r\n'

/** Lengths up to which heads are kept; those of longer arguments are put together each time. */
const LONGEST_KEPT = 255

export class EncodedCommand extends Command {
  readonly #wire: Buffer

  /** @param wire the whole command, as it is sent. @param name its name, for the sake of ioredis. */
  constructor(name: string, wire: Buffer) {
    super(name, [], { replyEncoding: 'utf8' })
    this.#wire = wire
  }

  override toWritable(): Buffer {
    return this.#wire
  }
}

/** What stands before arguments that begin with the same text: the end of what came before, the length, that text. */
export class Heads {
  readonly #prefix: string
  readonly #kept: readonly string[]

  constructor(prefix: string) {
    this.#prefix = prefix
    const bytes = Buffer.byteLength(prefix)
    this.#kept = Array.from({ length: LONGEST_KEPT + 1 }, (_, length) => this.#make(bytes + length))
  }

  /** For a text that takes one byte for each of its characters. */
  ofAscii(text: string): string {
    return this.#kept[text.length] ?? this.of(text)
  }

  of(text: string): string {
    return this.#make(Buffer.byteLength(this.#prefix + text))
  }

  #make(bytes: number): string {
    return `${CRLF}$${bytes}${CRLF}${this.#prefix}`
  }
}

export const PLAIN: Heads = new Heads('')

/** Some arguments of a command. */
export interface Arguments {
  readonly texts: readonly string[]
  /** What stands before each of them, if they begin with the same text. */
  readonly heads?: Heads
}

/** @param start what comes before the arguments, without the end of its last line. */
export function encode(start: string, groups: readonly Arguments[]): Buffer {
  const command = join(start, groups, (heads, text) => heads.ofAscii(text))
  if (Buffer.byteLength(command) === command.length) return Buffer.from(command, 'latin1')
  return Buffer.from(join(start, groups, (heads, text) => heads.of(text)))
}

function join(start: string, groups: readonly Arguments[], headOf: (heads: Heads, text: string) => string): string {
  const pieces = [start]
  // Made as long as it will be, it is not copied while it grows.
  pieces.length = 2 + 2 * groups.reduce((count, { texts }) => count + texts.length, 0)
  let used = 1
  for (const { texts, heads = PLAIN } of groups) {
    for (const text of texts) {
      pieces[used] = headOf(heads, text)
      pieces[used + 1] = text
      used += 2
    }
  }
  pieces[used] = CRLF
  return pieces.join('')
}
