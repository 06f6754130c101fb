/** Pages that show what the documentation links to if it is no page itself: files, and folders with all that they contain. */
import { basename, join } from 'node:path'
import { pagesOf, readMarkdown } from '../../scripts/markdown.ts'
import { decisionTitleOf, entriesOf, isFolder, read, root } from '../content/files.ts'
import { pageOf, placeOf, targetOf } from '../content/places.ts'

interface Page {
  /** Where it stands on the site, without `.md`. */
  readonly params: { readonly path: string }
  readonly content: string
}

function makePages(): Page[] {
  const shown = new Set<string>()
  const show = (path: string): void => {
    if (shown.has(path) || pageOf(path) !== undefined || isLeftOut(path)) return
    shown.add(path)
    if (isFolder(path)) entriesOf(path).forEach(show)
  }
  for (const file of pagesOf(root)) {
    for (const { target } of readMarkdown(join(root, file)).links) {
      const path = targetOf(file, target)?.path
      if (path !== undefined) show(path)
    }
  }
  return [...shown].map((path) => ({
    params: { path: placeOf(path).replace(/\.md$/, '') },
    content: isFolder(path) ? contentsOf(path) : textOf(path),
  }))
}

function contentsOf(folder: string): string {
  const paths = entriesOf(folder).filter((path) => !isLeftOut(path))
  const links = paths.map((path) => `- [${nameOf(path)}](/${placeOf(path)})`)
  return `# ${folder === 'docs/adr' ? 'Decisions' : folder}\n\n${links.join('\n')}\n`
}

/** Pictures are part of the pages that show them. Nobody reads a lockfile, and its page would be the largest of all. */
function isLeftOut(path: string): boolean {
  return /\.(svg|png)$|\bpackage-lock\.json$/.test(path)
}

function nameOf(path: string): string {
  if (path.startsWith('docs/adr/')) return decisionTitleOf(path)
  return isFolder(path) ? `${basename(path)}/` : basename(path)
}

function textOf(file: string): string {
  const language = /\.[mc]?([jt]s|json|sh|sql|ya?ml)$/.exec(file)?.[1] ?? 'txt'
  return `# ${basename(file)}\n\n\`\`\`\`\`${language}\n${read(file)}\`\`\`\`\`\n`
}

export default { paths: makePages }
