/** `page`: a handler for requests of Node's `http`, which shows what a manager does. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { checkMethods } from '../options/check.ts'
import { type PageOptions, resolvePage } from './options.ts'
import type { PageLeases } from './page-leases.ts'
import { PageServer } from './page-server.ts'

/** Handles requests for the page and for what it asks. It can be mounted under any path, and never throws. */
export interface PageHandler {
  /** @param next of Express and the like: called if the path leads to nothing here. Without it such a request is answered with 404. */
  (request: IncomingMessage, response: ServerResponse, next?: (error?: unknown) => void): void
  /** Ends the streams of all viewers, and stops noting losses. An HTTP server can close only once these streams have ended. */
  close(): void
}

/**
 * A live page about a manager, and about all locks under its prefix.
 *
 * @throws TypeError, RangeError naming the option that is invalid.
 */
export function page(leases: PageLeases, options: PageOptions = {}): PageHandler {
  const server = new PageServer(
    checkMethods('leases', leases, ['stats', 'health', 'members', 'list', 'forceRelease', 'on', 'off']),
    resolvePage(options),
  )
  const handle = (request: IncomingMessage, response: ServerResponse, next?: (error?: unknown) => void): void =>
    void server.handle(request, response, next)
  return Object.assign(handle, { close: () => server.close() })
}
