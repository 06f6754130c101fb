/** All bugs that are remembered. */
import { FAILOVER_BUGS } from './failover-bugs.ts'
import { CLIENT_BUGS } from './client-bugs.ts'
import { CLUSTER_BUGS } from './cluster-bugs.ts'
import { ENDING_BUGS } from './ending-bugs.ts'
import { CALLER_BUGS } from './caller-bugs.ts'
import { KEEPER_BUGS } from './keeper-bugs.ts'
import { OWN_BUGS } from './own-bugs.ts'
import { PAGE_BUGS } from './page-bugs.ts'
import { OWNERSHIP_BUGS } from './ownership-bugs.ts'
import { PLACE_BUGS } from './place-bugs.ts'
import { HAND_OVER_BUGS } from './hand-over-bugs.ts'
import { QUORUM_BUGS } from './quorum-bugs.ts'
import type { Regression } from './regression.ts'
import { REPLICA_BUGS } from './replica-bugs.ts'
import { RENEWAL_BUGS } from './renewal-bugs.ts'
import { SERVER_BUGS } from './server-bugs.ts'
import { JOINT_BUGS } from './joint-bugs.ts'
import { SIMULATOR_BUGS } from './simulator-bugs.ts'
import { STANDING_BUGS } from './standing-bugs.ts'
import { WAITING_BUGS } from './waiting-bugs.ts'

/** What went wrong in other libraries: the table in docs/properties.md, line by line. */
export const BUGS_ELSEWHERE: readonly Regression[] = [
  ...RENEWAL_BUGS,
  ...OWNERSHIP_BUGS,
  ...WAITING_BUGS,
  ...SERVER_BUGS,
]

export const BUGS_HERE: readonly Regression[] = [
  ...OWN_BUGS,
  ...CALLER_BUGS,
  ...CLIENT_BUGS,
  ...CLUSTER_BUGS,
  ...ENDING_BUGS,
  ...FAILOVER_BUGS,
  ...KEEPER_BUGS,
  ...HAND_OVER_BUGS,
  ...PAGE_BUGS,
  ...PLACE_BUGS,
  ...JOINT_BUGS,
  ...QUORUM_BUGS,
  ...REPLICA_BUGS,
  ...SIMULATOR_BUGS,
  ...STANDING_BUGS,
]
