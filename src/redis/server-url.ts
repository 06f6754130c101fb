/**
 * URLs of servers as users write them, made into ones that ioredis reads the same way.
 *
 * ioredis takes `/locks` for database 0, `/1.5` for 1, and sends SELECT with whatever stands there all the same. Here each is refused.
 */

/** What the Valkey project writes, and what ioredis knows. */
const PROTOCOLS: Readonly<Record<string, string>> = {
  'redis:': 'redis:',
  'rediss:': 'rediss:',
  'valkey:': 'redis:',
  'valkeys:': 'rediss:',
}

const VALID = 'Expected `connection` to be a valid URL'

/**
 * @returns the same address as a `redis:` or `rediss:` URL; undefined if it is a URL of another kind, or none.
 * @throws TypeError naming the part of it that is wrong, and never a password.
 */
export function readServerUrl(text: string): string | undefined {
  const [written = '', protocol = ''] = /^([a-z]+:)\/\//i.exec(text) ?? []
  const known = PROTOCOLS[protocol.toLowerCase()]
  if (known === undefined) return undefined
  const url = parse(`${known}//${text.slice(written.length)}`)
  if (url.hash !== '') throw new TypeError(`${VALID}: a \`#\` must be written as \`%23\``)
  url.pathname = readDatabase('path', decoded(url.pathname).replace(/^\/|\/$/g, ''))
  for (const database of url.searchParams.getAll('db')) readDatabase('`db`', database || '?db=')
  return url.href
}

function parse(text: string): URL {
  try {
    const url = new URL(text)
    // ioredis decodes them, and throws if it cannot.
    decodeURIComponent(url.username)
    decodeURIComponent(url.password)
    return url
  } catch {
    // The error that was thrown holds the whole URL: it must not be the cause of this one.
    throw new TypeError(
      `${VALID}: the port must be a number, and special characters of a user name or password percent-encoded`,
    )
  }
}

function readDatabase(part: string, text: string): string {
  if (/^\d{0,9}$/.test(text)) return text
  // If a `/` or `?` in a password was not encoded, the rest of the password stands here.
  const got = text.includes('@') ? 'something else' : `\`${text}\``
  throw new TypeError(
    `Expected the ${part} of the URL to be the number of a database, as in redis://localhost/2, got ${got}`,
  )
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
