/** What is between one worker and the servers: a proxy before each. */
import { Proxy } from '../support/proxy.ts'

export class Network {
  /** By the server's port. */
  readonly #proxies: ReadonlyMap<number, Proxy>

  private constructor(proxies: ReadonlyMap<number, Proxy>) {
    this.#proxies = proxies
  }

  static async start(ports: readonly number[]): Promise<Network> {
    const start = async (port: number): Promise<[number, Proxy]> => [port, await Proxy.start(port)]
    return new Network(new Map(await Promise.all(ports.map(start))))
  }

  /** For each server's port that of the proxy before it. */
  get ports(): readonly (readonly [server: number, proxy: number])[] {
    return [...this.#proxies].map(([server, { port }]) => [server, port])
  }

  get droppingAnswers(): boolean {
    return this.#all.some(({ droppingAnswers }) => droppingAnswers)
  }

  set droppingAnswers(dropping: boolean) {
    for (const proxy of this.#all) proxy.droppingAnswers = dropping
  }

  silence(): void {
    for (const proxy of this.#all) proxy.silence()
  }

  cut(): void {
    for (const proxy of this.#all) proxy.cut()
  }

  async stop(): Promise<void> {
    await Promise.all(this.#all.map((proxy) => proxy.stop()))
  }

  get #all(): Proxy[] {
    return [...this.#proxies.values()]
  }
}
