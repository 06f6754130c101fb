/**
 * A network between a manager and its server, with the faults that networks have, in each direction: it is slow, it
 * swallows what it is given without a word, it cuts connections, wholly, by half or within a reply. With a certificate
 * it speaks TLS towards the client, which knows no half of a connection.
 */
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import type { Certificate } from './certificate.ts'
import { type Conditions, Lane } from './lane.ts'

/** One connection from a client, and its continuation to the server. */
interface Link {
  readonly client: Socket
  readonly server: Socket
  /** From the client to the server. */
  readonly up: Lane
  readonly down: Lane
  /** What the client sent first. */
  opening: string
  /** For good. */
  silent: boolean
}

/** As much of what a client sends first as may say what the connection is for. */
const OPENING_LENGTH = 1_000

/**
 * One direction of all connections, those that are made later included. Where a fault is for some connections only, `mark` says for which: for
 * those whose client began by sending this, in whatever; default all.
 */
export class Direction implements Conditions {
  readonly #name: 'up' | 'down'
  readonly #links: ReadonlySet<Link>
  #delay = 0
  #bytesPerSecond = Number.POSITIVE_INFINITY
  #swallowsFuture = false

  constructor(name: 'up' | 'down', links: ReadonlySet<Link>) {
    this.#name = name
    this.#links = links
  }

  /** What each byte takes, in ms. What is on its way is given the new delay. */
  get delay(): number {
    return this.#delay
  }

  set delay(delay: number) {
    this.#delay = delay
    for (const lane of this.#lanes()) lane.pump()
  }

  /** Of each connection. More than that is kept, however much it is. */
  get bytesPerSecond(): number {
    return this.#bytesPerSecond
  }

  set bytesPerSecond(bytesPerSecond: number) {
    this.#bytesPerSecond = bytesPerSecond
    for (const lane of this.#lanes()) lane.pump()
  }

  /** Whether connections that are made now are black holes. */
  get swallowsFuture(): boolean {
    return this.#swallowsFuture
  }

  /**
   * Nothing passes any more, and nobody is told: neither bytes nor that one end has closed the connection. They are still sent, so they arrive
   * when the network works again.
   *
   * @param future whether it is so for connections that are made later: they are accepted, and that is all.
   */
  blackHole({ mark = '', future = false }: { readonly mark?: string; readonly future?: boolean } = {}): void {
    this.#swallowsFuture ||= future
    for (const lane of this.#lanes(mark)) lane.hold()
  }

  /** Neither slow nor a black hole any more. What was on its way arrives. */
  mend(): void {
    this.#delay = 0
    this.#bytesPerSecond = Number.POSITIVE_INFINITY
    this.#swallowsFuture = false
    for (const link of this.#links) if (!link.silent) link[this.#name].resume()
  }

  /** The connections that are there now are closed in this direction only (FIN). */
  halfClose(mark = ''): void {
    for (const lane of this.#lanes(mark)) lane.halfClose()
  }

  /**
   * Each connection that is there now breaks once so many bytes more, at least one, have passed in this direction: within a request or a
   * reply, if one is longer.
   *
   * @returns when the first of them has, for whatever reason.
   */
  cutAfter(bytes: number, mark = ''): Promise<void> {
    return new Promise((resolve) => {
      for (const link of this.#marked(mark)) {
        link[this.#name].cutAfter(bytes, () => breakOff(link))
        link.client.once('close', () => resolve())
      }
    })
  }

  #marked(mark: string): Link[] {
    return [...this.#links].filter(({ opening }) => opening.includes(mark))
  }

  #lanes(mark = ''): Lane[] {
    return this.#marked(mark).map((link) => link[this.#name])
  }
}

export class Proxy {
  readonly #links = new Set<Link>()
  /** From clients to the server. */
  readonly up: Direction = new Direction('up', this.#links)
  /** From the server to clients. */
  readonly down: Direction = new Direction('down', this.#links)
  readonly #listener: Server
  /** Where connections that are made from now on lead to: a port of 127.0.0.1. */
  target: number
  #accepted = 0
  #droppingAnswers = false

  private constructor(target: number, certificate: Certificate | undefined) {
    this.target = target
    const accept = (client: Socket): void => this.#accept(client)
    this.#listener =
      certificate === undefined ? createServer({ allowHalfOpen: true }, accept) : createTlsServer(certificate, accept)
    // A client that does not trust the certificate says so here too.
    this.#listener.on('tlsClientError', (_error: Error, client: Socket) => client.destroy())
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
    return [...this.#links].filter(({ client }) => client.readable).length
  }

  /** Connections that clients have ever made. */
  get accepted(): number {
    return this.#accepted
  }

  /** While it is set, no answer of the server arrives; requests still do. To be ended by a `cut`, or what is on its way arrives. */
  get droppingAnswers(): boolean {
    return this.#droppingAnswers
  }

  set droppingAnswers(dropping: boolean) {
    this.#droppingAnswers = dropping
    if (dropping) this.down.blackHole({ future: true })
    else this.down.mend()
  }

  /**
   * The connections that are there now go silent for good: nothing passes in either direction, and nobody is told. New ones work.
   *
   * @param mark as for a `Direction`.
   */
  silence(mark = ''): void {
    for (const link of this.#links) if (link.opening.includes(mark)) link.silent = true
    for (const direction of [this.up, this.down]) direction.blackHole({ mark })
  }

  /** The connections that are there now break. @param mark as for a `Direction`. */
  cut(mark = ''): void {
    for (const link of this.#links) if (link.opening.includes(mark)) breakOff(link)
  }

  async stop(): Promise<void> {
    this.#listener.close()
    this.cut()
    await once(this.#listener, 'close')
  }

  #accept(client: Socket): void {
    const server = connect({ port: this.target, host: '127.0.0.1', allowHalfOpen: true })
    const up = new Lane(client, server, this.up, this.up.swallowsFuture)
    const down = new Lane(server, client, this.down, this.down.swallowsFuture)
    const link: Link = { client, server, up, down, opening: '', silent: false }
    this.#accepted += 1
    this.#links.add(link)
    client.on('data', (chunk: Buffer) => {
      if (link.opening.length < OPENING_LENGTH) link.opening += chunk.toString('latin1')
    })
    for (const side of [client, server]) {
      side.on('error', () => undefined)
      side.on('close', () => {
        if (client.destroyed && server.destroyed) this.#links.delete(link)
      })
    }
  }
}

function breakOff({ client, server }: Link): void {
  client.destroy()
  server.destroy()
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
