/** A copy of the source in a folder of its own, with bugs in it. The project itself is never touched. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { type PlainSource, PROJECT, writePlain } from './plain-source.ts'
import type { Patch } from './regression.ts'

export class PatchedCopy {
  readonly folder: string

  /** @throws Error naming the patch that does not fit the source any more. */
  constructor(source: PlainSource, patches: readonly Patch[]) {
    const changed = patched(patches)
    this.folder = mkdtempSync(join(tmpdir(), 'leasewheel-bug-'))
    source.copyTo(this.folder)
    symlinkSync(join(PROJECT, 'node_modules'), join(this.folder, 'node_modules'))
    if (changed.size > 0) this.#write(changed)
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true })
  }

  #write(texts: ReadonlyMap<string, string>): void {
    const typed = join(this.folder, 'typed')
    for (const [file, text] of texts) {
      mkdirSync(dirname(join(typed, file)), { recursive: true })
      writeFileSync(join(typed, file), text)
      // A link to the file of all copies.
      rmSync(join(this.folder, file))
    }
    writePlain(this.folder, typed, [...texts.keys()])
  }
}

/**
 * The text of each file that is changed.
 * @throws Error naming the patch that does not fit.
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
