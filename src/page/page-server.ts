/** Answers the requests of a page. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { asError } from '../as-error.ts'
import { UnavailableError } from '../errors.ts'
import { answer, answerJson, fail, writeHead } from './answer.ts'
import { loadAssets } from './assets.ts'
import { BadRequestError, readLockName, readRelease } from './body.ts'
import { refuseChange, refuseHost, refuseOrigin, refuseSite } from './guard.ts'
import { findLocks, HolderChangedError, releaseLock, tellStory } from './locks.ts'
import type { PageSettings } from './options.ts'
import type { PageAssets } from './page-assets.ts'
import type { PageLeases } from './page-leases.ts'
import { Sampler } from './sampler.ts'
import { MOST_VIEWERS, Viewers } from './viewers.ts'

interface Exchange {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly query: URLSearchParams
}

interface Route {
  readonly method: 'GET' | 'POST'
  readonly run: (exchange: Exchange) => Promise<void> | void
}

type AssetName = keyof PageAssets

export class PageServer {
  readonly #leases: PageLeases
  readonly #settings: PageSettings
  readonly #sampler: Sampler
  readonly #viewers: Viewers
  readonly #routes: Readonly<Record<string, Route>>
  #closed = false

  constructor(leases: PageLeases, settings: PageSettings) {
    this.#leases = leases
    this.#settings = settings
    this.#sampler = new Sampler(leases, settings, (tick) => {
      this.#viewers.send('tick', JSON.stringify(tick))
      if (tick.facts.own?.connection === 'closed') this.close()
    })
    this.#viewers = new Viewers(
      () => JSON.stringify(this.#sampler.hello()),
      () => this.#sampler.stop(),
    )
    leases.on('lost', this.#sampler.losses.onLost)
    this.#routes = {
      // The names have dots, so that a path without one can be told to be the page without its last slash.
      '': this.#asset('html', 'text/html'),
      'page.css': this.#asset('style', 'text/css'),
      'page.js': this.#asset('script', 'text/javascript'),
      'icon.svg': this.#asset('icon', 'image/svg+xml'),
      'live.sse': { method: 'GET', run: (exchange) => this.#watch(exchange) },
      'locks.json': { method: 'GET', run: (exchange) => this.#find(exchange) },
      'lock.json': { method: 'POST', run: (exchange) => this.#tell(exchange) },
      'release.json': { method: 'POST', run: (exchange) => this.#release(exchange) },
    }
  }

  close(): void {
    this.#closed = true
    this.#leases.off('lost', this.#sampler.losses.onLost)
    this.#viewers.close()
    this.#sampler.stop()
  }

  /** Never rejects. */
  async handle(request: IncomingMessage, response: ServerResponse, next?: () => void): Promise<void> {
    try {
      await this.#handle(request, response, next)
    } catch (thrown) {
      const error = asError(thrown)
      if (response.headersSent || response.destroyed) response.destroy()
      else fail(response, statusOf(error), error.message)
    }
  }

  async #handle(request: IncomingMessage, response: ServerResponse, next?: () => void): Promise<void> {
    const [path, search] = splitUrl(request.url ?? '/')
    const name = path.slice(path.lastIndexOf('/') + 1)
    const route = Object.hasOwn(this.#routes, name) ? this.#routes[name] : undefined
    const refusal = refuseHost(request, this.#settings)
    if (refusal !== undefined) return fail(response, 403, refusal)
    if (isWithoutSlash(request, path, route !== undefined || next !== undefined)) return redirect(request, response)
    if (route === undefined) return next ? next() : fail(response, 404, 'There is no such page')
    const method = request.method === 'HEAD' ? 'GET' : request.method
    if (method !== route.method) {
      response.setHeader('allow', route.method)
      return fail(response, 405, `Expected the method ${route.method}`)
    }
    const isAsset = name === '' || name.startsWith('page.') || name === 'icon.svg'
    const stranger = isAsset
      ? undefined
      : route.method === 'GET'
        ? refuseSite(request)
        : refuseOrigin(request, this.#settings)
    if (stranger !== undefined) return fail(response, 403, stranger)
    return route.run({ request, response, query: new URLSearchParams(search) })
  }

  #asset(name: AssetName, type: string): Route {
    const run = async ({ response }: Exchange): Promise<void> =>
      answer(response, 200, `${type}; charset=utf-8`, (await loadAssets())[name])
    return { method: 'GET', run }
  }

  #watch({ request, response }: Exchange): void {
    if (this.#closed) return fail(response, 503, 'The page is closed')
    if (this.#viewers.size >= MOST_VIEWERS) return fail(response, 503, `${MOST_VIEWERS} browsers watch already`)
    // Nothing on the way may keep the events back, in order to compress them or for any other reason.
    const headers = { 'cache-control': 'no-store, no-transform', 'x-accel-buffering': 'no' }
    writeHead(response, 200, { ...headers, 'content-type': 'text/event-stream; charset=utf-8' })
    if (request.method === 'HEAD') {
      response.end()
      return
    }
    this.#sampler.start()
    this.#viewers.add(response)
  }

  async #find({ response, query }: Exchange): Promise<void> {
    const gone = new AbortController()
    response.on('close', () => gone.abort())
    const search = {
      text: query.get('text') ?? '',
      owner: query.get('owner') ?? undefined,
      cursor: query.get('cursor') ?? undefined,
    }
    const { clock } = this.#settings
    answerJson(response, 200, await findLocks(this.#leases, search, { clock, signal: gone.signal }))
  }

  async #tell({ request, response }: Exchange): Promise<void> {
    answerJson(response, 200, await tellStory(this.#leases, await readLockName(request), this.#sampler.losses))
  }

  async #release({ request, response }: Exchange): Promise<void> {
    const refusal = refuseChange(request, this.#settings)
    if (refusal !== undefined) return fail(response, 403, refusal)
    const released = await releaseLock(this.#leases, await readRelease(request))
    answerJson(response, 200, { released })
  }
}

function splitUrl(url: string): [path: string, search: string] {
  const at = url.indexOf('?')
  return at < 0 ? [url, ''] : [url.slice(0, at), url.slice(at + 1)]
}

/**
 * Whether the address is that of the page without the slash at its end. The browser would then look for the page's files one folder further up.
 * A framework that takes the path off at which it mounts us has the whole one in `originalUrl`.
 *
 * @param isForOthers whether another path than ours would be somebody else's.
 */
function isWithoutSlash(request: IncomingMessage, path: string, isForOthers: boolean): boolean {
  const { originalUrl } = request as { originalUrl?: unknown }
  if (typeof originalUrl === 'string' && originalUrl !== request.url) {
    return path === '/' && !splitUrl(originalUrl)[0].endsWith('/')
  }
  return !isForOthers && !path.slice(path.lastIndexOf('/')).includes('.')
}

/** A relative address: the browser knows more of the path than we do. */
function redirect(request: IncomingMessage, response: ServerResponse): void {
  const { originalUrl = request.url } = request as { originalUrl?: string | undefined }
  const [path, search] = splitUrl(originalUrl ?? '/')
  const last = path.slice(path.lastIndexOf('/') + 1)
  writeHead(response, 308, { location: `./${last}/${search === '' ? '' : `?${search}`}`, 'content-length': '0' })
  response.end()
}

function statusOf(error: Error): number {
  if (error instanceof BadRequestError || error instanceof RangeError || error instanceof TypeError) return 400
  if (error instanceof HolderChangedError) return 409
  return error instanceof UnavailableError ? 503 : 500
}
