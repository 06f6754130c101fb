/** What the tests of a backend over a cluster share: an open backend, and a journal of what it told. */
import { expect } from 'chai'
import type { Cluster } from 'ioredis'
import type { BackendListener, BackendSettings, LockEntry, Unknown } from 'leasewheel'
import type { Routing } from '#src/backend.js'
import { ClusterBackend } from '#src/redis/cluster/cluster-backend.js'
import { until } from '../../support/until.ts'

/** For requests that must be answered, on a machine however slow; ms. */
const PATIENT = 10_000
/** For keys that must not expire in a test; ms. */
const TTL = 600_000

export interface Told {
  readonly name: keyof BackendListener
  readonly keys?: readonly string[] | undefined
  readonly route?: number | undefined
}

export class Stage {
  readonly backend: ClusterBackend
  readonly told: Told[] = []
  readonly errors: Error[] = []

  constructor(client: Cluster, settings: Partial<BackendSettings>) {
    this.backend = new ClusterBackend(client)
    const note =
      (name: keyof BackendListener) =>
      (route?: number): void =>
        void this.told.push({ name, route })
    this.backend.open(
      { prefix: '', timeout: PATIENT, watch: false, ...settings },
      {
        onRecovered: note('onRecovered'),
        onSuspect: note('onSuspect'),
        onMissed: note('onMissed'),
        onUnwatched: note('onUnwatched'),
        onForgotten: note('onForgotten'),
        onChange: (keys, route) => void this.told.push({ name: 'onChange', keys, route }),
        onError: (error) => void this.errors.push(error),
      },
    )
  }

  get routing(): Routing {
    return this.backend.routing
  }

  slotOf(key: string): number {
    return this.routing.placeOf(key)
  }

  /** The name of the node that serves the key. */
  nodeOf(key: string): string | undefined {
    const route = this.routing.routeOf(this.slotOf(key))
    return this.routing.views().find((view) => view.route === route)?.name
  }

  /** Entries of the keys, in the order of their slots. */
  entriesOf(...keys: string[]): LockEntry[] {
    return keys
      .map((key) => ({ key, token: `mine ${key}`, ttl: TTL }))
      .sort((one, other) => this.slotOf(one.key) - this.slotOf(other.key))
  }

  /** The names of keys that were told to have changed, so far. */
  get changed(): string[] {
    return this.told.flatMap(({ keys = [] }) => keys)
  }

  /** Resolves when all nodes can be asked, and report changes if that is wanted. */
  async untilReady(): Promise<void> {
    while (this.routing.views().length === 0) await this.backend.ready(-1)
    for (const { route } of this.routing.views()) await this.backend.ready(route)
  }

  async untilWatching(): Promise<void> {
    await until('all nodes report changes', () => this.backend.watching)
  }
}

/** Runs `work` with an open backend, which is closed afterwards. */
export async function withStage(
  client: Cluster,
  settings: Partial<BackendSettings>,
  work: (stage: Stage) => Promise<void>,
): Promise<void> {
  const stage = new Stage(client, settings)
  try {
    await stage.untilReady()
    await work(stage)
  } finally {
    await stage.backend.close()
  }
}

/** The error of an outcome that is not known. */
export function unknownOf(outcome: { readonly type: string } | undefined): Error {
  expect(outcome?.type, JSON.stringify(outcome)).to.equal('unknown')
  return (outcome as Unknown).error
}

/** The types of outcomes, each once. */
export function typesOf(outcomes: readonly { readonly type: string }[]): string[] {
  return [...new Set(outcomes.map(({ type }) => type))]
}
