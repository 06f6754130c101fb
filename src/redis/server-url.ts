/**
 * Turns URLs of servers, as users write them, into URLs that ioredis reads in the same way.
 *
 * ioredis reads `/locks` as database 0 and `/1.5` as 1, and sends SELECT with the text of the URL all the same. This file refuses both.
 */

/** The schemes of Redis and Valkey, and their equivalents in ioredis. */
const PROTOCOLS: Readonly<Record<string, string>> = {
  'redis:': 'redis:',
  'rediss:': 'rediss:',
  'valkey:': 'redis:',
  'valkeys:': 'rediss:',
}

const VALID = 'Expected `connection` to be a valid URL'

/**
 * @returns the same address as a `redis:` or `rediss:` URL; undefined if the text is another kind of URL, or none.
 * @throws TypeError naming the part that is wrong, and never a password.
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
    // ioredis decodes both, and throws if it cannot.
    decodeURIComponent(url.username)
    decodeURIComponent(url.password)
    return url
  } catch {
    // The caught error contains the whole URL, so it must not become the cause of this one.
    throw new TypeError(
      `${VALID}: the port must be a number, and special characters of a user name or password percent-encoded`,
    )
  }
}

function readDatabase(part: string, text: string): string {
  if (/^\d{0,9}$/.test(text)) return text
  // If a password contains a raw `/` or `?`, this text is the rest of the password.
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
