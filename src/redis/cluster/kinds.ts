/** All kinds of requests that come more than once: see `request-kinds.ts`. */
import type { ChangeOutcome, Exchange, HandOverEntry, LockEntry, ReleaseEntry } from '../../backend.ts'
import type { Heads } from '../encoded-command.ts'
import type { FenceFloors } from './fence-floors.ts'
import { type JointKinds, jointKindsOf } from './joint-kinds.ts'
import { handOverKind, type Kind, releaseKind, renewKind, verifyKind, watchKind } from './request-kinds.ts'

export interface Kinds {
  /** Without and with watching granted keys. */
  readonly handOvers: readonly [Kind<HandOverEntry, Exchange>, Kind<HandOverEntry, Exchange>]
  readonly renewals: readonly [Kind<LockEntry, ChangeOutcome>, Kind<LockEntry, ChangeOutcome>]
  readonly releases: Kind<ReleaseEntry, ChangeOutcome>
  readonly questions: Kind<LockEntry, ChangeOutcome>
  readonly watches: Kind<LockEntry, ChangeOutcome>
  readonly joints: JointKinds
}

export function kindsOf(heads: Heads, floors: FenceFloors): Kinds {
  return {
    handOvers: [handOverKind(heads, floors, false), handOverKind(heads, floors, true)],
    renewals: [renewKind(heads, false), renewKind(heads, true)],
    releases: releaseKind(heads),
    questions: verifyKind(heads),
    watches: watchKind(heads),
    joints: jointKindsOf(heads, floors),
  }
}
