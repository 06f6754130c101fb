/** What a measurement found: a line for each round, a Markdown table of all, and what went beyond the bounds. */
import { FAULTS } from './arguments.ts'
import type { FreshFigures, Round } from './round.ts'

/** How much later than the plain client's first write renewals may resume, in ms. */
const LATEST_RESUMPTION = 500

/** What a round shows that must not be, in words. */
export function findBreaches({ lost, longest, doubled, resumed }: Round): string[] {
  return [
    ...(lost > 0 ? [`${lost} leases lost`] : []),
    ...(doubled > 0 ? [`${doubled} locks with two holders, for up to ${longest.toFixed(0)} ms`] : []),
    ...(resumed > LATEST_RESUMPTION ? [`renewals resumed ${ms(resumed)} after the plain client could write`] : []),
  ]
}

export function formatRound(round: Round): string {
  const { fault, promotedAfter, window, held, reference, resumed, fresh } = round
  const breaches = findBreaches(round)
  return [
    `${fault.padEnd(13)} promoted after ${ms(promotedAfter)}, switch announced ${ms(window)} later, plain client writes ${ms(reference)} after that`,
    `renewals ${ms(resumed)} after it`,
    `${held} held before: ${breaches.length > 0 ? breaches.join('; ') : 'none lost, none doubled'}`,
    `fresh ones: before the promotion ${brief(fresh.before)}, in the window ${brief(fresh.window)}, afterwards ${brief(fresh.after)}`,
  ].join('; ')
}

export function formatTable(rounds: readonly Round[]): string {
  const rows = FAULTS.flatMap((fault) => {
    const own = rounds.filter((round) => round.fault === fault)
    return own.length === 0 ? [] : [row(fault, own)]
  })
  const head = [
    'fault',
    'rounds',
    'lost of those held before',
    'longest with two holders, ms',
    'promotion after, ms',
    'from there to the announcement, ms',
    'plain client after that, ms',
    'renewals after the plain client, ms',
    'fresh before the promotion: acknowledged, lost, doubled, longest in ms',
    'fresh in the window',
    'fresh after the announcement',
  ]
  return [head, head.map((_, index) => (index === 0 ? '---' : '--:')), ...rows]
    .map((cells) => `| ${cells.join(' | ')} |`)
    .join('\n')
}

function row(fault: string, rounds: readonly Round[]): string[] {
  const sum = (figure: (round: Round) => number): number => rounds.reduce((total, round) => total + figure(round), 0)
  const longest = Math.max(...rounds.map((round) => round.longest))
  const range = (figure: (round: Round) => number): string => {
    const figures = rounds.map(figure)
    const [least, most] = [Math.min(...figures), Math.max(...figures)]
    return least === most ? round0(least) : `${round0(least)} to ${round0(most)}`
  }
  const fresh = (stretch: keyof Round['fresh']): string =>
    brief(rounds.map((round) => round.fresh[stretch]).reduce(add))
  return [
    fault,
    String(rounds.length),
    `${sum(({ lost }) => lost)} of ${sum(({ held }) => held)}`,
    round0(longest),
    range(({ promotedAfter }) => promotedAfter),
    range(({ window }) => window),
    range(({ reference }) => reference),
    range(({ resumed }) => resumed),
    fresh('before'),
    fresh('window'),
    fresh('after'),
  ]
}

function add(one: FreshFigures, other: FreshFigures): FreshFigures {
  return {
    acknowledged: one.acknowledged + other.acknowledged,
    lost: one.lost + other.lost,
    doubled: one.doubled + other.doubled,
    longest: Math.max(one.longest, other.longest),
  }
}

function brief({ acknowledged, lost, doubled, longest }: FreshFigures): string {
  return `${acknowledged}, ${lost}, ${doubled}, ${round0(longest)}`
}

function round0(value: number): string {
  return Number.isFinite(value) ? value.toFixed(0) : 'never'
}

function ms(value: number): string {
  return Number.isFinite(value) ? `${value.toFixed(0)} ms` : 'never'
}
