/** The files of the repository. Paths are relative to its root. */
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root: string = fileURLToPath(new URL('../..', import.meta.url))

/** The files and folders in a folder, sorted. None if it is no folder. */
export function entriesOf(folder: string): string[] {
  if (!isFolder(folder)) return []
  return readdirSync(join(root, folder))
    .sort()
    .map((name) => join(folder, name))
}

export function isFolder(path: string): boolean {
  return statSync(join(root, path), { throwIfNoEntry: false })?.isDirectory() === true
}

export function read(file: string): string {
  return readFileSync(join(root, file), 'utf8')
}

/** The first heading of a file in Markdown. */
export function titleOf(file: string): string {
  const title = /^# (.+)$/m.exec(read(file))?.[1]
  if (title === undefined) throw new Error(`${file} has no title: a line that begins with "# "`)
  return title.replaceAll('`', '')
}

/** The title of a file in docs/adr, after the number in the file's name. */
export function decisionTitleOf(file: string): string {
  const number = /\d{4}/.exec(file)?.[0]
  return `${number} ${titleOf(file).replace(/^\d+\.? /, '')}`
}
