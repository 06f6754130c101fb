/** Where the files of the repository stand on the site, and where a link from one to another leads there. */
import { dirname, join, relative } from 'node:path'
import type { MarkdownEnv, MarkdownRenderer } from 'vitepress'
import { entriesOf, isFolder, root } from './files.ts'

/** What becomes a page: from a path in the repository to a path on the site. The first that fits counts. */
const PAGES: readonly (readonly [from: RegExp, to: string])[] = [
  [/^README\.md$/, 'index.md'],
  [/^CHANGELOG\.md$/, 'changelog.md'],
  [/^CONTRIBUTING\.md$/, 'contributing.md'],
  [/^SECURITY\.md$/, 'security.md'],
  [/^docs\/(.*)README\.md$/, '$1index.md'],
  [/^docs\/(.*\.md)$/, '$1'],
  [/^site\/(?:pages|generated)\/(.*\.md)$/, '$1'],
]

/** The page that a file becomes, or the README of a folder; undefined if there is none. */
export function pageOf(path: string): string | undefined {
  const readme = join(path, 'README.md')
  const file = entriesOf(path).includes(readme) ? readme : path
  const page = PAGES.find(([from]) => from.test(file))
  return page && file.replace(...page)
}

/** The page that shows a file or a folder. If it becomes none itself, pages/[path].paths.ts makes one. */
export function placeOf(path: string): string {
  const made =
    isFolder(path) && path.startsWith('docs/') ? `${path.slice('docs/'.length)}/index.md` : `source/${path}.md`
  return pageOf(path) ?? made
}

/** Globs for what lies at the top of the repository and becomes no page. */
export function notPages(): string[] {
  const names = entriesOf('.').filter((name) => name !== 'docs' && name !== 'site' && pageOf(name) === undefined)
  return names.flatMap((name) => [name, `${name}/**`])
}

/** Where a link in a file leads. Undefined if it is a URL, or an anchor in the same file. */
export function targetOf(file: string, href: string): { readonly path: string; readonly anchor: string } | undefined {
  const [path = '', anchor] = href.split('#')
  if (path === '' || /^([a-z]+:|\/)/.test(path)) return undefined
  return {
    path: join(dirname(file), decodeURIComponent(path)).replace(/\/$/, ''),
    anchor: anchor === undefined ? '' : `#${anchor}`,
  }
}

/** A plugin of markdown-it: links lead from page to page as they lead from file to file in the repository. */
export function linksOfTheSite(md: MarkdownRenderer): void {
  md.core.ruler.push('links-of-the-site', (state) => {
    const { realPath } = state.env as MarkdownEnv
    if (realPath === undefined) return
    for (const token of state.tokens.flatMap(({ children }) => children ?? [])) {
      if (token.type !== 'link_open') continue
      const target = targetOf(relative(root, realPath), token.attrGet('href') ?? '')
      if (target) token.attrSet('href', `/${encodeURI(placeOf(target.path))}${target.anchor}`)
    }
  })
}
