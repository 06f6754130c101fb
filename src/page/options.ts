/** The options of the page, and their checks. */
import { checkBoolean, checkMethods, checkOptions, checkString } from '../options/check.ts'
import { type Clock, SystemClock } from '../time/clock.ts'

/** Options of `page`. */
export interface PageOptions {
  /** Whether the page can change nothing. Default `true`. With `false`, locks can be released from the page by whoever knows the `token`. */
  readonly readOnly?: boolean | undefined
  /** The secret that a change needs: a string of at least 16 characters. Required with `readOnly: false`. */
  readonly token?: string | undefined
  /**
   * The host names under which the page may be reached, without a port. Names such as `localhost` and addresses such as `10.0.0.1` always work. A
   * page of another site cannot take on these: that keeps it from reading ours under a name of its own (DNS rebinding). Default: none.
   */
  readonly hosts?: readonly string[] | undefined
  /**
   * Whose figures the curves show: `process` is this manager, `members` the sum of all managers that announce themselves. Default `process`. A
   * program that only looks, and holds nothing itself, wants `members`.
   */
  readonly view?: 'process' | 'members' | undefined
  /** What the page is called. Default `leasewheel`. */
  readonly title?: string | undefined
  /** The source of time. Default: the machine's clock. */
  readonly clock?: Clock | undefined
}

export interface PageSettings {
  readonly readOnly: boolean
  readonly token: string | undefined
  readonly hosts: ReadonlySet<string>
  readonly view: 'process' | 'members'
  readonly title: string
  readonly clock: Clock
}

const NAMES = ['readOnly', 'token', 'hosts', 'view', 'title', 'clock'] as const
const SHORTEST_TOKEN = 16

/** @throws TypeError, RangeError naming the option that is invalid. */
export function resolvePage(options: PageOptions): PageSettings {
  checkOptions('page', options, NAMES)
  const {
    readOnly = true,
    token,
    hosts = [],
    view = 'process',
    title = 'leasewheel',
    clock = new SystemClock(),
  } = options
  return {
    readOnly: checkBoolean('readOnly', readOnly),
    token: checkToken(token, readOnly),
    hosts: new Set(checkHosts(hosts)),
    view: checkView(view),
    title: checkString('title', title),
    clock: checkMethods('clock', clock, ['now', 'setTimer', 'soon']),
  }
}

function checkToken(token: string | undefined, readOnly: boolean): string | undefined {
  if (token === undefined) {
    if (!readOnly) throw new TypeError('Expected `token` to be given, because `readOnly` is `false`')
    return undefined
  }
  if (checkString('token', token).length >= SHORTEST_TOKEN) return token
  // A secret does not belong into a message.
  throw new RangeError(`Expected \`token\` to have at least ${SHORTEST_TOKEN} characters, got ${token.length}`)
}

function checkHosts(hosts: readonly string[]): readonly string[] {
  if (!Array.isArray(hosts)) throw new TypeError('Expected `hosts` to be an array of host names')
  return hosts.map((host) => {
    const name = checkString('hosts', host).toLowerCase()
    if (URL.canParse(`http://${name}`) && new URL(`http://${name}`).host === name && !/:\d+$/.test(name)) return name
    throw new RangeError(`Expected \`hosts\` to have host names without a port, got \`${name}\``)
  })
}

function checkView(view: string): 'process' | 'members' {
  if (view === 'process' || view === 'members') return view
  throw new RangeError(`Expected \`view\` to be \`process\` or \`members\`, got \`${String(view)}\``)
}
