/** The Markdown files that people read: what they point to, and which anchors others may point to, as GitHub reads them. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import GithubSlugger from 'github-slugger'
import MarkdownIt, { type Token } from 'markdown-it'

export interface Link {
  /** As it is written: a path, a path with an anchor, or a URL. */
  readonly target: string
  readonly line: number
}

export interface Markdown {
  readonly links: readonly Link[]
  readonly anchors: ReadonlySet<string>
}

/** By paths within the folder. */
export function pagesOf(folder: string): string[] {
  const inRoot = ['README.md', 'CHANGELOG.md', 'CONTRIBUTING.md', 'SECURITY.md']
  const docs = join(folder, 'docs')
  const inDocs = existsSync(docs) ? readdirSync(docs, { recursive: true, encoding: 'utf8' }).sort() : []
  const pages = [...inRoot, ...inDocs.filter((file) => file.endsWith('.md')).map((file) => join('docs', file))]
  return pages.filter((file) => existsSync(join(folder, file)))
}

export function readMarkdown(file: string): Markdown {
  const links: Link[] = []
  const anchors = new Set<string>()
  const slugger = new GithubSlugger()
  const tokens = new MarkdownIt({ html: true }).parse(readFileSync(file, 'utf8'), {})
  let line = 1
  for (const [index, token] of tokens.entries()) {
    if (token.map) line = token.map[0] + 1
    if (token.type === 'html_block') readHtml(token.content, line)
    if (token.type !== 'inline') continue
    const children = token.children ?? []
    if (tokens[index - 1]?.type === 'heading_open') anchors.add(slugger.slug(textOf(children)))
    for (const child of children) {
      if (child.type === 'softbreak' || child.type === 'hardbreak') line += 1
      if (child.type === 'html_inline') readHtml(child.content, line)
      const target = child.attrGet('href') ?? child.attrGet('src')
      if (target !== null) links.push({ target: String(target), line })
    }
  }
  return { links, anchors }

  function readHtml(html: string, from: number): void {
    for (const { index, groups } of html.matchAll(/\s(?<name>href|src|srcset|id|name)="(?<value>[^"]*)"/g)) {
      const { name, value } = groups as { readonly name: string; readonly value: string }
      const at = from + html.slice(0, index).split('\n').length - 1
      if (name === 'id' || name === 'name') anchors.add(value)
      else if (name === 'srcset') links.push(...targetsOf(value).map((target) => ({ target, line: at })))
      else links.push({ target: value, line: at })
    }
  }
}

function textOf(children: readonly Token[]): string {
  return children
    .filter(({ type }) => type === 'text' || type === 'code_inline')
    .map(({ content }) => content)
    .join('')
}

/** `a.svg 1x, b.svg 2x` names two files. */
function targetsOf(srcset: string): string[] {
  return srcset.split(',').map((source) => source.trim().split(/\s/)[0] ?? '')
}
