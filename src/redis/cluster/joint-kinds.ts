/** The four kinds of requests for keys that several may hold: see `request-kinds.ts`. */
import type { AcquireOutcome, ChangeOutcome, LockEntry, ReleaseEntry } from '../../backend.ts'
import type { Heads } from '../encoded-command.ts'
import { changeOutcomes } from '../outcomes.ts'
import {
  acquireJointsCall,
  releaseJointsCall,
  renewJointsCall,
  JOINT_SCRIPTS,
  jointOutcomes,
  verifyJointsCall,
} from '../joint-call.ts'
import { type FenceFloors, fenceKeyOf } from './fence-floors.ts'
import { FINAL, HARMLESS, type Kind } from './request-kinds.ts'

export interface JointKinds {
  /** Without and with watching granted keys. */
  readonly acquires: readonly [Kind<LockEntry, AcquireOutcome>, Kind<LockEntry, AcquireOutcome>]
  readonly renewals: readonly [Kind<LockEntry, ChangeOutcome>, Kind<LockEntry, ChangeOutcome>]
  readonly releases: Kind<ReleaseEntry, ChangeOutcome>
  readonly questions: Kind<LockEntry, ChangeOutcome>
}

export function jointKindsOf(heads: Heads, floors: FenceFloors): JointKinds {
  return {
    acquires: [acquireKind(heads, floors, false), acquireKind(heads, floors, true)],
    renewals: [renewKind(heads, false), renewKind(heads, true)],
    releases: {
      what: 'release',
      returns: false,
      choose: (tracks, parts) => ({
        script: JOINT_SCRIPTS.release,
        watched: tracks && parts.some(({ entries }) => entries.some(({ watch }) => watch)),
      }),
      call: (_script, _slot, entries) => releaseJointsCall(heads, entries),
      read: (reply, _, count) => changeOutcomes(reply, count),
      ...FINAL,
    },
    questions: {
      what: 'verify',
      returns: false,
      choose: () => ({ script: JOINT_SCRIPTS.verify, watched: false }),
      call: (_script, _slot, entries) => verifyJointsCall(heads, entries),
      read: (reply, _, count) => changeOutcomes(reply, count),
      ...FINAL,
    },
  }
}

function acquireKind(heads: Heads, floors: FenceFloors, watch: boolean): Kind<LockEntry, AcquireOutcome> {
  return {
    what: 'acquire',
    returns: false,
    choose: (tracks) => ({ script: JOINT_SCRIPTS.acquire, watched: tracks }),
    call: (_, slot, entries) => acquireJointsCall(heads, entries, watch, floors.floorOf(slot), fenceKeyOf(slot)),
    read: (reply, slot, _, watched) => {
      const outcomes = jointOutcomes(reply, watched)
      for (const outcome of outcomes) if (outcome.type === 'granted') floors.onGranted(slot, outcome.fence)
      return outcomes
    },
    ...HARMLESS,
  }
}

function renewKind(heads: Heads, watch: boolean): Kind<LockEntry, ChangeOutcome> {
  return {
    what: 'renew',
    returns: true,
    choose: (tracks) => ({ script: JOINT_SCRIPTS.renew, watched: watch && tracks }),
    call: (_script, _slot, entries) => renewJointsCall(heads, entries, watch),
    read: (reply, _, count) => changeOutcomes(reply, count),
    ...FINAL,
  }
}
