/** Pages on a server of their own, and a client that sends what a browser would. */
import { once } from 'node:events'
import { createServer, type IncomingMessage, request, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { page, type PageHandler, type PageLeases, type PageOptions } from 'leasewheel/page'

export const TOKEN = 'a token of the tests'

export interface Answer {
  readonly status: number
  readonly headers: IncomingMessage['headers']
  readonly text: string
  /** The body as JSON. */
  readonly data: Record<string, unknown>
}

export interface Question {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: unknown
}

export class PageStage {
  readonly handler: PageHandler
  readonly server: Server
  readonly port: number

  private constructor(handler: PageHandler, server: Server) {
    this.handler = handler
    this.server = server
    this.port = (server.address() as AddressInfo).port
  }

  static async open(leases: PageLeases, options: PageOptions = {}): Promise<PageStage> {
    const handler = page(leases, options)
    const server = createServer((incoming, response) => handler(incoming, response))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return new PageStage(handler, server)
  }

  ask(path: string, { method = 'GET', headers = {}, body }: Question = {}): Promise<Answer> {
    return ask(this.port, path, { method, headers, body })
  }

  /** As the page asks. */
  post(path: string, body: unknown, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
    return this.ask(path, { method: 'POST', body, headers: { 'content-type': 'application/json', ...headers } })
  }

  watch(): Promise<Stream> {
    return Stream.open(this.port)
  }

  async close(): Promise<void> {
    this.handler.close()
    this.server.closeAllConnections()
    this.server.close()
    await once(this.server, 'close')
  }
}

export async function ask(
  port: number,
  path: string,
  { method = 'GET', headers = {}, body }: Question,
): Promise<Answer> {
  const sent = request({ port, host: '127.0.0.1', path, method, headers, agent: false })
  sent.end(body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body))
  const [response] = (await once(sent, 'response')) as [IncomingMessage]
  let text = ''
  for await (const chunk of response.setEncoding('utf8')) text += String(chunk)
  const isJson = /json/.test(response.headers['content-type'] ?? '')
  const data = isJson ? (JSON.parse(text) as Record<string, unknown>) : {}
  return { status: response.statusCode ?? 0, headers: response.headers, text, data }
}

interface StreamEvent {
  readonly name: string
  readonly data: never
}

/** A browser that watches. */
export class Stream {
  readonly response: IncomingMessage
  readonly events: StreamEvent[] = []
  #text = ''

  private constructor(response: IncomingMessage) {
    this.response = response
    response.setEncoding('utf8').on('data', (chunk: string) => this.#take(chunk))
    response.on('error', () => undefined)
  }

  static async open(port: number): Promise<Stream> {
    const sent = request({ port, host: '127.0.0.1', path: '/live.sse', agent: false })
    sent.on('error', () => undefined)
    sent.end()
    const [response] = (await once(sent, 'response')) as [IncomingMessage]
    return new Stream(response)
  }

  /** The data of the events of a name. */
  of<T>(name: string): T[] {
    return this.events.filter((event) => event.name === name).map(({ data }) => data)
  }

  close(): void {
    this.response.destroy()
  }

  #take(chunk: string): void {
    this.#text += chunk
    for (let end = this.#text.indexOf('\n\n'); end >= 0; end = this.#text.indexOf('\n\n')) {
      const lines = this.#text.slice(0, end).split('\n')
      this.#text = this.#text.slice(end + 2)
      const field = (name: string): string =>
        lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2) ?? ''
      this.events.push({ name: field('event'), data: JSON.parse(field('data')) as never })
    }
  }
}
