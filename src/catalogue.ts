/** What a backend adds to the port for operators: the keys under a prefix, page by page, and the managers that announce themselves. */
import type { JointMode } from './rules/sharing.ts'

/** Keys with this beginning belong to announcements. The braces let one node of a cluster have all of them. */
export const MEMBERS_KEY = 'leasewheel:{members}:'

/** A key as the store has it now, whoever wrote it. */
export interface KeyView {
  /** The key without the prefix. Other programs may write keys that are no text. */
  readonly key: Uint8Array
  /** What the store calls its type: `string`, `hash`, `zset` and so on. */
  readonly type: string
  /** What the key holds if that is a string: at most its first 512 bytes, as text. Otherwise empty. */
  readonly token: string
  /** What is left of its ttl, in ms; Infinity if it has none. */
  readonly remaining: number
  /** How many hold a joint lease, how many fields a hash has, or how many members another sorted set; 1 for all others. */
  readonly holders: number
  /** Given if a manager of this library wrote it for several holders; `nobody` if some wait for it, and nobody holds it. */
  readonly joint?: JointMode | 'nobody'
  /** How many members of a quorum have it, if the backend is a quorum. */
  readonly votes?: number
}

/** Some keys; the next page begins at `cursor`. A page may be empty. */
export interface KeyPage {
  readonly keys: readonly KeyView[]
  /** Undefined after the last page. */
  readonly cursor: string | undefined
}

/** What a manager announces about itself. */
export interface Announcement {
  /** Unique, one for each manager. */
  readonly id: string
  readonly text: string
}

/**
 * Each call rejects if the backend cannot be asked. A backend over several servers lists one after the other, and its cursors name the server. It
 * also waits for each server itself, because the manager does not know which one is next.
 */
export interface Catalogue {
  /**
   * One page of the keys under the prefix that match. No call may block the store for more than 2 ms. A key that is there all the time is on one
   * page at least.
   *
   * @param match a pattern as that of `KEYS` in Redis, for what follows the prefix. @param cursor that of the page before; without it, the first page.
   */
  list(match: string, cursor?: string): Promise<KeyPage>
  /** What is on these keys, at most 128 of them; those that are gone, and those that belong to all managers, are left out. */
  look(keys: readonly Uint8Array[]): Promise<readonly KeyView[]>
  /** Deletes a lock, whoever holds it. It leaves alone what belongs to all managers. @returns whether the key existed. */
  remove(key: Uint8Array): Promise<boolean>
  /** Writes or renews an announcement for `ttl` ms. @returns the ids of all managers with this prefix that are announced now. */
  announce(announcement: Announcement, ttl: number): Promise<readonly string[]>
  /** The texts of announcements, in any order; those that are gone are left out. @param ids default: all of this prefix. */
  announced(ids?: readonly string[]): Promise<readonly string[]>
  /** Deletes an announcement. */
  withdraw(id: string): Promise<void>
}
