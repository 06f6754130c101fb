/** The four kinds of requests for keys that several may hold: see `request-kinds.ts`. */
import type { AcquireOutcome, ChangeOutcome, LockEntry, ReleaseEntry } from '../../backend.ts'
import type { Heads } from '../encoded-command.ts'
import { changeOutcomes } from '../outcomes.ts'
import {
  acquireSharesCall,
  releaseSharesCall,
  renewSharesCall,
  SHARE_SCRIPTS,
  shareOutcomes,
  verifySharesCall,
} from '../share-call.ts'
import { type FenceFloors, fenceKeyOf } from './fence-floors.ts'
import type { Kind } from './request-kinds.ts'

export interface ShareKinds {
  /** Without and with watching granted keys. */
  readonly acquires: readonly [Kind<LockEntry, AcquireOutcome>, Kind<LockEntry, AcquireOutcome>]
  readonly renewals: readonly [Kind<LockEntry, ChangeOutcome>, Kind<LockEntry, ChangeOutcome>]
  readonly releases: Kind<ReleaseEntry, ChangeOutcome>
  readonly questions: Kind<LockEntry, ChangeOutcome>
}

export function shareKindsOf(heads: Heads, floors: FenceFloors): ShareKinds {
  return {
    acquires: [acquireKind(heads, floors, false), acquireKind(heads, floors, true)],
    renewals: [renewKind(heads, false), renewKind(heads, true)],
    releases: {
      what: 'release',
      returns: false,
      choose: (tracks, parts) => ({
        script: SHARE_SCRIPTS.release,
        watched: tracks && parts.some(({ entries }) => entries.some(({ watch }) => watch)),
      }),
      call: (_script, _slot, entries) => releaseSharesCall(heads, entries),
      read: (reply, _, count) => changeOutcomes(reply, count),
    },
    questions: {
      what: 'verify',
      returns: false,
      choose: () => ({ script: SHARE_SCRIPTS.verify, watched: false }),
      call: (_script, _slot, entries) => verifySharesCall(heads, entries),
      read: (reply, _, count) => changeOutcomes(reply, count),
    },
  }
}

function acquireKind(heads: Heads, floors: FenceFloors, watch: boolean): Kind<LockEntry, AcquireOutcome> {
  return {
    what: 'acquire',
    returns: false,
    choose: (tracks) => ({ script: SHARE_SCRIPTS.acquire, watched: tracks }),
    call: (_, slot, entries) => acquireSharesCall(heads, entries, watch, floors.floorOf(slot), fenceKeyOf(slot)),
    read: (reply, slot, _, watched) => {
      const outcomes = shareOutcomes(reply, watched)
      for (const outcome of outcomes) if (outcome.type === 'granted') floors.onGranted(slot, outcome.fence)
      return outcomes
    },
  }
}

function renewKind(heads: Heads, watch: boolean): Kind<LockEntry, ChangeOutcome> {
  return {
    what: 'renew',
    returns: true,
    choose: (tracks) => ({ script: SHARE_SCRIPTS.renew, watched: watch && tracks }),
    call: (_script, _slot, entries) => renewSharesCall(heads, entries, watch),
    read: (reply, _, count) => changeOutcomes(reply, count),
  }
}
