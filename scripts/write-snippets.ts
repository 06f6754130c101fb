/** `npm run snippets`: writes the code on the pages of docs/recipes anew, out of the files that it is taken from. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { withSnippets } from './snippets.ts'

const folder = 'docs/recipes'

for (const name of readdirSync(folder)) {
  const page = join(folder, name)
  const before = readFileSync(page, 'utf8')
  const after = withSnippets(before, (file) => readFileSync(file, 'utf8'))
  if (after === before) continue
  writeFileSync(page, after)
  console.log(`${page} is up to date again`)
}
