/** A copy of the source in a folder of its own, with bugs in it. The project itself is never touched. */
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Patch } from './regression.ts'

const PROJECT = fileURLToPath(new URL('../../', import.meta.url))

/** What running the simulator and the tests takes, but for the packages. */
const NEEDED = ['src', 'test', 'package.json', 'tsconfig.json']

export class PatchedCopy {
  readonly folder: string

  /** @throws Error naming the patch that does not fit the source any more. */
  constructor(patches: readonly Patch[]) {
    const changed = patched(patches)
    this.folder = mkdtempSync(join(tmpdir(), 'leasewheel-bug-'))
    for (const name of NEEDED) cpSync(join(PROJECT, name), join(this.folder, name), { recursive: true })
    symlinkSync(join(PROJECT, 'node_modules'), join(this.folder, 'node_modules'))
    for (const [file, text] of changed) writeFileSync(join(this.folder, file), text)
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true })
  }
}

/** The text of each file that is changed. */
function patched(patches: readonly Patch[]): ReadonlyMap<string, string> {
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
