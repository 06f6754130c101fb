/**
 * A command that is encoded already, so that it can be sent many times. May import ioredis.
 */
import { Command } from 'ioredis'

export const CRLF = '\r\n'

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

/** The lengths of most arguments, as they stand before them. */
const HEADERS = Array.from({ length: 256 }, (_, length) => `$${length}`)

/** Bulk strings of the Redis protocol, each with its line ends. */
export function encode(values: readonly string[]): string {
  const lines: string[] = []
  for (const value of values) {
    const length = Buffer.byteLength(value)
    lines.push(HEADERS[length] ?? `$${length}`, value)
  }
  lines.push('')
  return lines.join(CRLF)
}
