/**
 * leasewheel with everything attached that an operator may want: Prometheus scraped each second, OpenTelemetry exported each second, the live page with
 * one viewer, and `announce`. Who scrapes and watches is a process of its own, as in life.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { MeterProvider, PeriodicExportingMetricReader, type PushMetricExporter } from '@opentelemetry/sdk-metrics'
import { observe } from 'leasewheel/opentelemetry'
import { page, type PageHandler } from 'leasewheel/page'
import { collect } from 'leasewheel/prometheus'
import { Registry } from 'prom-client'
import type { Library, OnLost } from '../library.ts'
import { LeasewheelHolder } from './leasewheel.ts'

/** ms. */
const EVERY = 1_000

/** The program that scrapes, and watches the page. Its argument is the address. */
const WATCHER = `
  const { get } = require('node:http')
  const url = process.argv[1]
  get(url + 'live.sse', (response) => response.on('end', () => process.exit()).resume())
  setInterval(() => get(url + 'metrics', (response) => response.resume()), ${EVERY})
  process.on('disconnect', () => process.exit())
`

/** Exports to nowhere: what a real one sends is not ours. */
const exporter: PushMetricExporter = {
  export: (_metrics, done) => done({ code: 0 }),
  forceFlush: () => Promise.resolve(),
  shutdown: () => Promise.resolve(),
}

class ObservedHolder extends LeasewheelHolder {
  readonly #register = new Registry()
  readonly #provider = new MeterProvider({
    readers: [new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: EVERY })],
  })
  readonly #page: PageHandler
  readonly #server: Server
  readonly #stops: readonly (() => void)[]
  #watcher: ChildProcess | undefined

  constructor(url: string, ttl: number, onLost?: OnLost) {
    super(url, ttl, onLost, { announce: true })
    this.#page = page(this.leases)
    this.#stops = [
      collect(this.leases, { register: this.#register }),
      observe(this.leases, { meter: this.#provider.getMeter('bench') }),
    ]
    this.#server = createServer((request, response) => {
      if (request.url !== '/metrics') return this.#page(request, response)
      void this.#register.metrics().then((text) => response.end(text))
    })
  }

  async watch(): Promise<void> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
    const url = `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/`
    this.#watcher = spawn(process.execPath, ['-e', WATCHER, url], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
  }

  override async close(): Promise<void> {
    for (const stop of this.#stops) stop()
    this.#page.close()
    if (this.#watcher?.exitCode === null) await once(this.#watcher, 'exit')
    this.#server.closeAllConnections()
    this.#server.close()
    await this.#provider.shutdown()
    await super.close()
  }
}

export const leasewheelObserved: Library = {
  async open(url, ttl, onLost) {
    const holder = new ObservedHolder(url, ttl, onLost)
    await holder.watch()
    return holder
  },
}
