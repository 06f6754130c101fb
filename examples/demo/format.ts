/** How the demo writes numbers. */

export function count(value: number): string {
  return Math.round(value).toLocaleString('en-US')
}

export function milliseconds(value: number): string {
  return `${value.toFixed(1)} ms`
}

/** @param duration in ms. */
export function seconds(duration: number): string {
  return `${(duration / 1_000).toFixed(2)} s`
}
