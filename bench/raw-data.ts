/** Promises a file for all that was measured, found to be writable before the measuring. */
import { appendFileSync, writeFileSync } from 'node:fs'
import { UsageError } from './command.ts'

export function openRawData(file: string): void {
  try {
    // Appending nothing: what it holds is replaced only by a result.
    appendFileSync(file, '')
  } catch (error) {
    throw new UsageError(`Expected \`--json\` to be a file that can be written: ${String(error)}`)
  }
}

export function writeRawData(file: string, data: object): void {
  writeFileSync(file, `${JSON.stringify(data, null, 2)}\n`)
}
