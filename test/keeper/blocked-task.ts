/** What `blocked-process.ts` is told, and what it says. */

/** What blocks the event loop: a loop, a child process that is waited for, or the parsing of huge texts. */
export type How = 'loop' | 'child' | 'parse'

export const HOWS: readonly How[] = ['loop', 'child', 'parse']

export interface BlockedTask {
  readonly url: string
  readonly leases: number
  /** ms. */
  readonly ttl: number
  /** For how long the event loop is blocked, in ms. */
  readonly blocked: number
  readonly how: How
  /** In ms; undefined: there is no keeper. */
  readonly maxBlocked: number | undefined
}

export type BlockedMessage =
  /** It holds its leases, and the keeper is there. The event loop is blocked from now on. */
  | { readonly type: 'blocked'; readonly held: number }
  | {
      readonly type: 'over'
      /** For how long the event loop was blocked, in ms. */
      readonly blocked: number
      /** Looks at leases in the middle of the block, and how many of them were held. */
      readonly looks: number
      readonly heldThen: number
      /** How long after the beginning of the block a lease was first seen not to be held, in ms; undefined if none was. */
      readonly firstLoss: number | undefined
      /** Leases that were held right after the block, and a ttl later. */
      readonly heldAfter: number
      readonly heldLater: number
      /** By reason. */
      readonly lost: Readonly<Record<string, number>>
      /** Renewals that the keeper made. */
      readonly kept: number
    }
