/** The kinds of requests: which script, with which arguments, and what its answer means. */
import type {
  AcquireOutcome,
  ChangeOutcome,
  Exchange,
  HandOverEntry,
  LockEntry,
  ReleaseEntry,
  Unknown,
} from '../../backend.ts'
import type { Heads } from '../encoded-command.ts'
import {
  acquireScriptOf,
  callOf,
  handOverCallOf,
  mayStay,
  raiseCall,
  releaseArguments,
  SCRIPTS,
  ttlsOf,
  watchedIndices,
} from '../lock-call.ts'
import { acquireOutcomes, changeOutcomes, handOverOutcomes } from '../outcomes.ts'
import { type Call, Script } from '../script.ts'
import { HAND_OVER_AND_WATCH_IN_CLUSTER, HAND_OVER_IN_CLUSTER } from '../hand-over-scripts.ts'
import { WATCH } from '../scripts.ts'
import { type FenceFloors, fenceKeyOf } from './fence-floors.ts'
import type { Part } from './slot-plan.ts'

const HAND_OVER = new Script(HAND_OVER_IN_CLUSTER)
const HAND_OVER_AND_WATCH = new Script(HAND_OVER_AND_WATCH_IN_CLUSTER)
const ONLY_WATCH = new Script(WATCH)

/** The script of a request, and whether CLIENT CACHING YES precedes it. */
export interface Choice {
  readonly script: Script
  readonly watched: boolean
}

export interface Kind<E extends LockEntry, O> {
  readonly what: 'acquire' | 'handOver' | 'renew' | 'release' | 'verify' | 'watch'
  /** @param tracks whether the node reports changes. @param parts all entries, by slot. */
  choose(tracks: boolean, parts: readonly Part<E>[]): Choice
  /** The call for the entries of one slot. */
  call(script: Script, slot: number, entries: readonly E[]): Call
  /** @param watched whether the server watches the refused keys. */
  read(reply: unknown, slot: number, count: number, watched: boolean): readonly O[]
  /** Whether the outcome ends a lease. */
  ends(outcome: O): boolean
  /** The outcome if that does not count. */
  doubted(outcome: O, unknown: Unknown): O | Unknown
  /** Whether the same array of entries comes again. */
  readonly returns: boolean
}

/** @param floor what all fences must be larger than, besides what `floors` say. */
export function acquireKind(
  heads: Heads,
  floors: FenceFloors,
  watch: boolean,
  floor: number,
): Kind<LockEntry, AcquireOutcome> {
  return {
    what: 'acquire',
    returns: false,
    // The server should watch the refused keys in any case.
    choose: (tracks) => ({ script: acquireScriptOf(watch && tracks, true), watched: tracks }),
    call: (script, slot, entries) =>
      callOf(script, heads, entries, [...ttlsOf(entries), Math.max(floor, floors.floorOf(slot))], fenceKeyOf(slot)),
    read: (reply, slot, count, watched) => {
      const outcomes = acquireOutcomes(reply, count, watched)
      for (const outcome of outcomes) {
        if (outcome.type !== 'granted') continue
        floors.onGranted(slot, outcome.fence)
        break
      }
      return outcomes
    },
    ...HARMLESS,
  }
}

/** @param fence what all later fences must be larger than. */
export function raiseKind(fence: number): Kind<LockEntry, ChangeOutcome> {
  return {
    what: 'acquire',
    returns: false,
    choose: () => ({ script: SCRIPTS.raise, watched: false }),
    call: (_, slot) => raiseCall(fenceKeyOf(slot), fence),
    read: (reply, _, count) => changeOutcomes(reply, count),
    ...FINAL,
  }
}

export function handOverKind(heads: Heads, floors: FenceFloors, watch: boolean): Kind<HandOverEntry, Exchange> {
  return {
    what: 'handOver',
    returns: false,
    choose: (tracks) => ({ script: watch && tracks ? HAND_OVER_AND_WATCH : HAND_OVER, watched: tracks }),
    call: (script, slot, entries) => handOverCallOf(script, heads, entries, fenceKeyOf(slot), floors.floorOf(slot)),
    read: (reply, slot, count, watched) => {
      const outcomes = handOverOutcomes(reply, count, watched)
      for (const { acquired } of outcomes) if (acquired.type === 'granted') floors.onGranted(slot, acquired.fence)
      return outcomes
    },
    ends: ({ released }) => released.type === 'refused',
    doubted: (outcome, unknown) => ({ ...outcome, released: unknown }),
  }
}

/** What kinds have in common whose refusals end no lease. */
export const HARMLESS = {
  ends: (): boolean => false,
  doubted: <O>(outcome: O): O => outcome,
}

/** What kinds have in common whose refusals end leases. */
export const FINAL: Pick<Kind<LockEntry, ChangeOutcome>, 'ends' | 'doubted'> = {
  ends: ({ type }) => type === 'refused',
  doubted: (_, unknown) => unknown,
}

export function renewKind(heads: Heads, watch: boolean): Kind<LockEntry, ChangeOutcome> {
  return {
    what: 'renew',
    returns: true,
    choose: (tracks) =>
      watch && tracks ? { script: SCRIPTS.renewAndWatch, watched: true } : { script: SCRIPTS.renew, watched: false },
    call: (script, _, entries) => callOf(script, heads, entries, ttlsOf(entries)),
    read: (reply, _, count) => changeOutcomes(reply, count),
    ...FINAL,
  }
}

export function releaseKind(heads: Heads): Kind<ReleaseEntry, ChangeOutcome> {
  return {
    what: 'release',
    returns: false,
    choose: (tracks, parts) => ({
      script: parts.some(({ entries }) => mayStay(entries)) ? SCRIPTS.releaseLater : SCRIPTS.release,
      watched: tracks && parts.some(({ entries }) => entries.some(({ watch }) => watch)),
    }),
    call: (script, _, entries) =>
      callOf(script, heads, entries, releaseArguments(script, entries, watchedIndices(entries))),
    read: (reply, _, count) => changeOutcomes(reply, count),
    ...FINAL,
  }
}

export function verifyKind(heads: Heads): Kind<LockEntry, ChangeOutcome> {
  return {
    what: 'verify',
    returns: false,
    choose: () => ({ script: SCRIPTS.verify, watched: false }),
    call: (script, _, entries) => callOf(script, heads, entries, []),
    read: (reply, _, count) => changeOutcomes(reply, count),
    ...FINAL,
  }
}

/** Makes nodes watch keys, and asks nothing: each answer is `done`. */
export function watchKind(heads: Heads): Kind<LockEntry, ChangeOutcome> {
  return {
    what: 'watch',
    returns: false,
    choose: (tracks) => ({ script: ONLY_WATCH, watched: tracks }),
    call: (script, _, entries) => callOf(script, heads, entries, []),
    read: (reply, _, count) => changeOutcomes(reply, count),
    ...FINAL,
  }
}

/** Whether requests of a kind need the fence counter beside the key. */
export function counts(what: Kind<LockEntry, unknown>['what']): boolean {
  return what === 'acquire' || what === 'handOver'
}
