/** What the page needs of a `LeaseManager`. */
import type { ObservableLeases } from '../figures/observable-leases.ts'
import type { Member } from '../member.ts'
import type { ListOptions } from '../options/options.ts'
import type { ListedLock } from '../overview/listing.ts'

export interface PageLeases extends ObservableLeases {
  members(): Promise<Member[]>
  list(options?: ListOptions): AsyncIterable<ListedLock>
  forceRelease(key: string | Uint8Array): Promise<boolean>
}
