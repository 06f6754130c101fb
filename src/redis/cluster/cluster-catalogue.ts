/**
 * What operators ask of a cluster: the keys of its nodes, one node after the other, and the announcements of managers, which are on one node.
 *
 * The node that served a page may know a key no more, if its slot is on its way to another. So each key is asked for by itself, and follows
 * redirections as a lock does.
 */
import { type Catalogue, type KeyPage, type KeyView, MEMBERS_KEY } from '../../catalogue.ts'
import { UnavailableError } from '../../errors.ts'
import { Announcements } from '../announcements.ts'
import { EncodedCommand, encodeBytes } from '../encoded-command.ts'
import { namesOf, scan, VIEW_KEYS, viewsOf } from '../key-views.ts'
import type { ClusterMap } from './cluster-map.ts'
import type { ClusterNode } from './cluster-node.ts'
import { isFenceKey } from './fence-floors.ts'
import { slotOfBytes } from './hash-slot.ts'
import type { Redirects } from './redirects.ts'

export interface ClusterCatalogueParts {
  readonly map: ClusterMap
  readonly redirects: Redirects
  /** Precedes every key, that of the client included. */
  readonly prefix: string
}

/** Where a page begins. */
interface Place {
  /** The routes of the nodes that have no more pages. */
  readonly done: readonly number[]
  /** The node that has more, and its own cursor. */
  readonly route: number
  readonly cursor: string
}

const MEMBERS_SLOT = slotOfBytes(Buffer.from(MEMBERS_KEY))

export class ClusterCatalogue extends Announcements implements Catalogue {
  readonly #parts: ClusterCatalogueParts

  constructor(parts: ClusterCatalogueParts) {
    const { redirects, prefix } = parts
    super(
      {
        run: (script, call) =>
          redirects.ask(MEMBERS_SLOT, (node, asking) => node.run(script, call, asking ? 'asking' : 'nothing')),
        command: (name, args) => redirects.ask(MEMBERS_SLOT, (node, asking) => node.command(name, args, asking)),
      },
      prefix,
    )
    this.#parts = parts
  }

  async list(match: string, start?: string): Promise<KeyPage> {
    const { map } = this.#parts
    while (map.serving.length === 0) await map.ready(-1)
    if (map.hasHoles) throw new UnavailableError('No node serves some of the slots')
    const place = readPlace(start)
    const left = map.serving.filter(({ route }) => !place.done.includes(route))
    const node = left.find(({ route }) => route === place.route) ?? left[0]
    if (node === undefined) return { keys: [], cursor: undefined }
    const { cursor, names } = await this.#scan(node, node.route === place.route ? place.cursor : '0', match)
    const keys = (await Promise.all(names.map((name) => this.#look(name)))).flat()
    if (cursor !== '0') return { keys, cursor: writePlace({ ...place, route: node.route, cursor }) }
    const next = { done: [...place.done, node.route], route: -1, cursor }
    return { keys, cursor: left.length === 1 ? undefined : writePlace(next) }
  }

  async look(keys: readonly Uint8Array[]): Promise<readonly KeyView[]> {
    const names = namesOf(keys, this.#parts.prefix)
    return (await Promise.all(names.map((name) => this.#look(name)))).flat()
  }

  async remove(key: Uint8Array): Promise<boolean> {
    const [name] = namesOf([key], this.#parts.prefix)
    const slot = name === undefined ? -1 : slotOfBytes(Buffer.from(name, 'latin1'))
    if (name === undefined || isFenceKey(name, slot)) return false
    const wire = encodeBytes('*2', [{ texts: ['del', name] }])
    return this.#parts.redirects.ask(slot, async (node, asking) => {
      const deleted = await node.send(new EncodedCommand('del', wire), asking)
      return deleted === 1
    })
  }

  async #scan(node: ClusterNode, cursor: string, match: string): ReturnType<typeof scan> {
    try {
      await node.ready()
      return await node.ask(({ client }) => scan(client, cursor, this.#parts.prefix, match))
    } catch (thrown) {
      throw node.explain(thrown)
    }
  }

  async #look(name: string): Promise<KeyView[]> {
    const { redirects, prefix } = this.#parts
    const slot = slotOfBytes(Buffer.from(name, 'latin1'))
    if (isFenceKey(name, slot)) return []
    const call = VIEW_KEYS.prepareBytes([{ texts: [name] }])
    const reply = await redirects.ask(slot, (node, asking) => node.run(VIEW_KEYS, call, asking ? 'asking' : 'nothing'))
    return viewsOf([name], reply, prefix)
  }
}

function writePlace({ done, route, cursor }: Place): string {
  return [done.join(','), route, cursor].join(';')
}

function readPlace(text = ';-1;0'): Place {
  const [done = '', route, cursor = '0'] = text.split(';')
  return { done: done.split(',').filter(Boolean).map(Number), route: Number(route), cursor }
}
