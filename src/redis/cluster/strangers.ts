/** The nodes that we have no connection to, as the last map and the application name them. Scouts ask some of them for the map. */
import type { BackendSettings } from '../../backend.ts'
import { type ClusterSource, nameOf } from './cluster-source.ts'
import type { AskForMap } from './map-keeper.ts'
import { Scouts } from './scout.ts'
import type { Address } from './slots-reply.ts'

/** The largest number of connections that are made only to ask for a map. */
const MOST_SCOUTS = 8
const ignore = (): void => undefined

export class Strangers {
  readonly #source: ClusterSource
  readonly #scouts: Scouts
  /** Where we reach all nodes of the last map, replicas included. */
  #known: readonly Address[] = []
  /** Where the nodes are that the application named, as last looked up. */
  #seeds: readonly Address[] = []
  #lookingUp: Promise<void> | undefined
  /** How many addresses had their turn to be asked. */
  #turns = 0

  constructor(source: ClusterSource, settings: BackendSettings) {
    this.#source = source
    this.#scouts = new Scouts(source, settings)
  }

  /** @param addresses where we reach all nodes of a new map. */
  onMap(addresses: readonly Address[]): void {
    this.#known = [...new Map(addresses.map((address) => [nameOf(address), address])).values()]
  }

  /** Who can be asked besides. @param hasOthers whether anybody else can be. @param connected the names of nodes that we have connections to. */
  async askers(hasOthers: boolean, connected: ReadonlySet<string>): Promise<readonly AskForMap[]> {
    const lookUp = this.#lookUp()
    if (!hasOthers && this.#known.length === 0) await lookUp
    // A resolver that hangs or fails must not keep us from asking a node that we know.
    else lookUp.catch(ignore)
    const others = new Map<string, Address>()
    for (const address of [...this.#known, ...this.#seeds]) {
      if (!connected.has(nameOf(address))) others.set(nameOf(address), address)
    }
    return this.#nextOf([...others.values()]).map((address) => () => this.#scouts.ask(address))
  }

  unref(): void {
    this.#scouts.unref()
  }

  close(): Promise<void> {
    return this.#scouts.close()
  }

  #lookUp(): Promise<void> {
    this.#lookingUp ??= this.#source
      .seeds()
      .then((seeds) => {
        this.#seeds = seeds
      })
      .finally(() => {
        this.#lookingUp = undefined
      })
    return this.#lookingUp
  }

  /** Each address has its turn: perhaps none of the others exists any more. */
  #nextOf(addresses: readonly Address[]): readonly Address[] {
    if (addresses.length <= MOST_SCOUTS) return addresses
    const start = this.#turns % addresses.length
    this.#turns = start + MOST_SCOUTS
    return [...addresses.slice(start), ...addresses.slice(0, start)].slice(0, MOST_SCOUTS)
  }
}
