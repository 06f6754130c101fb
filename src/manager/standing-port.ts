/** Serves elections, claims and shares. */
import type { BulkAcquisitions } from '../acquire/bulk-acquisition.ts'
import type { FirstAttempts } from '../acquire/first-attempt.ts'
import type { Backend } from '../backend.ts'
import type { StandingPort } from '../claims/standing.ts'
import type { LeaseTable } from '../lease/lease-table.ts'
import type { Inquiries } from '../overview/inquiries.ts'
import type { Releaser } from '../release/releaser.ts'

export interface StandingPortParts extends Pick<StandingPort, 'clock' | 'scheduler' | 'random'> {
  readonly backend: Pick<Backend, 'catalogue' | 'members'>
  readonly attempts: FirstAttempts
  readonly bulks: BulkAcquisitions
  readonly releaser: Releaser
  readonly table: LeaseTable
  readonly inquiries: Inquiries
  readonly onFault: (fault: unknown) => void
}

/** @param parts read later: some of them do not exist yet. */
export function standingPort(parts: StandingPortParts): Omit<StandingPort, 'follow' | 'unfollow' | 'onClosed'> {
  const { clock, random, scheduler, onFault: report } = parts
  return {
    clock,
    random,
    scheduler,
    report,
    tryEach: (keys, settings) => parts.bulks.run(keys, { ...settings, onProgress: undefined, allOrNone: false }),
    waitFor: (key, settings) => parts.attempts.acquire(key, settings),
    inspect: (key) => parts.inquiries.inspect(key),
    hasGroups: () => parts.backend.catalogue !== undefined && parts.backend.members === undefined,
    askCatalogue: (work) => parts.inquiries.askCatalogue('The members of a group could not be asked for', work),
    giveBack: async (leases) => {
      const { table, releaser } = parts
      const records = leases.flatMap(({ key }, index) => {
        const record = table.get(key)
        return record !== undefined && record.handle === leases[index] ? record : []
      })
      await releaser.releaseEach(records).catch(report)
    },
  }
}
