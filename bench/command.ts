/** Promises what a command of the bench is, and what a wrong use of one looks like. */

export interface Command {
  /** One line, for the list of commands. */
  readonly summary: string
  /** All that `--help` prints. */
  readonly help: string
  /**
   * Prints figures on stdout and progress on stderr.
   * @throws UsageError when the arguments are wrong, any other error when something failed to be measured.
   */
  run(args: readonly string[]): Promise<void>
}

/** The caller's mistake: its message is all that is printed, and the exit code is 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}
