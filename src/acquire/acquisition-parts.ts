/** What an acquisition needs from the other parts. */
import type { Backend } from '../backend.ts'
import type { LeaseTable } from '../lease/lease-table.ts'
import type { Tally } from '../stats.ts'
import type { Clock } from '../time/clock.ts'
import type { WaitingLines } from '../waiting/waiting-line.ts'
import type { AbortWatch } from './abort-watch.ts'
import type { Calls } from './calls.ts'
import type { HintDoubtsParts } from './hint-doubts.ts'
import type { PatienceParts } from './patience.ts'
import type { QuestionParts } from './question.ts'

export interface AcquisitionParts extends QuestionParts, HintDoubtsParts, PatienceParts {
  readonly clock: Clock
  readonly table: LeaseTable
  readonly lines: WaitingLines
  readonly aborts: AbortWatch
  readonly tally: Tally
  readonly calls: Calls
  readonly backend: Pick<Backend, 'joints' | 'stays'>
  /** Why the backend cannot be asked for a key, if that is known. */
  readonly faultOf: (key: string) => Error | undefined
}
