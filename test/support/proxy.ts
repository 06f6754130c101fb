/**
 * A network between a manager and its server, with the faults that networks have: it swallows answers, goes silent without
 * closing anything, cuts connections. With a certificate it speaks TLS towards the client. May import node: modules only.
 */
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import type { Certificate } from './certificate.ts'

/** One connection from a client, and its continuation to the server. */
interface Link {
  readonly client: Socket
  readonly server: Socket
  /** What the client sent first. */
  opening: string
  silent: boolean
}

/** As much of what a client sends first as may say what the connection is for. */
const OPENING_LENGTH = 1_000

export class Proxy {
  /** While it is set, no answer of the server arrives; requests still do. To be ended by a `cut`: no network loses what lies in between. */
  droppingAnswers = false
  readonly #listener: Server
  readonly #links = new Set<Link>()

  private constructor(target: number, certificate: Certificate | undefined) {
    const accept = (client: Socket): void => this.#accept(client, target)
    this.#listener = certificate === undefined ? createServer(accept) : createTlsServer(certificate, accept)
    // A client that does not trust the certificate says so here too.
    this.#listener.on('tlsClientError', () => undefined)
  }

  /** @param target a port of 127.0.0.1. */
  static async start(target: number, certificate?: Certificate): Promise<Proxy> {
    const proxy = new Proxy(target, certificate)
    proxy.#listener.listen(0, '127.0.0.1')
    await once(proxy.#listener, 'listening')
    return proxy
  }

  get port(): number {
    return (this.#listener.address() as AddressInfo).port
  }

  /** Connections that clients have at this moment. */
  get connections(): number {
    return this.#links.size
  }

  /**
   * The connections that are there now go silent for good: nothing passes in either direction, and nobody is told. New ones work.
   *
   * @param mark only those are meant whose client began by sending this, in whatever; default all.
   */
  silence(mark = ''): void {
    for (const link of this.#links) link.silent ||= link.opening.includes(mark)
  }

  /** The connections that are there now break. */
  cut(): void {
    for (const { client, server } of this.#links) {
      client.destroy()
      server.destroy()
    }
  }

  async stop(): Promise<void> {
    this.#listener.close()
    this.cut()
    await once(this.#listener, 'close')
  }

  #accept(client: Socket, target: number): void {
    const link: Link = { client, server: connect(target, '127.0.0.1'), opening: '', silent: false }
    this.#links.add(link)
    client.on('data', (chunk) => {
      if (link.opening.length < OPENING_LENGTH) link.opening += chunk.toString('latin1')
      if (!link.silent) link.server.write(chunk)
    })
    link.server.on('data', (chunk) => {
      if (!link.silent && !this.droppingAnswers) client.write(chunk)
    })
    for (const [side, other] of [
      [client, link.server],
      [link.server, client],
    ] as const) {
      side.on('error', () => undefined)
      side.on('close', () => {
        this.#links.delete(link)
        if (!link.silent) other.destroy()
      })
    }
  }
}

/** Runs `work` with a proxy before a server, which is stopped afterwards. */
export async function withProxy<T>(
  target: number,
  work: (proxy: Proxy) => Promise<T>,
  certificate?: Certificate,
): Promise<T> {
  const proxy = await Proxy.start(target, certificate)
  try {
    return await work(proxy)
  } finally {
    await proxy.stop()
  }
}
