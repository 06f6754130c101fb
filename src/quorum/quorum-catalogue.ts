/**
 * What operators ask of a quorum: the keys of which a majority agrees, and the managers that announce themselves.
 *
 *     list: the first page of all members ──those that answer──▶ walk some of them, one after the other, to the end
 *           each page: look at its keys on all members ──a majority agrees──▶ listed, unless a member that is walked later has the key as well
 *
 * A key with a majority is on at least one of any `size - majority + 1` members, so no more are walked. Whoever is walked last lists most keys: a key
 * that is healed meanwhile is then listed twice, and not left out.
 */
import type { Announcement, Catalogue, KeyPage, KeyView } from '../catalogue.ts'
import { UnavailableError } from '../errors.ts'
import { readMember } from '../member.ts'
import type { Council } from './council.ts'
import { poll } from './poll.ts'
import type { QuorumMember } from './quorum-member.ts'
import { agreedView } from './votes.ts'

/** Keys that `Catalogue.look` takes at most. */
const MOST_KEYS = 128

/** Where a page begins. */
interface Place {
  /** The members that are still to be walked. */
  readonly walk: readonly QuorumMember[]
  /** The cursor of the first of them; none for its first page. */
  readonly cursor: string | undefined
}

export class QuorumCatalogue implements Catalogue {
  readonly #council: Council

  constructor(council: Council) {
    this.#council = council
  }

  async list(match: string, cursor?: string): Promise<KeyPage> {
    if (cursor === undefined) return this.#begin(match)
    const place = this.#readPlace(cursor)
    const [member] = place.walk as [QuorumMember]
    if (!member.usable) throw new UnavailableError(`${member.label} is away: begin the list anew`)
    return this.#pageOf(place, await catalogueOf(member).list(match, place.cursor))
  }

  async look(keys: readonly Uint8Array[]): Promise<readonly KeyView[]> {
    const looks = await this.#lookAll(keys)
    return keys.flatMap((key) => this.#agreed(nameOf(key), looks) ?? [])
  }

  async remove(key: Uint8Array): Promise<boolean> {
    const existed = await poll(this.#council, (member) => askOf(member, (catalogue) => catalogue.remove(key)))
    return [...existed.values()].includes(true)
  }

  async announce(announcement: Announcement, ttl: number): Promise<readonly string[]> {
    const ids = await poll(this.#council, (member) =>
      askOf(member, (catalogue) => catalogue.announce(announcement, ttl)),
    )
    return this.#shared(ids, (id) => id).map(([id]) => id)
  }

  /** What members know of a manager differs in its age: the newest counts. */
  async announced(ids?: readonly string[]): Promise<readonly string[]> {
    const texts = await poll(this.#council, (member) => askOf(member, (catalogue) => catalogue.announced(ids)))
    return this.#shared(texts, (text) => readMember(text)?.id ?? text).map((same) => newestOf(same))
  }

  async withdraw(id: string): Promise<void> {
    await poll(this.#council, (member) => askOf(member, (catalogue) => catalogue.withdraw(id)))
  }

  async #begin(match: string): Promise<KeyPage> {
    const { size, majority } = this.#council
    const pages = await poll(this.#council, (member) => askOf(member, (catalogue) => catalogue.list(match)))
    const walk = [...pages.keys()].slice(0, size - majority + 1)
    return this.#pageOf({ walk, cursor: undefined }, pages.get(walk[0] as QuorumMember) as KeyPage)
  }

  async #pageOf({ walk }: Place, page: KeyPage): Promise<KeyPage> {
    const [member, ...later] = walk as [QuorumMember, ...QuorumMember[]]
    const keys: KeyView[] = []
    for (let start = 0; start < page.keys.length; start += MOST_KEYS) {
      const own = page.keys.slice(start, start + MOST_KEYS)
      const looks = await this.#lookAll(
        own.map(({ key }) => key),
        later,
      )
      for (const { key } of own) {
        const name = nameOf(key)
        const view = this.#agreed(name, looks)
        if (view && !later.some((other) => isSame(looks.get(other)?.get(name), view))) keys.push(view)
      }
    }
    if (page.cursor !== undefined)
      return { keys, cursor: writePlace({ walk: [member, ...later], cursor: page.cursor }) }
    return { keys, cursor: later.length === 0 ? undefined : writePlace({ walk: later, cursor: undefined }) }
  }

  /** What each member has on these keys, by the name of the key. @param needed without their answers keys would be listed twice. */
  async #lookAll(
    keys: readonly Uint8Array[],
    needed: readonly QuorumMember[] = [],
  ): Promise<ReadonlyMap<QuorumMember, ReadonlyMap<string, KeyView>>> {
    const look = async (catalogue: Catalogue): Promise<readonly KeyView[]> =>
      keys.length === 0 ? [] : catalogue.look(keys)
    const views = await poll(this.#council, (member) => askOf(member, look), needed)
    return new Map(
      [...views].map(
        ([member, list]) => [member, new Map(list.map((view) => [nameOf(view.key), view] as const))] as const,
      ),
    )
  }

  #agreed(name: string, looks: ReadonlyMap<QuorumMember, ReadonlyMap<string, KeyView>>): KeyView | undefined {
    return agreedView(
      [...looks.values()].flatMap((views) => views.get(name) ?? []),
      this.#council.size - looks.size,
      this.#council.size,
    )
  }

  /**
   * What a majority of all members has is on at least so many of those that answered. What fewer of them have is a remainder of somebody who has left.
   *
   * @returns what was found often enough, grouped.
   */
  #shared(
    answers: ReadonlyMap<QuorumMember, readonly string[]>,
    idOf: (text: string) => string,
  ): readonly (readonly [string, ...string[]])[] {
    const { size, majority } = this.#council
    const least = Math.max(1, majority - (size - answers.size))
    const groups = new Map<string, [string, ...string[]]>()
    for (const text of [...answers.values()].flat()) {
      const id = idOf(text)
      const group = groups.get(id)
      if (group) group.push(text)
      else groups.set(id, [text])
    }
    return [...groups.values()].filter(({ length }) => length >= least)
  }

  #readPlace(text: string): Place {
    const { members } = this.#council
    const [, list = '', cursor = ''] = /^([\d.]+)_(.*)$/.exec(text) ?? []
    const walk = list.split('.').map((index) => members[Number(index)])
    if (list === '' || !walk.every((member) => member !== undefined))
      throw new UnavailableError(`\`${text}\` is no cursor of this quorum`, undefined, { final: true })
    return { walk, cursor: cursor === '' ? undefined : cursor }
  }
}

function writePlace({ walk, cursor = '' }: Place): string {
  return `${walk.map(({ index }) => index).join('.')}_${cursor}`
}

/** Asks the catalogue of a member. A member that is away is not asked, and begins to connect if it must be told to. */
async function askOf<T>(member: QuorumMember, ask: (catalogue: Catalogue) => Promise<T>): Promise<T> {
  if (!member.usable) {
    member.ready()?.catch(() => undefined)
    throw new UnavailableError(`${member.label} is away`)
  }
  return ask(catalogueOf(member))
}

function catalogueOf({ backend, label }: QuorumMember): Catalogue {
  if (backend.catalogue) return backend.catalogue
  throw new UnavailableError(`${label} has no catalogue`, undefined, { final: true })
}

function newestOf(texts: readonly [string, ...string[]]): string {
  const ageOf = (text: string): number => readMember(text)?.announcedAt.getTime() ?? 0
  return texts.reduce((one, other) => (ageOf(other) > ageOf(one) ? other : one))
}

/** Keys may be no text: one character per byte. */
function nameOf(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString('latin1')
}

function isSame(one: KeyView | undefined, other: KeyView): boolean {
  return one !== undefined && one.type === other.type && one.token === other.token
}
