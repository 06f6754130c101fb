/** Somebody who has access to the same backend and does not care for our locks. */

/** What the other party writes on the keys that it takes. */
export const OTHER_TOKEN = 'somebody-else'

/** Keys are whole ones, with the prefix. */
export interface OtherParty {
  /** Deletes the keys, whoever holds them. @returns how many there were. */
  delete(keys: readonly string[]): Promise<number>
  /** Puts its own token on the keys, whoever holds them, for `ttl` ms. */
  replace(keys: readonly string[], ttl: number): Promise<void>
  /** Keeps the backend from answering anybody for `duration` ms, and resolves when it answers again. */
  block(duration: number): Promise<void>
  /** All keys that begin with the prefix, and the tokens on them. */
  find(prefix: string): Promise<ReadonlyMap<string, string>>
  close(): Promise<void>
}
