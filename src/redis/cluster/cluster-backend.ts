/**
 * The backend for a Redis or Valkey Cluster. A script may touch the keys of one hash slot only. So each request becomes one call for each slot, and all
 * calls for a node leave in one write and share one promise.
 */
import type { Cluster } from 'ioredis'
import {
  type AcquireOutcome,
  type Backend,
  type BackendListener,
  type BackendSettings,
  type ChangeOutcome,
  FENCE_KEY,
  type HandOverEntry,
  type HandOverOutcome,
  type LockEntry,
  type LockView,
  type ReleaseEntry,
  type Routing,
  type ServerIdentity,
} from '../../backend.ts'
import type { Catalogue } from '../../catalogue.ts'
import { UnavailableError } from '../../errors.ts'
import { SystemClock } from '../../time/clock.ts'
import { Heads } from '../encoded-command.ts'
import { SCRIPTS } from '../lock-call.ts'
import { viewOf } from '../outcomes.ts'
import { ClusterCatalogue } from './cluster-catalogue.ts'
import { ClusterMap } from './cluster-map.ts'
import { ClusterSource } from './cluster-source.ts'
import { SLOTS, SlotFinder } from './hash-slot.ts'
import { Redirects } from './redirects.ts'
import { SlotRequests } from './slot-requests.ts'

interface Opened {
  readonly map: ClusterMap
  readonly redirects: Redirects
  readonly requests: SlotRequests
  readonly catalogue: Catalogue
  readonly slots: SlotFinder
}

export class ClusterBackend implements Backend {
  readonly joints = true
  readonly stays = true
  readonly awaitsReplicas = true
  readonly routing: Routing = {
    places: SLOTS,
    placeOf: (key) => this.#open.slots.of(key),
    routeOf: (place) => this.#open.map.routeOf(place),
    faultOf: (route) => this.#open.map.faultOf(route),
    views: () => this.#open.map.views(),
  }
  readonly #source: ClusterSource
  #prefix = ''
  #opened: Opened | undefined

  /** @throws TypeError if the client's options do not go with a cluster. */
  constructor(cluster: Cluster) {
    this.#source = new ClusterSource(cluster)
  }

  get watching(): boolean {
    const views = this.#opened?.map.views() ?? []
    return views.length > 0 && views.every(({ watching }) => watching)
  }

  /** A node that is away has a fault: see `routing`. */
  get connected(): boolean {
    return this.#opened?.map.connected ?? false
  }

  get fault(): Error | undefined {
    return this.#opened?.map.fault
  }

  get catalogue(): Catalogue | undefined {
    return this.#opened?.catalogue
  }

  get name(): string | undefined {
    const names = this.#opened?.map.views().map(({ name }) => name) ?? []
    return names.length === 0 ? undefined : `the cluster of ${names[0]}`
  }

  get servers(): readonly ServerIdentity[] {
    return this.#opened?.map.identities() ?? []
  }

  /** The counters of the slots are refused as well: see `SlotRequests`. */
  get reservedKey(): string | undefined {
    return FENCE_KEY.startsWith(this.#prefix) ? FENCE_KEY.slice(this.#prefix.length) : undefined
  }

  open(settings: BackendSettings, listener: BackendListener): void {
    const source = this.#source
    this.#prefix = source.keyPrefix + settings.prefix
    const slots = new SlotFinder(this.#prefix)
    const map = new ClusterMap({
      source,
      settings,
      listener,
      onMoved: (moved, route) => requests.onMoved(moved, route),
      isUnsettled: () => requests.unsettled,
      onOtherServer: (route) => requests.onOtherServer(map.slotsOf(route)),
    })
    const { clock = new SystemClock(), timeout } = settings
    const redirects = new Redirects(map, clock, timeout)
    const heads = new Heads(this.#prefix)
    const requests = new SlotRequests({ map, redirects, slots, heads, prefix: this.#prefix, listener })
    const catalogue = new ClusterCatalogue({ map, redirects, prefix: this.#prefix })
    this.#opened = { map, redirects, requests, catalogue, slots }
  }

  ready(route = 0): Promise<void> | undefined {
    return this.#open.map.ready(route)
  }

  acquire(entries: readonly LockEntry[], watch = false, floor = 0): Promise<readonly AcquireOutcome[]> {
    return this.#open.requests.acquire(entries, watch, floor)
  }

  raiseFences(entries: readonly LockEntry[], fence: number): Promise<readonly ChangeOutcome[]> {
    return this.#open.requests.raiseFences(entries, fence)
  }

  renew(entries: readonly LockEntry[], watch = false): Promise<readonly ChangeOutcome[]> {
    return this.#open.requests.renew(entries, watch)
  }

  release(entries: readonly ReleaseEntry[]): Promise<readonly ChangeOutcome[]> {
    return this.#open.requests.release(entries)
  }

  handOver(entries: readonly HandOverEntry[], watch = false): Promise<readonly HandOverOutcome[]> {
    return this.#open.requests.handOver(entries, watch)
  }

  verify(entries: readonly LockEntry[]): Promise<readonly ChangeOutcome[]> {
    return this.#open.requests.verify(entries)
  }

  async inspect(key: string): Promise<LockView | null> {
    const { inspect } = SCRIPTS
    const call = inspect.prepare([{ texts: [this.#prefix + key] }], [])
    const { redirects, slots } = this.#open
    return redirects.ask(
      slots.of(key),
      async (node, asking) => viewOf(await node.run(inspect, call, asking ? 'asking' : 'nothing')),
      key,
    )
  }

  async forceRelease(key: string): Promise<boolean> {
    const { redirects, slots } = this.#open
    const args = [this.#prefix + key]
    return redirects.ask(slots.of(key), async (node, asking) => (await node.command('del', args, asking)) === 1, key)
  }

  unref(): void {
    this.#open.map.unref()
  }

  async close(): Promise<void> {
    await this.#opened?.map.close()
  }

  get #open(): Opened {
    if (this.#opened === undefined) throw new UnavailableError('This backend has not been opened')
    return this.#opened
  }
}
