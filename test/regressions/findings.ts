/** What a program that searches for a bug tells the process that started it: one line on stdout. */

export interface Findings {
  /** Tests that passed, or simulations without a violation. */
  readonly passes: number
  /** Full titles of tests or hooks that failed, or violations. */
  readonly failures: readonly string[]
}

const MARK = 'RESULT '

export function report(findings: Findings): void {
  console.log(`${MARK}${JSON.stringify(findings)}`)
}

/** @returns nothing if the program broke down before it knew. */
export function findingsIn(output: string): Findings | undefined {
  const line = output.split('\n').find((text) => text.startsWith(MARK))
  return line === undefined ? undefined : (JSON.parse(line.slice(MARK.length)) as Findings)
}
