/**
 * Who may ask for what. A refusal says why.
 *
 * Every request must name an expected host: otherwise a foreign page could read ours by giving its own name our address (DNS rebinding). A request
 * for data must not come from another site, as far as the browser says. A change must come from a page of this host, and needs the token.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { isIP } from 'node:net'
import type { PageSettings } from './options.ts'

const TOKEN_HEADER = 'x-leasewheel-token'

/** @returns why the request is refused; undefined if it is not. */
export function refuseHost(request: IncomingMessage, { hosts }: Pick<PageSettings, 'hosts'>): string | undefined {
  const host = hostOf(request)
  const name = nameOf(host)
  if (name !== undefined && (isLocal(name) || hosts.has(name))) return undefined
  return `The host ${JSON.stringify(host ?? '')} is not expected: the option \`hosts\` of \`page\` can allow its name`
}

/** For data: a browser says which site asks. Other programs do not. */
export function refuseSite(request: IncomingMessage): string | undefined {
  const site = request.headers['sec-fetch-site']
  return site === undefined || site === 'same-origin' || site === 'none' ? undefined : 'Another site asks'
}

/** For a request whose answer depends on a body: it must come from a page of this host. */
export function refuseOrigin(request: IncomingMessage, { hosts }: Pick<PageSettings, 'hosts'>): string | undefined {
  const { origin } = request.headers
  // A proxy in front of us may have another name than the one that we see.
  const isOurs = (url: URL): boolean => url.host === hostOf(request) || hosts.has(url.hostname)
  if (origin === undefined || (URL.canParse(origin) && isOurs(new URL(origin)))) return refuseSite(request)
  return 'Another origin asks'
}

/** For a change. */
export function refuseChange(request: IncomingMessage, settings: PageSettings): string | undefined {
  if (settings.readOnly || settings.token === undefined) return 'The page is read-only'
  const token = request.headers[TOKEN_HEADER]
  if (token === undefined) return 'The token is missing'
  return isSame(String(token), settings.token) ? undefined : 'The token is wrong'
}

function hostOf({ headers }: IncomingMessage): string | undefined {
  // HTTP/2 has another name for it.
  return (headers.host ?? (headers[':authority'] as string | undefined))?.toLowerCase()
}

function nameOf(host: string | undefined): string | undefined {
  if (host === undefined || !URL.canParse(`http://${host}`)) return undefined
  const url = new URL(`http://${host}`)
  // Anything but a host and a port would be a trick.
  return url.username === '' && url.pathname === '/' && url.search === '' && url.hash === '' ? url.hostname : undefined
}

/** Names and addresses that nobody else can point at us. */
function isLocal(name: string): boolean {
  return name === 'localhost' || name.endsWith('.localhost') || isIP(name.replace(/^\[(.*)\]$/, '$1')) !== 0
}

/** Takes as long whatever the difference. */
function isSame(one: string, other: string): boolean {
  return timingSafeEqual(digestOf(one), digestOf(other))
}

function digestOf(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
