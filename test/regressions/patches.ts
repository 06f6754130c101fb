/** The source with bugs in it. The project itself is never touched. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Patch } from './regression.ts'

export const PROJECT: string = fileURLToPath(new URL('../../', import.meta.url))

/**
 * The text of each file that is changed.
 * @throws Error naming the patch that does not fit the source any more.
 */
export function patched(patches: readonly Patch[]): ReadonlyMap<string, string> {
  const texts = new Map<string, string>()
  for (const { file, find, replace } of patches) {
    const text = texts.get(file) ?? readFileSync(join(PROJECT, file), 'utf8')
    const [before, after, ...more] = text.split(find)
    if (before === undefined || after === undefined || more.length > 0) {
      const count = text.split(find).length - 1
      throw new Error(
        `A patch does not fit ${file} any more. What it replaces must stand there once, and does ${count} times:\n${find}`,
      )
    }
    texts.set(file, before + replace + after)
  }
  return texts
}
