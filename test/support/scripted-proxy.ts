/**
 * A proxy that answers some commands in its own way, as managed services and old proxies do. Replies keep their order:
 * the server itself is made to give the answer.
 */
import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'

/** What a command is answered instead: an error, or a text. Nothing: whatever the server answers. */
export type Answer = { readonly error: string } | { readonly text: string } | undefined

export interface ScriptedProxy {
  readonly port: number
  /** Connections that clients have ever made. */
  readonly accepted: number
}

/**
 * Runs `work` with such a proxy, which ends afterwards.
 *
 * @param target a port of 127.0.0.1. @param answer is asked about each command; its words are as they were sent.
 */
export async function withScriptedProxy<T>(
  target: number,
  answer: (words: readonly string[]) => Answer,
  work: (proxy: ScriptedProxy) => Promise<T>,
): Promise<T> {
  let accepted = 0
  const listener = createServer((client) => {
    accepted += 1
    const server = connect(target, '127.0.0.1')
    for (const [side, other] of [
      [client, server],
      [server, client],
    ] as const) {
      side.on('error', () => undefined)
      side.on('close', () => other.destroy())
    }
    server.pipe(client)
    let rest = Buffer.alloc(0)
    client.on('data', (chunk: Buffer) => {
      rest = Buffer.concat([rest, chunk])
      for (let command = firstCommand(rest); command; command = firstCommand(rest)) {
        server.write(replacementOf(answer(command.words)) ?? rest.subarray(0, command.length))
        rest = rest.subarray(command.length)
      }
    })
  })
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const { port } = listener.address() as AddressInfo
  try {
    return await work({
      port,
      get accepted() {
        return accepted
      },
    })
  } finally {
    listener.close()
  }
}

function replacementOf(answer: Answer): Buffer | undefined {
  if (answer === undefined) return undefined
  if ('text' in answer) return encode(['ECHO', answer.text])
  return encode(['EVAL', 'return redis.error_reply(ARGV[1])', '0', answer.error])
}

function encode(words: readonly string[]): Buffer {
  return Buffer.from(
    `*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('')}`,
  )
}

/** The command at the beginning, if all of it is there: an array of bulk strings. */
export function firstCommand(
  bytes: Buffer,
): { readonly words: readonly string[]; readonly length: number } | undefined {
  let at = 0
  const line = (): string | undefined => {
    const end = bytes.indexOf('\r\n', at)
    if (end === -1) return undefined
    const text = bytes.toString('latin1', at, end)
    at = end + 2
    return text
  }
  const head = line()
  if (head === undefined) return undefined
  const words: string[] = []
  for (let left = Number(head.slice(1)); left > 0; left -= 1) {
    const size = line()
    if (size === undefined || bytes.length < at + Number(size.slice(1)) + 2) return undefined
    words.push(bytes.toString('utf8', at, at + Number(size.slice(1))))
    at += Number(size.slice(1)) + 2
  }
  return { words, length: at }
}
