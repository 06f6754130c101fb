/**
 * `node scripts/structural-types.mjs FOLDER`: makes the declarations in a folder structural. A class with private fields is declared with the mark
 * `#private`, and then only instances of that very class fit: two copies of this package would not fit each other, and tests could not pass doubles.
 * The line stays, empty, so that declaration maps do.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const [folder] = process.argv.slice(2)
for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
  if (!name.endsWith('.d.ts')) continue
  const file = join(folder, name)
  const text = readFileSync(file, 'utf8')
  const structural = text.replaceAll(/^ *#private;$/gm, '')
  if (structural !== text) writeFileSync(file, structural)
}
