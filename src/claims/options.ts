/** The options of elections, claims and shares. */
import { checkFunction, checkString } from '../options/check.ts'
import { checkWellFormed } from '../options/keys.ts'
import type { StandingOptions } from '../options/options.ts'
import { type ManagerSettings, resolveStanding } from '../options/settings.ts'
import type { ElectionSettings, Term, TermEnd } from './election.ts'
import type { PursuitSettings } from './pursuit.ts'
import type { ShareSettings } from './share.ts'

/** Options of `elect`. */
export interface ElectionOptions extends StandingOptions {
  /**
   * Called at the beginning of each term. If it returns a promise, that is the work of the leader: it should end when `signal` aborts. The term goes
   * on after that promise has resolved. If it throws or rejects, the manager emits that as `error`, and the term ends.
   */
  readonly elected: (term: Term) => unknown
  /** Called at the end of each term, after its signal has aborted. Nobody waits for it before. Default: none. */
  readonly deposed?: ((reason: TermEnd) => unknown) | undefined
}

/** Options of `claim`. */
export type ClaimOptions = StandingOptions

/** Options of `share`. */
export interface ShareOptions extends StandingOptions {
  /** The name of the group: the managers with the same prefix that share under this name. All of them should name the same items. */
  readonly group: string
}

export function resolveElection(options: ElectionOptions, defaults: ManagerSettings): ElectionSettings {
  const settings = resolveStanding('elect', options, ['elected', 'deposed'], defaults)
  const { elected, deposed } = options
  return {
    ...settings,
    wait: Number.POSITIVE_INFINITY,
    elected: checkFunction('elected', elected),
    deposed: deposed === undefined ? undefined : checkFunction('deposed', deposed),
  }
}

export function resolveClaim(options: ClaimOptions, defaults: ManagerSettings): PursuitSettings {
  return resolveStanding('claim', options, [], defaults)
}

export function resolveShare(options: ShareOptions, defaults: ManagerSettings): ShareSettings {
  const settings = resolveStanding('share', options, ['group'], defaults)
  return {
    ...settings,
    group: checkWellFormed('group', checkString('group', options.group)),
    owner: defaults.owner,
  }
}
