/** Promises how the figures of several rounds, and the numbers of many samples, become one. Pure. */

/** Of all rounds the worst one, where a figure is a promise and not a price. */
export type WorstOf<Figures> = Readonly<Partial<Record<keyof Figures, (...rounds: number[]) => number>>>

/** Each figure's median, but where `worst` says otherwise. */
export function combineRounds<Figures extends { readonly [Name in keyof Figures]: number }>(
  rounds: readonly Figures[],
  worst: WorstOf<Figures>,
): Figures {
  const names = Object.keys(rounds[0] ?? {}) as (keyof Figures)[]
  const combined = names.map((name) => {
    const all = rounds.map((figures) => figures[name])
    return [name, worst[name]?.(...all) ?? median(all)]
  })
  return Object.fromEntries(combined) as Figures
}

export function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}

export function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((one, other) => one - other)
  const [low = Number.NaN, high = Number.NaN] = [
    sorted[Math.floor((sorted.length - 1) / 2)],
    sorted[Math.ceil((sorted.length - 1) / 2)],
  ]
  return (low + high) / 2
}

/** The smallest number that `percent` of them do not exceed; NaN when there is none. */
export function percentile(numbers: readonly number[], percent: number): number {
  const sorted = numbers.toSorted((one, other) => one - other)
  return sorted[Math.max(0, Math.ceil((percent / 100) * sorted.length) - 1)] ?? Number.NaN
}
