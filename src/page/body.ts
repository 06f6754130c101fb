/** Reads the bodies of requests. */
import type { IncomingMessage } from 'node:http'
import type { LockName, ReleaseRequest } from './wire.ts'

/** Bytes. The longest key has 4,096 characters, of which JSON makes 24 kB at most. */
const LONGEST = 65_536

/** The body is not what it should be: the message says why. */
export class BadRequestError extends Error {}

/** @throws BadRequestError. */
export async function readLockName(request: IncomingMessage): Promise<LockName> {
  return nameOf(await readBody(request))
}

/** @throws BadRequestError. */
export async function readRelease(request: IncomingMessage): Promise<ReleaseRequest> {
  const body = await readBody(request)
  const { owner = null, since = null } = body
  if (owner !== null && typeof owner !== 'string') throw new BadRequestError('`owner` has to be a string or null')
  if (since !== null && typeof since !== 'number') throw new BadRequestError('`since` has to be a number or null')
  return { ...nameOf(body), owner, since }
}

function nameOf({ key, bytes = null }: Record<string, unknown>): LockName {
  if (typeof key !== 'string') throw new BadRequestError('`key` has to be a string')
  if (bytes !== null && typeof bytes !== 'string') throw new BadRequestError('`bytes` has to be a string or null')
  return { key, bytes }
}

async function readBody(request: IncomingMessage): Promise<Record<string, unknown>> {
  if (!/^application\/json\b/.test(request.headers['content-type'] ?? '')) {
    throw new BadRequestError('The body has to be JSON')
  }
  // A framework may have read the body, and then has it, parsed or not.
  const read = request.readableEnded ? (request as { body?: unknown }).body : await readText(request)
  const value = typeof read === 'string' || Buffer.isBuffer(read) ? parse(String(read)) : read
  if (typeof value === 'object' && value !== null) return value as Record<string, unknown>
  throw new BadRequestError('The body has to be an object')
}

async function readText(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length
    if (length > LONGEST) throw new BadRequestError(`The body has more than ${LONGEST} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString()
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new BadRequestError('The body is no JSON')
  }
}
